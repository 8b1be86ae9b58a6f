//! Sessions and connections that go on in another shard: on another core, or in one that takes a core's place. What a
//! client sees is what it would have seen. `tests/support/travel.rs` writes each value down, reads it again, and compares
//! what arrived with what left; each step checks that neither core has lost or gained anything.

use pinfold::app::call::{Notice, Topic};
use pinfold::internals::limits::Limits;
use pinfold::internals::shard::{Closed, Cluster, SessionKey, ShardCounts, ShardSetup};
use serde_json::json;

use crate::support::node::{Node, SocketId, setup};
use crate::support::{Client, Frame, Item, Request};

const V11: &str = "2025-11-25";
const V06: &str = "2025-06-18";
const INCARNATION: u64 = 0x00b0_0700;

/// How a session gets somewhere else.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Way {
    ToAnotherCore,
    ThereAndBack,
    /// Its core is replaced by another shard, with all that is there.
    WithItsCore,
}

pub(crate) const WAYS: [Way; 3] = [Way::ToAnotherCore, Way::ThereAndBack, Way::WithItsCore];

pub(crate) fn with(limits: Limits) -> Client {
    Client {
        node: Node::new(2, limits),
    }
}

fn two_cores() -> Client {
    with(Limits::default())
}

pub(crate) fn only_session(client: &Client, core: usize) -> SessionKey {
    let mut sessions = client.node.cores[core].shard.sessions();
    let key = sessions.next().expect("a session");
    assert!(sessions.next().is_none(), "only one");
    key
}

pub(crate) fn replacement(client: &Client, core: usize) -> ShardSetup {
    let limits = *client.node.cores[core].shard.limits();
    ShardSetup {
        commons: client.node.commons.clone(),
        cluster: Some(Cluster { secret: None }),
        ..setup(core, 2, limits, INCARNATION)
    }
}

/// The only session of core 0, and all connections of that, leave.
pub(crate) fn travel(client: &mut Client, way: Way) {
    if way == Way::WithItsCore {
        let setup = replacement(client, 0);
        return client
            .node
            .replace_core(0, setup, 20)
            .expect("nothing stays");
    }
    let key = only_session(client, 0);
    client.node.move_session(0, key, 1).expect("it may leave");
    if way == Way::ThereAndBack {
        let key = only_session(client, 1);
        client.node.move_session(1, key, 0).expect("it may leave");
    }
}

/// On both cores.
pub(crate) fn left(client: &Client) -> ShardCounts {
    let [one, other] = [0, 1].map(|core| client.node.cores[core].shard.counts());
    ShardCounts {
        connections: one.connections + other.connections,
        sessions: one.sessions + other.sessions,
        held_bytes: one.held_bytes + other.held_bytes,
        ..one
    }
}

pub(crate) fn call(client: &mut Client, session: &str, id: u64) {
    let socket = client.connect();
    client.send(socket, &Request::tool(session, id));
}

fn message(level: u8, text: &str) -> Notice {
    let params = json!({"level": "info", "data": text}).to_string().into();
    Notice::Message { level, params }
}

/// By whichever core has it.
fn tell(client: &mut Client, session: &str, notice: &Notice) {
    let now = client.node.now;
    let told: Vec<bool> = (0..2)
        .map(|core| {
            let shard = &mut client.node.cores[core].shard;
            let told = shard.handle_notice(now, session, notice).is_ok();
            client.node.settle(core);
            told
        })
        .collect();
    assert_eq!(told.iter().filter(|it| **it).count(), 1, "one core has it");
}

/// What both cores have to say.
fn messages(client: &mut Client, socket: SocketId) -> Vec<String> {
    while client.node.fan_out(1) {}
    let messages = client.messages(socket);
    let text = |it: &serde_json::Value| it["params"]["data"].as_str().map(str::to_owned);
    messages.iter().filter_map(text).collect()
}

fn topics(client: &mut Client, socket: SocketId) -> Vec<String> {
    while client.node.fan_out(1) {}
    client.topics(socket)
}

fn frames(client: &mut Client, socket: SocketId) -> Vec<Frame> {
    while client.node.fan_out(1) {}
    client.frames(socket)
}

