//! One budget for all that clients make a node hold. Each test takes it up in another way.

use pinfold::internals::limits::Limits;
use pinfold::internals::shard::Closed;
use serde_json::json;

use crate::support::client::Client;
use crate::support::node::{Node, SocketId};
use crate::support::{Item, Request};

const KIB: usize = 1024;
const V03: &str = "2025-03-26";
const V11: &str = "2025-11-25";

/// Limits that leave only the budget to be reached.
fn limits(memory_kib: usize) -> Limits {
    Limits {
        memory_bytes_max: memory_kib * KIB,
        ..Limits::default()
    }
}

fn held(client: &Client) -> usize {
    let held = |core: &crate::support::node::Core| core.shard.counts().held_bytes;
    client.node.cores.iter().map(held).sum()
}

/// The head of a request whose body is announced to be so long.
fn announce(target: &str, length: usize, fields: &str) -> Vec<u8> {
    format!(
        "POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nContent-Length: {length}\r\n{fields}\r\n"
    )
    .into_bytes()
}

fn begin_body(client: &mut Client, length: usize, sent: usize) -> SocketId {
    let socket = client.connect();
    client.node.sockets[socket].reader.expected.push_back(false);
    client.send_bytes(socket, &announce("/mcp", length, ""));
    let mut left = sent;
    while left > 0 {
        let count = left.min(64 * KIB);
        client.send_bytes(socket, &vec![b' '; count]);
        left -= count;
    }
    socket
}

/// A session's answer that nobody reads: of so many bytes, on a socket that takes none.
fn stall(client: &mut Client, bytes: usize) -> SocketId {
    let session = client.session(V11);
    let socket = client.connect();
    client.send(socket, &Request::tool(&session, 1));
    let call = client.call();
    client.node.set_room(socket, 0);
    client.finish(&call, &json!({ "text": "x".repeat(bytes) }).to_string());
    socket
}

#[test]
fn bodies_that_together_are_more_than_the_node_may_hold() {
    let mut client = Client::with(limits(1024));
    let first = begin_body(&mut client, 900 * KIB, 600 * KIB);
    assert!((600 * KIB..=1024 * KIB).contains(&held(&client)));
    let second = begin_body(&mut client, 600 * KIB, 0);
    let answer = client.answer(second);
    assert_eq!(answer.status, 503, "refused before its body is there");
    assert_eq!(answer.field("retry-after"), Some("1"));
    assert!(answer.sentence().contains("--memory-max"), "{answer:?}");
    client.node.cut(first);
    assert_eq!(held(&client), 0);
    begin_body(&mut client, 900 * KIB, 600 * KIB);
    assert!(held(&client) >= 600 * KIB);
}

#[test]
fn a_body_that_outgrows_what_is_left() {
    let mut client = Client::with(limits(1024));
    let socket = client.connect();
    client.node.sockets[socket].reader.expected.push_back(false);
    let head = String::from_utf8(announce("/mcp", 0, "")).expect("ASCII");
    let head = head.replace("Content-Length: 0", "Transfer-Encoding: chunked");
    client.send_bytes(socket, head.as_bytes());
    for _ in 0..40 {
        let mut chunk = b"8000\r\n".to_vec();
        chunk.extend([b' '; 0x8000]);
        chunk.extend(b"\r\n");
        client.send_bytes(socket, &chunk);
    }
    assert_eq!(client.answer(socket).status, 503);
    assert_eq!(held(&client), 0, "what came of it is let go at once");
}

#[test]
fn a_large_body_is_refused_by_its_head() {
    let mut client = Client::new();
    let session = client.session(V11);
    let other = format!("Mcp-Session-Id: {}x\r\n", &session[..session.len() - 1]);
    let cases = [
        ("/elsewhere", "", 404),
        ("/mcp", "Origin: https://evil.example\r\n", 403),
        ("/mcp", other.as_str(), 404),
    ];
    for (target, fields, status) in cases {
        let socket = client.connect();
        client.node.sockets[socket].reader.expected.push_back(false);
        client.send_bytes(socket, &announce(target, 4_000_000, fields));
        assert_eq!(client.answer(socket).status, status, "{target} {fields}");
        client.send_bytes(socket, &[b' '; 64 * KIB]);
        assert_eq!(held(&client), 0, "{target} {fields}");
    }
}

