//! Names in Redis that are not this node's spelling of a URI: those of nodes of an older version, and of other programs.

use crate::node::{Node, offset, wait_until};
use crate::redis::Redis;
use crate::{LUNCH, RESOURCES, follows};

/// As an older node does.
fn store(redis: &Redis, name: &str, stamp: &str, text: &str) {
    let value = format!("{stamp} {{\"text\":\"{text}\"}}");
    redis.ask(&["HSET", "mcp:board", name, &value]);
}

fn add(redis: &Redis, fields: &[&str]) {
    redis.ask(&[&["XADD", "mcp:bus", "*"], fields].concat());
}

fn has_no_field(redis: &Redis, name: &str) {
    wait_until(
        || format!("{name} is in the hash"),
        || redis.ask(&["HEXISTS", "mcp:board", name]) == ":0",
    );
}

/// What an older node, or a program, stored under another spelling of a URI, or under what is none.
#[test]
fn contents_under_a_name_that_no_client_asks_for() {
    let redis = Redis::start();
    for (name, text) in [
        ("board://Gr\u{fc}n", "green"),
        ("board://a|b", "bar"),
        ("board://Lunch", "old"),
        ("no uri", "x"),
        ("neither", "x"),
    ] {
        store(&redis, name, "1-1", text);
    }
    let (a, b) = (Node::start("a", &redis), Node::start("b", &redis));
    [&a, &b].into_iter().for_each(follows);
    let clients = [
        a.client(&["board://Gr%C3%BCn", LUNCH]),
        b.client(&["BOARD://lunch"]),
    ];
    for node in [&a, &b] {
        node.has("board://gr%C3%BCn", Some("green"));
        node.has("board://a%7Cb", Some("bar"));
        node.has(LUNCH, Some("old"));
    }
    // An older node goes on as before.
    store(&redis, "board://Lunch", "2-1", "stew");
    add(&redis, &["uri", "board://Lunch", "stored", "1"]);
    clients[0].hears(LUNCH);
    clients[1].hears("BOARD://lunch");
    [&a, &b]
        .into_iter()
        .for_each(|node| node.has(LUNCH, Some("stew")));
    // So does any other program, by any spelling.
    add(&redis, &["uri", "board://GR\u{fc}N", "text", "leaf"]);
    clients[0].hears("board://Gr%C3%BCn");
    [&a, &b]
        .into_iter()
        .for_each(|node| node.has("board://gr%C3%BCn", Some("leaf")));
    // Nothing comes back of what was taken away.
    offset(a.door.put(LUNCH.into(), None));
    add(&redis, &["uri", "board://Gr\u{fc}n", "gone", "1"]);
    [&a, &b].into_iter().for_each(|node| {
        node.has(LUNCH, None);
        node.has("board://gr%C3%BCn", None);
    });
    assert_eq!(redis.ask(&["HLEN", "mcp:board"]), ":3");
    // An older node that has it still is told so, when it looks.
    assert_ne!(redis.ask(&["GET", "mcp:gone:board://Lunch"]), "$-1");
    Node::start("c", &redis).has("board://a%7Cb", Some("bar"));
}

/// Of two names the newer write counts, whichever that is, and a deletion is one of them all.
#[test]
fn an_older_write_that_stands_by_another_name() {
    let redis = Redis::start();
    for (own, other, gone, text) in [
        ("3-1", "2-1", None, Some("own")),
        ("2-1", "3-1", None, Some("other")),
        ("2-1", "2-1", None, Some("own")),
        ("2-1", "3-1", Some("4-1"), None),
    ] {
        redis.ask(&["FLUSHALL"]);
        store(&redis, LUNCH, own, "own");
        store(&redis, "board://Lunch", other, "other");
        if let Some(gone) = gone {
            redis.ask(&["SET", "mcp:gone:board://Lunch", gone]);
        }
        let node = Node::start("a", &redis);
        follows(&node);
        node.has(LUNCH, text);
        if text.is_none() {
            has_no_field(&redis, LUNCH);
            has_no_field(&redis, "board://Lunch");
        }
    }
}

/// A node that does not know of the deletion puts back what it has, by its own name.
#[test]
fn contents_that_come_back_by_another_name() {
    let redis = Redis::start();
    let (a, b) = (Node::start("a", &redis), Node::start("b", &redis));
    [&a, &b].into_iter().for_each(follows);
    let client = b.client(&["board://LUNCH"]);
    a.put(LUNCH, "soup");
    client.hears("board://LUNCH");
    b.has(LUNCH, Some("soup"));
    offset(a.door.put(LUNCH.into(), None));
    client.hears(RESOURCES);
    b.has(LUNCH, None);
    store(&redis, "board://Lunch", "1-1", "soup");
    add(&redis, &["by", "old.1/1", "sync", "board"]);
    has_no_field(&redis, "board://Lunch");
    assert_ne!(redis.ask(&["GET", "mcp:gone:board://Lunch"]), "$-1");
    for node in [&a, &b, &Node::start("c", &redis)] {
        follows(node);
        node.has(LUNCH, None);
    }
}

/// An older node may say that something changed by any name, and a program by none that is a URI.
#[test]
fn news_of_a_name_that_is_none() {
    let redis = Redis::start();
    let node = Node::start("a", &redis);
    follows(&node);
    let client = node.client(&["board://a%7Cb", LUNCH]);
    add(&redis, &["uri", "board://a|b"]);
    add(&redis, &["by", "old.1/1", "uri", "lunch"]);
    add(&redis, &["uri", LUNCH]);
    assert_eq!(client.hears_until(LUNCH), [LUNCH]);
    add(&redis, &["by", "old.1/2", "uri", "board://a|b"]);
    client.hears("board://a%7Cb");
    add(
        &redis,
        &[
            "by",
            "old.1/3",
            "session",
            &client.session,
            "uri",
            "BOARD://lunch",
        ],
    );
    client.hears(LUNCH);
}
