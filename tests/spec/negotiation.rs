//! What a client says of the answer that it takes, of its revision and of its session: `Accept`,
//! `MCP-Protocol-Version`, `Mcp-Session-Id`.

use serde_json::{Value, json};

use crate::support::{Client, Request};
use crate::{LEGACY, V03, V11};

const JSON: &str = "application/json";
const STREAM: &str = "text/event-stream";

fn plain(request: Request) -> Request {
    request.but("Accept", JSON)
}

/// A session that is gone is 404, so that its client starts anew, whatever it was named for.
#[test]
fn an_initialize_that_names_a_session_that_is_gone() {
    let mut client = Client::new();
    let session = client.session(V11);
    let answer = client.ask(&Request::initialize(V11).session(&session));
    assert_eq!((answer.status, answer.code()), (400, -32600), "it lives");
    assert_eq!(client.ask(&Request::delete(&session)).status, 204);
    for (id, reason) in [(&*session, "expired"), ("node-z.nonsense", "unknown")] {
        let answer = client.ask(&Request::initialize(V11).session(id));
        assert_eq!(answer.status, 404, "{id}");
        assert_eq!(answer.json()["id"], 0);
        assert_eq!(answer.json()["error"]["data"]["reason"], reason);
    }
    assert_eq!(client.node.cores[0].shard.counts().sessions, 0);
}

#[test]
fn an_empty_session_id_taken_for_one() {
    let mut client = Client::new();
    let answer = client.ask(&Request::initialize(V11).session(""));
    assert_eq!(answer.status, 200);
    assert!(answer.field("mcp-session-id").is_some());
    let large = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": V11, "capabilities": {}, "x": "x".repeat(100_000)}});
    let answer = client.ask(&Request::post(&large).session(""));
    assert_ne!(answer.status, 404, "{answer:?}");
    let answer = client.ask(&Request::ping("", 1));
    assert_eq!(answer.status, 404, "no other request is without one");
}

/// 2026-07-28 has no `initialize`: who sends one speaks a revision before, unless its metadata says otherwise.
#[test]
fn an_initialize_refused_for_the_revision_in_its_header() {
    let mut client = Client::new();
    for id in [None, Some("node-z.nonsense")] {
        let mut request =
            Request::initialize("2026-07-28").with("MCP-Protocol-Version", "2026-07-28");
        if let Some(id) = id {
            request = request.session(id);
        }
        let answer = client.ask(&request);
        assert_eq!(
            (answer.status, &answer.json()["result"]["protocolVersion"]),
            (200, &json!(V11))
        );
        assert!(answer.field("mcp-session-id").is_some());
    }
    let modern = client.ask(&Request::modern(1, "initialize", json!({})));
    assert_eq!((modern.status, modern.code()), (404, -32601));
}

/// 2025-06-18 and later, "Protocol Version Header": of every request, not of POST alone.
#[test]
fn a_stream_or_an_end_in_an_unknown_revision() {
    let mut client = Client::new();
    let session = client.session(V11);
    for version in ["2099-01-01", "garbage", "", "2024-11-05"] {
        for request in [Request::get(&session), Request::delete(&session)] {
            let answer = client.ask(&request.with("MCP-Protocol-Version", version));
            assert_eq!(answer.status, 400, "{version}");
            assert!(answer.sentence().contains("MCP-Protocol-Version"));
        }
    }
    assert_eq!(
        client.ask(&Request::ping(&session, 1)).status,
        200,
        "it lives"
    );
    for version in LEGACY {
        let get = client.open(&Request::get(&session).with("MCP-Protocol-Version", version));
        client.node.cut(get);
    }
}

#[test]
fn a_session_ended_by_a_request_of_the_revision_without_sessions() {
    let mut client = Client::new();
    let session = client.session(V11);
    for request in [Request::get(&session), Request::delete(&session)] {
        let answer = client.ask(&request.with("MCP-Protocol-Version", "2026-07-28"));
        assert_eq!(answer.status, 405);
        assert_eq!(answer.field("allow"), Some("POST, GET, DELETE, OPTIONS"));
    }
    assert_eq!(client.ask(&Request::ping(&session, 1)).status, 200);
}

/// What is answered with JSON anyway is answered to whoever takes JSON.
#[test]
fn a_client_of_json_refused_for_a_stream_that_it_does_not_get() {
    let mut client = Client::new();
    for version in LEGACY {
        let answer = client.ask(&plain(Request::initialize(version)));
        assert_eq!(answer.status, 200);
        let session = answer.field("mcp-session-id").expect("an id").to_owned();
        assert_eq!(client.ask(&plain(Request::ping(&session, 1))).status, 200);
        for accept in [JSON, STREAM, "text/html"] {
            let body = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
            let notification = Request::post(&body).session(&session).but("Accept", accept);
            assert_eq!(
                client.ask(&notification).status,
                202,
                "it has no answer: {accept}"
            );
            let body = json!({"jsonrpc": "2.0", "id": 7, "result": {}});
            let response = Request::post(&body).session(&session).but("Accept", accept);
            assert_eq!(client.ask(&response).status, 202, "{accept}");
        }
    }
    let discover = plain(Request::modern(1, "server/discover", json!({})));
    assert_eq!(client.ask(&discover).status, 200);
}

