use super::*;
use crate::budget::{Account, Pool};
use crate::clients::{Commons, Networks};
use crate::shard::DrainTimes;
use crate::wire::session_id::Locator;

fn forwarder() -> Forwarder {
    Forwarder::new(ForwarderSetup {
        node: NodeName::new("node-b").expect("a name"),
        path: "/mcp".into(),
        secret: Some(PeerSecret::new(b"secret")),
        limits: Limits::default(),
        read_bytes_max: 64 * 1024,
    })
}

fn session(node: &str) -> SessionId {
    SessionId {
        node: NodeName::new(node).expect("a name"),
        locator: Locator {
            core: 0,
            slot: 0,
            generation: 0,
            incarnation: 1,
        },
        secret: [7; 16],
    }
}

fn question(forwarder: &mut Forwarder) -> Question {
    match forwarder.poll_effect() {
        Some(ForwardEffect::Ask { question, .. }) => question,
        _ => panic!("a question was expected"),
    }
}

fn alive() -> SessionOwner {
    SessionOwner::Alive {
        process: session("node-a").process(),
        address: ([127, 0, 0, 1], 1).into(),
        cookie: "c".into(),
        lives_ms: 1_000,
    }
}

fn departing(request: &str) -> Departing {
    let limits = Limits::default();
    let commons = Commons::new(&limits, Networks::private());
    commons.connections.take(1).expect("there is room");
    let account = Account::new(Pool::new(EXCHANGE_BYTES), EXCHANGE_BYTES);
    Departing {
        bytes: request.into(),
        client: None,
        ticket: Ticket::of(commons, None),
        charge: account.charge(EXCHANGE_BYTES).expect("there is room"),
    }
}

fn get(session: SessionId) -> String {
    let mut id = String::new();
    session.emit(&mut id);
    format!("GET /mcp HTTP/1.1\r\nHost: x\r\nMcp-Session-Id: {id}\r\n\r\n")
}

/// With the first chunk of its body.
fn chunked_post(session: SessionId) -> String {
    let head = get(session).replace("GET", "POST");
    let head = head.trim_end();
    format!("{head}\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n")
}

/// The client was told all there is, and what it sends is read until it leaves.
fn lingers(forwarder: &mut Forwarder, key: PassageKey) {
    let all = effects(forwarder);
    let side = Side::Client;
    let told = |it: &ForwardEffect| matches!(it, ForwardEffect::EndSending { side: it, .. } if *it == side);
    assert_eq!(all.iter().filter(|it| told(it)).count(), 1);
    assert!(
        !all.iter().any(|it| matches!(it, ForwardEffect::Close(_))),
        "cut"
    );
    assert!(forwarder.reads(key, side));
    forwarder.handle_client_bytes(0, key, b"4\r\nmore\r\n");
    assert_eq!(sent(forwarder, key, side), "");
    forwarder.handle_client_end(0, key);
    let last = effects(forwarder);
    assert!(matches!(last.as_slice(), [.., ForwardEffect::Close(it)] if *it == key));
}

/// All that was written to a side.
fn sent(forwarder: &mut Forwarder, key: PassageKey, side: Side) -> String {
    let mut all = String::new();
    while let Some(polled) = forwarder.poll_transmit() {
        assert_eq!(polled, (key, side));
        let bytes = forwarder.unsent(key, side).to_vec();
        all.push_str(std::str::from_utf8(&bytes).expect("text"));
        forwarder.handle_sent(0, key, side, bytes.len());
    }
    all
}

fn effects(forwarder: &mut Forwarder) -> Vec<ForwardEffect> {
    std::iter::from_fn(|| forwarder.poll_effect()).collect()
}

/// A request that its owner has, as far as it has come.
fn passed_on(forwarder: &mut Forwarder, request: &str) -> PassageKey {
    let began = forwarder.handle_forward(0, departing(request));
    let key = began.unwrap_or_else(|_| panic!("a request"));
    let question = question(forwarder);
    forwarder.handle_owner(0, question, alive());
    assert!(matches!(
        forwarder.poll_effect(),
        Some(ForwardEffect::Connect { .. })
    ));
    forwarder.handle_connected(0, key);
    let passed = sent(forwarder, key, Side::Owner);
    assert_eq!(passed[..4], request[..4]);
    effects(forwarder);
    key
}

