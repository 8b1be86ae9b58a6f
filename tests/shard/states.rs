//! A core as the releases wrote it down, read by this one: what a process of the version before hands over is read always.
//!
//! Before a release `cargo test --test shard write_the_state_of_this_release -- --ignored` adds a file, which stays.

use std::fs;
use std::path::{Path, PathBuf};

use pinfold::app::call::Topic;
use pinfold::internals::limits::Limits;
use pinfold::internals::shard::{Cluster, FrozenShard, ShardSetup};
use serde_json::{Value, json};

use crate::support::node::setup;
use crate::support::standstill::{read_again, written_down};
use crate::support::{Client, Request};
use crate::travel::with;

const INCARNATION: u64 = 0x00b0_0700;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/states")
}

/// One of each kind of what a core may have.
fn everything() -> (Client, Request) {
    let mut client = with(Limits::default());
    let session = client.session("2025-11-25");
    client.ask(&Request::subscribe(&session, "a:1"));
    let stream = client.open(&Request::get(&session));
    client.publish(Topic::Tools);
    client.topics(stream);
    client.node.set_room(stream, 0);
    client.updated("a:1");
    client.open(&Request::listen(
        "x-1",
        json!({"resourceSubscriptions": ["a:2"]}),
    ));
    let ping = Request::ping(&session, 5);
    let half = client.connect();
    client.send_bytes(half, &ping.bytes()[..ping.bytes().len() - 1]);
    let slow = client.connect();
    client.node.set_room(slow, 9);
    client.send(slow, &ping.clone().with("Connection", "close"));
    client.node.set_room(slow, 0);
    client.connect();
    (client, ping)
}

#[test]
#[ignore = "writes the file of this release, once"]
fn write_the_state_of_this_release() {
    let (mut client, _) = everything();
    let now = client.node.now;
    let frozen = client.node.cores[0].shard.handle_freeze(now);
    let frozen = frozen.unwrap_or_else(|why| panic!("{why}"));
    let path = folder().join(concat!(env!("CARGO_PKG_VERSION"), ".core"));
    fs::write(path, written_down(&frozen)).expect("a folder that can be written to");
}

/// The same sockets, before shards of this release.
fn goes_on(frozen: FrozenShard) {
    let (mut client, ping) = everything();
    let now = client.node.now;
    let left = client.node.cores[0].shard.handle_freeze(now);
    drop(left.unwrap_or_else(|why| panic!("{why}")));
    let setup = ShardSetup {
        commons: client.node.commons.clone(),
        cluster: Some(Cluster { secret: None }),
        ..setup(0, 2, Limits::default(), INCARNATION)
    };
    let mut shard = pinfold::internals::shard::Shard::new(setup, now);
    let keys = frozen.connection_keys();
    assert_eq!(shard.handle_resume(now, frozen), Ok(keys));
    client.node.cores[0].shard = shard;
    client.node.settle(0);
    let [stream, listen, half, slow, _] =
        [0, 1, 2, 3, 4].map(|nth| client.node.sockets.len() - 5 + nth);
    for socket in [stream, slow] {
        client.node.set_room(socket, usize::MAX);
    }
    assert_eq!(client.topics(stream), ["a:1"]);
    client.updated("a:2");
    let told = client.messages(listen);
    assert_eq!(told.last().expect("a change")["params"]["uri"], "a:2");
    client.node.sockets[half].reader.expected.push_back(false);
    client.send_bytes(half, &ping.bytes()[ping.bytes().len() - 1..]);
    assert_eq!(client.answer(half).json()["id"], 5);
    assert_eq!(client.answer(slow).json()["id"], 5);
    assert!(client.node.sockets[slow].half_closed);
    client.node.cores[0].shard.invariants();
}

#[test]
fn a_state_of_an_earlier_release_that_is_not_read_any_more() {
    let mut files: Vec<PathBuf> = fs::read_dir(folder())
        .expect("the folder is there")
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "not even that of this release");
    for path in files {
        let bytes = fs::read(&path).expect("a readable file");
        goes_on(read_again(&bytes));
    }
}

/// As a later release may write it, with fields that this one does not know, and as an earlier one did, without those that came
/// since: each that has a default may be missing.
#[test]
fn a_state_of_another_version_that_is_not_understood() {
    const SINCE: [&str; 8] = [
        "under_way",
        "rates",
        "next_connection",
        "slots",
        "fence",
        "created_elsewhere",
        "let_go",
        "lease_until",
    ];
    let (mut client, _) = everything();
    let now = client.node.now;
    let frozen = client.node.cores[0].shard.handle_freeze(now);
    let frozen = frozen.unwrap_or_else(|why| panic!("{why}"));
    let mut later = serde_json::to_value(&frozen).expect("plain values");
    each_object(&mut later, &mut |object| {
        object.insert("of_the_next_release".into(), json!({"a": [1, null]}));
    });
    goes_on(serde_json::from_value(later).expect("it is read"));
    let mut earlier = serde_json::to_value(&frozen).expect("plain values");
    let mut left_out = 0;
    each_object(&mut earlier, &mut |object| {
        left_out += SINCE
            .iter()
            .filter(|name| object.remove(**name).is_some())
            .count();
    });
    // Not all: what has its default is not written.
    assert!(left_out > SINCE.len() / 2, "hardly any is there");
    let read: FrozenShard = serde_json::from_value(earlier).expect("it is read");
    assert_eq!(read.connection_keys(), frozen.connection_keys());
}

/// Variants of an enum with one field are objects, too, and have no other.
fn each_object(value: &mut Value, change: &mut impl FnMut(&mut serde_json::Map<String, Value>)) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|it| each_object(it, change)),
        Value::Object(object) => {
            object.values_mut().for_each(|it| each_object(it, change));
            let is_variant = object
                .keys()
                .any(|name| name.starts_with(char::is_uppercase));
            if !is_variant {
                change(object);
            }
        }
        _ => {}
    }
}
