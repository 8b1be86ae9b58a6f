//! Whole requests, and what is answered.

use std::cell::Cell;
use std::rc::Rc;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, ready};

use super::*;
use crate::admin::{
    AdminTokens, OperatorBackend, PublishBackend, PublishItem, PublishOutcome, Revocation,
    RevokeOutcome, Token,
};
use crate::app::call::Availability;

struct Counting {
    availability: Availability,
    offset: Cell<u64>,
}

impl OperatorBackend for Counting {}

impl PublishBackend for Counting {
    fn availability(&self) -> Availability {
        self.availability
    }

    fn metrics(&self) -> String {
        "pinfold_sessions 0\n".to_owned()
    }

    fn drain(&self) {}

    fn revoke(&self, whose: Revocation) -> LocalBoxFuture<'_, Option<RevokeOutcome>> {
        let asks = whose.issued_up_to > 0;
        Box::pin(ready(asks.then_some(RevokeOutcome { kept: None })))
    }

    fn is_saturated(&self) -> bool {
        false
    }

    /// Takes everything but deletions.
    fn publish(&self, item: PublishItem) -> LocalBoxFuture<'_, PublishOutcome> {
        Box::pin(ready(match item.contents {
            Some(None) => PublishOutcome::Refused {
                reason: "full",
                sentence: "no".into(),
            },
            _ => {
                self.offset.set(self.offset.get() + 1);
                PublishOutcome::Accepted {
                    offset: Some(self.offset.get()),
                    kept: None,
                }
            }
        }))
    }
}

fn ask(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
    token: bool,
) -> (u16, String) {
    let mut builder = http::Request::builder().method(method).uri(path);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    let request = AdminRequest {
        head: builder.body(()).unwrap().into_parts().0,
        body: body.as_bytes().to_vec().into(),
    };
    let policy = AdminPolicy {
        tokens: AdminTokens {
            operate: token.then(|| Token::parse("s3cret").unwrap()),
            publish: token.then(|| Token::parse("publ1sh").unwrap()),
            read: token.then(|| Token::parse("re4d").unwrap()),
        },
        loopback: !token,
        uri_bytes_max: 64,
        line_bytes_max: 1024,
    };
    let publisher = IdempotentPublisher::new(Rc::new(Counting {
        availability: match path {
            "/readyz?draining" => Availability::Leaving,
            "/readyz?loading" => Availability::Loading,
            "/readyz?without" => Availability::WithoutBoard,
            _ => Availability::Ready,
        },
        offset: Cell::new(16),
    }));
    let response = answer(&request, &publisher, &policy);
    let response = response.now_or_never().expect("this desk never waits");
    (response.status, response.body)
}

#[test]
fn a_route_that_does_not_exist() {
    let (status, body) = ask("GET", "/metricz", &[], "", false);
    assert_eq!(status, 404);
    for route in [
        "/healthz", "/readyz", "/metrics", "/publish", "/revoke", "/drain",
    ] {
        assert!(body.contains(route), "{body}");
    }
}

#[test]
fn tokens_that_anybody_takes_back() {
    let body = r#"{"issuer":"i","subject":"s"}"#;
    assert_eq!(ask("POST", "/revoke", &[], body, true).0, 401);
    let right = [("Authorization", "Bearer s3cret")];
    assert_eq!(ask("POST", "/revoke", &right, body, true).0, 200);
    assert_eq!(ask("GET", "/revoke", &[], "", false).0, 405);
    assert_eq!(ask("POST", "/revoke", &[], "{}", false).0, 400);
    let foreign = [("Origin", "https://evil.example")];
    assert_eq!(ask("POST", "/revoke", &foreign, body, false).0, 403);
}

#[test]
fn tokens_that_are_taken_back_where_there_are_none() {
    let body = r#"{"issuer":"i","subject":"s","issuedUpTo":0}"#;
    let (status, told) = ask("POST", "/revoke", &[], body, false);
    assert_eq!((status, told.contains("--auth")), (409, true), "{told}");
}

#[test]
fn the_wrong_method() {
    assert_eq!(ask("GET", "/publish", &[], "", false).0, 405);
    assert_eq!(ask("POST", "/healthz", &[], "", false).0, 405);
}

