//! A node that may have lost its sessions to another one, or lets go of them: it serves none that another has, and no client
//! is told that its session is over.

use pinfold::internals::shard::view::{EndReason, Portability, SessionFilter};
use pinfold::internals::shard::{DrainTimes, PORTABLE_BYTES_MAX, PortableSession, SessionEvent};

use serde_json::json;

use crate::support::node::SocketId;
use crate::support::{Client, Item, Request};
use crate::takeover::{
    V11, adopt, alone, id_of, reason, record, record_by_now, state, with_http_sse,
};
use crate::{view, view_acts};

const TIMES: DrainTimes = DrainTimes {
    notice_ms: 2_000,
    window_ms: 4_000,
};

/// Ended in good order, with a time to come back at.
fn was_sent_away(client: &mut Client, stream: SocketId) -> bool {
    let items = client.items(stream);
    let is_retry = |it: &Item| matches!(it, Item::Frame(frame) if frame.retry.is_some());
    items.iter().any(is_retry) && items.contains(&Item::StreamEnd)
}

fn let_go(client: &mut Client, session: &str, fence: u64) {
    let now = client.node.now;
    let shard = &mut client.node.cores[0].shard;
    shard.handle_let_go(now, &[(id_of(session), fence)]);
    client.node.settle(0);
}

fn lease(client: &mut Client, until: Option<u64>) {
    let now = client.node.now;
    client.node.cores[0].shard.handle_lease(now, until);
    client.node.settle(0);
}

/// A session that hears of `a:1` on a stream, and until when nobody else takes it over.
fn leased(client: &mut Client) -> (String, SocketId, u64) {
    let session = client.session(V11);
    client.ask(&Request::subscribe(&session, "a:1"));
    let stream = client.open(&Request::get(&session));
    let until = client.node.now + 1_000;
    lease(client, Some(until));
    (session, stream, until)
}

fn announced(client: &Client) -> usize {
    client.node.said.len()
}

#[test]
fn a_session_that_two_nodes_have() {
    let mut client = alone("a");
    let session = client.session(V11);
    let stream = client.open(&Request::get(&session));
    client.items(stream);
    let socket = client.connect();
    client.send(
        socket,
        &Request::tool(&session, 1)
            .without("Accept")
            .with("Accept", "application/json"),
    );
    client.call();
    let said = announced(&client);
    let_go(&mut client, &session, 1);
    assert!(was_sent_away(&mut client, stream));
    assert_eq!(announced(&client), said, "its record is another node's");
    let answer = client.answer(socket);
    assert_eq!((answer.status, &*reason(&answer)), (503, "taken_over"));
    assert_eq!(view_acts::reasons(&mut client), [EndReason::TakenOver]);
    assert_eq!(client.node.cancelled.len(), 1);
    // Nobody is told that it is over: where it is is asked.
    let socket = client.connect();
    client.send(socket, &Request::ping(&session, 2));
    assert_eq!(client.node.asked.len(), 1);
}

#[test]
fn a_word_about_an_earlier_owner_that_takes_a_session_away() {
    let mut first = alone("a");
    let session = first.session(V11);
    let state = state(&mut first, &session);
    let mut next = alone("b");
    adopt(&mut next, &session, 4, &state).expect("there is room");
    for fence in [0, 3, 4] {
        let_go(&mut next, &session, fence);
        assert_eq!(next.ask(&Request::ping(&session, 1)).status, 200);
    }
    let_go(&mut next, &session, 5);
    assert_eq!(next.node.cores[0].shard.counts().sessions, 0);
    // And it may come back.
    adopt(&mut next, &session, 6, &state).expect("there is room");
    assert_eq!(next.ask(&Request::ping(&session, 1)).status, 200);
    // To the node where it was opened, too.
    let_go(&mut first, &session, 5);
    adopt(&mut first, &session, 7, &state).expect("there is room");
    assert_eq!(first.ask(&Request::ping(&session, 1)).status, 200);
    assert_eq!(record(&mut first, &session).fence, 7);
}

#[test]
fn a_node_that_is_cut_off_and_shares_its_sessions_with_others() {
    let mut client = alone("a");
    let (session, stream, until) = leased(&mut client);
    client.updated("a:1");
    assert_eq!(client.topics(stream), ["a:1"]);
    assert_eq!(client.ask(&Request::ping(&session, 1)).status, 200);
    // Before a look at the timers.
    client.node.now = until;
    client.updated("a:1");
    assert!(client.topics(stream).is_empty());
    let answer = client.ask(&Request::ping(&session, 1));
    assert_eq!((answer.status, &*reason(&answer)), (503, "cut_off"));
    assert_eq!(answer.field("retry-after"), Some("1"));
    assert_eq!(client.ask(&Request::get(&session)).status, 503);
    assert_eq!(client.ask(&Request::delete(&session)).status, 503);
    client.pass(100);
    assert!(was_sent_away(&mut client, stream));
    // Nothing was said of it, and it is there again with the lease.
    let until = client.node.now + 1_000;
    lease(&mut client, Some(until));
    assert_eq!(client.ask(&Request::ping(&session, 1)).status, 200);
    let stream = client.open(&Request::get(&session));
    assert_eq!(client.topics(stream), ["a:1"]);
    lease(&mut client, None);
    client.pass(10_000);
    assert_eq!(client.ask(&Request::ping(&session, 1)).status, 200);
    assert!(!client.stream_ended(stream));
}

