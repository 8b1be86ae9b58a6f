//! A whole request in, a whole response out: who may ask what, and the sentence for everything else.

use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::{HeaderMap, Method};
use serde_json::{Value, json};

use super::gate;
use super::http::{Request, Response};
use super::publish::{self, Unreadable};
use super::serve::Rules;
use super::{Answer, Desk};

const ROUTES: &str = "There are GET /healthz (is the process alive), GET /readyz (does it take new clients) and \
POST /publish (tell subscribers that something changed).";

/// Answers one request. Health and readiness ask for no token: probes have none, and they tell nothing.
pub(super) fn answer(request: &Request, desk: &dyn Desk, rules: &Rules) -> Response {
    if let Some(refusal) = turn_away(&request.head.headers, rules) {
        return refusal;
    }
    let method = &request.head.method;
    match request.head.uri.path() {
        "/healthz" if is_read(method) => Response::text(200, "ok\n"),
        "/readyz" if is_read(method) => readiness(desk),
        "/publish" if method == Method::POST => {
            if !is_admitted(&request.head.headers, rules) {
                return Response::error(
                    401,
                    "Publishing needs the bearer token of --admin-token-file.",
                )
                .with("WWW-Authenticate", "Bearer realm=\"pinfold\"");
            }
            publish(&request.body, desk, rules)
        }
        "/healthz" | "/readyz" => not_allowed("GET, HEAD"),
        "/publish" => not_allowed("POST"),
        _ => Response::error(404, format!("Nothing is here. {ROUTES}")),
    }
}

/// A browser's page from elsewhere, or one that reached a loopback address under another name.
fn turn_away(headers: &HeaderMap, rules: &Rules) -> Option<Response> {
    let foreign = headers
        .get_all(ORIGIN)
        .iter()
        .any(|origin| !origin.to_str().is_ok_and(gate::is_loopback_origin));
    if foreign {
        return Some(Response::error(
            403,
            "Web pages of other sites may not use the admin listener.",
        ));
    }
    let host = headers.get(HOST).map_or(Ok(""), |host| host.to_str());
    if rules.loopback && !host.is_ok_and(|host| host.is_empty() || gate::is_loopback_host(host)) {
        return Some(Response::error(
            403,
            "The admin listener is on a loopback address: Host must be localhost, 127.0.0.1 or [::1].",
        ));
    }
    None
}

fn is_admitted(headers: &HeaderMap, rules: &Rules) -> bool {
    let offered = headers.get(AUTHORIZATION).map(http::HeaderValue::as_bytes);
    rules
        .token
        .as_ref()
        .is_none_or(|token| token.admits(offered))
}

fn is_read(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

fn readiness(desk: &dyn Desk) -> Response {
    if desk.ready() {
        Response::text(200, "ready\n")
    } else {
        Response::text(503, "not ready: starting or draining\n")
    }
}

fn not_allowed(allow: &'static str) -> Response {
    Response::error(405, format!("Use {allow} here. {ROUTES}")).with("Allow", allow)
}

/// 200 if at least one item was accepted (or none was sent), 400 if all were refused or the body is unreadable.
fn publish(body: &[u8], desk: &dyn Desk, rules: &Rules) -> Response {
    let items = match publish::parse(body, rules.uri_bytes_max) {
        Ok(items) => items,
        Err(Unreadable(sentence)) => return Response::error(400, sentence),
    };
    let mut sound = Vec::with_capacity(items.len());
    let mut refused = Vec::with_capacity(items.len());
    for item in items {
        match item {
            Ok(item) => {
                sound.push(item);
                refused.push(None);
            }
            Err(answer) => refused.push(Some(answer)),
        }
    }
    let sound_count = sound.len();
    let from_desk = desk.publish(sound);
    assert_eq!(
        from_desk.len(),
        sound_count,
        "the desk answers each item once"
    );

    let mut from_desk = from_desk.into_iter();
    let answers: Vec<Answer> = refused
        .into_iter()
        .map(|wrong| {
            wrong
                .or_else(|| from_desk.next())
                .expect("one answer per sound item")
        })
        .collect();
    let all_refused = !answers.is_empty()
        && answers
            .iter()
            .all(|answer| matches!(answer, Answer::Refused { .. }));
    let list: Vec<Value> = answers.iter().map(publish::render).collect();
    Response::json(if all_refused { 400 } else { 200 }, &json!(list))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::admin::{Item, Token};

    struct Counting {
        ready: bool,
        offset: Cell<u64>,
    }

    impl Desk for Counting {
        fn ready(&self) -> bool {
            self.ready
        }

        /// Takes everything but deletions.
        fn publish(&self, items: Vec<Item>) -> Vec<Answer> {
            let answer = |item: Item| match item.contents {
                Some(None) => Answer::Refused {
                    reason: "full",
                    sentence: "no".into(),
                },
                _ => {
                    self.offset.set(self.offset.get() + 1);
                    Answer::Accepted {
                        offset: self.offset.get(),
                    }
                }
            };
            items.into_iter().map(answer).collect()
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
        let request = Request {
            head: builder.body(()).unwrap().into_parts().0,
            body: body.as_bytes().to_vec().into(),
        };
        let rules = Rules {
            token: token.then(|| Token::parse("s3cret").unwrap()),
            loopback: !token,
            uri_bytes_max: 64,
        };
        let desk = Counting {
            ready: path != "/readyz?draining",
            offset: Cell::new(16),
        };
        let response = answer(&request, &desk, &rules);
        (response.status, response.body)
    }

    #[test]
    fn a_route_that_does_not_exist() {
        let (status, body) = ask("GET", "/metricz", &[], "", false);
        assert_eq!(status, 404);
        for route in ["/healthz", "/readyz", "/publish"] {
            assert!(body.contains(route), "{body}");
        }
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
        assert_eq!(ask("GET", "/healthz", &[], "", false).1, "ok\n");
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
    fn publishing_from_a_web_page_elsewhere() {
        let body = r#"{"topic":"tools"}"#;
        for wrong in [
            ("Origin", "https://evil.example"),
            ("Origin", "null"),
            ("Host", "evil.example:9464"),
        ] {
            assert_eq!(
                ask("POST", "/publish", &[wrong], body, false).0,
                403,
                "{wrong:?}"
            );
        }
        let page_here = [
            ("Origin", "http://localhost:3000"),
            ("Host", "127.0.0.1:9464"),
        ];
        assert_eq!(ask("POST", "/publish", &page_here, body, false).0, 200);
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
        let body =
            r#"[{"topic":"tools"},{},{"uri":"board://a","contents":null},{"uri":"board://a"}]"#;
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
}