/// Who asks too often is told so before it sends four megabytes for it.
#[test]
fn a_large_body_of_a_client_that_asks_too_often() {
    let mut client = Client::with(Limits {
        calls_per_second_per_client_max: 1,
        ..Limits::default()
    });
    let greedy = |client: &mut Client| {
        let socket = client.node.connect(0, Some([203, 0, 113, 7].into()));
        let socket = socket.expect("there is room");
        client.node.sockets[socket].reader.expected.push_back(false);
        socket
    };
    let socket = greedy(&mut client);
    assert_eq!(
        client.exchange(socket, &Request::initialize(V11)).status,
        200
    );
    client.send_bytes(socket, &announce("/mcp", 4_000_000, ""));
    let answer = client.answer(socket);
    assert_eq!(
        (answer.status, &*answer.reason()),
        (429, "too_many_requests")
    );
    assert_eq!(answer.field("retry-after"), Some("1"));
    assert_eq!(held(&client), 0);
    client.pass(1_000);
    let socket = greedy(&mut client);
    client.send_bytes(socket, &announce("/mcp", 4_000_000, ""));
    client.send_bytes(socket, &[b' '; 64 * KIB]);
    assert!(held(&client) >= 64 * KIB, "it is read");
}

/// The same when the length is not announced.
#[test]
fn a_large_chunked_body_is_refused_by_its_head() {
    let mut client = Client::new();
    let socket = client.connect();
    client.node.sockets[socket].reader.expected.push_back(false);
    let head = String::from_utf8(announce("/elsewhere", 0, "")).expect("ASCII");
    let head = head.replace("Content-Length: 0", "Transfer-Encoding: chunked");
    client.send_bytes(socket, head.as_bytes());
    for _ in 0..3 {
        client.send_bytes(socket, b"8000\r\n");
        client.send_bytes(socket, &[b' '; 0x8000]);
        client.send_bytes(socket, b"\r\n");
    }
    assert_eq!(client.answer(socket).status, 404);
    assert_eq!(held(&client), 0);
}

#[test]
fn an_answer_too_large_to_be_kept_for_somebody_who_left() {
    let mut client = Client::new();
    let session = client.session(V11);
    let socket = client.connect();
    client.send(socket, &Request::tool(&session, 7));
    let call = client.call();
    client.notify(&call, 1);
    let Some(Item::Frame(seen)) = client.items(socket).pop() else {
        panic!("a notification was expected");
    };
    client.node.cut(socket);
    let large = json!({ "text": "x".repeat(300 * KIB) }).to_string();
    client.finish(&call, &large);
    assert!(held(&client) < 2 * KIB, "{}", held(&client));
    let resume = Request::get(&session).resume(&seen.id.expect("an id"));
    let socket = client.open(&resume);
    let messages = client.messages(socket);
    let error = &messages.last().expect("an answer")["error"];
    assert_eq!(messages.last().expect("an answer")["id"], 7);
    assert_eq!(error["data"]["reason"], "answer_not_kept", "{error}");
}

/// A batch of 2025-03-26 is always answered by a stream, and its client left before that.
#[test]
fn a_batch_whose_answers_nobody_waits_for() {
    let mut client = Client::new();
    let session = client.session(V03);
    let call =
        |id| json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "t"}});
    for _ in 0..20 {
        let socket = client.connect();
        let batch = json!([call(1), call(2)]);
        client.send(socket, &Request::post(&batch).session(&session));
        client.node.cut(socket);
        for _ in 0..2 {
            let arrived = client.node.calls.pop_front().expect("a call");
            let large = json!({ "text": "x".repeat(200 * KIB) }).to_string();
            client.finish(&arrived, &large);
        }
    }
    let kept = held(&client);
    assert!(
        (20 * 200 * KIB..20 * 202 * KIB).contains(&kept),
        "of two answers that are too large together one is kept: {kept}"
    );
}