#[test]
fn a_subscription_that_did_not_come_along() {
    for way in WAYS {
        let mut client = two_cores();
        let session = client.session(V06);
        client.ask(&Request::subscribe(&session, "a:1"));
        // Published under another name than the client has for it.
        client.ask(&Request::subscribe(&session, "A:2"));
        let stream = client.open(&Request::get(&session));
        client.updated("a:1");
        assert_eq!(topics(&mut client, stream), ["a:1"]);
        travel(&mut client, way);
        client.updated("a:2");
        client.publish(Topic::Tools);
        assert_eq!(
            topics(&mut client, stream),
            ["A:2", "tools/list_changed"],
            "{way:?}"
        );
        let gone = Request::call(&session, 2, "resources/unsubscribe", json!({"uri": "a:1"}));
        assert_eq!(client.ask(&gone).status, 200);
        client.updated("a:1");
        assert!(topics(&mut client, stream).is_empty(), "{way:?}");
    }
}

#[test]
fn a_change_that_waits_for_its_reader_and_is_lost_on_the_way() {
    for way in WAYS {
        let mut client = two_cores();
        let session = client.session(V06);
        client.ask(&Request::subscribe(&session, "a:1"));
        client.updated("a:1");
        travel(&mut client, way);
        let stream = client.open(&Request::get(&session));
        assert_eq!(topics(&mut client, stream), ["a:1"], "{way:?}");
        // Told once: nobody else needs to hear of it.
        client.publish(Topic::Tools);
        assert_eq!(topics(&mut client, stream), ["tools/list_changed"]);
    }
}

#[test]
fn a_client_that_comes_back_with_an_event_of_the_core_before() {
    for way in WAYS {
        let mut client = two_cores();
        let session = client.session(V11);
        client.ask(&Request::subscribe(&session, "a:1"));
        let stream = client.open(&Request::get(&session));
        client.updated("a:1");
        tell(&mut client, &session, &message(4, "first"));
        tell(&mut client, &session, &message(4, "second"));
        let before = frames(&mut client, stream);
        let first = before
            .iter()
            .find(|it| it.data.as_ref().is_some_and(|it| it.contains("first")));
        let first = first.and_then(|it| it.id.clone()).expect("an id");
        travel(&mut client, way);
        client.publish(Topic::Tools);
        client.node.cut(stream);
        let stream = client.open(&Request::get(&session).resume(&first));
        let again = frames(&mut client, stream);
        let told: Vec<_> = again.iter().filter(|it| it.is_message()).collect();
        let methods: Vec<String> = told.iter().map(|it| it.method()).collect();
        assert_eq!(
            methods,
            ["notifications/message", "notifications/tools/list_changed"],
            "{way:?}: what it said it knows is not told again"
        );
        let names = |it: &Frame| it.id.clone().expect("an id");
        let old = before
            .iter()
            .find(|it| it.data.as_ref().is_some_and(|it| it.contains("second")));
        assert_eq!(names(told[0]), names(old.expect("it was told")));
    }
}

