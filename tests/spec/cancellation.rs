//! Cancellation: by closing the stream since 2026-07-28, by `notifications/cancelled` before.

use serde_json::{Value, json};

use crate::support::{Client, Item, Request};
use crate::{V06, V11};

fn cancelled(session: &str, id: impl Into<Value>) -> Request {
    let id: Value = id.into();
    Request::post(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}})).session(session)
}

/// 2026-07-28: a client's disconnect is the cancellation of its request, streaming or not.
#[test]
fn work_for_a_modern_client_that_left() {
    for streaming in [false, true] {
        let mut client = Client::new();
        let socket = client.connect();
        client.send(
            socket,
            &Request::modern(1, "tools/call", json!({"name": "t"})),
        );
        let call = client.call();
        if streaming {
            client.notify(&call, 1);
        }
        client.node.cut(socket);
        assert_eq!(client.node.cancelled, [call.key]);
        client.finish(&call, "{}");
        let counts = client.node.cores[0].shard.counts();
        assert_eq!((counts.calls, counts.streams), (0, 0));
    }
}

/// Before, a lost connection SHOULD NOT be taken for a cancellation.
#[test]
fn a_legacy_call_dropped_with_its_connection() {
    for streaming in [false, true] {
        let mut client = Client::new();
        let session = client.session(V06);
        let socket = client.connect();
        client.send(socket, &Request::tool(&session, 1));
        let call = client.call();
        if streaming {
            client.notify(&call, 1);
        }
        client.node.cut(socket);
        assert!(client.node.cancelled.is_empty());
        client.finish(&call, "{}");
        assert_eq!(client.node.cores[0].shard.counts().calls, 0);
    }
}

/// A cancelled request gets no response; what it was asked on is free again.
#[test]
fn an_answer_to_a_cancelled_request() {
    for streaming in [false, true] {
        let mut client = Client::new();
        let session = client.session(V11);
        let socket = client.connect();
        client.send(socket, &Request::tool(&session, "x"));
        let call = client.call();
        if streaming {
            client.notify(&call, 1);
        }
        assert_eq!(client.ask(&cancelled(&session, "x")).status, 202);
        assert_eq!(client.node.cancelled, [call.key]);
        client.finish(&call, "{}");
        let items = client.items(socket);
        assert!(matches!(items.last(), Some(Item::StreamEnd)), "{items:?}");
        let has_answer = |item: &Item| matches!(item, Item::Frame(frame) if frame.is_message() && frame.json().get("id").is_some());
        assert!(!items.iter().any(has_answer), "{items:?}");
        assert_eq!(
            client.exchange(socket, &Request::ping(&session, 2)).status,
            200
        );
    }
}

/// What is unknown, finished or malformed is ignored, and so is somebody else's request.
#[test]
fn a_cancellation_that_hits_a_stranger() {
    let mut client = Client::new();
    let (session, other) = (client.session(V11), client.session(V11));
    let socket = client.connect();
    client.send(socket, &Request::tool(&session, 1));
    let call = client.call();
    for request in [
        cancelled(&session, 2),
        cancelled(&session, "1"),
        cancelled(&session, Value::Null),
        cancelled(&other, 1),
    ] {
        assert_eq!(client.ask(&request).status, 202);
    }
    assert!(client.node.cancelled.is_empty());
    client.finish(&call, "{}");
    assert_eq!(client.answer(socket).status, 200);
    assert_eq!(client.ask(&cancelled(&session, 1)).status, 202, "too late");
}

/// Deleting a session ends what it waits for, with an answer for each.
#[test]
fn a_call_that_hangs_when_its_session_ends() {
    let mut client = Client::new();
    let session = client.session(V11);
    let (plain, streaming) = (client.connect(), client.connect());
    client.send(plain, &Request::tool(&session, 1));
    client.send(streaming, &Request::tool(&session, 2));
    let (_, call) = (client.call(), client.call());
    client.notify(&call, 1);
    assert_eq!(client.ask(&Request::delete(&session)).status, 204);
    let answer = client.answer(plain);
    assert_eq!(
        (answer.status, answer.json()["id"].as_i64()),
        (404, Some(1))
    );
    assert!(client.stream_ended(streaming));
    assert_eq!(client.node.cancelled.len(), 2);
}

/// JSON Schema knows no difference between 1 and 1.0; some clients write every number with a fraction.
#[test]
fn a_message_not_found_by_another_spelling_of_its_id() {
    let mut client = Client::new();
    let session = client.session(V11);
    for (id, cancels) in [
        (json!(1), json!(1.0)),
        (json!(2.0), json!(2)),
        (json!(3.0), json!(3.0)),
    ] {
        let socket = client.connect();
        client.send(socket, &Request::tool(&session, id));
        let call = client.call();
        assert_eq!(client.ask(&cancelled(&session, cancels)).status, 202);
        assert_eq!(client.node.cancelled.pop(), Some(call.key));
    }
    let socket = client.connect();
    client.send(socket, &Request::tool(&session, 4));
    let call = client.call();
    assert_eq!(client.ask(&cancelled(&session, "4")).status, 202);
    assert!(client.node.cancelled.is_empty(), "a string is no integer");
    let ask = client.ask_client(&call, "roots/list").expect("asked");
    let body = json!({"jsonrpc": "2.0", "id": f64::from(ask), "result": {"roots": []}});
    assert!(body.to_string().contains(".0"));
    let answer = client.ask(&Request::post(&body).session(&session));
    assert_eq!(answer.status, 202);
    let heard = client.node.heard.pop().expect("the answer to the question");
    assert_eq!((heard.call, heard.ask), (call.key, ask));
}
