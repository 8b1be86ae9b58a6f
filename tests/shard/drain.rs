//! Leaving without a storm: who is still served, when streams close and how, and what clients are told of it.

use pinfold::app::call::Availability;
use pinfold::internals::limits::Limits;
use pinfold::internals::shard::{Closed, DrainTimes};
use serde_json::json;

use crate::support::node::SocketId;
use crate::support::{Client, Item, Request};

const V11: &str = "2025-11-25";
const TIMES: DrainTimes = DrainTimes {
    notice_ms: 5_000,
    window_ms: 20_000,
};

fn drain(client: &mut Client) {
    let now = client.node.now;
    assert!(client.node.cores[0].shard.handle_drain(now, TIMES));
    client.node.settle(0);
}

fn listen(client: &mut Client) -> SocketId {
    client.open(&Request::listen(1, json!({"toolsListChanged": true})))
}

fn readiness(client: &mut Client) -> u16 {
    let answer = client.ask(&Request::new("GET").target("/readyz"));
    answer.status
}

#[test]
fn nothing_closes_during_the_notice_and_everything_is_served() {
    let mut client = Client::new();
    let session = client.session(V11);
    let stream = client.open(&Request::get(&session));
    assert_eq!(readiness(&mut client), 200);
    drain(&mut client);
    assert_eq!(readiness(&mut client), 503);
    client.pass(TIMES.notice_ms - 100);
    assert_eq!(client.ask(&Request::ping(&session, 1)).status, 200);
    assert_eq!(client.ask(&Request::initialize(V11)).status, 200);
    listen(&mut client);
    assert!(!client.stream_ended(stream));
}

#[test]
fn nobody_new_after_the_notice() {
    let mut client = Client::new();
    drain(&mut client);
    client.pass(TIMES.notice_ms + 100);
    let listen = Request::listen(1, json!({"toolsListChanged": true}));
    for request in [Request::initialize(V11), listen] {
        let answer = client.ask(&request);
        assert_eq!(answer.status, 503);
        assert!(answer.field("retry-after").is_some(), "{answer:?}");
    }
}

#[test]
fn a_connection_that_a_proxy_would_use_again_is_closed_with_its_answer() {
    let mut client = Client::new();
    let session = client.session(V11);
    let socket = client.connect();
    client.exchange(socket, &Request::ping(&session, 1));
    assert_eq!(client.closed(socket), None);
    drain(&mut client);
    let answer = client.exchange(socket, &Request::ping(&session, 2));
    assert_eq!(answer.field("connection"), Some("close"), "{answer:?}");
}

#[test]
fn streams_close_spread_over_the_window() {
    let mut client = Client::new();
    let streams: Vec<_> = (0..200).map(|_| listen(&mut client)).collect();
    drain(&mut client);
    let open = |client: &Client| {
        let open = |&&socket: &&SocketId| client.closed(socket).is_none();
        streams.iter().filter(open).count()
    };
    client.pass(TIMES.notice_ms);
    for quarter in 1..=3 {
        client.pass(TIMES.window_ms / 4);
        let (left, even) = (open(&client), 200 - 50 * quarter);
        assert!(left.abs_diff(even) <= 10, "{left} of {even} in {quarter}");
    }
    client.pass(TIMES.window_ms / 4 + 100);
    assert_eq!(open(&client), 0);
    assert!(client.node.cores[0].shard.drain_progress().done);
}

#[test]
fn a_listen_stream_breaks_off_so_that_its_client_listens_elsewhere() {
    let mut client = Client::new();
    let stream = listen(&mut client);
    drain(&mut client);
    client.pass(TIMES.notice_ms + TIMES.window_ms + 100);
    assert_eq!(client.closed(stream), Some(Closed::Draining));
    assert!(!client.node.sockets[stream].reader.finish());
}

#[test]
fn a_session_ends_with_its_stream_and_each_client_waits_another_time() {
    let mut client = Client::new();
    let sessions: Vec<_> = (0..8).map(|_| client.session(V11)).collect();
    let streams: Vec<_> = sessions
        .iter()
        .map(|session| client.open(&Request::get(session)))
        .collect();
    streams.iter().for_each(|&stream| {
        client.frames(stream);
    });
    drain(&mut client);
    client.pass(TIMES.notice_ms + TIMES.window_ms + 100);
    let mut waits: Vec<_> = streams
        .iter()
        .map(|&stream| {
            let items = client.items(stream);
            assert!(items.contains(&Item::StreamEnd), "{items:?}");
            let retry = |item: &Item| match item {
                Item::Frame(frame) => frame.retry,
                _ => None,
            };
            items.iter().find_map(retry).expect("when to come back")
        })
        .collect();
    let retry = Limits::default().retry_ms;
    assert!(waits.iter().all(|wait| (retry..2 * retry).contains(wait)));
    waits.sort_unstable();
    waits.dedup();
    assert!(waits.len() > 4, "{waits:?}");
    assert_eq!(client.node.cores[0].shard.counts().sessions, 0);
}

#[test]
fn a_request_under_way_is_finished_and_its_sessions_stream_waits_for_it() {
    let mut client = Client::new();
    let session = client.session(V11);
    let stream = client.open(&Request::get(&session));
    let socket = client.connect();
    client.send(socket, &Request::tool(&session, 1));
    let call = client.call();
    drain(&mut client);
    client.pass(TIMES.notice_ms + TIMES.window_ms / 2);
    assert!(!client.stream_ended(stream));
    assert_eq!(client.node.cores[0].shard.drain_progress().calls, 1);
    client.finish(&call, r#"{"content":[]}"#);
    let answered = |item: &Item| matches!(item, Item::Frame(frame) if frame.is_message());
    assert!(client.items(socket).iter().any(answered));
    client.pass(TIMES.window_ms);
    assert!(client.stream_ended(stream));
}

#[test]
fn a_second_drain_changes_nothing() {
    let mut client = Client::new();
    let stream = listen(&mut client);
    drain(&mut client);
    client.pass(TIMES.notice_ms);
    let now = client.node.now;
    assert!(!client.node.cores[0].shard.handle_drain(now, TIMES));
    client.pass(TIMES.window_ms + 100);
    assert!(client.closed(stream).is_some());
}

/// It would tell them that there is nothing on a board that it has not read.
#[test]
fn clients_that_come_before_the_board_is_read() {
    let mut client = Client::new();
    let read = Request::modern(1, "resources/read", json!({"uri": "a:b"}));
    let become_available = |client: &mut Client, availability| {
        let shard = &mut client.node.cores[0].shard;
        shard.handle_availability(availability);
    };
    become_available(&mut client, Availability::Loading);
    let listen = Request::listen(2, json!({"toolsListChanged": true}));
    for request in [&read, &listen, &Request::initialize(V11)] {
        let answer = client.ask(request);
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_eq!(answer.field("retry-after"), Some("1"));
    }
    // A session of another time is gone all the same.
    let gone = client.ask(&Request::ping(
        "a.AAAAAAAAAAAAAQAAAaIndYpbnweJZiOs1UWM2-EY3eek8g",
        1,
    ));
    assert_eq!(gone.status, 404, "{gone:?}");
    become_available(&mut client, Availability::WithoutBoard);
    client.open(&listen);
    client.session(V11);
}
