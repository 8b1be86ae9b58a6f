//! Connections: pipelining, re-use after a stream, half-closing, slow readers, and what a client may make a
//! connection hold.

use pinfold::internals::limits::Limits;
use pinfold::internals::shard::Closed;
use serde_json::json;

use crate::support::{Answer, Client, Item, Request};

const V11: &str = "2025-11-25";
const V06: &str = "2025-06-18";

fn statuses(items: &[Item]) -> Vec<u16> {
    let status = |item: &Item| match item {
        Item::Answer(answer) => Some(answer.status),
        _ => None,
    };
    items.iter().filter_map(status).collect()
}

fn ids(items: &[Item]) -> Vec<i64> {
    let id = |item: &Item| match item {
        Item::Answer(answer) => answer.json()["id"].as_i64(),
        _ => None,
    };
    items.iter().filter_map(id).collect()
}

#[test]
fn answers_in_another_order_than_their_requests() {
    let mut client = Client::new();
    let session = client.session(V11);
    let socket = client.connect();
    for id in 1..=2 {
        client.send(socket, &Request::tool(&session, id));
    }
    client.send(socket, &Request::ping(&session, 3));
    assert!(client.items(socket).is_empty());
    let call = client.call();
    assert!(
        client.node.calls.is_empty(),
        "the second call waits for the first"
    );
    client.finish(&call, "{}");
    let call = client.call();
    client.finish(&call, "{}");
    assert_eq!(ids(&client.items(socket)), [1, 2, 3]);
}

#[test]
fn a_connection_that_is_lost_after_its_stream_ended() {
    let mut client = Client::new();
    let session = client.session(V06);
    let socket = client.connect();
    for id in [1, 2] {
        client.send(socket, &Request::tool(&session, id));
        let call = client.call();
        client.notify(&call, 1);
        client.finish(&call, "{}");
        let items = client.items(socket);
        assert!(
            matches!(
                items[..],
                [
                    Item::Answer(_),
                    Item::Frame(_),
                    Item::Frame(_),
                    Item::StreamEnd
                ]
            ),
            "{items:?}"
        );
    }
    assert_eq!(
        client.exchange(socket, &Request::ping(&session, 3)).status,
        200
    );
}

#[test]
fn a_request_behind_a_stream_that_is_never_answered() {
    let mut client = Client::new();
    let session = client.session(V11);
    let first = client.open(&Request::get(&session));
    client.send(first, &Request::ping(&session, 7));
    let frames = client.frames(first);
    assert_eq!(frames.len(), 1, "only the priming: {frames:?}");
    let _second = client.open(&Request::get(&session));
    let items = client.items(first);
    assert!(
        matches!(&items[..], [Item::StreamEnd, Item::Answer(answer)] if answer.json()["id"] == 7),
        "{items:?}"
    );
}

#[test]
fn two_readers_of_one_connection() {
    let mut client = Client::tiny();
    client.node.instant = true;
    let session = client.session(V11);
    let socket = client.connect();
    let mut bytes = Vec::new();
    for id in 0..6 {
        bytes.extend(Request::tool(&session, id).bytes());
        client.node.sockets[socket].reader.expected.push_back(false);
    }
    client.send_bytes(socket, &bytes);
    assert_eq!(ids(&client.items(socket)), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn a_reader_that_was_paused_and_never_resumed() {
    let mut client = Client::tiny();
    let session = client.session(V11);
    let socket = client.connect();
    for id in 0..8 {
        client.send(socket, &Request::tool(&session, id));
    }
    assert!(
        !client.node.sockets[socket].sent.is_empty(),
        "no more is read ahead than is allowed"
    );
    let mut seen = Vec::new();
    for _ in 0..8 {
        let call = client.call();
        client.finish(&call, "{}");
        while client.node.receive(socket, usize::MAX) {}
        seen.extend(ids(&client.items(socket)));
    }
    assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6, 7]);
}

