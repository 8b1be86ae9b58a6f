//! Streams and large answers behind a proxy: they begin a moment after their request was complete, and nothing else waits.
//!
//! A Go proxy cuts an answer that begins before it has noticed that the request's body is whole.

use pinfold::app::call::Topic;
use pinfold::internals::limits::{
    BUSY_FOR_MS, Limits, STREAM_HOLD_BUSY_MS, STREAM_HOLD_MS, UNSENT_BYTES_MAX,
};
use serde_json::{Value, json};

use crate::support::node::SocketId;
use crate::support::{Client, Item, Request};

const V11: &str = "2025-11-25";
const V06: &str = "2025-06-18";

fn by_proxy(request: Request) -> Request {
    request.with("X-Forwarded-For", "192.0.2.1")
}

fn listen() -> Request {
    Request::listen(1, json!({"toolsListChanged": true}))
}

/// What was written to this socket and not read yet.
fn arrived(client: &mut Client, socket: SocketId) -> String {
    let bytes: Vec<u8> = client.node.sockets[socket]
        .arrived
        .iter()
        .copied()
        .collect();
    String::from_utf8(bytes).expect("answers are text")
}

fn begins(client: &mut Client, request: &Request) -> bool {
    let socket = client.connect();
    client.send(socket, request);
    !arrived(client, socket).is_empty()
}

fn data(items: &[Item]) -> Vec<Value> {
    let message = |item: &Item| match item {
        Item::Frame(frame) => frame.is_message().then(|| frame.json()),
        _ => None,
    };
    items.iter().filter_map(message).collect()
}

#[test]
fn a_stream_that_begins_before_a_proxy_knows_that_the_request_is_whole() {
    for field in ["X-Forwarded-For", "Via", "Forwarded", "x-forwarded-proto"] {
        let mut client = Client::new();
        let socket = client.connect();
        let request = listen().with(field, "anything");
        // Of a client that sends head and body apart.
        client.send_bytes(socket, &request.head());
        client.send_bytes(socket, &request.body);
        client.pass(STREAM_HOLD_MS - 1);
        assert_eq!(arrived(&mut client, socket), "", "{field}");
        client.pass(1);
        let text = arrived(&mut client, socket);
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        assert!(text.contains("subscriptions/acknowledged"), "{text}");
        client.publish(Topic::Tools);
        assert!(
            arrived(&mut client, socket).contains("tools/list_changed"),
            "what follows does not wait"
        );
    }
}

/// A node may read both in one piece where a proxy has sent two.
#[test]
fn a_stream_whose_request_was_read_in_one_piece() {
    let mut client = Client::new();
    let socket = client.connect();
    client.send(socket, &by_proxy(listen()));
    assert_eq!(arrived(&mut client, socket), "");
    client.pass(STREAM_HOLD_MS);
    assert!(!arrived(&mut client, socket).is_empty());
}

#[test]
fn a_proxy_that_waits_for_its_cpu_as_this_node_does() {
    let mut client = Client::new();
    let now = client.node.now;
    client.node.cores[0].shard.handle_late(now);
    client.pass(BUSY_FOR_MS - 1);
    let busy = client.connect();
    client.send(busy, &by_proxy(listen()));
    client.pass(1);
    let calm = client.connect();
    client.send(calm, &by_proxy(listen()));
    client.pass(STREAM_HOLD_MS);
    assert!(!arrived(&mut client, calm).is_empty());
    client.pass(STREAM_HOLD_BUSY_MS - STREAM_HOLD_MS - 2);
    assert_eq!(arrived(&mut client, busy), "");
    client.pass(1);
    assert!(!arrived(&mut client, busy).is_empty());
}

