//! Clients that send a whole request and then nothing more (`nc -N`, some HTTP libraries): they are answered. One that is
//! gone looks the same until something is written to it.

use pinfold::app::call::Topic;
use pinfold::internals::limits::Limits;
use pinfold::internals::shard::Closed;
use serde_json::json;

use crate::support::{Client, Item, Request};
use crate::{V03, V06, V11};

fn modern(id: u64) -> Request {
    Request::modern(id, "tools/call", json!({"name": "t"}))
}

/// It is told something at once, so that a reset shows that it is gone; else its answer follows.
#[test]
fn a_modern_request_cancelled_by_a_client_that_waits_for_its_answer() {
    for streaming in [false, true] {
        let mut client = Client::new();
        let socket = client.connect();
        client.send(socket, &modern(1));
        let call = client.call();
        if streaming {
            client.notify(&call, 1);
        }
        client.items(socket);
        client.end(socket);
        let items = client.items(socket);
        assert!(
            matches!(items.last(), Some(Item::Frame(frame)) if frame.comment),
            "{items:?}"
        );
        assert!(client.node.cancelled.is_empty());
        client.finish(&call, r#"{"of":1}"#);
        let items = client.items(socket);
        let [Item::Frame(answer), Item::StreamEnd] = &items[..] else {
            panic!("{items:?}")
        };
        assert_eq!(answer.json()["result"]["of"], 1);
        assert_eq!(client.closed(socket), Some(Closed::Answered));
    }
}

/// Its own revision's rule: closing the connection is the cancellation.
#[test]
fn work_for_a_modern_client_that_closed_and_answers_with_a_reset() {
    let mut client = Client::new();
    let socket = client.connect();
    client.send(socket, &modern(1));
    let call = client.call();
    client.end(socket);
    client.node.cut(socket);
    assert_eq!(client.node.cancelled, [call.key]);
    let counts = client.node.cores[0].shard.counts();
    assert_eq!(
        (counts.calls, counts.streams, counts.connections),
        (0, 0, 0)
    );
}

#[test]
fn a_legacy_answer_lost_with_the_end_of_its_clients_sending() {
    for version in [V03, V06, V11] {
        let mut client = Client::new();
        let session = client.session(version);
        let socket = client.connect();
        client.send(socket, &Request::tool(&session, 1));
        client.end(socket);
        assert!(
            client.items(socket).is_empty(),
            "it is JSON, and waited for"
        );
        let call = client.call();
        client.finish(&call, r#"{"of":1}"#);
        let answer = client.answer(socket);
        assert_eq!(answer.json()["result"]["of"], 1);
        assert_eq!(client.closed(socket), Some(Closed::Answered));
    }
}

/// Something is written to it as to any other that waits for long.
#[test]
fn a_legacy_client_that_is_gone_and_is_waited_for_as_long_as_its_call_takes() {
    let mut client = Client::new();
    let session = client.session(V11);
    let socket = client.connect();
    client.send(socket, &Request::tool(&session, 1));
    client.end(socket);
    client.pass(Limits::default().keep_alive_ms);
    assert!(!client.items(socket).is_empty());
}

#[test]
fn pipelined_requests_of_which_the_last_are_not_answered() {
    let mut client = Client::new();
    let session = client.session(V11);
    let socket = client.connect();
    client.send(socket, &Request::tool(&session, 1));
    client.send(socket, &Request::ping(&session, 2));
    client.send(socket, &Request::tool(&session, 3));
    client.send(socket, &modern(4));
    client.end(socket);
    let mut ids = Vec::new();
    let mut streamed = None;
    for _ in 0..3 {
        let call = client.call();
        client.finish(&call, "{}");
        for item in client.items(socket) {
            match item {
                Item::Answer(answer) if !answer.body.is_empty() => {
                    ids.push(answer.json()["id"].as_u64())
                }
                Item::Frame(frame) if frame.is_message() => streamed = frame.json()["id"].as_u64(),
                _ => {}
            }
        }
    }
    assert_eq!((ids, streamed), (vec![Some(1), Some(2), Some(3)], Some(4)));
    assert_eq!(client.closed(socket), Some(Closed::Answered));
}

/// What is half received never becomes a request.
#[test]
fn half_a_request_that_is_waited_for() {
    let whole = Request::initialize(V11).bytes();
    for count in [0, 1, 20, whole.len() - 1] {
        let mut client = Client::new();
        let socket = client.connect();
        client.send_bytes(socket, &whole[..count]);
        client.end(socket);
        assert_eq!(client.closed(socket), Some(Closed::PeerLeft), "{count}");
    }
}

/// A comment at once, and it is told as before until it is found gone.
#[test]
fn a_stream_whose_client_only_reads() {
    let mut client = Client::new();
    let session = client.session(V06);
    let get = client.open(&Request::get(&session));
    let listen = client.open(&Request::listen(1, json!({"toolsListChanged": true})));
    client.frames(listen);
    for socket in [get, listen] {
        client.end(socket);
        let items = client.items(socket);
        assert!(
            matches!(items.last(), Some(Item::Frame(frame)) if frame.comment),
            "{items:?}"
        );
        client.publish(Topic::Tools);
        assert_eq!(client.topics_anywhere(socket), ["tools/list_changed"]);
        // The reset.
        client.node.cut(socket);
    }
    let counts = client.node.cores[0].shard.counts();
    assert_eq!((counts.connections, counts.listeners), (0, 1));
}

/// The answer is large, and its reader slow.
#[test]
fn an_answer_cut_while_its_reader_takes_it() {
    let mut client = Client::new();
    let session = client.session(V11);
    let socket = client.connect();
    client.node.set_room(socket, 10);
    client.send(
        socket,
        &Request::tool(&session, 1).with("Connection", "close"),
    );
    let call = client.call();
    client.finish(&call, &json!({"text": "x".repeat(10_000)}).to_string());
    client.end(socket);
    assert_eq!(client.closed(socket), None);
    client.node.set_room(socket, usize::MAX);
    assert_eq!(client.answer(socket).json()["id"], 1);
    assert_eq!(client.closed(socket), Some(Closed::Answered));
}

/// Nothing can be found out about a client that takes no stream before its answer is there.
#[test]
fn a_json_answer_with_a_comment_of_a_stream_in_it() {
    let mut client = Client::new();
    let socket = client.connect();
    client.send(socket, &modern(1).but("Accept", "application/json"));
    let call = client.call();
    client.end(socket);
    assert!(client.items(socket).is_empty());
    client.finish(&call, r#"{"of":1}"#);
    let answer = client.answer(socket);
    assert_eq!(answer.json()["result"]["of"], 1);
    assert_eq!(client.closed(socket), Some(Closed::Answered));
}