/// Whoever reads gets an answer of any size, at whatever pace, as long as there is room.
#[test]
fn a_slow_reader_that_is_cut_without_need() {
    let mut client = Client::with(limits(2048));
    let socket = stall(&mut client, 1000 * KIB);
    for _ in 0..100 {
        client.pass(5_000);
        client.node.set_room(socket, 4 * KIB);
        client.node.take(socket, 4 * KIB);
    }
    assert_eq!(client.closed(socket), None);
    client.node.set_room(socket, usize::MAX);
    let items = client.items(socket);
    let answer = items.iter().find_map(|item| match item {
        Item::Answer(answer) => Some(answer),
        _ => None,
    });
    assert_eq!(answer.expect("an answer").status, 200);
    assert_eq!(held(&client), 0);
}

#[test]
fn who_holds_most_for_longest_makes_room_for_who_is_new() {
    let mut client = Client::with(limits(1024));
    let small = stall(&mut client, 100 * KIB);
    let large = stall(&mut client, 700 * KIB);
    client.pass(10_000);
    let young = stall(&mut client, 100 * KIB);
    let body = begin_body(&mut client, 400 * KIB, 300 * KIB);
    assert_eq!(client.closed(large), Some(Closed::OutOfMemory));
    assert_eq!(client.closed(small), None);
    assert_eq!(client.closed(young), None);
    assert!(client.node.sockets[body].key.is_some());
    assert!(client.items(body).is_empty(), "it is still being received");
}

#[test]
fn kept_answers_go_before_anybody_is_cut_and_the_oldest_first() {
    let mut client = Client::with(limits(1024));
    let session = client.session(V11);
    let keep = |client: &mut Client, id: u64| {
        let socket = client.connect();
        client.send(socket, &Request::tool(&session, id));
        let call = client.call();
        client.notify(&call, 1);
        let Some(Item::Frame(seen)) = client.items(socket).pop() else {
            panic!("a notification was expected");
        };
        client.node.cut(socket);
        client.finish(&call, &json!({ "text": "x".repeat(200 * KIB) }).to_string());
        client.pass(1_000);
        seen.id.expect("an id")
    };
    let first = keep(&mut client, 1);
    let second = keep(&mut client, 2);
    let slow = stall(&mut client, 400 * KIB);
    client.pass(5_000);
    begin_body(&mut client, 300 * KIB, 250 * KIB);
    assert_eq!(client.closed(slow), None);
    let gone = client.ask(&Request::get(&session).resume(&first));
    assert_eq!(gone.reason(), "stream_gone");
    let socket = client.open(&Request::get(&session).resume(&second));
    assert_eq!(client.messages(socket).last().expect("an answer")["id"], 2);
}

/// Also where it would fit, but into what is kept back for what is small.
#[test]
fn a_kept_answer_that_is_worth_more_than_a_request() {
    let mut client = Client::with(limits(1024));
    let session = client.session(V11);
    let socket = client.connect();
    client.send(socket, &Request::tool(&session, 1));
    let call = client.call();
    client.notify(&call, 1);
    client.node.cut(socket);
    client.finish(&call, &json!({ "text": "x".repeat(200 * KIB) }).to_string());
    assert!(held(&client) > 200 * KIB);
    let body = begin_body(&mut client, 790 * KIB, 700 * KIB);
    assert!(client.items(body).is_empty(), "it is being received");
    assert!(held(&client) < 900 * KIB, "the answer is gone");
}