/// Nobody can take it over, and it hears what it is to hear.
#[test]
fn a_session_of_2024_11_05_that_a_lost_lease_silences() {
    let mut client = with_http_sse("a");
    let session = client.session_http_sse();
    let uri = json!({"uri": "a:1"});
    client.say(&session, &session.call(2, "resources/subscribe", uri));
    let until = client.node.now + 1_000;
    lease(&mut client, Some(until));
    client.node.now = until;
    for _ in 0..2 {
        client.updated("a:1");
        let heard = client.heard(&session);
        assert_eq!(heard.len(), 1, "{heard:?}");
        assert_eq!(heard[0]["method"], "notifications/resources/updated");
        client.pass(1_000);
    }
}

/// The lease was over for a moment, and no look at the timers fell into that.
#[test]
fn a_change_that_is_lost_while_the_lease_is_renewed() {
    let mut client = alone("a");
    let (_, stream, until) = leased(&mut client);
    client.node.now = until;
    client.updated("a:1");
    assert!(client.topics(stream).is_empty());
    lease(&mut client, Some(until + 1_000));
    assert_eq!(client.topics(stream), ["a:1"]);
}

fn drain(client: &mut Client) {
    let now = client.node.now;
    assert!(client.node.cores[0].shard.handle_drain(now, TIMES));
    client.node.settle(0);
}

fn let_go_of(client: &Client) -> Vec<String> {
    let said = client.node.said.iter();
    let ids = said.filter_map(|it| match it {
        SessionEvent::LetGo { session, info } => {
            assert!(info.state.is_some());
            Some(session.text())
        }
        SessionEvent::Restarting { .. } | SessionEvent::Ended { .. } => panic!("{it:?}"),
        _ => None,
    });
    ids.collect()
}

#[test]
fn a_drain_that_ends_sessions_which_could_go_on() {
    let mut client = alone("a");
    let heard: Vec<String> = (0..20).map(|_| client.session(V11)).collect();
    let open = |session: &String| client.open(&Request::get(session));
    let streams: Vec<SocketId> = heard.iter().map(open).collect();
    let silent: Vec<String> = (0..20).map(|_| client.session(V11)).collect();
    for &stream in &streams {
        client.items(stream);
    }
    drain(&mut client);
    client.pass(TIMES.notice_ms - 100);
    assert!(let_go_of(&client).is_empty());
    client.pass(100 + TIMES.window_ms / 2);
    let half = let_go_of(&client);
    assert!((18..=22).contains(&half.len()), "{}", half.len());
    let of_heard = half.iter().filter(|it| heard.contains(it)).count();
    assert!((8..=12).contains(&of_heard), "both are spread");
    // Who comes back here meanwhile is passed on.
    let socket = client.connect();
    client.send(socket, &Request::ping(&half[0], 1));
    assert_eq!(client.node.asked.len(), 1);
    client.pass(TIMES.window_ms / 2 + 100);
    let all = let_go_of(&client);
    assert_eq!(all.len(), 40);
    assert!(heard.iter().chain(&silent).all(|it| all.contains(it)));
    for stream in streams {
        assert!(was_sent_away(&mut client, stream));
    }
    assert!(client.node.cores[0].shard.drain_progress().done);
}

/// Nobody has a stream, so nothing keeps the node: it still answers for where they are when it is done.
#[test]
fn sessions_that_leave_with_the_last_moment_of_their_node() {
    let mut client = alone("a");
    let sessions: Vec<String> = (0..20).map(|_| client.session(V11)).collect();
    drain(&mut client);
    let is_done = |client: &Client| client.node.cores[0].shard.drain_progress().done;
    while !is_done(&client) {
        assert!(client.node.now < 60_000_000, "it never ends");
        client.pass(20);
    }
    let gone = let_go_of(&client);
    assert!(sessions.iter().all(|it| gone.contains(it)), "{gone:?}");
    let socket = client.connect();
    client.send(socket, &Request::ping(&sessions[0], 1));
    assert_eq!(client.node.asked.len(), 1);
}