/// What a proxy has not read of it when it closes the connection is lost, as with a stream.
#[test]
fn a_large_answer_of_which_a_proxy_gets_the_beginning() {
    let mut client = Client::new();
    let session = client.session(V06);
    let text = "x".repeat(UNSENT_BYTES_MAX);
    for (size, waits) in [(UNSENT_BYTES_MAX, true), (UNSENT_BYTES_MAX / 2, false)] {
        let socket = client.connect();
        client.send(socket, &by_proxy(Request::tool(&session, 1)));
        client.send(socket, &Request::ping(&session, 2));
        let call = client.call();
        client.finish(&call, &format!(r#"{{"text":"{}"}}"#, &text[..size]));
        assert_eq!(arrived(&mut client, socket).is_empty(), waits);
        client.pass(STREAM_HOLD_MS);
        let items = client.items(socket);
        let [Item::Answer(large), Item::Answer(ping)] = &items[..] else {
            panic!("{items:?}");
        };
        assert_eq!(large.json()["result"]["text"], text[..size]);
        assert_eq!(ping.json()["id"], 2);
    }
}

#[test]
fn what_waits_for_no_reason() {
    let mut client = Client::new();
    let session = client.session(V11);
    assert!(begins(&mut client, &listen()), "no proxy");
    let get = by_proxy(Request::get(&session));
    assert!(begins(&mut client, &get), "a GET has no body");
    let ping = by_proxy(Request::ping(&session, 1));
    assert!(begins(&mut client, &ping), "an answer with a length");
    let notification = json!({"jsonrpc": "2.0", "method": "notifications/x"});
    let notification = by_proxy(Request::post(&notification).session(&session));
    assert!(
        begins(&mut client, &notification),
        "an answer without content"
    );
    let refused = by_proxy(Request::post_text("{").session(&session));
    assert!(begins(&mut client, &refused), "a refusal");

    let socket = client.connect();
    client.send(socket, &by_proxy(Request::tool(&session, 2)));
    let call = client.call();
    client.finish(&call, "{}");
    assert!(
        arrived(&mut client, socket).ends_with(r#""result":{}}"#),
        "an answer that turned out to be one message"
    );
    client.send(socket, &Request::tool(&session, 3));
    let call = client.call();
    client.notify(&call, 1);
    assert!(
        arrived(&mut client, socket).contains(r#""progress":1"#),
        "a proxy's word is for one request"
    );
}

#[test]
fn a_call_that_took_its_time_already() {
    let mut client = Client::new();
    let session = client.session(V06);
    let socket = client.connect();
    client.send(socket, &by_proxy(Request::tool(&session, 1)));
    let call = client.call();
    client.pass(STREAM_HOLD_MS + 1);
    client.notify(&call, 1);
    assert!(arrived(&mut client, socket).contains(r#""progress":1"#));

    // Or a part of it.
    let socket = client.connect();
    client.send(socket, &by_proxy(Request::tool(&session, 2)));
    let call = client.call();
    client.pass(3);
    client.notify(&call, 1);
    client.pass(STREAM_HOLD_MS - 3);
    assert_eq!(arrived(&mut client, socket), "");
    client.pass(1);
    assert!(arrived(&mut client, socket).contains(r#""progress":1"#));
}

#[test]
fn what_comes_while_a_stream_is_held_leaves_with_its_beginning_in_order() {
    let mut client = Client::new();
    let session = client.session(V06);
    let socket = client.connect();
    client.send(socket, &by_proxy(Request::tool(&session, 1)));
    // The next request waits, as behind any answer.
    client.send(socket, &Request::ping(&session, 2));
    let call = client.call();
    client.notify(&call, 1);
    client.notify(&call, 2);
    client.finish(&call, "{}");
    assert_eq!(arrived(&mut client, socket), "");
    client.pass(STREAM_HOLD_MS);
    let items = client.items(socket);
    let [
        Item::Answer(_),
        Item::Frame(_),
        Item::Frame(_),
        Item::Frame(_),
        Item::StreamEnd,
        Item::Answer(ping),
    ] = &items[..]
    else {
        panic!("{items:?}");
    };
    assert_eq!(ping.json()["id"], 2);
    let progress = |number| json!({"progressToken": 1, "progress": number});
    let data = data(&items);
    assert_eq!(data[0]["params"], progress(1));
    assert_eq!(data[1]["params"], progress(2));
    assert_eq!(data[2]["id"], 1);
}

#[test]
fn what_is_published_while_a_listener_is_held() {
    let mut client = Client::new();
    let socket = client.connect();
    client.send(socket, &by_proxy(listen()));
    client.publish(Topic::Tools);
    client.publish(Topic::Tools);
    assert_eq!(arrived(&mut client, socket), "");
    client.pass(STREAM_HOLD_MS);
    let methods: Vec<_> = data(&client.items(socket))
        .iter()
        .map(|message| message["method"].clone())
        .collect();
    assert_eq!(
        methods,
        [
            "notifications/subscriptions/acknowledged",
            "notifications/tools/list_changed"
        ]
    );
}

/// Held is not slow: nothing is lost, and nobody is cut for it.
#[test]
fn more_than_may_wait_while_a_stream_is_held() {
    let mut client = Client::tiny();
    let session = client.session(V06);
    let socket = client.connect();
    client.send(socket, &by_proxy(Request::tool(&session, 1)));
    let call = client.call();
    let count = Limits::tiny().stream_queue_bytes_max / 40;
    for number in 0..count {
        client.notify(&call, number);
    }
    client.finish(&call, &format!(r#"{{"text":"{}"}}"#, "x".repeat(900)));
    client.pass(STREAM_HOLD_MS);
    let items = client.items(socket);
    assert!(matches!(items.last(), Some(Item::StreamEnd)), "{items:?}");
    let data = data(&items);
    assert_eq!(data.len(), count + 1);
    for (number, message) in data[..count].iter().enumerate() {
        assert_eq!(message["params"]["progress"], number);
    }
    assert_eq!(data[count]["id"], 1);
    assert_eq!(client.node.sockets[socket].closed, None);
}

/// An answer that is larger than what may wait for a reader waits for its stream all the same.
#[test]
fn an_answer_behind_the_end_of_its_stream() {
    let mut client = Client::tiny();
    let session = client.session(V06);
    let socket = client.connect();
    client.send(socket, &by_proxy(Request::tool(&session, 1)));
    let call = client.call();
    client.notify(&call, 1);
    let bytes_max = Limits::tiny().stream_queue_bytes_max;
    client.finish(&call, &format!(r#"{{"text":"{}"}}"#, "x".repeat(bytes_max)));
    client.pass(STREAM_HOLD_MS);
    let items = client.items(socket);
    assert!(matches!(items.last(), Some(Item::StreamEnd)), "{items:?}");
    let data = data(&items);
    assert_eq!((data.len(), &data[1]["id"]), (2, &json!(1)));
}

#[test]
fn a_client_that_leaves_while_its_stream_is_held() {
    let mut client = Client::new();
    let socket = client.connect();
    client.send(socket, &by_proxy(listen()));
    client.node.cut(socket);
    // In its place, with the same index.
    let next = client.connect();
    client.send(next, &by_proxy(listen()));
    client.pass(STREAM_HOLD_MS);
    assert_eq!(client.node.cores[0].shard.counts().streams, 0);
    assert_eq!(client.node.cores[0].shard.counts().listeners, 1);
    assert!(arrived(&mut client, next).contains("acknowledged"));
}

#[test]
fn a_held_stream_of_a_call_that_is_cancelled() {
    let mut client = Client::new();
    let session = client.session(V06);
    let socket = client.connect();
    client.send(socket, &by_proxy(Request::tool(&session, 1)));
    let cancelled =
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
    let answer = client.ask(&Request::post(&cancelled).session(&session));
    assert_eq!(answer.status, 202);
    assert_eq!(arrived(&mut client, socket), "");
    client.pass(STREAM_HOLD_MS);
    let items = client.items(socket);
    assert!(
        matches!(&items[..], [Item::Answer(_), Item::StreamEnd]),
        "{items:?}"
    );
    let ping = Request::ping(&session, 2);
    assert_eq!(client.exchange(socket, &ping).status, 200);
}

#[test]
fn a_batch_and_a_body_in_chunks_behind_a_proxy() {
    let mut client = Client::new();
    let session = client.session("2025-03-26");
    let batch = json!([{"jsonrpc": "2.0", "id": 1, "method": "ping"}, {"jsonrpc": "2.0", "id": 2, "method": "ping"}]);
    let mut request = by_proxy(Request::post(&batch).session(&session))
        .with("Transfer-Encoding", "chunked")
        .with("Expect", "100-continue");
    let body = String::from_utf8(request.body.clone()).expect("text");
    request.body = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).into();
    let socket = client.connect();
    client.send_bytes(socket, &request.head());
    let continues = "HTTP/1.1 100 Continue\r\n\r\n";
    assert_eq!(arrived(&mut client, socket), continues, "does not wait");
    client.send_bytes(socket, &request.body);
    assert_eq!(arrived(&mut client, socket), continues);
    client.pass(STREAM_HOLD_MS);
    let text = arrived(&mut client, socket);
    assert!(text.contains("text/event-stream"), "{text}");
    assert!(text.ends_with("0\r\n\r\n"), "{text}");
}

#[test]
fn a_node_that_leaves_while_a_stream_is_held() {
    let mut client = Client::new();
    let now = client.node.now;
    let times = pinfold::internals::shard::DrainTimes {
        notice_ms: 64,
        window_ms: 0,
    };
    client.node.cores[0].shard.handle_drain(now, times);
    client.pass(60);
    let socket = client.connect();
    client.send(socket, &by_proxy(listen()));
    client.pass(5);
    assert_eq!(client.node.sockets[socket].closed, None, "no answer at all");
    client.pass(1_000);
    assert!(arrived(&mut client, socket).contains("acknowledged"));
    let closed = client.node.sockets[socket].closed;
    assert_eq!(closed, Some(pinfold::internals::shard::Closed::Draining));
}
