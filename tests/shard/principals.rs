//! What belongs to somebody: to everybody else it is as if it were not there.

use pinfold::internals::limits::Limits;
use serde_json::json;

use super::travel::{Way, only_session, travel, with};
use crate::support::identified::{identify_by, rules, tokens};
use crate::support::{Answer, Client, Request};
use pinfold::internals::auth::Who;

const V11: &str = "2025-11-25";

fn identified() -> Client {
    Client::identified(Limits::default())
}

/// What is said of a session that never was.
fn of_none(client: &mut Client, request: &Request, session: &str) -> Answer {
    // The same place, and another secret.
    let mut other = session.to_owned();
    let last = other.pop().expect("an id");
    other.push(if last == 'A' { 'E' } else { 'A' });
    client.ask(
        &request
            .clone()
            .but("Mcp-Session-Id", &other)
            .shown_by("bob"),
    )
}

/// Bob is told what he would be told of nothing; then of a session that is over.
fn is_unknown_to_bob(client: &mut Client, request: &Request, session: &str) {
    let told = client.ask(&request.clone().shown_by("bob"));
    assert_eq!(
        (told.status, told.reason()),
        (404, "unknown".into()),
        "{request:?}"
    );
    assert_eq!(told, of_none(client, request, session));
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, String::from_utf8_lossy(&self.body))
    }
}

#[test]
fn a_session_of_another_principal_that_somebody_uses() {
    let mut client = identified();
    let session = client.session_of("alice", V11);
    let stream = client.open(&Request::get(&session).shown_by("alice"));
    for request in [
        Request::ping(&session, 1),
        Request::tool(&session, 2),
        Request::call(&session, 3, "resources/read", json!({"uri": "board://a"})),
        Request::call(&session, 3, "tools/list", json!({})),
        Request::subscribe(&session, "board://a"),
        Request::call(&session, 4, "completion/complete", json!({})),
        Request::call(&session, 5, "initialize", json!({})),
        Request::post(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            .session(&session),
        Request::get(&session),
        Request::delete(&session),
    ] {
        is_unknown_to_bob(&mut client, &request, &session);
    }
    let nobody = client.ask(&Request::ping(&session, 1));
    assert_eq!(nobody.status, 401);
    assert!(client.node.calls.is_empty() && !client.stream_ended(stream));
    let own = client.ask(&Request::ping(&session, 1).shown_by("alice"));
    assert_eq!(own.status, 200, "it is as it was");
}

#[test]
fn a_token_that_was_refreshed_in_mid_session() {
    let mut client = identified();
    let session = client.session_of("alice", V11);
    let again = client.ask(&Request::ping(&session, 1).shown_by("alice, refreshed"));
    assert_eq!(again.status, 200);
}

#[test]
fn a_session_that_ended_and_can_be_told_from_somebody_elses() {
    let mut client = identified();
    let session = client.session_of("alice", V11);
    let there = client.ask(&Request::ping(&session, 1).shown_by("bob"));
    let ended = client.ask(&Request::delete(&session).shown_by("alice"));
    assert_eq!(ended.status, 204);
    let gone = client.ask(&Request::ping(&session, 1).shown_by("bob"));
    assert_eq!(there, gone);
}

#[test]
fn an_answer_that_another_principal_comes_back_for() {
    let mut client = identified();
    let session = client.session_of("alice", V11);
    let socket = client.connect();
    client.send(socket, &Request::tool(&session, 1).shown_by("alice"));
    let call = client.call();
    client.notify(&call, 1);
    let last = client.last_event_id(socket);
    client.node.cut(socket);
    client.finish(&call, r#"{"content":[]}"#);
    is_unknown_to_bob(&mut client, &Request::get(&session).resume(&last), &session);
    let resumed = client.open(&Request::get(&session).resume(&last).shown_by("alice"));
    let messages = client.messages(resumed);
    assert!(messages.iter().any(|it| it["id"] == 1), "{messages:?}");
}

#[test]
fn a_question_that_another_principal_answers_and_a_call_that_it_cancels() {
    let mut client = identified();
    let session = client.session_of("alice", V11);
    let socket = client.connect();
    client.send(socket, &Request::tool(&session, 1).shown_by("alice"));
    let call = client.call();
    let ask = client.ask_client(&call, "roots/list").expect("it is asked");
    let answer = Request::post(&json!({"jsonrpc": "2.0", "id": ask, "result": {"roots": []}}))
        .session(&session);
    let cancel = Request::post(&json!({
        "jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1},
    }))
    .session(&session);
    is_unknown_to_bob(&mut client, &answer, &session);
    is_unknown_to_bob(&mut client, &cancel, &session);
    assert!(client.node.heard.is_empty() && client.node.cancelled.is_empty());
    assert_eq!(client.ask(&answer.shown_by("alice")).status, 202);
    assert_eq!(client.node.heard.len(), 1);
}

#[test]
fn a_large_body_for_the_session_of_another_principal() {
    let mut client = identified();
    let session = client.session_of("alice", V11);
    let mut request = Request::tool(&session, 1).shown_by("bob");
    request.body = vec![b' '; 200_000];
    let socket = client.connect();
    client.node.sockets[socket].reader.expected.push_back(false);
    client.send_bytes(socket, &request.bytes()[..1_000]);
    let told = client.answer(socket);
    assert_eq!((told.status, told.reason()), (404, "unknown".into()));
}

#[test]
fn a_session_that_belongs_to_nobody_after_its_journey() {
    let mut client = with(Limits::default());
    identify_by(
        &mut client.node,
        &std::sync::Arc::new(rules(Who::Tokens(tokens()))),
    );
    let session = client.session_of("alice", V11);
    travel(&mut client, Way::ToAnotherCore);
    only_session(&client, 1);
    let ping = Request::ping(&session, 1);
    let mut on_its_core = |request: Request| {
        let socket = client.connect_to(1);
        client.exchange(socket, &request).status
    };
    assert_eq!(on_its_core(ping.clone().shown_by("bob")), 404);
    assert_eq!(on_its_core(ping.shown_by("alice")), 200);
}
