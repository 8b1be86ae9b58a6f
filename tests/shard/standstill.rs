//! A core that stands still with all that is under way on its connections, and goes on in another shard or its own: half a
//! request, an answer that its client has not read, an end that was announced.

use std::sync::Arc;

use pinfold::app::call::Lifecycle;
use pinfold::internals::auth::Who;
use pinfold::internals::clients::{Commons, Networks};
use pinfold::internals::limits::Limits;
use pinfold::internals::shard::{Closed, ShardSetup, StaysBecause};
use serde_json::json;

use crate::support::identified::{identify_by, rules, tokens, tokens_of_bob};
use crate::support::node::SocketId;
use crate::support::standstill::written_down;
use crate::support::{Client, Request};
use crate::travel::{left, replacement, with};

const V06: &str = "2025-06-18";

/// In whose place a core goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
enum In {
    Another,
    ItsOwn,
}

const BOTH: [In; 2] = [In::Another, In::ItsOwn];

fn stand_still(client: &mut Client, place: In, pause_ms: u64) -> Result<(), StaysBecause> {
    let setup = (place == In::Another).then(|| replacement(client, 0));
    client.node.stand_still(vec![(0, setup)], None, pause_ms)
}

fn begin(client: &mut Client, bytes: &[u8]) -> SocketId {
    let socket = client.connect();
    client.node.sockets[socket].reader.expected.push_back(false);
    client.send_bytes(socket, bytes);
    socket
}

