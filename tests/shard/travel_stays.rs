//! What does not travel now and says why, what a shard does not take and gives back, and what nobody is told of a travel.

use std::collections::BTreeSet;

use pinfold::app::call::{Notice, Topic};
use pinfold::internals::limits::{LOOK_ON_CORE_BYTES_MAX, Limits};
use pinfold::internals::shard::{
    Cluster, DrainTimes, NotTaken, SessionEvent, Shard, StaysBecause, TravellingSession,
};
use pinfold::internals::wire::session_id::SessionId;
use serde_json::{Value, json};

use crate::support::node::{Node, setup};
use crate::support::{Client, Request};
use crate::travel::{WAYS, Way, call, left, only_session, travel, with};

const V11: &str = "2025-11-25";
const V06: &str = "2025-06-18";

fn two_cores() -> Client {
    with(Limits::default())
}

/// Why the only session of core 0 stays.
fn stays(client: &mut Client) -> Option<StaysBecause> {
    let key = only_session(client, 0);
    let before = client.node.cores[0].shard.counts();
    let why = client.node.move_session(0, key, 1).err();
    if why.is_some() {
        assert_eq!(client.node.cores[0].shard.counts(), before);
    }
    why
}

#[test]
fn a_call_that_is_cut_off_from_its_session() {
    let mut client = two_cores();
    let session = client.session(V11);
    let socket = client.connect();
    client.send(socket, &Request::tool(&session, 1));
    assert_eq!(stays(&mut client), Some(StaysBecause::CallUnderWay));
    let moved = client.node.move_connection(socket, 1);
    assert_eq!(moved, Err(StaysBecause::CallUnderWay));
    let call = client.call();
    client.ask_client(&call, "roots/list").expect("it is asked");
    assert_eq!(stays(&mut client), Some(StaysBecause::CallUnderWay));
    client.finish(&call, "{}");
    assert_eq!(stays(&mut client), None);
}

/// What was let in with its head is served where it is.
#[test]
fn a_request_whose_session_leaves_before_its_body_came() {
    let mut client = two_cores();
    let session = client.session(V06);
    let socket = client.connect();
    let ping = Request::ping(&session, 1);
    let bytes = ping.bytes();
    client.node.sockets[socket].reader.expected.push_back(false);
    client.send_bytes(socket, &bytes[..bytes.len() - 3]);
    assert_eq!(stays(&mut client), Some(StaysBecause::RequestArrives));
    let moved = client.node.move_connection(socket, 1);
    assert_eq!(moved, Err(StaysBecause::RequestArrives));
    client.send_bytes(socket, &bytes[bytes.len() - 3..]);
    assert_eq!(client.answer(socket).status, 200);
    assert_eq!(stays(&mut client), None);
}

#[test]
fn a_request_whose_session_leaves_while_its_body_is_looked_at() {
    let mut client = two_cores();
    client.node.looks_later = true;
    let session = client.session(V06);
    let socket = client.connect();
    let text = "x".repeat(2 * LOOK_ON_CORE_BYTES_MAX);
    let arguments = json!({"name": "t", "arguments": {"text": text}});
    let request = Request::call(&session, 1, "tools/call", arguments);
    // Behind another one, so that it is looked at when that was answered.
    let first = Request::tool(&session, 0);
    for request in [&first, &request] {
        let socket = &mut client.node.sockets[socket];
        socket.reader.expected.push_back(false);
        socket.sent.extend(request.bytes());
    }
    while client.node.receive(socket, 16 * 1024) {}
    let call = client.call();
    client.finish(&call, "{}");
    while client.node.receive(socket, 16 * 1024) {}
    assert_eq!(client.node.looks.len(), 1);
    assert_eq!(stays(&mut client), Some(StaysBecause::RequestArrives));
    client.node.look();
    assert_eq!(stays(&mut client), Some(StaysBecause::CallUnderWay));
}

#[test]
fn an_answer_that_its_proxy_is_not_ready_for() {
    let mut client = two_cores();
    let session = client.session(V11);
    let socket = client.connect();
    let by_proxy = Request::tool(&session, 1).with("Via", "1.1 proxy");
    client.send(socket, &by_proxy);
    let call = client.call();
    client.notify(&call, 1);
    client.finish(&call, "{}");
    assert_eq!(stays(&mut client), Some(StaysBecause::AnswerHeld));
    client.pass(100);
    assert_eq!(stays(&mut client), None);
}

#[test]
fn a_stream_that_leaves_without_its_session() {
    let mut client = two_cores();
    let session = client.session(V11);
    let stream = client.open(&Request::get(&session));
    let moved = client.node.move_connection(stream, 1);
    assert_eq!(moved, Err(StaysBecause::OfSession));
    travel(&mut client, Way::ToAnotherCore);
    assert_eq!(client.node.sockets[stream].core, 1, "it went along");
}

