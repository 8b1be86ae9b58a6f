//! An entry of another program that is gone from the log before every node has read it.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::client::Session;
use super::kept::{Way, kill_tail, read};
use super::node::Node;
use super::redis::{Redis, Reply};
use super::{POLL, wait_until};
use crate::program::scratch_folder;

const HEARD: &str = "pinfold_bus_events_total{kind=\"heard\"}";
const MARK: &str = "board://mark";
/// A node that waits for the next entry has it in a moment.
const READ_WITHIN: Duration = Duration::from_secs(2);
const TRIES: usize = 20;

/// One node has read it, and its words to Redis are under way. Another one finds that it has missed something, and reads
/// the hash, which does not have it yet; and the first one is killed before it can say more than that.
#[test]
fn an_entry_that_is_trimmed_while_its_only_reader_keeps_it() {
    let scratch = scratch_folder("cluster/kept_trimmed");
    let redis = Redis::start(&scratch);
    let way = Way::to(redis.port());
    let start = |name: &str, url: &str| {
        let options = ["--redis", url, "--no-forward", "--drain-notice", "0ms"];
        Node::start_with(name, &options, &scratch)
    };
    let mut reads = start("a", &way.url(&redis));
    let mut misses = start("b", &redis.url());
    let session = Session::open(&misses.mcp());
    let there = |uri: &str, text: &str| read(&session, uri).as_deref() == Some(text);

    // It hears nothing of what comes now, and looks what it missed as soon as it goes on.
    misses.hang();
    kill_tail(&redis, &misses.name);
    let uri = read_and_held_back(&redis, &reads, &way);
    // By this one sees that the other node has read the hash: no entry is about it.
    redis.command(&["HSET", "mcp:board", MARK, r#"1-0 {"text":"mark"}"#]);
    redis.command(&["XADD", "mcp:bus", "*", "topic", "tools"]);
    redis.command(&["XTRIM", "mcp:bus", "MAXLEN", "1"]);
    misses.go_on();
    wait_until("the other one has read the hash", || there(MARK, "mark"));
    assert!(!there(&uri, "soup"), "nobody has kept it yet");
    way.holds_tail.store(false, Ordering::Relaxed);
    wait_until("it is kept", || {
        redis.command(&["HEXISTS", "mcp:board", &uri]) == Reply::Integer(1)
    });
    reads.kill();
    wait_until("it is heard of all the same", || there(&uri, "soup"));
    misses.stop().unwrap_or_else(|fault| panic!("{fault}"));
}

/// The URI of an entry that this node has read, while what it asks next is held back.
fn read_and_held_back(redis: &Redis, node: &Node, way: &Way) -> String {
    way.holds_others.store(true, Ordering::Relaxed);
    let has_read = |uri: &String| {
        way.holds_tail.store(true, Ordering::Relaxed);
        let before = node.metric(HEARD);
        redis.command(&["XADD", "mcp:bus", "*", "uri", uri, "text", "soup"]);
        let added = Instant::now();
        while node.metric(HEARD) == before && added.elapsed() < READ_WITHIN {
            std::thread::sleep(POLL);
        }
        let has_read = node.metric(HEARD) > before;
        // Else its last question was not on its way before.
        way.holds_tail.store(has_read, Ordering::Relaxed);
        has_read
    };
    let mut uris = (0..TRIES).map(|number| format!("board://trimmed/{number}"));
    uris.find(has_read).expect("it reads one of them in time")
}