/// A stream that has opened.
fn relayed(forwarder: &mut Forwarder) -> PassageKey {
    let key = passed_on(forwarder, &get(session("node-a")));
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let passes = forwarder.handle_owner_bytes(0, key, head.as_bytes());
    assert_eq!(passes, PassMode::Buffered);
    assert_eq!(sent(forwarder, key, Side::Client), head);
    effects(forwarder);
    key
}

/// The shard gave up on the first question, and the connection's next request is for another session.
#[test]
fn an_answer_about_one_session_taken_for_anothers() {
    let (mut forwarder, connection) = (forwarder(), ConnectionKey::from_parts(1, 1));
    forwarder.handle_locate(0, connection, session("node-a"));
    let first = question(&mut forwarder);
    forwarder.handle_locate(20_000, connection, session("node-c"));
    let second = question(&mut forwarder);
    forwarder.handle_owner(
        20_001,
        first,
        SessionOwner::Gone(MissReason::OwnerRestarted),
    );
    assert!(forwarder.poll_effect().is_none(), "told of another one");
    forwarder.handle_owner(20_002, second, alive());
    let there = Located::There;
    assert!(matches!(
        forwarder.poll_effect(),
        Some(ForwardEffect::Located { located, .. }) if located == there
    ));
    assert_eq!(forwarder.question_count(), 0);
}

/// By the time that the answer came, the news in it was old.
#[test]
fn a_node_that_is_believed_to_live_for_longer_than_whoever_answered_said() {
    let mut forwarder = forwarder();
    let asked_again = |forwarder: &mut Forwarder, now, index| {
        let connection = ConnectionKey::from_parts(index, 1);
        forwarder.handle_locate(now, connection, session("node-b"));
        match forwarder.poll_effect() {
            Some(ForwardEffect::Ask { question, .. }) => Some(question),
            Some(ForwardEffect::Located { .. }) => None,
            _ => panic!("a question or an answer was expected"),
        }
    };
    let question = asked_again(&mut forwarder, 0, 1).expect("nobody knows it yet");
    let mut owner = alive();
    if let SessionOwner::Alive { lives_ms, .. } = &mut owner {
        *lives_ms = 300;
    }
    forwarder.handle_owner(10, question, owner);
    assert!(matches!(
        forwarder.poll_effect(),
        Some(ForwardEffect::Located { .. })
    ));
    assert!(asked_again(&mut forwarder, 309, 2).is_none());
    assert!(asked_again(&mut forwarder, 310, 3).is_some());
}

/// A reset takes from the client what it has not read.
#[test]
fn an_answer_that_is_reset_because_its_request_is_still_coming() {
    for close in ["", "Connection: close\r\n"] {
        let mut forwarder = forwarder();
        let key = passed_on(&mut forwarder, &chunked_post(session("node-a")));
        let head = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n";
        let early = format!("{head}{close}\r\n");
        forwarder.handle_owner_bytes(0, key, early.as_bytes());
        let told = sent(&mut forwarder, key, Side::Client);
        assert_eq!(told, format!("{head}Connection: close\r\n\r\n"));
        lingers(&mut forwarder, key);
    }
}