/// Who sends requests and never reads makes the node hold no more than the read-ahead.
#[test]
fn answers_piled_up_for_a_client_that_does_not_read() {
    let mut client = Client::tiny();
    let session = client.session(V11);
    let socket = client.connect();
    client.node.set_room(socket, 0);
    let ping = Request::ping(&session, 1);
    for _ in 0..200 {
        client.send(socket, &ping);
    }
    let socket = &client.node.sockets[socket];
    let read = 200 * ping.bytes().len() - socket.sent.len();
    assert!(
        read < 3 * Limits::tiny().pipeline_bytes_max,
        "{read} bytes of requests were taken in"
    );
    assert!(!socket.reading);
}

#[test]
fn a_client_that_reads_its_piled_up_answers_at_last() {
    let mut client = Client::tiny();
    let session = client.session(V11);
    let socket = client.connect();
    client.node.set_room(socket, 0);
    for id in 0..50 {
        client.send(socket, &Request::ping(&session, id));
    }
    client.node.set_room(socket, 100);
    let mut seen = Vec::new();
    for _ in 0..200 {
        seen.extend(ids(&client.items(socket)));
        while client.node.receive(socket, usize::MAX) {}
    }
    assert_eq!(seen, (0..50).collect::<Vec<_>>());
}

/// RFC 9110, 9.3.2: the answer to HEAD has no content; a client would take it for its next answer.
#[test]
fn content_in_the_answer_to_head() {
    let mut client = Client::new();
    let session = client.session(V11);
    let socket = client.connect();
    let mut head = Request::new("HEAD");
    let answer = client.exchange(socket, &head);
    assert_eq!((answer.status, &*answer.body), (405, ""));
    head.target = "/elsewhere".into();
    assert_eq!(client.exchange(socket, &head).status, 404);
    assert_eq!(
        client.exchange(socket, &Request::ping(&session, 1)).status,
        200
    );
}

#[test]
fn bytes_after_connection_close() {
    let mut client = Client::new();
    let session = client.session(V11);
    let socket = client.connect();
    client.send(
        socket,
        &Request::ping(&session, 1).with("Connection", "close"),
    );
    client.send(socket, &Request::ping(&session, 2));
    let answer = client.answer(socket);
    assert_eq!(
        (answer.field("connection"), answer.status),
        (Some("close"), 200)
    );
    assert!(client.node.sockets[socket].half_closed);
    client.pass(3_000);
    assert_eq!(client.closed(socket), Some(Closed::Answered));
}

/// Half-closed, the server reads on: bytes left unread would turn the close into a reset, which can destroy the answer.
#[test]
fn a_paused_reader_forgotten_at_the_half_close() {
    let mut client = Client::tiny();
    let session = client.session(V06);
    let socket = client.connect();
    client.send(
        socket,
        &Request::tool(&session, 1).with("Connection", "close"),
    );
    for id in 2..9 {
        client.send(socket, &Request::ping(&session, id));
    }
    assert!(!client.node.sockets[socket].reading);
    let call = client.call();
    client.finish(&call, "{}");
    while client.node.receive(socket, usize::MAX) {}
    assert_eq!(client.node.sockets[socket].sent.len(), 0);
}

#[test]
fn a_client_of_http_1_0_left_waiting_for_the_end() {
    let mut client = Client::new();
    let session = client.session(V06);
    let socket = client.connect();
    let answer = client.exchange(socket, &Request::ping(&session, 1).http10());
    assert_eq!(answer.field("connection"), Some("close"));
    assert!(client.node.sockets[socket].half_closed);
    let socket = client.connect();
    let keep = Request::ping(&session, 1)
        .http10()
        .with("Connection", "keep-alive");
    let answer = client.exchange(socket, &keep);
    assert_eq!(
        answer.field("connection"),
        Some("keep-alive"),
        "it cannot know otherwise"
    );
    assert_eq!(client.exchange(socket, &keep).status, 200);
}