#[test]
fn a_call_that_a_drain_breaks_off() {
    let mut client = alone("a");
    let session = client.session(V11);
    let socket = client.connect();
    client.send(socket, &Request::tool(&session, 1));
    let call = client.call();
    drain(&mut client);
    client.pass(TIMES.notice_ms + TIMES.window_ms / 2);
    assert!(let_go_of(&client).is_empty());
    client.finish(&call, r#"{"content":[]}"#);
    client.pass(TIMES.window_ms);
    assert_eq!(let_go_of(&client), [session]);
}

#[test]
fn a_process_that_ends_with_sessions_which_could_go_on() {
    let mut client = alone("a");
    let session = client.session(V11);
    client.node.cores[0].shard.handle_end();
    client.node.settle(0);
    assert_eq!(let_go_of(&client), [session]);
    assert_eq!(view_acts::reasons(&mut client), [EndReason::TakenOver]);
}

/// Its client was told so, and does not ask again.
#[test]
fn a_subscription_that_is_lost_with_a_node_that_dies_a_moment_later() {
    let mut client = alone("a");
    let session = client.session(V11);
    for number in 0..5 {
        client.ask(&Request::subscribe(&session, &format!("a:{number}")));
        let state = record_by_now(&client, &session).state.expect("portable");
        assert_eq!(state.subscriptions.len(), number + 1);
    }
    let level = json!({"level": "error"});
    client.ask(&Request::call(&session, 2, "logging/setLevel", level));
    let state = record_by_now(&client, &session).state.expect("portable");
    assert_eq!(state.log_level, Some(4));
    let gone = json!({"uri": "a:0"});
    client.ask(&Request::call(&session, 3, "resources/unsubscribe", gone));
    let state = record_by_now(&client, &session).state.expect("portable");
    assert_eq!(state.subscriptions.len(), 4);
}

/// Each of its records is larger than the one before. What is written at once is bounded, and so is how often.
#[test]
fn a_client_that_changes_its_record_a_thousand_times() {
    let mut client = alone("a");
    let session = client.session(V11);
    let before = announced(&client);
    for number in 0..1_000 {
        client.ask(&Request::subscribe(&session, &format!("a:{number}")));
    }
    let at_once = announced(&client) - before;
    let weight = |state: &PortableSession| 600 + 64 * state.subscriptions.len();
    let weights = client.node.said[before..].iter().map(|it| match it {
        SessionEvent::Opened { info, .. } => info.state.as_deref().map_or(0, weight),
        _ => 0,
    });
    let bytes: usize = weights.sum();
    assert!(
        (10..=100).contains(&at_once) && bytes <= 256 * 1024,
        "{at_once} records, {bytes} bytes"
    );
    let info = record(&mut client, &session);
    assert_eq!(info.state.expect("portable").subscriptions.len(), 1_000);
    let written = announced(&client) - before;
    assert_eq!(written, at_once + 1, "one for all the rest");
    client.pass(1_000);
    assert_eq!(announced(&client) - before, written, "nothing changed");
}

/// What they changed needs no record any more, and keeps nobody else's waiting.
#[test]
fn sessions_that_end_and_hold_up_the_records_of_others() {
    let mut client = alone("a");
    let stays = client.session(V11);
    client.pass(1_000);
    for _ in 0..10_000 {
        let session = client.session(V11);
        client.ask(&Request::subscribe(&session, "a:1"));
        client.ask(&Request::delete(&session));
    }
    client.ask(&Request::subscribe(&stays, "a:2"));
    let info = record(&mut client, &stays);
    let state = info.state.expect("portable");
    assert_eq!(state.subscriptions, [Box::from("a:2")]);
}

#[test]
fn a_session_that_is_larger_than_a_record() {
    let mut client = alone("a");
    let session = client.session(V11);
    let uri = |number: usize| format!("a:{number}{}", "x".repeat(2_000));
    let count = PORTABLE_BYTES_MAX / 2_000 + 1;
    for number in 0..count {
        let answer = client.ask(&Request::subscribe(&session, &uri(number)));
        assert_eq!(answer.status, 200);
    }
    assert_eq!(record(&mut client, &session).state, None);
    let row = |client: &mut Client| view::rows(client, SessionFilter::default()).remove(0);
    assert_eq!(row(&mut client).portable, Some(Portability::TooLarge));
    let params = json!({"uri": uri(0)});
    for _ in 0..2 {
        client.ask(&Request::call(
            &session,
            1,
            "resources/unsubscribe",
            params.clone(),
        ));
        let gone = json!({"uri": uri(1)});
        client.ask(&Request::call(&session, 1, "resources/unsubscribe", gone));
    }
    assert!(record(&mut client, &session).state.is_some());
    assert_eq!(row(&mut client).portable, Some(Portability::Portable));
}
