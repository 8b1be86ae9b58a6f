//! What runs out: heads, bodies, idle connections and sessions, stuck writes, unanswered questions; and what keeps
//! a silent stream alive.

use pinfold::internals::limits::Limits;
use pinfold::internals::shard::Closed;
use serde_json::json;

use crate::support::{Client, Item, Request};
use crate::{V06, V11};

fn limits() -> Limits {
    Limits::default()
}

#[test]
fn a_head_that_never_ends() {
    let mut client = Client::new();
    let socket = client.connect();
    client.node.sockets[socket].reader.expected.push_back(false);
    for byte in b"GET /mcp HTTP/1.1\r\nHost: x" {
        client.send_bytes(socket, &[*byte]);
        client.pass(limits().head_timeout_ms / 30);
    }
    client.pass(limits().head_timeout_ms);
    let answer = client.answer(socket);
    assert_eq!(
        (answer.status, answer.field("connection")),
        (408, Some("close"))
    );
    answer.sentence();
    client.pass(5_000);
    assert_eq!(client.closed(socket), Some(Closed::Answered));
}

/// Whoever connects has something to say. What waits between requests has said it.
#[test]
fn a_connection_that_never_says_anything() {
    let mut client = Client::new();
    let socket = client.connect();
    client.pass(limits().head_timeout_ms - 100);
    assert_eq!(client.closed(socket), None);
    client.pass(200);
    assert_eq!(client.closed(socket), Some(Closed::Idle));
}

/// Its first byte does not give it the time of a head once more.
#[test]
fn a_first_head_that_begins_at_the_last_moment() {
    let mut client = Client::new();
    let socket = client.connect();
    client.node.sockets[socket].reader.expected.push_back(false);
    client.pass(limits().head_timeout_ms - 100);
    client.send_bytes(socket, b"GET /mcp HTTP/1.1\r\n");
    client.pass(200);
    assert_eq!(client.answer(socket).status, 408);
}

#[test]
fn a_body_that_never_comes() {
    let mut client = Client::new();
    let socket = client.connect();
    client.node.sockets[socket].reader.expected.push_back(false);
    client.send_bytes(socket, &Request::initialize(V11).head());
    client.pass(limits().body_timeout_ms - 100);
    client.send_bytes(socket, b"{");
    assert!(client.items(socket).is_empty());
    client.pass(200);
    assert_eq!(client.answer(socket).status, 408);
}

#[test]
fn an_idle_connection_kept_for_ever() {
    let mut client = Client::new();
    let socket = client.connect();
    client.exchange(socket, &Request::initialize(V11));
    client.pass(limits().connection_idle_ms - 1_000);
    client.exchange(socket, &Request::initialize(V11));
    client.pass(limits().connection_idle_ms - 1_000);
    assert_eq!(client.closed(socket), None);
    client.pass(2_000);
    assert_eq!(client.closed(socket), Some(Closed::Idle));
}

/// An open stream is activity, and so is a call; nothing else keeps a session.
#[test]
fn a_session_ended_under_its_open_stream() {
    let mut client = Client::new();
    let (streaming, calling, idle) = (
        client.session(V11),
        client.session(V11),
        client.session(V11),
    );
    let stream = client.open(&Request::get(&streaming));
    let socket = client.connect();
    client.send(socket, &Request::tool(&calling, 1));
    client.pass(3 * limits().session_idle_ms);
    assert_eq!(client.node.cores[0].shard.counts().sessions, 2);
    assert_eq!(client.ask(&Request::ping(&idle, 1)).reason(), "expired");
    assert_eq!(client.ask(&Request::ping(&streaming, 1)).status, 200);
    client.node.cut(stream);
    let call = client.call();
    client.finish(&call, "{}");
    client.pass(limits().session_idle_ms - 1_000);
    assert_eq!(
        client.node.cores[0].shard.counts().sessions,
        2,
        "from its last activity on"
    );
    client.pass(2_000);
    assert_eq!(client.node.cores[0].shard.counts().sessions, 0);
}

/// A comment now and then, on GET, listen and on answers that take their time; never an event.
#[test]
fn a_silent_stream_cut_by_a_proxy() {
    let mut client = Client::new();
    let session = client.session(V06);
    let get = client.open(&Request::get(&session));
    let listen = client.open(&Request::listen(1, json!({"toolsListChanged": true})));
    client.frames(listen);
    let call = client.connect();
    client.send(call, &Request::tool(&session, 1));
    let modern = client.connect();
    client.send(
        modern,
        &Request::modern(1, "tools/call", json!({"name": "t"})),
    );
    client.pass(4 * limits().keep_alive_ms + 1_000);
    for socket in [get, listen, call, modern] {
        let items = client.items(socket);
        let comments = items
            .iter()
            .filter(|item| matches!(item, Item::Frame(frame) if frame.comment))
            .count();
        assert!((4..=5).contains(&comments), "{items:?}");
        let frames = items
            .iter()
            .filter(|item| matches!(item, Item::Frame(_)))
            .count();
        assert_eq!(frames, comments);
    }
}

#[test]
fn a_comment_on_a_stream_that_is_not_silent() {
    let mut client = Client::new();
    let session = client.session(V06);
    let get = client.open(&Request::get(&session));
    for _ in 0..20 {
        client.pass(limits().keep_alive_ms / 3);
        client.publish(pinfold::app::call::Topic::Tools);
    }
    let comments = client
        .items(get)
        .iter()
        .filter(|item| matches!(item, Item::Frame(frame) if frame.comment))
        .count();
    assert_eq!(comments, 0);
}

/// Nothing taken for long enough: closed. As long as something is, it is slow, not dead.
#[test]
fn a_dead_reader_kept_for_ever() {
    let mut client = Client::new();
    let session = client.session(V06);
    let get = client.open(&Request::get(&session));
    client.node.set_room(get, 0);
    client.publish(pinfold::app::call::Topic::Tools);
    for _ in 0..5 {
        client.pass(limits().write_stall_ms - 1_000);
        client.node.set_room(get, 1);
    }
    assert_eq!(client.closed(get), None);
    client.pass(limits().write_stall_ms + 100);
    assert_eq!(client.closed(get), Some(Closed::WriteStalled));
    let again = client.open(&Request::get(&session));
    assert_eq!(client.topics(again), ["tools/list_changed"]);
}

/// The question ends for both: the application is told, the client hears that nobody waits any more.
#[test]
fn a_question_that_is_asked_for_ever() {
    let mut client = Client::new();
    let session = client.session(V06);
    let socket = client.connect();
    client.send(socket, &Request::tool(&session, 1));
    let call = client.call();
    let ask = client
        .ask_client(&call, "elicitation/create")
        .expect("it runs");
    client.pass(limits().ask_timeout_ms + 100);
    assert_eq!(client.node.heard[0].answer, "TimedOut");
    let frames: Vec<_> = client
        .frames_after_head(socket)
        .into_iter()
        .filter(|frame| frame.is_message())
        .collect();
    assert_eq!(frames[1].method(), "notifications/cancelled");
    assert_eq!(frames[1].json()["params"]["requestId"], ask);
    let late = json!({"jsonrpc": "2.0", "id": ask, "result": {}});
    assert_eq!(
        client.ask(&Request::post(&late).session(&session)).status,
        202
    );
    assert_eq!(client.node.heard.len(), 1);
}
