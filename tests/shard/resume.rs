//! GET and `Last-Event-ID`: what a client that comes back is told, and what becomes of the connection before.

use pinfold::app::call::Topic;
use pinfold::internals::limits::Limits;
use pinfold::internals::shard::Shard;
use serde_json::json;

use crate::support::client::topic_of;
use crate::support::node::{Core, setup};
use crate::support::{Client, Frame, Item, Request};

const V11: &str = "2025-11-25";
const V06: &str = "2025-06-18";

fn last_id(frames: &[Frame]) -> String {
    frames
        .iter()
        .rev()
        .find_map(|frame| frame.id.clone())
        .expect("an event with an id")
}

/// With two subscriptions, and an open stream that has told of one change.
fn subscriber(client: &mut Client, version: &str) -> (String, usize) {
    let session = client.session(version);
    for uri in ["a:1", "a:2"] {
        assert_eq!(client.ask(&Request::subscribe(&session, uri)).status, 200);
    }
    let socket = client.open(&Request::get(&session));
    (session, socket)
}

#[test]
fn a_change_told_twice_to_a_client_that_said_it_knows_it() {
    let mut client = Client::new();
    let (session, socket) = subscriber(&mut client, V06);
    client.updated("a:1");
    client.updated("a:2");
    let frames = client.frames(socket);
    assert_eq!(frames.len(), 2);
    client.node.cut(socket);
    let socket = client.open(&Request::get(&session).resume(&last_id(&frames)));
    assert!(client.topics(socket).is_empty());
    client.node.cut(socket);
    let socket = client.open(&Request::get(&session).resume(&last_id(&frames[..1])));
    assert_eq!(client.topics(socket), ["a:2"]);
}

#[test]
fn a_change_lost_between_two_streams() {
    for resume in [true, false] {
        let mut client = Client::new();
        let (session, socket) = subscriber(&mut client, V06);
        client.updated("a:1");
        let frames = client.frames(socket);
        client.node.cut(socket);
        client.updated("a:2");
        client.publish(Topic::Tools);
        let mut request = Request::get(&session);
        if resume {
            request = request.resume(&last_id(&frames));
        }
        let socket = client.open(&request);
        let topics = client.topics(socket);
        assert!(
            topics.contains(&"a:2".to_owned()) && topics.contains(&"tools/list_changed".to_owned()),
            "{topics:?}"
        );
        assert_eq!(
            topics.contains(&"a:1".to_owned()),
            !resume,
            "without an id it may have lost that too"
        );
    }
}

/// Written to a kernel that never delivered it.
#[test]
fn a_change_lost_in_a_socket_that_broke() {
    let mut client = Client::new();
    let (session, socket) = subscriber(&mut client, V11);
    let primed = last_id(&client.frames(socket));
    client.updated("a:1");
    client.node.cut(socket);
    let socket = client.open(&Request::get(&session).resume(&primed));
    assert_eq!(client.topics(socket), ["a:1"]);
}

#[test]
fn a_priming_that_says_more_than_was_told() {
    let mut client = Client::new();
    let (session, socket) = subscriber(&mut client, V11);
    client.updated("a:1");
    let id = last_id(&client.frames(socket));
    // Offsets of another epoch: all is to be told once, and the priming comes before.
    let (_, rest) = id.split_once('.').expect("an id has parts");
    let socket = client.open(&Request::get(&session).resume(&format!("1.{rest}")));
    let primed = client.node.sockets[socket].reader.items.pop_front();
    let Some(Item::Frame(primed)) = primed else {
        panic!("a priming: {primed:?}")
    };
    client.node.cut(socket);
    let socket = client.open(&Request::get(&session).resume(&primed.id.expect("it has an id")));
    assert!(client.topics(socket).contains(&"a:1".to_owned()));
}

/// 2025-11-25, transports, "Resumability and Redelivery": an id is unique in its session.
#[test]
fn one_id_for_two_events() {
    let mut client = Client::new();
    let (session, socket) = subscriber(&mut client, V11);
    client.updated("a:1");
    let id = last_id(&client.frames(socket));
    let (_, rest) = id.split_once('.').expect("an id has parts");
    let socket = client.open(&Request::get(&session).resume(&format!("1.{rest}")));
    let frames = client.frames(socket);
    let mut ids: Vec<_> = frames
        .iter()
        .filter(|frame| frame.is_message())
        .filter_map(|frame| frame.id.clone())
        .collect();
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "{frames:?}");
    let topics = frames.iter().filter(|frame| frame.is_message()).count();
    assert_eq!(topics, 5, "three lists and two resources: {frames:?}");
}

#[test]
fn a_stream_that_two_connections_believe_to_have() {
    let mut client = Client::new();
    let session = client.session(V06);
    let first = client.open(&Request::get(&session));
    client.send(first, &Request::get(&session));
    let second = client.open(&Request::get(&session));
    client.publish(Topic::Tools);
    let told = [
        client.topics_anywhere(first),
        client.topics_anywhere(second),
    ]
    .concat();
    assert_eq!(told, ["tools/list_changed"]);
}

#[test]
fn a_stream_of_a_session_that_its_predecessor_deleted() {
    let mut client = Client::new();
    let session = client.session(V06);
    let first = client.open(&Request::get(&session));
    client.send(first, &Request::delete(&session));
    let second = client.open(&Request::get(&session));
    assert!(client.stream_ended(second), "the session is gone");
    assert_eq!(client.ask(&Request::ping(&session, 1)).status, 404);
    assert_eq!(client.node.cores[0].shard.counts().streams, 0);
}

