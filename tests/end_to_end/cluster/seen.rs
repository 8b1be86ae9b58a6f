//! What an operator sees of a cluster at one of its nodes: `pinfold cluster`, `GET /cluster`.

use std::process::Command;

use serde_json::{Value, json};

use super::client::Session;
use super::node::{Node, peer_secret};
use super::redis::Redis;
use super::wait_until;
use crate::program::{output_of, scratch_folder};
use crate::server::{App, binary};
use crate::waits::agent;

fn cluster(node: &Node) -> Value {
    let output =
        output_of(Command::new(binary()).args(["cluster", "--json", "--admin", &node.admin()]));
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("it is JSON")
}

fn states(seen: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let nodes = seen["nodes"].as_array().into_iter().flatten();
    nodes
        .map(|node| (text(&node["node"]), text(&node["state"])))
        .collect()
}

#[test]
fn a_node_that_is_killed_and_a_redis_that_is_away() {
    let scratch = scratch_folder("cluster/seen");
    let mut redis = Redis::start(&scratch);
    let start = |name| Node::start(name, App::Board, Some(&redis), &scratch);
    let mut nodes = ["a", "b"].map(start);
    let pair = |one: &str, other: &str| {
        vec![
            ("a".to_owned(), one.to_owned()),
            ("b".to_owned(), other.to_owned()),
        ]
    };
    wait_until("both are seen", || {
        states(&cluster(&nodes[0])) == pair("alive", "alive")
    });
    let seen = cluster(&nodes[0]);
    assert_eq!(
        (&seen["node"], &seen["redis"]["up"]),
        (&json!("a"), &json!(true))
    );
    assert_eq!(seen["nodes"][0]["self"], true);
    assert!(seen["nodes"][1]["heartbeatAgeMs"].is_u64(), "{seen}");
    // What was published is where the log is.
    nodes[1].publish(&json!([{"topic": "tools"}]));
    wait_until("it is delivered here, too", || {
        let bus = &cluster(&nodes[0])["bus"];
        bus["lastOffset"].as_u64() > Some(0) && bus["behindMs"] == 0 && bus["behindEntries"] == 0
    });
    nodes[1].kill();
    // As soon as a heartbeat is missed: its key lives on for seconds.
    let mut others = Vec::new();
    wait_until("it is gone", || {
        let (_, state) = states(&cluster(&nodes[0])).swap_remove(1);
        others.push(state);
        others.last().is_some_and(|it| it == "gone")
    });
    assert!(others.iter().any(|it| it == "late"), "{others:?}");
    redis.stop();
    wait_until("Redis is away, and the log with it", || {
        let seen = cluster(&nodes[0]);
        seen["redis"]["up"] == false && seen["bus"]["behindMs"].as_u64() > Some(0)
    });
    redis.start_again();
    wait_until("Redis is back", || {
        let seen = cluster(&nodes[0]);
        seen["redis"]["up"] == true && seen["bus"]["behindMs"] == 0
    });
    nodes[0].stop().expect("it ends in good order");
}

/// Its sessions are all there for a minute.
#[test]
fn a_node_that_drains_and_one_that_takes_no_connections() {
    let scratch = scratch_folder("cluster/seen-draining");
    let redis = Redis::start(&scratch);
    let secret = peer_secret(&scratch);
    let url = redis.url();
    let options = [
        "--redis",
        url.as_str(),
        "--peer-secret-file",
        secret.as_str(),
        "--drain-notice",
        "60s",
    ];
    let mut nodes = ["a", "b", "c"].map(|name| Node::start_with(name, &options, &scratch));
    let state = |nodes: &[Node; 3], at: usize| states(&cluster(&nodes[0])).swap_remove(at).1;
    wait_until("all are seen", || {
        let seen = states(&cluster(&nodes[0]));
        seen.len() == 3 && seen.iter().all(|(_, state)| state == "alive")
    });
    let drained = agent()
        .post(&format!("{}/drain", nodes[1].admin()))
        .send_empty();
    assert_eq!(drained.expect("an answer").status(), 202);
    wait_until("it drains", || state(&nodes, 1) == "draining");
    let session = Session::open(&nodes[2].mcp()).through(&nodes[0].mcp());
    nodes[2].kill();
    session.ping();
    wait_until("it is suspect", || state(&nodes, 2) == "suspect");
    nodes[1].kill();
    nodes[0].kill();
}