/// The same request in chunks.
fn chunked(request: &Request) -> Vec<u8> {
    let text = String::from_utf8(request.head()).expect("text");
    let (head, body) = (text, request.bytes()[request.head().len()..].to_vec());
    let mut bytes = Vec::new();
    for line in head.split_inclusive("\r\n") {
        match line.to_ascii_lowercase().starts_with("content-length") {
            true => bytes.extend(b"Transfer-Encoding: chunked\r\n"),
            false => bytes.extend(line.as_bytes()),
        }
    }
    for piece in body.chunks(7) {
        bytes.extend(format!("{:x};a=b\r\n", piece.len()).bytes());
        bytes.extend(piece);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\nTrailer: x\r\n\r\n");
    bytes
}

/// The limit is a lower one in the next process, which ends nothing of what is there.
#[test]
fn a_connection_that_is_too_far_out_for_a_lower_limit() {
    let mut client = with(Limits::default());
    let wanted = json!({"resourceSubscriptions": ["a:1"]});
    let early: Vec<_> = (0..5)
        .map(|it| client.open(&Request::listen(format!("x-{it}"), wanted.clone())))
        .collect();
    client.node.delivered.clear();
    let late = client.open(&Request::listen("late", wanted));
    let idle = client.connect();
    early.into_iter().for_each(|socket| client.node.cut(socket));
    client.frames(late);
    client.updated("a:1");
    client.topics(late);
    let limits = Limits {
        connections_max: 2,
        ..Limits::default()
    };
    let commons = Commons::new(&limits, Networks::private());
    let cores = [0, 1].map(|core| {
        let setup = ShardSetup {
            commons: commons.clone(),
            limits,
            ..replacement(&client, core)
        };
        (core, Some(setup))
    });
    let stood = client.node.stand_still(cores.into(), Some(commons), 5);
    stood.expect("nothing stays");
    client.updated("a:1");
    assert_eq!(client.topics(late), ["a:1"]);
    assert_eq!(client.exchange(idle, &Request::ping("none", 1)).status, 404);
    assert!(client.node.connect(0, None).is_none(), "there is no room");
    client.node.cut(late);
    let told = &client.node.delivered;
    match (told.first(), told.last()) {
        (Some(Lifecycle::Subscribed(_, before)), Some(Lifecycle::Unsubscribed(_, after))) => {
            assert_eq!(before, after, "the application knows it by another name");
        }
        other => panic!("{other:?}"),
    }
    let again = client.connect();
    assert_eq!(
        client.exchange(again, &Request::ping("none", 1)).status,
        404
    );
}

/// At every byte of it.
#[test]
fn half_a_request_that_is_lost_with_its_process() {
    let mut client = with(Limits::default());
    let session = client.session(V06);
    let ping = Request::ping(&session, 5).with("Origin", "https://app.example");
    let head = ping.head().len();
    for (place, bytes) in [
        (In::Another, chunked(&ping)),
        (In::Another, ping.bytes()),
        (In::ItsOwn, chunked(&ping)),
    ] {
        for cut in (head - 3..bytes.len()).step_by(3) {
            let socket = begin(&mut client, &bytes[..cut]);
            stand_still(&mut client, place, 5).expect("nothing stays");
            client.send_bytes(socket, &bytes[cut..]);
            let answer = client.answer(socket);
            assert_eq!(answer.json()["id"], 5, "cut at {cut}");
            assert!(answer.field("access-control-allow-origin").is_some());
            client.node.cut(socket);
        }
    }
    assert_eq!(left(&client).held_bytes, 0);
}

#[test]
fn a_limit_that_half_a_request_escapes() {
    for place in BOTH {
        let limits = Limits {
            body_bytes_max: 400,
            ..Limits::default()
        };
        let mut client = with(limits);
        // Its size is known only when it comes.
        let head = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        let deep = format!("{head}40\r\n{}\r\n", "[".repeat(64));
        let socket = begin(&mut client, deep.as_bytes());
        stand_still(&mut client, place, 5).expect("nothing stays");
        client.send_bytes(socket, format!("40\r\n{}\r\n", "[".repeat(64)).as_bytes());
        let answer = client.answer(socket);
        assert_eq!(answer.status, 400, "the depth before it counts: {answer:?}");
        let long = format!("{head}100\r\n{}\r\n", " ".repeat(256));
        let socket = begin(&mut client, long.as_bytes());
        stand_still(&mut client, place, 5).expect("nothing stays");
        client.send_bytes(socket, b"100\r\n");
        assert_eq!(client.answer(socket).status, 413);
    }
}

#[test]
fn half_a_request_that_gets_more_time_by_a_standstill() {
    for place in BOTH {
        let mut client = with(Limits::default());
        let session = client.session(V06);
        let bytes = Request::ping(&session, 5).bytes();
        let socket = begin(&mut client, &bytes[..bytes.len() - 1]);
        let timeout_ms = client.node.cores[0].shard.limits().body_timeout_ms;
        client.pass(timeout_ms / 2);
        stand_still(&mut client, place, 20).expect("nothing stays");
        client.pass(timeout_ms / 2 - 1_500);
        assert!(client.items(socket).is_empty());
        client.pass(2_000);
        assert_eq!(client.answer(socket).status, 408);
    }
}

/// Who sent it is found out at its head, and holds no longer than it would have.
#[test]
fn somebody_who_is_let_in_because_the_process_changed_in_the_middle() {
    for (is_known, status) in [(true, 200), (false, 401)] {
        let mut client = with(Limits::default());
        let known = Arc::new(rules(Who::Tokens(tokens())));
        identify_by(&mut client.node, &known);
        let session = client.session_of("alice", V06);
        let bytes = Request::ping(&session, 5).shown_by("alice").bytes();
        let socket = begin(&mut client, &bytes[..bytes.len() - 1]);
        if !is_known {
            let nobody = Who::Tokens(tokens_of_bob());
            client.node.rules = Some(Arc::new(rules(nobody)));
            client.node.unlike = true;
        }
        stand_still(&mut client, In::Another, 5).expect("nothing stays");
        client.send_bytes(socket, &bytes[bytes.len() - 1..]);
        assert_eq!(client.answer(socket).status, status);
    }
}

/// Its client has not read all of the last answer.
#[test]
fn an_end_that_is_cut_off() {
    for place in BOTH {
        let mut client = with(Limits::default());
        let session = client.session(V06);
        let socket = client.connect();
        client.node.set_room(socket, 20);
        let ping = Request::ping(&session, 5).with("Connection", "close");
        client.send(socket, &ping);
        stand_still(&mut client, place, 5).expect("nothing stays");
        client.node.set_room(socket, usize::MAX);
        assert_eq!(client.answer(socket).json()["id"], 5);
        assert!(client.node.sockets[socket].half_closed);
        stand_still(&mut client, place, 5).expect("nothing stays");
        client.pass(2_500);
        assert_eq!(
            client.closed(socket),
            Some(Closed::Answered),
            "it lingers no longer"
        );
    }
}

#[test]
fn a_client_that_sends_nothing_more_and_is_asked_again() {
    for place in BOTH {
        let mut client = with(Limits::default());
        let session = client.session(V06);
        let stream = client.open(&Request::get(&session));
        client.end(stream);
        let socket = client.connect();
        client.node.set_room(socket, 20);
        client.send(socket, &Request::ping(&session, 5));
        client.end(socket);
        stand_still(&mut client, place, 5).expect("nothing stays");
        assert!(
            !client.node.sockets[stream].reading,
            "there is nothing to read"
        );
        client.node.set_room(socket, usize::MAX);
        assert_eq!(client.answer(socket).json()["id"], 5);
        assert_eq!(client.closed(socket), Some(Closed::Answered));
        client.publish(pinfold::app::call::Topic::Tools);
        assert_eq!(client.topics(stream), ["tools/list_changed"]);
        let key = client.node.sockets[stream].key.expect("it is open");
        assert!(client.node.cores[0].shard.has_input_ended(key));
    }
}

/// Requests that come behind a request under way wait where they are, and the driver reads on when there is room.
#[test]
fn a_connection_that_is_read_from_no_more_after_a_thaw() {
    for place in BOTH {
        let limits = Limits {
            pipeline_bytes_max: 512,
            ..Limits::default()
        };
        let mut client = with(limits);
        let session = client.session(V06);
        let socket = client.connect();
        client.node.set_room(socket, 20);
        for id in 0..20 {
            client.send(socket, &Request::ping(&session, id));
        }
        assert!(!client.node.sockets[socket].reading);
        stand_still(&mut client, place, 5).expect("nothing stays");
        client.node.set_room(socket, usize::MAX);
        client.send_bytes(socket, b"");
        let answers = client.items(socket).len() + client.items(socket).len();
        assert_eq!(answers, 20, "{place:?}");
    }
}

/// What is still to come for a connection that ended finds nobody.
#[test]
fn a_key_that_comes_twice_because_a_core_was_replaced() {
    let mut client = with(Limits::default());
    let sockets = [0; 3].map(|_| client.connect());
    let last = client.node.sockets[sockets[2]].key.expect("it is open");
    client.node.cut(sockets[2]);
    stand_still(&mut client, In::Another, 5).expect("nothing stays");
    let next = client.connect();
    assert_ne!(client.node.sockets[next].key, Some(last));
}

#[test]
fn a_stream_that_has_another_name_after_a_thaw() {
    for place in BOTH {
        let mut client = with(Limits::default());
        // Its slot is free again when the session comes.
        let first = client.open(&Request::listen("x-0", json!({"toolsListChanged": true})));
        let stream = client.open(&Request::listen(
            "x-1",
            json!({"resourceSubscriptions": ["a:1"]}),
        ));
        client.node.cut(first);
        let session = client.session(V06);
        let named = |client: &mut Client| {
            let said = client.node.delivered.drain(..);
            let mut names = said.filter_map(|it| match it {
                Lifecycle::Subscribed(_, subscriber) | Lifecycle::Unsubscribed(_, subscriber) => {
                    Some(format!("{subscriber:?}"))
                }
                _ => None,
            });
            names.next_back().expect("somebody subscribed, or left")
        };
        let name = named(&mut client);
        stand_still(&mut client, place, 5).expect("nothing stays");
        assert!(client.node.delivered.is_empty());
        client.node.cut(stream);
        assert_eq!(named(&mut client), name, "{place:?}");
        client.ask(&Request::delete(&session));
        client.node.check_nobody_is_left();
    }
}

/// As a node with many of them: half have a session with a stream, half a listen stream, and all hear of the same resources.
fn written_of(clients: usize, subscriptions: usize) -> usize {
    let mut client = with(Limits::default());
    let uris: Vec<_> = (0..subscriptions).map(|it| format!("a:{it}")).collect();
    for nth in 0..clients {
        if nth.is_multiple_of(2) {
            let session = client.session(V06);
            for uri in &uris {
                client.ask(&Request::subscribe(&session, uri));
            }
            client.open(&Request::get(&session));
        } else {
            client.open(&Request::listen(
                nth,
                json!({"resourceSubscriptions": uris}),
            ));
        }
    }
    let now = client.node.now;
    let frozen = client.node.cores[0].shard.handle_freeze(now);
    written_down(&frozen.unwrap_or_else(|why| panic!("{why}"))).len()
}

/// To write it down and to read it is most of a hand-over's pause. Count, as `written_of` does, what a new field adds.
#[test]
fn a_client_or_subscription_that_takes_more_of_a_pause() {
    let [few, many, subscribed] = [(20, 1), (120, 1), (120, 21)].map(|(it, of)| written_of(it, of));
    let of_client = (many - few) / 100;
    let of_subscription = (subscribed - many) as f64 / (120.0 * 20.0);
    println!("{of_client} bytes for a client, {of_subscription:.2} for a subscription");
    assert!(of_client < 300, "{of_client} bytes for a client");
    assert!(
        of_subscription < 2.0,
        "{of_subscription:.2} bytes for a subscription"
    );
}