#[test]
fn a_node_that_takes_no_new_clients() {
    assert_eq!(ask("GET", "/readyz", &[], "", false).0, 200);
    assert_eq!(ask("GET", "/readyz?draining", &[], "", false).0, 503);
    let (status, body) = ask("GET", "/readyz?loading", &[], "", false);
    assert_eq!((status, body.contains("board")), (503, true), "{body}");
    let (status, body) = ask("GET", "/readyz?without", &[], "", false);
    assert_eq!((status, body.contains("without")), (200, true), "{body}");
    assert_eq!(ask("GET", "/healthz", &[], "", false).1, "ok\n");
}

#[test]
fn what_is_counted_is_told_to_those_who_may_publish() {
    let (status, page) = ask("GET", "/metrics", &[], "", false);
    assert_eq!(status, 200);
    assert_eq!(page, "pinfold_sessions 0\n");
    assert_eq!(ask("GET", "/metrics", &[], "", true).0, 401);
    let right = [("Authorization", "Bearer s3cret")];
    assert_eq!(ask("GET", "/metrics", &right, "", true).0, 200);
    assert_eq!(ask("POST", "/metrics", &right, "", true).0, 405);
}

#[test]
fn publishing_without_the_token() {
    let body = r#"{"topic":"tools"}"#;
    assert_eq!(ask("POST", "/publish", &[], body, true).0, 401);
    let wrong = [("Authorization", "Bearer wrong")];
    assert_eq!(ask("POST", "/publish", &wrong, body, true).0, 401);
    let right = [
        ("Authorization", "Bearer s3cret"),
        ("Host", "pinfold.internal:9464"),
    ];
    assert_eq!(ask("POST", "/publish", &right, body, true).0, 200);
    assert_eq!(ask("GET", "/healthz", &[], "", true).0, 200);
}

#[test]
fn draining_without_the_token() {
    assert_eq!(ask("POST", "/drain", &[], "", true).0, 401);
    let right = [
        ("Authorization", "Bearer s3cret"),
        ("Host", "pinfold.internal:9464"),
    ];
    assert_eq!(ask("POST", "/drain", &right, "", true).0, 202);
    assert_eq!(ask("GET", "/drain", &right, "", true).0, 405);
}

#[test]
fn publishing_from_a_web_page_elsewhere() {
    let body = r#"{"topic":"tools"}"#;
    for wrong in [
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
        ("Origin", "http://localhost:3000"),
        ("Sec-Fetch-Site", "same-site"),
        ("Host", "evil.example:9464"),
    ] {
        assert_eq!(
            ask("POST", "/publish", &[wrong], body, false).0,
            403,
            "{wrong:?}"
        );
    }
    let page_here = [
        ("Origin", "http://127.0.0.1:9464"),
        ("Sec-Fetch-Site", "same-origin"),
        ("Host", "127.0.0.1:9464"),
    ];
    assert_eq!(ask("POST", "/publish", &page_here, body, false).0, 200);
}

/// Each place, at a path where it is, with each method that it takes and the role that this needs.
fn everything() -> Vec<(String, &'static str, Option<AdminRole>)> {
    let at = |pattern: &str| {
        let segments = pattern.split('/').map(|it| match it.starts_with('{') {
            true => "n1.AAAAAAAAAAAAAAAAAAAAAAAA",
            false => it,
        });
        segments.collect::<Vec<_>>().join("/")
    };
    let places = TABLE.iter().flat_map(|(pattern, place)| {
        let methods = place.methods().iter();
        methods.map(move |(method, role)| (at(pattern), *method, *role))
    });
    places.collect()
}

/// Past the door: whatever it says there.
fn is_let_in(status: u16) -> bool {
    !matches!(status, 401 | 403)
}

#[test]
fn a_place_that_is_reached_without_its_role() {
    for (path, method, needed) in everything() {
        for (token, role) in [
            (None, None),
            (Some("Bearer wrong"), None),
            (Some("Bearer re4d"), Some(AdminRole::Read)),
            (Some("Bearer publ1sh"), Some(AdminRole::Publish)),
            (Some("Bearer s3cret"), Some(AdminRole::Operate)),
        ] {
            let headers: Vec<_> = token.iter().map(|it| ("Authorization", *it)).collect();
            let (status, said) = ask(method, &path, &headers, "", true);
            let what = format!("{method} {path} {token:?}: {status} {said}");
            match (needed, role) {
                (None, _) => assert!(is_let_in(status), "{what}"),
                (Some(_), None) => assert_eq!(status, 401, "{what}"),
                (Some(needed), Some(role)) if role < needed => {
                    assert_eq!(status, 403, "{what}");
                    let lacks = format!("this needs {needed}");
                    assert!(method == "HEAD" || said.contains(&lacks), "{what}");
                }
                (Some(_), Some(_)) => assert!(is_let_in(status), "{what}"),
            }
        }
    }
}