#[test]
fn what_leaves_a_node_that_takes_its_leave() {
    let mut client = two_cores();
    client.session(V11);
    let idle = client.connect();
    let now = client.node.now;
    for core in &mut client.node.cores {
        core.shard.handle_drain(now, DrainTimes::default());
    }
    assert_eq!(stays(&mut client), Some(StaysBecause::Draining));
    // It ends with its next answer, wherever that is given.
    assert_eq!(client.node.move_connection(idle, 1), Ok(()));
}

#[test]
fn what_a_shard_has_still_to_say_of_what_leaves() {
    let mut client = two_cores();
    let session = client.session(V11);
    let key = only_session(&client, 0);
    let now = client.node.now;
    let shard = &mut client.node.cores[0].shard;
    let connection = shard.handle_open(now, None).expect("there is room");
    let tell = Request::ping(&session, 1).bytes();
    shard.handle_bytes(now, connection, &tell);
    let stays = shard.take_connection(now, connection).err();
    assert_eq!(stays, Some(StaysBecause::NotDrained));
    shard.handle_disconnect(now, connection);
    while shard.poll_effect().is_some() {}
    assert_eq!(
        shard.take_connection(now, connection).err(),
        Some(StaysBecause::NotHere)
    );
    assert!(shard.take_session(now, key).is_ok());
    assert_eq!(
        shard.take_session(now, key).err(),
        Some(StaysBecause::NotHere)
    );
}

/// A session that has left, as JSON.
fn taken(client: &mut Client) -> Value {
    let key = only_session(client, 0);
    let now = client.node.now;
    let taken = client.node.cores[0].shard.take_session(now, key);
    let (session, _) = taken.expect("it may leave");
    serde_json::to_value(&session).expect("plain")
}

fn put(shard: &mut Shard, now: u64, value: Value) -> Result<(), NotTaken> {
    let session: TravellingSession = serde_json::from_value(value.clone()).expect("it reads back");
    let put = shard.put_session(now, session).map(drop);
    shard.invariants();
    put.map_err(|back| {
        let same = serde_json::to_value(&*back.value).expect("plain");
        assert_eq!(same, value, "it is given back as it was");
        back.why
    })
}

#[test]
fn a_core_that_is_not_where_the_session_left_the_log() {
    let mut client = two_cores();
    client.session(V11);
    client.publish(Topic::Tools);
    let session = taken(&mut client);
    let now = client.node.now;
    let here = client.node.offset;
    let mut fresh = Shard::new(setup(0, 2, Limits::default(), 0x00b0_0700), now);
    let behind = NotTaken::ElsewhereInTheLog {
        there: here,
        here: 0,
    };
    assert_eq!(put(&mut fresh, now, session.clone()), Err(behind));
    client.publish(Topic::Tools);
    let ahead = NotTaken::ElsewhereInTheLog {
        there: here,
        here: here + 1,
    };
    let shard = &mut client.node.cores[1].shard;
    assert_eq!(put(shard, now, session), Err(ahead));
}

#[test]
fn a_session_of_somebody_else_or_one_that_is_here() {
    let mut client = two_cores();
    let id = client.session(V11);
    let session = taken(&mut client);
    let now = client.node.now;
    let mut other = Shard::new(setup(0, 2, Limits::default(), 0x00b0_0701), now);
    let put_there = put(&mut other, now, session.clone());
    assert_eq!(put_there, Err(NotTaken::OfAnotherNode));
    let shard = &mut client.node.cores[1].shard;
    assert_eq!(put(shard, now, session.clone()), Ok(()));
    assert_eq!(put(shard, now, session.clone()), Err(NotTaken::IsHere));
    assert_eq!(shard.counts().sessions, 1);
    shard.handle_drain(now, DrainTimes::default());
    assert_eq!(put(shard, now, session), Err(NotTaken::Draining));
    assert!(SessionId::parse(&id).is_some_and(|id| shard.core_of(&id) == 1));
}

