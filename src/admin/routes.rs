//! A whole request in, a whole response out: who may ask what, and the sentence for everything else.

use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::{HeaderMap, Method};
use monoio_http::common::request::RequestHead;
use serde_json::{Value, json};

use super::http::AdminRequest;
use super::idempotent::{IdempotentPublisher, PublishReply};
use super::node;
use super::policy::AdminPolicy;
use super::publish::{self, UnreadableBody};
use super::response::AdminResponse;
use super::revoke;
use crate::wire::authority::{is_loopback_host, is_loopback_origin};

const ROUTES: &str = "There are GET /healthz (is the process alive), GET /readyz (does it take new clients), \
GET /metrics (what is counted, for Prometheus), GET /node (how this node fares), POST /publish (tell subscribers that something changed), POST /revoke (take somebody's tokens back) and POST /drain (send clients to other nodes, without ending).";

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Healthz,
    Readyz,
    Metrics,
    Node,
    Publish,
    Drain,
    Revoke,
}

impl Place {
    fn of(path: &str) -> Option<Place> {
        Some(match path {
            "/healthz" => Place::Healthz,
            "/readyz" => Place::Readyz,
            "/metrics" => Place::Metrics,
            "/node" => Place::Node,
            "/publish" => Place::Publish,
            "/drain" => Place::Drain,
            "/revoke" => Place::Revoke,
            _ => return None,
        })
    }

    /// What may be asked here, for `Allow`.
    const fn methods(self) -> &'static str {
        match self {
            Place::Healthz | Place::Readyz | Place::Metrics | Place::Node => "GET, HEAD",
            Place::Publish | Place::Drain | Place::Revoke => "POST",
        }
    }

    fn takes(self, method: &Method) -> bool {
        self.methods().split(", ").any(|it| it == method.as_str())
    }

    /// Health and readiness ask for no token: probes have none, and they tell nothing.
    const fn asks_for_token(self) -> bool {
        !matches!(self, Place::Healthz | Place::Readyz)
    }
}

/// Answers one request.
pub(super) async fn answer(
    request: &AdminRequest,
    publisher: &IdempotentPublisher,
    policy: &AdminPolicy,
) -> AdminResponse {
    let place = match admit(&request.head, policy) {
        Ok(place) => place,
        Err(refusal) => return refusal,
    };
    match place {
        Place::Healthz => AdminResponse::text(200, "ok\n"),
        Place::Readyz => availability(publisher),
        Place::Metrics => metrics(publisher),
        Place::Node => node(publisher),
        Place::Publish => publish(&request.body, publisher, policy).await,
        Place::Drain => drain(publisher),
        Place::Revoke => revoke(&request.body, publisher).await,
    }
}

/// Whether this publishes, and may.
pub(super) fn is_publishing(head: &RequestHead, policy: &AdminPolicy) -> bool {
    admit(head, policy).is_ok_and(|place| place == Place::Publish)
}

/// Why a request whose body is lines gets no further than its head.
pub(super) fn refuse_lines(head: &RequestHead, policy: &AdminPolicy) -> Option<AdminResponse> {
    match admit(head, policy) {
        Ok(Place::Publish) => None,
        Ok(_) => Some(AdminResponse::error(
            404,
            format!("Nothing here takes lines. {ROUTES}"),
        )),
        Err(refusal) => Some(refusal),
    }
}

/// Where a request goes, by its head.
///
/// # Errors
/// What whoever may not ask that is told.
fn admit(head: &RequestHead, policy: &AdminPolicy) -> Result<Place, AdminResponse> {
    if let Some(refusal) = turn_away(&head.headers, policy) {
        return Err(refusal);
    }
    let nothing = || AdminResponse::error(404, format!("Nothing is here. {ROUTES}"));
    let place = Place::of(head.uri.path()).ok_or_else(nothing)?;
    if !place.takes(&head.method) {
        return Err(not_allowed(place.methods()));
    }
    let refusal = place
        .asks_for_token()
        .then(|| ask_for_token(&head.headers, policy));
    refusal.flatten().map_or(Ok(place), Err)
}