/// With a token, too: a browser would send one that a page was given.
#[test]
fn a_place_that_a_page_of_another_origin_reaches() {
    for (path, method, _) in everything() {
        for wrong in [
            ("Origin", "https://evil.example"),
            ("Origin", "null"),
            ("Origin", "http://127.0.0.1:9465"),
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Site", "same-site"),
        ] {
            let headers = [("Host", "127.0.0.1:9464"), wrong];
            assert_eq!(
                ask(method, &path, &headers, "", false).0,
                403,
                "{method} {path} {wrong:?}"
            );
            let with_token = [headers[0], wrong, ("Authorization", "Bearer s3cret")];
            let (status, _) = ask(method, &path, &with_token, "", true);
            assert_eq!(status, 403, "{method} {path} {wrong:?}");
        }
        let rebound = [
            ("Host", "evil.example:9464"),
            ("Origin", "http://evil.example:9464"),
        ];
        assert_eq!(
            ask(method, &path, &rebound, "", false).0,
            403,
            "{method} {path}"
        );
        // A page of its own.
        let own = [
            ("Host", "127.0.0.1:9464"),
            ("Origin", "http://127.0.0.1:9464"),
        ];
        assert!(
            is_let_in(ask(method, &path, &own, "", false).0),
            "{method} {path}"
        );
    }
}

/// A frame on a page of another origin, a form of it, or anything else that says it were a link.
#[test]
fn a_place_that_a_page_of_another_origin_navigates_to() {
    for (path, method, _) in everything() {
        for site in ["cross-site", "same-site"] {
            for dest in ["document", "iframe", "frame", "object", "embed", "empty"] {
                let headers = [
                    ("Host", "127.0.0.1:9464"),
                    ("Sec-Fetch-Site", site),
                    ("Sec-Fetch-Mode", "navigate"),
                    ("Sec-Fetch-Dest", dest),
                ];
                let (status, said) = ask(method, &path, &headers, "", false);
                let is_link = path == "/console" && dest == "document";
                let expected = if is_link { 200 } else { 403 };
                let what = format!("{method} {path} {site} {dest}: {said}");
                assert_eq!(status, expected, "{what}");
                let foreign = [&headers[..], &[("Origin", "https://evil.example")]].concat();
                let (status, _) = ask(method, &path, &foreign, "", false);
                assert_eq!(status, 403, "{what}");
            }
        }
    }
    let without_dest = [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Mode", "navigate"),
    ];
    assert_eq!(ask("GET", "/console", &without_dest, "", false).0, 403);
    assert_eq!(ask("DELETE", "/console", &without_dest, "", false).0, 403);
}

#[test]
fn a_path_with_a_segment_too_many() {
    assert!(is_at("/sessions/{name}", "/sessions/n1.abc"));
    for wrong in [
        "/sessions",
        "/sessions/",
        "/sessions/a/b",
        "sessions/a",
        "/session/a",
        "",
    ] {
        assert!(!is_at("/sessions/{name}", wrong), "{wrong}");
    }
}

#[test]
fn every_item_refused() {
    assert_eq!(ask("POST", "/publish", &[], "[{}]", false).0, 400);
    assert_eq!(ask("POST", "/publish", &[], "no", false).0, 400);
    assert_eq!(
        ask("POST", "/publish", &[], "[]", false),
        (200, "[]\n".into())
    );
}

#[test]
fn answers_keep_the_order_of_the_items() {
    let body = r#"[{"topic":"tools"},{},{"uri":"board://a","contents":null},{"uri":"board://a"}]"#;
    let (status, answers) = ask("POST", "/publish", &[], body, false);
    assert_eq!(status, 200);
    let answers: Value = serde_json::from_str(&answers).unwrap();
    assert_eq!(answers[0], json!({"accepted": true, "offset": 17}));
    assert_eq!(answers[1]["reason"], "bad_item");
    assert_eq!(
        answers[2],
        json!({"accepted": false, "reason": "full", "message": "no"})
    );
    assert_eq!(answers[3]["offset"], 18);
}