#[test]
fn a_body_that_is_none_and_nobody_says_so() {
    let mut forwarder = forwarder();
    let key = passed_on(&mut forwarder, &chunked_post(session("node-a")));
    forwarder.handle_client_bytes(0, key, b"no chunk");
    let told = sent(&mut forwarder, key, Side::Client);
    assert!(told.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{told}");
    assert!(told.contains("\r\nConnection: close\r\n"), "{told}");
    assert!(told.contains("hexadecimal digits"), "{told}");
    lingers(&mut forwarder, key);
}

/// Most of a stream's life is silence.
#[test]
fn a_silent_stream_that_has_a_time_or_a_buffer() {
    let mut forwarder = forwarder();
    let key = relayed(&mut forwarder);
    forwarder.invariants();
    assert_eq!(forwarder.timed.len(), 0);
    assert_eq!(forwarder.held_bytes().sum::<usize>(), 0);
    let chunk = b"3\r\n:\n\n\r\n";
    let passes = forwarder.handle_owner_bytes(5, key, chunk);
    assert_eq!(passes, PassMode::AsTheyAre);
    forwarder.handle_passed(5, key, b"");
    assert!(!forwarder.has_work(), "it went on, and that is all");
    forwarder.handle_passed(5, key, &chunk[3..]);
    effects(&mut forwarder);
    assert_eq!(
        (forwarder.timed.len(), forwarder.held_bytes().sum()),
        (1, 5)
    );
    assert!(!forwarder.reads(key, Side::Owner), "the client is slow");
    forwarder.handle_sent(6, key, Side::Client, 5);
    effects(&mut forwarder);
    assert!(forwarder.reads(key, Side::Owner));
    assert_eq!(forwarder.timed.len(), 0);
}

/// Paid for each stream of another node, besides its two sockets.
#[test]
fn a_stream_that_grew_unnoticed() {
    let (stream, _) = Forwarder::entry_sizes();
    assert_eq!(stream, 136);
}

/// Written down and read again in another process, in the middle of a chunk that its client did not take whole.
#[test]
fn a_stream_of_another_node_that_ends_with_its_process() {
    let mut before = forwarder();
    assert_eq!(before.held_up(), 0);
    let waiting = passed_on(&mut before, &get(session("node-c")));
    let key = relayed(&mut before);
    let chunk = b"6\r\ndata: ";
    assert_eq!(
        before.handle_owner_bytes(5, key, chunk),
        PassMode::AsTheyAre
    );
    before.handle_passed(5, key, &chunk[4..]);
    before.handle_client_bytes(6, key, b"GET /next");
    assert!(before.held_up() > 1, "what is to be done is not done yet");
    assert!(before.poll_transmit().is_none());
    effects(&mut before);
    assert_eq!(before.held_up(), 1, "the one that has no answer yet");
    let streams: Vec<_> = before.streams().collect();
    let [(named, stream)] = streams.as_slice() else {
        panic!("one of the two is a stream");
    };
    assert_eq!(*named, key);
    let written = rmp_serde::to_vec_named(stream).expect("plain values");
    before.close(waiting);

    let mut after = forwarder();
    let commons = Commons::new(&Limits::default(), Networks::private());
    let read = rmp_serde::from_slice(&written).expect("it reads back");
    let key = after.handle_resume(20, &commons, read).expect("a stream");
    let connections = &commons.connections;
    assert_eq!(connections.total() - connections.free(), 2);
    let wanted = effects(&mut after);
    let holds = wanted
        .iter()
        .filter(|it| matches!(it, ForwardEffect::Hold { .. }));
    assert_eq!(holds.count(), 2, "what it holds is charged again");
    assert!(!after.reads(key, Side::Owner), "the client is slow still");
    assert_eq!(after.unsent(key, Side::Client), &chunk[4..]);
    after.handle_sent(21, key, Side::Client, 5);
    effects(&mut after);
    after.invariants();
    let rest = b"\r\n0\r\n\r\n";
    assert_eq!(after.handle_owner_bytes(22, key, rest), PassMode::AsTheyAre);
    after.handle_passed(22, key, b"");
    let back = effects(&mut after).into_iter().find_map(|it| match it {
        ForwardEffect::Return { returning, .. } => Some(returning),
        _ => None,
    });
    let back = back.expect("the stream is whole, and its connection takes the next request");
    assert_eq!(back.bytes, b"GET /next");
}

const TIMES: DrainTimes = DrainTimes {
    notice_ms: 1_000,
    window_ms: 0,
};

/// It comes back as after a stream that its owner ended. Some clients count breaks for as long as they live, and give up.
#[test]
fn a_stream_that_a_drain_breaks_off_for_the_client_of_another_node() {
    let mut forwarder = forwarder();
    let key = relayed(&mut forwarder);
    let chunk = b"5\r\ndata:\r\n";
    let passes = forwarder.handle_owner_bytes(0, key, chunk);
    assert_eq!(passes, PassMode::AsTheyAre);
    forwarder.handle_passed(0, key, b"");
    forwarder.handle_drain(0, TIMES);
    forwarder.handle_timeout(999);
    assert_eq!(sent(&mut forwarder, key, Side::Client), "", "too early");
    forwarder.handle_timeout(1_000);
    assert_eq!(sent(&mut forwarder, key, Side::Client), "0\r\n\r\n");
    let ends = effects(&mut forwarder);
    let is_lost = |it: &ForwardEffect| matches!(it, ForwardEffect::LoseOwner(it) if *it == key);
    assert!(ends.iter().any(is_lost), "its owner sees it leave");
    assert!(matches!(ends.last(), Some(ForwardEffect::Close(_))));
    forwarder.invariants();
}

/// Whoever reads it takes half an event for a whole one.
#[test]
fn a_stream_that_ends_in_the_middle_of_an_event() {
    for whole in [true, false] {
        let mut forwarder = forwarder();
        let key = relayed(&mut forwarder);
        forwarder.handle_owner_bytes(0, key, b"a\r\ndata:");
        forwarder.handle_passed(0, key, b"");
        let window_ms = 640;
        forwarder.handle_drain(0, DrainTimes { window_ms, ..TIMES });
        forwarder.handle_timeout(1_000);
        assert_eq!(sent(&mut forwarder, key, Side::Client), "");
        assert!(forwarder.is_open(key), "it has until the last step");
        if whole {
            forwarder.handle_owner_bytes(1_100, key, b" 1\n\n\n\r\n");
            forwarder.handle_passed(1_100, key, b"");
        }
        forwarder.handle_timeout(1_640);
        let end = if whole { "0\r\n\r\n" } else { "" };
        assert_eq!(sent(&mut forwarder, key, Side::Client), end);
        let last = effects(&mut forwarder).pop();
        assert!(matches!(last, Some(ForwardEffect::Close(_))));
        assert!(!forwarder.is_open(key));
    }
}

/// The end comes behind what it has not taken yet, and once.
#[test]
fn a_slow_client_whose_stream_ends_twice() {
    let mut forwarder = forwarder();
    let key = relayed(&mut forwarder);
    forwarder.handle_owner_bytes(0, key, b"5\r\ndata:\r\n");
    forwarder.handle_passed(0, key, b"data:\r\n");
    effects(&mut forwarder);
    forwarder.handle_drain(0, TIMES);
    for now in [1_000, 1_064, 1_128] {
        forwarder.handle_timeout(now);
    }
    assert!(forwarder.is_open(key));
    forwarder.handle_client_bytes(1_200, key, b"GET /next");
    assert_eq!(
        sent(&mut forwarder, key, Side::Client),
        "data:\r\n0\r\n\r\n"
    );
    let last = effects(&mut forwarder).pop();
    let Some(ForwardEffect::Return { returning, .. }) = last else {
        panic!("its next request is answered");
    };
    assert_eq!(returning.bytes, b"GET /next");
}

/// What it was asked is answered, or said to be lost: a stream that is still to open ends when it has.
#[test]
fn a_request_for_a_stream_that_a_drain_leaves_without_an_answer() {
    let mut forwarder = forwarder();
    let key = passed_on(&mut forwarder, &get(session("node-a")));
    forwarder.handle_drain(0, TIMES);
    forwarder.handle_timeout(1_000);
    assert!(forwarder.is_open(key));
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    forwarder.handle_owner_bytes(1_010, key, head.as_bytes());
    assert_eq!(sent(&mut forwarder, key, Side::Client), head);
    forwarder.handle_timeout(1_064);
    assert_eq!(sent(&mut forwarder, key, Side::Client), "0\r\n\r\n");
    assert!(!forwarder.is_open(key));
}