#[test]
fn chunks_for_a_client_of_http_1_0() {
    let mut client = Client::new();
    let session = client.session(V06);
    let socket = client.open(&Request::get(&session).http10());
    client.publish(pinfold::app::call::Topic::Tools);
    assert_eq!(client.topics(socket), ["tools/list_changed"]);
    let _second = client.open(&Request::get(&session));
    assert!(client.stream_ended(socket));
    assert!(client.node.sockets[socket].half_closed);
}

#[test]
fn a_body_sent_without_the_continue_it_waited_for() {
    let mut client = Client::new();
    let socket = client.connect();
    let request = Request::initialize(V11).with("Expect", "100-continue");
    client.node.sockets[socket].reader.expected.push_back(false);
    client.send_bytes(socket, &request.head());
    assert_eq!(client.answer(socket).status, 100);
    client.send_bytes(socket, &request.body);
    assert_eq!(client.answer(socket).status, 200);
    let all_at_once: Vec<Answer> = vec![client.exchange(socket, &request)];
    assert_eq!(all_at_once[0].status, 200, "no 100 when the body is there");
}

#[test]
fn a_continue_for_a_body_that_is_refused() {
    let mut client = Client::tiny();
    let socket = client.connect();
    let request = Request::initialize(V11)
        .with("Expect", "100-continue")
        .with("Content-Length", "9999");
    client.node.sockets[socket].reader.expected.push_back(false);
    client.send_bytes(socket, &request.head());
    assert_eq!(client.answer(socket).status, 413);
}

#[test]
fn a_fault_in_the_second_half_of_a_head() {
    let mut client = Client::new();
    let socket = client.connect();
    client.node.sockets[socket].reader.expected.push_back(false);
    client.send_bytes(socket, b"GET /mcp HTTP/1.1\r\nHost: local");
    client.send_bytes(socket, b"host\n\r\n");
    assert_eq!(client.answer(socket).status, 400);
}

/// Byte by byte, everything is understood as it is at once.
#[test]
fn a_request_in_pieces_read_otherwise_than_whole() {
    let mut client = Client::new();
    let session = client.session("2025-03-26");
    let chunked = {
        let mut request = Request::ping(&session, 2).with("Transfer-Encoding", "chunked");
        let length = request.body.len();
        request.body = [
            format!("{length:x}\r\n").as_bytes(),
            &request.body,
            b"\r\n0\r\n\r\n",
        ]
        .concat();
        request
    };
    let batch =
        Request::post(&json!([{"jsonrpc": "2.0", "id": 3, "method": "ping"}])).session(&session);
    let requests = [
        Request::ping(&session, 1),
        chunked,
        batch,
        Request::ping(&session, 4),
    ];
    let socket = client.connect();
    for request in requests {
        client.node.sockets[socket].reader.expected.push_back(false);
        for byte in request.bytes() {
            client.send_bytes(socket, &[byte]);
        }
    }
    let items = client.items(socket);
    assert_eq!(statuses(&items), [200; 4]);
    let batch_answers: Vec<_> = items
        .iter()
        .filter(|item| matches!(item, Item::Frame(frame) if frame.json()["id"] == 3))
        .collect();
    assert_eq!(batch_answers.len(), 1);
}

/// Each connection gives up its stream to the one before and has a GET of the next session waiting: served where
/// they are found, one inside of the other, a few thousand of them would overflow the stack.
#[test]
fn a_chain_of_takeovers_that_overflows_the_stack() {
    const COUNT: usize = 3_000;
    let mut client = Client::new();
    client.node.unchecked = true;
    let sessions: Vec<String> = (0..COUNT).map(|_| client.session(V06)).collect();
    let mut sockets = Vec::new();
    for pair in sessions.windows(2) {
        let socket = client.connect();
        client.open_on(socket, &Request::get(&pair[0]));
        client.send(socket, &Request::get(&pair[1]));
        sockets.push(socket);
    }
    let _newcomer = client.open(&Request::get(&sessions[0]));
    let last = *sockets.last().expect("there are some");
    let items = client.items(last);
    assert!(
        matches!(items[..], [Item::StreamEnd, Item::Answer(_)]),
        "{items:?}"
    );
}