#[test]
fn calls_whose_params_are_more_than_the_node_may_hold() {
    let mut client = Client::with(limits(1024));
    let session = client.session(V11);
    let large = |id: u64| {
        let arguments = json!({"name": "t", "arguments": {"text": "x".repeat(100 * KIB)}});
        Request::call(&session, id, "tools/call", arguments)
    };
    let mut accepted = Vec::new();
    let refused = loop {
        let socket = client.connect();
        client.send(socket, &large(accepted.len() as u64));
        match client.node.calls.pop_front() {
            Some(call) => accepted.push(call),
            None => break client.answer(socket),
        }
    };
    assert_eq!((refused.status, refused.reason()), (503, "busy".to_owned()));
    assert!((1..=3).contains(&accepted.len()), "{}", accepted.len());
    for call in accepted {
        client.finish(&call, "{}");
    }
    assert_eq!(held(&client), 0);
    let socket = client.connect();
    client.send(socket, &large(9));
    client.call();
}

/// A handler may look at them until its call ends.
#[test]
fn header_fields_of_a_call_that_nobody_counts() {
    let mut client = Client::with(limits(1024));
    let session = client.session(V11);
    let held_by = |client: &mut Client, request: Request| {
        let socket = client.connect();
        client.send(socket, &request);
        let call = client.call();
        let held = held(client);
        client.finish(&call, "{}");
        held
    };
    let plain = held_by(&mut client, Request::tool(&session, 1));
    let long = "y".repeat(12 * KIB);
    let many = held_by(
        &mut client,
        Request::tool(&session, 1).with("X-Long", &long),
    );
    assert!(many >= plain + 12 * KIB, "{plain} and {many} bytes");
}

/// What one core holds for somebody slow is room that another core asks for.
#[test]
fn a_core_that_starves_because_of_another() {
    let mut client = Client {
        node: Node::new(2, limits(1024)),
    };
    let socket = stall(&mut client, 900 * KIB);
    client.pass(10_000);
    let begin = |client: &mut Client| {
        let body = client.connect_to(1);
        client.node.sockets[body].reader.expected.push_back(false);
        client.send_bytes(body, &announce("/mcp", 500 * KIB, ""));
        body
    };
    let refused = begin(&mut client);
    assert_eq!(client.answer(refused).status, 503);
    client.pass(200);
    assert_eq!(client.closed(socket), Some(Closed::OutOfMemory));
    let body = begin(&mut client);
    assert!(client.items(body).is_empty(), "it is being received");
}

#[test]
fn a_question_that_finds_no_room_is_not_waited_for() {
    let mut client = Client::tiny();
    let session = client.session(V11);
    let socket = client.connect();
    client.send(socket, &Request::tool(&session, 1));
    let call = client.call();
    client.notify(&call, 0);
    client.node.cut(socket);
    while client.node.heard.is_empty() {
        client
            .ask_client(&call, "elicitation/create")
            .expect("the call goes on");
    }
    assert!(client.node.heard[0].answer.contains("NotSent"));
}

/// Bodies of one address that never end: the other one's find room, and so does what is small of anybody.
#[test]
fn one_client_that_takes_the_whole_budget() {
    let mut client = Client::with(limits(1024));
    let begin = |client: &mut Client, address: u8| {
        let peer = [203, 0, 113, address].into();
        let socket = client.node.connect(0, Some(peer)).expect("there is room");
        client.node.sockets[socket].reader.expected.push_back(false);
        client.send_bytes(socket, &announce("/mcp", 100 * KIB, ""));
        client.send_bytes(socket, &[b' '; 99 * KIB]);
        socket
    };
    let taken = (0..20).filter(|_| {
        let socket = begin(&mut client, 1);
        client.items(socket).is_empty()
    });
    let taken = taken.count();
    assert!((4..=5).contains(&taken), "half of it: {taken}");
    let other = begin(&mut client, 2);
    assert!(client.items(other).is_empty(), "it is being received");
    for address in 3..40 {
        begin(&mut client, address);
    }
    let free = client.node.commons.memory.free();
    assert!(free < 192 * KIB, "nothing large is left: {free}");
    let session = client.session(V11);
    let socket = client.connect();
    client.send(socket, &Request::tool(&session, 1));
    client.call();
}