#[test]
fn a_value_that_somebody_has_written_in() {
    let mut client = two_cores();
    let session = client.session(V11);
    let stream = client.open(&Request::get(&session));
    let now = client.node.now;
    let params = json!({"level": "info", "data": 1}).to_string().into();
    let notice = Notice::Message { level: 4, params };
    client.tell(&session, &notice).expect("it is here");
    client.frames(stream);
    let whole = taken(&mut client);
    let faults = [
        ("/session/id", json!("node-a.x")),
        ("/session/version", json!("2026-07-28")),
        ("/session/version", json!("1999-01-01")),
        ("/parts/clients/0/capabilities", json!("{")),
        ("/parts/clients/0/capabilities", json!("[]")),
        ("/parts/clients/0/info", json!("{\"name\":1,\"name\":2}")),
        ("/parts/clients", json!([])),
        ("/parts/topics/0/last_offset", json!(1_000)),
        ("/parts/topics", json!([])),
        ("/session/client_info", json!(1)),
        ("/session/listener/subscriptions", json!([77])),
        ("/session/listener/pending", json!([77])),
        ("/session/listener/directed", json!([[77, 0]])),
        ("/session/listener/directed", json!([[0, 1_000]])),
        ("/session/listener/delivered_through", json!(1_000)),
        ("/session/standalone/written", json!(3)),
        ("/session/standalone/next_sequence", json!(1)),
        ("/session/standalone/connection", json!(1)),
        ("/session/standalone/silent", json!([0])),
        ("/connections", json!([])),
    ];
    for (place, value) in faults {
        let mut broken = whole.clone();
        let (within, name) = place.rsplit_once('/').expect("a path");
        let within = broken.pointer_mut(within).expect("it is there");
        // What is as it mostly is is not written down.
        within[name] = value;
        let shard = &mut client.node.cores[1].shard;
        let put = put(shard, now, broken);
        assert_eq!(put, Err(NotTaken::Malformed), "{place}");
        assert_eq!((shard.counts().sessions, shard.counts().listeners), (0, 0));
    }
}

#[test]
fn a_slot_far_out_that_takes_the_memory_of_all_before_it() {
    let mut client = two_cores();
    let id = client.session(V11);
    let mut session = taken(&mut client);
    let mut id = SessionId::parse(&id).expect("an id");
    id.locator.slot = u32::MAX - 1;
    session["session"]["id"] = id.text().into();
    let now = client.node.now;
    let shard = &mut client.node.cores[0].shard;
    assert_eq!(put(shard, now, session), Ok(()));
    let answer = client.ask(&Request::ping(&id.text(), 1));
    assert_eq!(answer.status, 200, "it is still called that");
}

/// Nodes among others, so that they would be told.
fn announcing() -> Client {
    let node = Node::with(2, |core| {
        let mut setup = setup(core, 2, Limits::default(), 0x00b0_0700);
        setup.cluster = Some(Cluster { secret: None });
        setup
    });
    Client { node }
}

#[test]
fn a_session_that_seems_to_end_and_open_because_it_moved() {
    for way in WAYS {
        let mut client = announcing();
        let session = client.session(V06);
        client.ask(&Request::subscribe(&session, "a:1"));
        let (said, told) = (client.node.said.len(), client.node.delivered.len());
        travel(&mut client, way);
        client.ask(&Request::ping(&session, 1));
        assert_eq!(
            (client.node.said.len(), client.node.delivered.len()),
            (said, told),
            "{way:?}"
        );
        client.ask(&Request::delete(&session));
        let Some(SessionEvent::Ended { session: ended }) = client.node.said.last() else {
            panic!("its end is told");
        };
        assert_eq!(ended.text(), session, "by the name that it always had");
    }
}

#[test]
fn a_session_that_is_left_out_because_it_moved_while_all_were_announced() {
    for (from, to) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut client = announcing();
        let session = client.session(V06);
        client.node.said.clear();
        for (core, announces) in [(0, from), (1, to)] {
            if announces {
                client.node.cores[core].shard.handle_announce();
            }
        }
        travel(&mut client, Way::ToAnotherCore);
        client.pass(1_000);
        let said: BTreeSet<String> = client
            .node
            .said
            .iter()
            .map(|event| match event {
                SessionEvent::Opened { session, .. } => session.text(),
                other => panic!("{other:?}"),
            })
            .collect();
        let wanted = from || to;
        assert_eq!(said.contains(&session), wanted, "{from} {to}");
    }
}

/// What counts for the node and for its client counts once, wherever it is.
#[test]
fn a_client_that_gets_more_by_moving() {
    let limits = Limits {
        sessions_per_client_max: Some(2),
        ..Limits::default()
    };
    for way in WAYS {
        let mut client = with(limits);
        let peer = Some([203, 0, 113, 7].into());
        let opens = |client: &mut Client| {
            let socket = client.node.connect(0, peer).expect("there is room");
            client.exchange(socket, &Request::initialize(V06))
        };
        let session = opens(&mut client);
        let session = session.field("mcp-session-id").expect("an id").to_owned();
        let params = json!({"level": "info", "data": "kept"}).to_string().into();
        client
            .tell(&session, &Notice::Message { level: 4, params })
            .expect("it is here");
        let held = left(&client).held_bytes;
        assert!(held > 0, "a message waits");
        travel(&mut client, way);
        assert_eq!(left(&client).held_bytes, held, "{way:?}");
        // `check_nobody_is_left` and each step compare the counts.
        let second = opens(&mut client);
        assert_eq!((second.status, opens(&mut client).status), (200, 429));
        let second = second.field("mcp-session-id").expect("an id").to_owned();
        for id in [session, second] {
            assert_eq!(client.ask(&Request::delete(&id)).status, 204);
        }
        call(&mut client, "node-a.x", 1);
        assert_eq!(left(&client).sessions, 0);
    }
}