/// However long it takes and whatever is said meanwhile.
#[test]
fn a_client_of_json_that_gets_a_stream_after_a_while() {
    let mut client = Client::new();
    let session = client.session(V11);
    let modern = Request::modern(5, "tools/call", json!({"name": "t"}));
    for request in [Request::tool(&session, 5), modern] {
        let socket = client.connect();
        client.send(socket, &plain(request));
        let call = client.call();
        client.notify(&call, 1);
        client.close_stream(&call);
        client.pass(100_000);
        assert_eq!(
            client.items(socket),
            [],
            "nothing is said before the answer"
        );
        client.finish(&call, r#"{"content":[]}"#);
        let answer = client.answer(socket);
        assert_eq!(
            (answer.status, answer.field("content-type")),
            (200, Some(JSON))
        );
        assert_eq!(answer.json()["id"], 5);
        assert_eq!(answer.json()["result"]["content"], json!([]));
        assert_eq!(
            client.exchange(socket, &Request::ping(&session, 6)).status,
            200
        );
    }
}

/// What cannot be said in JSON alone: 406 and why, and the call is not worked on in vain.
#[test]
fn a_question_to_a_client_that_cannot_be_asked() {
    let mut client = Client::new();
    let session = client.session(V11);
    let socket = client.connect();
    client.send(socket, &plain(Request::tool(&session, 5)));
    let call = client.call();
    assert_eq!(client.ask_client(&call, "sampling/createMessage"), None);
    let answer = client.answer(socket);
    assert_eq!((answer.status, &answer.json()["id"]), (406, &json!(5)));
    assert!(answer.sentence().contains(STREAM));
    assert_eq!(client.node.cancelled, [call.key]);
    client.finish(&call, "{}");
    assert_eq!(client.items(socket), [], "it was answered");
    assert_eq!(
        client.exchange(socket, &Request::ping(&session, 6)).status,
        200
    );
    for request in [Request::get(&session), Request::listen(1, json!({}))] {
        let answer = client.ask(&plain(request));
        assert_eq!(answer.status, 406);
        assert!(answer.sentence().contains(STREAM));
    }
    let batched = client.session(V03);
    let batch = json!([{"jsonrpc": "2.0", "id": 1, "method": "ping"}]);
    let answer = client.ask(&plain(Request::post(&batch).session(&batched)));
    assert_eq!(answer.status, 406);
}

#[test]
fn a_cancelled_call_of_a_client_of_json_that_waits_for_ever() {
    let mut client = Client::new();
    let session = client.session(V11);
    let socket = client.connect();
    client.send(socket, &plain(Request::tool(&session, 5)));
    let call = client.call();
    let body =
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5}});
    client.ask(&Request::post(&body).session(&session));
    assert_eq!(client.node.cancelled, [call.key]);
    let answer = client.answer(socket);
    assert_eq!((answer.status, &*answer.body), (202, ""));
    assert_eq!(
        client.exchange(socket, &Request::ping(&session, 6)).status,
        200
    );
    let socket = client.connect();
    client.send(socket, &plain(Request::tool(&session, 7)));
    client.ask(&Request::delete(&session));
    assert_eq!(client.answer(socket).status, 404);
}

/// Whoever writes both members of a response writes null into the one that is not meant.
#[test]
fn an_answer_with_a_null_beside_it_refused() {
    for (beside, answer) in [
        (json!({"result": {"a": 1}, "error": null}), r#"{"a":1}"#),
        (
            json!({"result": null, "error": {"code": -1, "message": "no"}}),
            "-1",
        ),
    ] {
        let mut client = Client::new();
        let session = client.session(V11);
        let socket = client.connect();
        client.send(socket, &Request::tool(&session, 5));
        let call = client.call();
        let ask = client.ask_client(&call, "roots/list").expect("asked");
        let mut body: Value = beside;
        body["jsonrpc"] = json!("2.0");
        body["id"] = json!(ask);
        assert_eq!(
            client.ask(&Request::post(&body).session(&session)).status,
            202
        );
        let heard = client.node.heard.pop().expect("the answer");
        assert_eq!((heard.call, heard.ask), (call.key, ask));
        assert!(heard.answer.contains(answer), "{}", heard.answer);
    }
}
