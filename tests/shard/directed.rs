//! What was published for one principal: nobody else may learn that there was anything, then or later.

use std::sync::Arc;

use pinfold::app::call::Topic;
use pinfold::internals::auth::Who;
use pinfold::internals::limits::Limits;
use serde_json::json;

use super::travel::{WAYS, Way, travel, with};
use crate::support::identified::{identify_by, principal, rules, tokens};
use crate::support::node::SocketId;
use crate::support::{Client, Frame, Request};

const V06: &str = "2025-06-18";
const V11: &str = "2025-11-25";

fn identified() -> Client {
    Client::identified(Limits::default())
}

fn resource(uri: &str) -> Topic {
    Topic::Resource(uri.into())
}

/// A session of somebody who is subscribed to these.
fn subscriber(client: &mut Client, name: &str, version: &str, uris: &[&str]) -> String {
    let session = client.session_of(name, version);
    for uri in uris {
        let request = Request::subscribe(&session, uri).shown_by(name);
        assert_eq!(client.ask(&request).status, 200);
    }
    session
}

fn get(client: &mut Client, name: &str, session: &str) -> SocketId {
    client.open(&Request::get(session).shown_by(name))
}

fn come_back(client: &mut Client, name: &str, session: &str, last: &str) -> SocketId {
    client.open(&Request::get(session).resume(last).shown_by(name))
}

/// A listen stream of somebody, acknowledged.
fn listen(client: &mut Client, name: &str, uris: &[&str]) -> SocketId {
    let wanted = json!({"toolsListChanged": true, "resourceSubscriptions": uris});
    let stream = client.open(&Request::listen(1, wanted).shown_by(name));
    let first = client.frames(stream);
    assert_eq!(first.len(), 1, "the acknowledgement");
    stream
}

fn last_id(frames: &[Frame]) -> String {
    let ids = frames.iter().rev();
    let mut ids = ids.filter_map(|frame| frame.id.clone());
    ids.next().expect("an event with an id")
}

#[test]
fn a_change_for_one_that_others_hear_of() {
    let mut client = identified();
    let sessions = ["alice", "bob"].map(|name| {
        let session = subscriber(&mut client, name, V11, &["a:1"]);
        get(&mut client, name, &session)
    });
    let streams = ["alice", "bob"].map(|name| listen(&mut client, name, &["a:1"]));
    for socket in sessions.into_iter().chain(streams) {
        client.frames(socket);
    }
    client.publish_to("alice", resource("a:1"));
    client.publish_to("alice", Topic::Tools);
    client.publish_to("carol", resource("a:1"));
    for [own, other] in [sessions, streams] {
        assert_eq!(client.topics(own), ["a:1", "tools/list_changed"]);
        assert!(client.topics(other).is_empty());
    }
    client.updated("a:1");
    for stream in sessions.into_iter().chain(streams) {
        assert_eq!(client.topics(stream), ["a:1"]);
    }
}

#[test]
fn a_change_for_one_of_which_a_client_of_theirs_does_not_hear() {
    let mut client = identified();
    let first = subscriber(&mut client, "alice", V11, &["a:1"]);
    let streams = [
        get(&mut client, "alice", &first),
        listen(&mut client, "alice, refreshed", &["a:1"]),
        // By a name of its own.
        listen(&mut client, "alice", &["A:1"]),
    ];
    client.frames(streams[0]);
    client.publish_to("alice", resource("a:1"));
    let told = streams.map(|stream| client.topics(stream));
    assert_eq!(told, [["a:1"], ["a:1"], ["A:1"]]);
}

/// The id of an event that bob has says how far he is, and alice's change came after it.
#[test]
fn a_change_for_another_that_somebody_is_told_who_comes_back() {
    for version in [V06, V11] {
        let mut client = identified();
        let session = subscriber(&mut client, "bob", version, &["a:1", "a:2"]);
        let own = subscriber(&mut client, "alice", version, &["a:1"]);
        let stream = get(&mut client, "bob", &session);
        client.updated("a:1");
        let last = last_id(&client.frames(stream));
        client.node.cut(stream);
        client.publish_to("alice", resource("a:1"));
        client.publish_to("alice", Topic::Prompts);
        let stream = come_back(&mut client, "bob", &session, &last);
        assert!(client.topics(stream).is_empty());
        client.node.cut(stream);
        // Without an id: what came since his last stream was opened.
        let stream = get(&mut client, "bob", &session);
        assert!(client.topics(stream).is_empty());
        // Alice, who had it to be told.
        let stream = get(&mut client, "alice", &own);
        assert_eq!(client.topics(stream), ["a:1", "prompts/list_changed"]);
    }
}

#[test]
fn a_change_for_one_lost_in_a_socket_that_broke() {
    let mut client = identified();
    let session = subscriber(&mut client, "alice", V06, &["a:1", "a:2"]);
    let stream = get(&mut client, "alice", &session);
    client.updated("a:2");
    let before = last_id(&client.frames(stream));
    client.publish_to("alice", resource("a:1"));
    let told = client.frames(stream);
    assert_eq!(told.len(), 1);
    client.node.cut(stream);
    // It did not read it, and then it did.
    let stream = come_back(&mut client, "alice", &session, &before);
    let again = client.frames(stream);
    assert_eq!(again, told, "the same event under the same id");
    client.node.cut(stream);
    let stream = come_back(&mut client, "alice", &session, &last_id(&told));
    assert!(client.topics(stream).is_empty());
}

