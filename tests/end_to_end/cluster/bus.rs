//! What one node, or any program, says, all nodes' clients hear, and new contents are everywhere.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::client::Session;
use super::fleet::{Fleet, NODES, Plan};
use super::redis::Reply;
use super::stream::Stream;
use super::wait_until;

const URI: &str = "board://news";
const UPDATED: &str = "notifications/resources/updated board://news";
const TOOLS_CHANGED: &str = "notifications/tools/list_changed";

/// At every node a session and a modern client, both by way of the proxy where that can be chosen.
fn streams_everywhere(fleet: &Fleet) -> Vec<Stream> {
    let open = |name: &&str| {
        let node = fleet.node(name);
        let session = Session::open(&node.mcp());
        session.subscribe(URI);
        [
            Stream::of_session(fleet.traefik.address(), &session.id).expect_open(),
            Stream::listening(node.address(), &[URI]).expect_open(),
        ]
    };
    NODES.iter().flat_map(open).collect()
}

fn all_hear(streams: &mut [Stream], what: &str) {
    for stream in streams {
        stream.wait_to_hear(what);
    }
}

/// The text at this URI, as a client of that node reads it.
fn text_at(fleet: &Fleet, name: &str, uri: &str) -> Option<String> {
    let session = Session::open(&fleet.node(name).mcp());
    let answer = session.request("resources/read", json!({"uri": uri}), &[]);
    let body: Value = serde_json::from_str(&answer.body).ok()?;
    let text = body["result"]["contents"][0]["text"].as_str();
    text.map(str::to_owned)
}

fn everywhere(fleet: &Fleet, uri: &str, text: Option<&str>) {
    for name in NODES {
        wait_until("the contents are the same everywhere", || {
            text_at(fleet, name, uri).as_deref() == text
        });
    }
}

#[test]
fn what_one_node_publishes_is_heard_on_all_of_them() {
    let fleet = Plan::new("cluster/bus").start();
    let mut streams = streams_everywhere(&fleet);
    fleet.node("a").publish(&json!([{"topic": "tools"}]));
    all_hear(&mut streams, TOOLS_CHANGED);
    fleet.node("b").publish(&json!([{"uri": URI}]));
    all_hear(&mut streams, UPDATED);
    fleet.stop();
}

#[test]
fn what_any_program_adds_is_heard_on_all_nodes() {
    let mut fleet = Plan::new("cluster/added").start();
    let mut streams = streams_everywhere(&fleet);
    let add = ["XADD", "mcp:bus", "*", "uri", URI, "text", "soup"];
    let added = fleet.redis().command(&add);
    assert!(matches!(added, Reply::Text(_)), "{added:?}");
    all_hear(&mut streams, UPDATED);
    everywhere(&fleet, URI, Some("soup"));
    fleet
        .redis()
        .command(&["XADD", "mcp:bus", "*", "topic", "tools"]);
    all_hear(&mut streams, TOOLS_CHANGED);
    fleet.stop();
}

#[test]
fn contents_are_the_same_on_all_nodes_and_on_one_that_was_away() {
    let mut fleet = Plan::new("cluster/contents").start();
    fleet
        .node("a")
        .publish(&json!([{"uri": URI, "contents": "soup"}]));
    everywhere(&fleet, URI, Some("soup"));
    fleet.node_mut("c").kill();
    fleet.node("b").publish(&json!([
        {"uri": URI, "contents": null},
        {"uri": "board://fresh", "contents": "bread"},
    ]));
    fleet.node_mut("c").start_again();
    everywhere(&fleet, URI, None);
    everywhere(&fleet, "board://fresh", Some("bread"));
    fleet.stop();
}

#[test]
fn a_message_to_a_session_finds_it_from_any_node() {
    let fleet = Plan::new("cluster/message").start();
    let session = Session::open(&fleet.node("c").mcp());
    let mut own = Stream::of_session(fleet.node("c").address(), &session.id).expect_open();
    let others = Session::open(&fleet.node("c").mcp());
    let mut other = Stream::of_session(fleet.node("c").address(), &others.id).expect_open();
    let message = json!({"level": "warning", "data": "for you"});
    fleet
        .node("a")
        .publish(&json!([{"session": session.id, "message": message}]));
    own.wait_to_hear("notifications/message");
    // What is for all comes later; nothing else came before it.
    fleet.node("b").publish(&json!([{"topic": "tools"}]));
    other.wait_to_hear(TOOLS_CHANGED);
    let heard: BTreeSet<_> = other.heard.iter().map(String::as_str).collect();
    assert_eq!(heard, BTreeSet::from([TOOLS_CHANGED]));
    fleet.stop();
}
