//! An entry of another program that is gone from the log before every node has read it.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::client::Session;
use super::kept::{Way, kill_tail, read};
use super::node::Node;
use super::redis::Redis;
use super::{POLL, wait_until};
use crate::program::scratch_folder;

const HEARD: &str = "pinfold_bus_events_total{kind=\"heard\"}";
const MARK: &str = "board://mark";
/// A node that waits for the next entry has it in a moment.
const READ_WITHIN: Duration = Duration::from_millis(800);

/// One node has read it, and its words to Redis are under way. Another one finds that it has missed something, and reads
/// the hash, which does not have it yet.
#[test]
fn an_entry_that_is_trimmed_while_its_only_reader_keeps_it() {
    let scratch = scratch_folder("cluster/kept_trimmed");
    let redis = Redis::start(&scratch);
    let way = Way::to(redis.port());
    let options = |url| vec!["--no-forward".to_owned(), "--redis".to_owned(), url];
    let start = |name: &str, url: String| {
        let options = options(url);
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        Node::start_with(name, &options, &scratch)
    };
    let mut reads = start("a", way.url(&redis));
    let mut misses = start("b", redis.url());
    let session = Session::open(&misses.mcp());
    let there = |uri: &str, text: &str| read(&session, uri).as_deref() == Some(text);

    let entry = |uri: &str| {
        way.is_held.store(true, Ordering::Relaxed);
        let before = reads.metric(HEARD);
        redis.command(&["XADD", "mcp:bus", "*", "uri", uri, "text", "soup"]);
        let asked = Instant::now();
        // Its last question was on its way before it was held back, unless it was between two.
        while reads.metric(HEARD) == before && asked.elapsed() < READ_WITHIN {
            std::thread::sleep(POLL / 10);
        }
        reads.metric(HEARD) > before
    };
    kill_tail_and_hang(&redis, &misses);
    let uris = (0..20).map(|number| format!("board://trimmed/{number}"));
    let read_by_one = uris.clone().find(|uri| {
        let has_read = entry(uri);
        if !has_read {
            way.is_held.store(false, Ordering::Relaxed);
        }
        has_read
    });
    let uri = read_by_one.expect("it reads one of them");
    // What tells that the other one has read the hash: no entry is about it.
    let mark = r#"1-0 {"text":"mark"}"#;
    redis.command(&["HSET", "mcp:board", MARK, mark]);
    redis.command(&["XADD", "mcp:bus", "*", "topic", "tools"]);
    redis.command(&["XTRIM", "mcp:bus", "MAXLEN", "1"]);
    misses.go_on();
    wait_until("the other one has read the hash", || there(MARK, "mark"));
    assert!(!there(&uri, "soup"), "nobody has kept it yet");
    way.is_held.store(false, Ordering::Relaxed);
    wait_until("it hears of it all the same", || there(&uri, "soup"));
    for node in [&mut reads, &mut misses] {
        node.stop().unwrap_or_else(|fault| panic!("{fault}"));
    }
}

/// It does not hear what comes now, and looks what it missed as soon as it goes on.
fn kill_tail_and_hang(redis: &Redis, node: &Node) {
    node.hang();
    kill_tail(redis, &node.name);
}
