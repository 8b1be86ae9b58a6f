//! Authorization of 2025-06-18 to 2026-07-28, as far as it is about what somebody may do. Who is let in at all is in
//! tests/shard/identity.rs.

use serde_json::{Value, json};

use super::LEGACY;
use crate::support::{Answer, Client, Request};

const POLICY: &str = r#"
read = "board:read"
subscribe = "board:read"
[tools]
"t" = "board:write"
[implies]
"other" = ["board:write"]
"#;

/// Requests that take a scope, in every revision.
fn requests(client: &mut Client, who: &str, method: &str, params: &Value) -> Vec<Request> {
    let legacy = LEGACY.map(|version| {
        let session = client.session_of(who, version);
        Request::call(&session, 1, method, params.clone())
    });
    let modern = Request::modern(1, method, params.clone());
    let all = legacy.into_iter().chain([modern]);
    all.map(|request| request.shown_by(who)).collect()
}

fn error(answer: &Answer) -> Option<&str> {
    let challenge = answer.field("www-authenticate")?;
    challenge.split("error=\"").nth(1)?.split('"').next()
}

/// MUST, "Error Handling": 401 where a token is needed or worth nothing, 403 where it is good for other things.
#[test]
fn a_status_that_says_the_wrong_thing_of_a_token() {
    let mut client = Client::governed(POLICY);
    let params = json!({"name": "t"});
    for request in requests(&mut client, "alice", "tools/call", &params) {
        let forbidden = client.ask(&request);
        assert_eq!(
            (forbidden.status, error(&forbidden)),
            (403, Some("insufficient_scope"))
        );
        let unknown = client.ask(&request.clone().but("Authorization", "Bearer nobody"));
        assert_eq!(
            (unknown.status, error(&unknown)),
            (401, Some("invalid_token"))
        );
        let without = client.ask(&request.without("Authorization"));
        assert_eq!((without.status, error(&without)), (401, None));
    }
    assert!(client.node.calls.is_empty());
}

/// MUST, 2026-07-28, "Scope Challenge Handling": a broader scope does for a narrower one.
#[test]
fn a_broader_scope_that_is_not_enough() {
    let mut client = Client::governed(POLICY);
    for request in requests(&mut client, "dora", "tools/call", &json!({"name": "t"})) {
        let socket = client.connect();
        client.send(socket, &request);
        let call = client.call();
        client.finish(&call, "{}");
        assert_eq!(client.answer(socket).status, 200);
    }
}

/// JSON-RPC: whoever asked finds the answer by its id, also where a status says enough.
#[test]
fn a_403_that_nobody_can_tell_the_request_of() {
    let mut client = Client::governed(POLICY);
    for request in requests(
        &mut client,
        "carol",
        "resources/read",
        &json!({"uri": "a:b"}),
    ) {
        let refused = client.ask(&request);
        let body = refused.json();
        assert_eq!((refused.status, &body["id"]), (403, &json!(1)));
        assert_eq!(
            body["error"]["data"],
            json!({"reason": "insufficient_scope", "scopes": "board:read"})
        );
        assert!(refused.sentence().contains("board:read"));
    }
}

/// A page reads why it is refused only if it is let: the challenge is a field like others to its browser.
#[test]
fn a_page_that_does_not_learn_what_to_ask_for() {
    let mut client = Client::governed(POLICY);
    for request in requests(
        &mut client,
        "carol",
        "resources/read",
        &json!({"uri": "a:b"}),
    ) {
        let refused = client.ask(&request.with("Origin", "https://app.example"));
        let exposed = refused.field("access-control-expose-headers");
        assert!(
            exposed.is_some_and(|it| it.contains("WWW-Authenticate")),
            "{refused:?}"
        );
    }
}