#[test]
fn an_answer_stream_of_a_session_that_its_predecessor_deleted() {
    let mut client = Client::new();
    let session = client.session(V11);
    let first = client.connect();
    client.send(first, &Request::tool(&session, 1));
    let call = client.call();
    client.notify(&call, 1);
    let id = last_id(&client.frames_after_head(first));
    client.send(first, &Request::delete(&session));
    let second = client.open(&Request::get(&session).resume(&id));
    assert!(client.stream_ended(second));
}

#[test]
fn an_answer_that_came_while_nobody_was_connected_and_stays_forever() {
    let mut client = Client::tiny();
    let session = client.session(V06);
    for id in 0..5 {
        let socket = client.connect();
        client.send(socket, &Request::tool(&session, id));
        let call = client.call();
        client.notify(&call, 1);
        client.node.cut(socket);
        client.finish(&call, "{}");
        client.pass(2 * Limits::tiny().resume_window_ms);
        assert_eq!(client.node.cores[0].shard.counts().streams, 0);
    }
}

#[test]
fn a_cancelled_call_whose_stream_stays_forever() {
    let mut client = Client::tiny();
    let session = client.session(V06);
    let socket = client.connect();
    client.send(socket, &Request::tool(&session, 1));
    let call = client.call();
    client.notify(&call, 1);
    client.node.cut(socket);
    let cancelled =
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
    assert_eq!(
        client
            .ask(&Request::post(&cancelled).session(&session))
            .status,
        202
    );
    client.pass(2 * Limits::tiny().resume_window_ms);
    assert_eq!(client.node.cores[0].shard.counts().streams, 0);
}

/// The resume window keeps finished answers; a busy client is not refused because of them.
#[test]
fn answers_that_were_read_long_ago_counted_as_under_way() {
    let mut client = Client::tiny();
    let session = client.session(V11);
    let socket = client.connect();
    for id in 0..10 {
        client.send(socket, &Request::tool(&session, id));
        let call = client.call();
        client.notify(&call, 1);
        client.finish(&call, "{}");
        let items = client.items(socket);
        assert!(matches!(items.last(), Some(Item::StreamEnd)), "{items:?}");
    }
    assert!(client.node.cores[0].shard.counts().streams <= Limits::tiny().streams_per_session_max);
}

/// After a restart a client may have a new session with the number of its old one.
#[test]
fn another_stream_replayed_for_an_id_of_another_epoch() {
    let mut client = Client::new();
    let session = client.session(V11);
    let socket = client.connect();
    client.send(socket, &Request::tool(&session, 1));
    let call = client.call();
    client.notify(&call, 1);
    let id = last_id(&client.frames_after_head(socket));
    let (_, rest) = id.split_once('.').expect("an id has parts");
    let answer = client.ask(&Request::get(&session).resume(&format!("1.{rest}")));
    assert_eq!((answer.status, &*answer.reason()), (405, "stream_gone"));
}

#[test]
fn an_id_from_before_a_restart_that_leaves_its_client_in_the_dark() {
    let mut client = Client::new();
    let (_, socket) = subscriber(&mut client, V11);
    for _ in 0..3 {
        client.updated("a:1");
    }
    let old = last_id(&client.frames(socket));
    let setup = setup(0, 1, Limits::default(), 0x00b0_0701);
    client.node.commons = setup.commons.clone();
    client.node.cores[0] = Core {
        shard: Shard::new(setup, client.node.now),
        log: Default::default(),
        heard_of: Default::default(),
    };
    client.node.forget_sockets();
    client.node.offset = 0;
    let (session, first) = subscriber(&mut client, V11);
    client.updated("a:1");
    client.node.cut(first);
    let socket = client.open(&Request::get(&session).resume(&old));
    assert!(client.topics(socket).contains(&"a:1".to_owned()));
}

/// An offset that was never reached, as after a restart whose epoch cannot be told from the one before.
#[test]
fn an_id_from_the_future_that_leaves_its_client_in_the_dark() {
    let mut client = Client::new();
    let (session, socket) = subscriber(&mut client, V11);
    client.updated("a:1");
    let id = last_id(&client.frames(socket));
    let future = id.replace(".0.1.0", ".0.ffff.0");
    assert_ne!(id, future);
    client.node.cut(socket);
    let socket = client.open(&Request::get(&session).resume(&future));
    assert!(client.topics(socket).contains(&"a:1".to_owned()));
    client.node.cut(socket);
    client.updated("a:2");
    let socket = client.open(&Request::get(&session));
    assert!(client.topics(socket).contains(&"a:2".to_owned()));
}

/// A gap is told by many events, and each has an id.
#[test]
fn a_gap_of_which_half_was_lost_in_a_socket_that_broke() {
    let mut client = Client::new();
    let (session, socket) = subscriber(&mut client, V06);
    client.updated("a:1");
    client.frames(socket);
    client.gap();
    let frames = client.frames(socket);
    assert_eq!(frames.len(), 5, "three lists and two resources: {frames:?}");
    client.node.cut(socket);
    let socket = client.open(&Request::get(&session).resume(&last_id(&frames[..2])));
    let again = client.topics(socket);
    let rest: Vec<String> = frames[2..]
        .iter()
        .map(|frame| topic_of(&frame.json()))
        .collect();
    assert_eq!(again, rest);
    client.updated("a:1");
    assert_eq!(client.topics(socket), ["a:1"]);
}

/// What was lost before a session began it never had.
#[test]
fn a_gap_told_to_a_session_that_began_after_it() {
    let mut client = Client::new();
    client.gap();
    let (_, socket) = subscriber(&mut client, V06);
    assert!(client.topics(socket).is_empty());
    client.updated("a:1");
    assert_eq!(client.topics(socket), ["a:1"]);
}