#[test]
fn an_answer_kept_for_its_client_on_the_core_that_the_client_knows() {
    for way in WAYS {
        let mut client = two_cores();
        let session = client.session(V11);
        let socket = client.connect();
        client.send(socket, &Request::tool(&session, 7));
        let call = client.call();
        client.notify(&call, 1);
        let head = client.frames_after_head(socket);
        let last = head.last().and_then(|it| it.id.clone()).expect("an id");
        client.node.cut(socket);
        client.finish(&call, r#"{"content":[]}"#);
        let window = client.node.cores[0].shard.limits().resume_window_ms;
        travel(&mut client, way);
        client.pass(window / 2);
        let socket = client.open(&Request::get(&session).resume(&last));
        let answer = frames(&mut client, socket);
        assert_eq!(
            answer.last().map(|it| it.json()["id"].clone()),
            Some(json!(7)),
            "{way:?}"
        );
        client.node.cut(socket);
        // Its time began where it was before.
        client.pass(window);
        let over = client.ask(&Request::get(&session).resume(&last));
        assert_eq!(over.status, 405);
    }
}

#[test]
fn what_a_session_set_and_who_its_client_is() {
    for way in WAYS {
        let mut client = two_cores();
        let session = client.session(V11);
        let level = Request::call(&session, 2, "logging/setLevel", json!({"level": "error"}));
        assert_eq!(client.ask(&level).status, 200);
        call(&mut client, &session, 3);
        let before = client.call();
        client
            .ask_client(&before, "roots/list")
            .expect("it is asked");
        client.finish(&before, "{}");
        travel(&mut client, way);
        let stream = client.open(&Request::get(&session));
        tell(&mut client, &session, &message(1, "quiet"));
        tell(&mut client, &session, &message(4, "loud"));
        assert_eq!(messages(&mut client, stream), ["loud"], "{way:?}");
        call(&mut client, &session, 4);
        let after = client.call();
        assert_eq!(after.request.client_info, before.request.client_info);
        assert_eq!(
            after.request.client_capabilities,
            before.request.client_capabilities
        );
        assert_eq!(after.request.caller.session, before.request.caller.session);
        let (core, key, now) = (after.core, after.key, client.node.now);
        let shard = &mut client.node.cores[core].shard;
        let ask = shard.handle_ask(now, key, "roots/list", "{}");
        assert_eq!(ask, Some(2), "no question has the id of another one");
        client.node.settle(core);
    }
}

#[test]
fn a_session_that_lives_longer_or_shorter_for_having_moved() {
    for way in WAYS {
        let mut client = two_cores();
        let session = client.session(V06);
        let idle_ms = client.node.cores[0].shard.limits().session_idle_ms;
        client.pass(idle_ms / 2);
        travel(&mut client, way);
        client.pass(idle_ms / 2 - 1_000);
        assert_eq!(left(&client).sessions, 1, "{way:?}");
        client.pass(2_000);
        assert_eq!(left(&client).sessions, 0, "{way:?}");
        let gone = client.ask(&Request::ping(&session, 1));
        assert_eq!(gone.json()["error"]["data"]["reason"], "expired");
        assert!(
            client.node.messages.is_empty(),
            "no core sends it on for ever"
        );
    }
}

#[test]
fn a_session_that_its_client_ends_where_it_is_not_at_home() {
    for from in 0..2 {
        let mut client = two_cores();
        let session = client.session(V06);
        travel(&mut client, Way::ToAnotherCore);
        let socket = client.connect_to(from);
        let answer = client.exchange(socket, &Request::delete(&session));
        assert_eq!(answer.status, 204);
        for core in 0..2 {
            let socket = client.connect_to(core);
            let answer = client.exchange(socket, &Request::ping(&session, 1));
            assert_eq!((answer.status, core), (404, core));
        }
        assert!(client.node.messages.is_empty());
    }
}

/// A third session takes the slot of the one that left, which comes back.
#[test]
fn a_session_whose_place_another_one_has_taken() {
    let mut client = two_cores();
    let session = client.session(V06);
    let key = only_session(&client, 0);
    client.node.move_session(0, key, 1).expect("it may leave");
    let other = client.session(V06);
    let key = only_session(&client, 1);
    client.node.move_session(1, key, 0).expect("it may leave");
    for id in [&session, &other] {
        client.ask(&Request::subscribe(id, &format!("a:{}", id == &session)));
    }
    let streams = [&session, &other].map(|id| client.open(&Request::get(id)));
    client.updated("a:true");
    let told = streams.map(|stream| client.frames(stream));
    assert_eq!(told.each_ref().map(Vec::len), [1, 0]);
    let setup = replacement(&client, 0);
    client
        .node
        .replace_core(0, setup, 0)
        .expect("nothing stays");
    client.updated("a:false");
    assert_eq!(streams.map(|stream| client.topics(stream).len()), [0, 1]);
    let last = told[0][0].id.clone().expect("an id");
    client.node.cut(streams[0]);
    let stream = client.open(&Request::get(&session).resume(&last));
    assert!(client.topics(stream).is_empty(), "it knows all");
}

#[test]
fn a_name_that_comes_twice_because_a_core_was_replaced() {
    let mut client = two_cores();
    let session = client.session(V06);
    client.ask(&Request::delete(&session));
    let setup = replacement(&client, 0);
    client
        .node
        .replace_core(0, setup, 0)
        .expect("nothing stays");
    let other = client.session(V06);
    // The random numbers are the same, for that matter.
    assert_ne!(session, other);
    assert_eq!(client.ask(&Request::ping(&session, 1)).status, 404);
}

#[test]
fn a_reader_that_takes_nothing_and_loses_what_is_under_way() {
    for way in WAYS {
        let mut client = two_cores();
        let session = client.session(V06);
        client.ask(&Request::subscribe(&session, "a:1"));
        let stream = client.open(&Request::get(&session));
        client.node.set_room(stream, 10);
        client.updated("a:1");
        tell(&mut client, &session, &message(4, "waits"));
        travel(&mut client, way);
        client.updated("a:1");
        client.node.set_room(stream, usize::MAX);
        let told = frames(&mut client, stream);
        let count = |text: &str| {
            let has = |it: &&Frame| it.data.as_ref().is_some_and(|it| it.contains(text));
            told.iter().filter(has).count()
        };
        assert_eq!((count("a:1"), count("waits")), (2, 1), "{way:?}");
    }
}

#[test]
fn a_reader_that_takes_nothing_for_ever_wherever_it_is() {
    let mut client = two_cores();
    let session = client.session(V06);
    let stream = client.open(&Request::get(&session));
    client.node.set_room(stream, 10);
    client.publish(Topic::Tools);
    let stall_ms = client.node.cores[0].shard.limits().write_stall_ms;
    client.pass(stall_ms / 2);
    travel(&mut client, Way::ToAnotherCore);
    client.pass(stall_ms / 2 + 1_000);
    assert_eq!(client.closed(stream), Some(Closed::WriteStalled));
}

#[test]
fn half_a_head_and_the_rest_of_it_elsewhere() {
    for to in [0, 1] {
        let mut client = two_cores();
        let session = client.session(V06);
        let socket = client.connect();
        let ping = Request::ping(&session, 5);
        let (bytes, cut) = (ping.bytes(), ping.head().len() / 2);
        client.node.sockets[socket].reader.expected.push_back(false);
        client.send_bytes(socket, &bytes[..cut]);
        match to {
            1 => client.node.move_connection(socket, 1),
            _ => client.node.replace_core(0, replacement(&client, 0), 0),
        }
        .expect("it may leave");
        client.send_bytes(socket, &bytes[cut..]);
        assert_eq!(client.answer(socket).json()["id"], 5);
        client.node.cut(socket);
        assert_eq!(left(&client).held_bytes, 0);
    }
}

#[test]
fn a_connection_that_is_kept_longer_for_having_moved() {
    let mut client = two_cores();
    let (new, used) = (client.connect(), client.connect());
    let session = client.session(V06);
    client.exchange(used, &Request::ping(&session, 1));
    let limits = *client.node.cores[0].shard.limits();
    client.pass(limits.head_timeout_ms / 2);
    for socket in [new, used] {
        client
            .node
            .move_connection(socket, 1)
            .expect("it may leave");
    }
    client.pass(limits.head_timeout_ms / 2 + 1_000);
    assert_eq!(
        client.closed(new),
        Some(Closed::Idle),
        "it never said anything"
    );
    assert_eq!(client.closed(used), None);
    client.pass(limits.connection_idle_ms);
    assert_eq!(client.closed(used), Some(Closed::Idle));
}

#[test]
fn a_listen_stream_that_goes_on_on_another_core() {
    for to in [0, 1] {
        let mut client = two_cores();
        let wanted = json!({"toolsListChanged": true, "resourceSubscriptions": ["a:1", "A:2"]});
        let stream = client.open(&Request::listen("x-1", wanted));
        client.frames(stream);
        client.updated("a:1");
        client.topics(stream);
        client.node.set_room(stream, 0);
        client.updated("a:1");
        match to {
            1 => client.node.move_connection(stream, 1),
            _ => client.node.replace_core(0, replacement(&client, 0), 30),
        }
        .expect("it may leave");
        client.node.set_room(stream, usize::MAX);
        client.updated("a:2");
        let told = frames(&mut client, stream);
        let told: Vec<_> = told.iter().map(Frame::json).collect();
        let id = |it: &serde_json::Value| {
            it["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"].clone()
        };
        assert!(told.iter().all(|it| id(it) == "x-1"), "{told:?}");
        let uris: Vec<_> = told.iter().map(|it| it["params"]["uri"].clone()).collect();
        assert_eq!(uris, ["a:1", "A:2"], "to core {to}");
        let names = client.node.delivered.drain(..).count();
        client.node.cut(stream);
        assert_eq!(
            (names, client.node.delivered.len()),
            (2, 2),
            "hears, and leaves"
        );
        client.node.check_nobody_is_left();
    }
}

#[test]
fn connections_that_are_silent_for_a_stream_that_moved() {
    for way in WAYS {
        let mut client = two_cores();
        let session = client.session(V11);
        let streams = [0; 3].map(|_| client.open(&Request::get(&session)));
        travel(&mut client, way);
        client.publish(Topic::Tools);
        let told = |client: &mut Client, stream| topics(client, stream).len();
        let count = streams.map(|stream| told(&mut client, stream));
        assert_eq!(count, [0, 0, 1], "{way:?}");
        client.node.cut(streams[2]);
        let ended = client.items(streams[1]).contains(&Item::StreamEnd);
        assert!(ended, "{way:?}: its client is to come back");
    }
}