/// A later change for all is what both are told of, once.
#[test]
fn a_change_for_one_and_one_for_all_that_are_told_as_two() {
    let mut client = identified();
    let sessions = ["alice", "bob"].map(|name| subscriber(&mut client, name, V06, &["a:1"]));
    for (first, second) in [(Some("alice"), None), (None, Some("alice"))] {
        for whose in [first, second] {
            match whose {
                Some(name) => client.publish_to(name, resource("a:1")),
                None => client.updated("a:1"),
            }
        }
        let ids = [("alice", 0), ("bob", 1)].map(|(name, at)| {
            let stream = get(&mut client, name, &sessions[at]);
            let frames = client.frames(stream);
            assert_eq!(frames.len(), 1, "{name}: {frames:?}");
            client.node.cut(stream);
            last_id(&frames)
                .split('.')
                .nth(3)
                .expect("an offset")
                .to_owned()
        });
        let is_newest_for_all = second.is_none();
        assert_eq!(ids[0] == ids[1], is_newest_for_all, "{ids:?}");
    }
}

#[test]
fn a_change_for_one_that_does_not_come_along() {
    for way in WAYS {
        let mut client = with(Limits::default());
        let rules = Arc::new(rules(Who::Tokens(tokens())));
        identify_by(&mut client.node, &rules);
        let session = subscriber(&mut client, "alice", V06, &["a:1", "a:2"]);
        client.publish_to("alice", resource("a:1"));
        travel(&mut client, way);
        identify_by(&mut client.node, &rules);
        client.publish_to("alice", resource("a:2"));
        let core = usize::from(way == Way::ToAnotherCore);
        let socket = client.connect_to(core);
        client.open_on(socket, &Request::get(&session).shown_by("alice"));
        while client.node.fan_out(core) {}
        let frames = client.frames(socket);
        let told = |frames: &[Frame]| -> Vec<String> {
            let topics = frames
                .iter()
                .map(|it| crate::support::client::topic_of(&it.json()));
            topics.collect()
        };
        assert_eq!(told(&frames), ["a:1", "a:2"], "{way:?}");
        // Read up to the first one, and lost the other.
        client.node.cut(socket);
        let socket = client.connect_to(core);
        let request = Request::get(&session).resume(&last_id(&frames[..1]));
        client.open_on(socket, &request.shown_by("alice"));
        while client.node.fan_out(core) {}
        assert_eq!(told(&client.frames(socket)), ["a:2"], "{way:?}");
    }
}

/// What alice has to be told of goes with her, and bob is on the core that she comes to.
#[test]
fn a_traveller_that_brings_others_its_news() {
    let mut client = with(Limits::default());
    identify_by(&mut client.node, &Arc::new(rules(Who::Tokens(tokens()))));
    subscriber(&mut client, "alice", V06, &["a:1"]);
    let socket = client.connect_to(1);
    let opened = client.exchange(socket, &Request::initialize(V06).shown_by("bob"));
    let session = opened.field("mcp-session-id").expect("an id").to_owned();
    let request = Request::subscribe(&session, "a:1").shown_by("bob");
    assert_eq!(client.exchange(socket, &request).status, 200);
    client.publish_to("alice", resource("a:1"));
    let key = super::travel::only_session(&client, 0);
    client.node.move_session(0, key, 1).expect("it may leave");
    let stream = client.connect_to(1);
    client.open_on(stream, &Request::get(&session).shown_by("bob"));
    while client.node.fan_out(1) {}
    assert!(client.topics(stream).is_empty());
}

/// Nobody is asked who they are: nobody is a principal.
#[test]
fn a_change_for_one_that_everybody_hears_where_nobody_is_asked() {
    let mut client = Client::new();
    let session = client.session(V06);
    client.ask(&Request::subscribe(&session, "a:1"));
    let stream = client.open(&Request::get(&session));
    client
        .node
        .publish_to(principal("alice"), resource("a:1"), 0);
    client.updated("a:2");
    client.publish(Topic::Tools);
    assert_eq!(client.topics(stream), ["tools/list_changed"]);
}

#[test]
fn places_of_changes_for_one_that_are_kept_for_ever_or_for_nothing() {
    let mut client = identified();
    let commons = client.node.commons.clone();
    let free = || commons.subscription_bytes.free();
    let all = free();
    let uris: Vec<String> = (0..10).map(|number| format!("a:{number}")).collect();
    let named: Vec<&str> = uris.iter().map(String::as_str).collect();
    let session = subscriber(&mut client, "alice", V06, &named);
    let subscribed = free();
    for _ in 0..3 {
        for uri in &uris {
            client.publish_to("alice", resource(uri));
            client.publish_to("bob", resource(uri));
        }
    }
    let taken = subscribed - free();
    assert!(
        taken > 0 && taken <= 10 * 64,
        "{taken} bytes for ten places"
    );
    let gone = Request::call(&session, 2, "resources/unsubscribe", json!({"uri": "a:0"}));
    assert_eq!(client.ask(&gone.shown_by("alice")).status, 200);
    let without_one = free();
    assert!(without_one > subscribed - taken);
    // It is subscribed to again, and knows nothing of what was before.
    let again = Request::subscribe(&session, "a:0").shown_by("alice");
    assert_eq!(client.ask(&again).status, 200);
    assert_eq!(subscribed - free(), taken / 10 * 9);
    let ended = client.ask(&Request::delete(&session).shown_by("alice"));
    assert_eq!(ended.status, 204);
    assert_eq!(free(), all);
}