/// A browser's page from elsewhere, or one that reached a loopback address under another name.
fn turn_away(headers: &HeaderMap, policy: &AdminPolicy) -> Option<AdminResponse> {
    let foreign = headers
        .get_all(ORIGIN)
        .iter()
        .any(|origin| !origin.to_str().is_ok_and(is_loopback_origin));
    if foreign {
        return Some(AdminResponse::error(
            403,
            "Web pages of other sites may not use the admin listener.",
        ));
    }
    let host = headers.get(HOST).map_or(Ok(""), |host| host.to_str());
    if policy.loopback && !host.is_ok_and(|host| host.is_empty() || is_loopback_host(host)) {
        return Some(AdminResponse::error(
            403,
            "The admin listener is on a loopback address: Host must be localhost, 127.0.0.1 or [::1].",
        ));
    }
    None
}

fn ask_for_token(headers: &HeaderMap, policy: &AdminPolicy) -> Option<AdminResponse> {
    let offered = headers.get(AUTHORIZATION).map(http::HeaderValue::as_bytes);
    let token = policy.token.as_ref()?;
    let sentence = "This needs the bearer token of --admin-token-file.";
    (!token.admits(offered)).then(|| {
        AdminResponse::error(401, sentence).with("WWW-Authenticate", "Bearer realm=\"pinfold\"")
    })
}

fn availability(publisher: &IdempotentPublisher) -> AdminResponse {
    let availability = publisher.backend().availability();
    let status = if availability.takes_clients() {
        200
    } else {
        503
    };
    AdminResponse::text(status, &format!("{}\n", availability.sentence()))
}

fn metrics(publisher: &IdempotentPublisher) -> AdminResponse {
    AdminResponse {
        content_type: crate::metrics::CONTENT_TYPE,
        ..AdminResponse::text(200, &publisher.backend().metrics())
    }
}

fn node(publisher: &IdempotentPublisher) -> AdminResponse {
    match publisher.backend().node() {
        Some(node) => AdminResponse::json(200, &node::render(&node)),
        None => AdminResponse::error(404, "Nothing is known of a node here."),
    }
}

/// The log tells how far it is, and the node goes on until it is told to end.
fn drain(publisher: &IdempotentPublisher) -> AdminResponse {
    publisher.backend().drain();
    AdminResponse::json(202, &json!({"draining": true}))
}

async fn revoke(body: &[u8], publisher: &IdempotentPublisher) -> AdminResponse {
    let whose = match revoke::parse(body) {
        Ok(whose) => whose,
        Err(sentence) => return AdminResponse::error(400, sentence),
    };
    match publisher.backend().revoke(whose).await {
        Some(revoked) => AdminResponse::json(200, &revoke::render(&whose, revoked)),
        None => AdminResponse::error(
            409,
            "Nobody is asked who they are here (--auth): there are no tokens to take back.",
        ),
    }
}

fn not_allowed(allow: &'static str) -> AdminResponse {
    AdminResponse::error(405, format!("Use {allow} here. {ROUTES}")).with("Allow", allow)
}

/// 200 if at least one item was accepted (or none was sent), 400 if all were refused or the body is unreadable.
async fn publish(
    body: &[u8],
    publisher: &IdempotentPublisher,
    policy: &AdminPolicy,
) -> AdminResponse {
    let items = match publish::parse(body, policy.uri_bytes_max) {
        Ok(items) => items,
        Err(UnreadableBody(status, sentence)) => return AdminResponse::error(status, sentence),
    };
    let is_busy = publisher.backend().is_saturated();
    let replies = publisher.publish(items, is_busy).await;
    let all_refused = !replies.is_empty() && replies.iter().all(PublishReply::is_refusal);
    let list: Vec<Value> = replies.iter().map(publish::render).collect();
    AdminResponse::json(if all_refused { 400 } else { 200 }, &json!(list))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use futures_util::FutureExt;
    use futures_util::future::{LocalBoxFuture, ready};

    use super::*;
    use crate::admin::{
        OperatorBackend, PublishBackend, PublishItem, PublishOutcome, Revocation, RevokeOutcome,
        Token,
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
            token: token.then(|| Token::parse("s3cret").unwrap()),
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
