//! Nodes on one bus, with a real Redis between them that stops, hangs and forgets.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../support/acl.rs"]
mod acl;
mod node;
#[path = "../support/ports.rs"]
mod ports;
mod redis;
mod spelling;

use pinfold::app::call::{Notice, Topic};
use pinfold::internals::runtime::SharedLog;

use node::{Node, offset};
use redis::Redis;

const LUNCH: &str = "board://lunch";
const RESOURCES: &str = "notifications/resources/list_changed";
const TOOLS: &str = "notifications/tools/list_changed";

fn message(data: &str) -> Notice {
    Notice::Message {
        level: 4,
        params: format!(r#"{{"level":"error","data":"{data}"}}"#).into(),
    }
}

fn pair() -> (Redis, Node, Node) {
    let redis = Redis::start();
    let (a, b) = (Node::start("a", &redis), Node::start("b", &redis));
    [&a, &b].into_iter().for_each(follows);
    (redis, a, b)
}

/// Until it follows the bus, what is published is told at once and has a place of its own.
fn follows(node: &Node) {
    node::wait_until(
        || "the bus does not start".to_owned(),
        || offset(node.door.changed(Topic::Prompts)).is_some_and(|offset| offset > 1 << 50),
    );
}

#[test]
fn a_change_that_only_the_node_hears_of_where_it_was_published() {
    let (redis, a, b) = pair();
    let clients = [a.client(&[LUNCH]), b.client(&[LUNCH])];
    let first = offset(a.door.changed(Topic::Tools)).expect("a place in the log");
    clients.iter().for_each(|client| client.hears(TOOLS));
    let second = a.put(LUNCH, "soup").expect("a place in the log");
    assert!(second > first);
    clients.iter().for_each(|client| client.hears(RESOURCES));
    clients.iter().for_each(|client| client.hears(LUNCH));
    b.has(LUNCH, Some("soup"));
    // A handler writes to its node's store by itself.
    let change = b.store.put(LUNCH, Some(node::contents("stew"))).unwrap();
    let stew = Some(node::contents("stew"));
    b.door.publish_contents(LUNCH, stew, change);
    clients.iter().for_each(|client| client.hears(LUNCH));
    a.has(LUNCH, Some("stew"));
    b.put("board://other", "x");
    // A fresh node has everything.
    let c = Node::start("c", &redis);
    c.has(LUNCH, Some("stew"));
    c.has("board://other", Some("x"));
    offset(a.door.put(LUNCH.into(), None));
    for node in [&a, &b, &c] {
        node.has(LUNCH, None);
    }
    clients.iter().for_each(|client| client.hears(LUNCH));
}

#[test]
fn a_message_for_a_session_of_another_node() {
    let (_redis, a, b) = pair();
    let clients = [a.client(&[]), b.client(&[]), b.client(&[])];
    offset(a.door.notify_elsewhere(&clients[1].session, message("you")));
    offset(a.door.notify_every_session(message("all")));
    assert_eq!(clients[1].hears_until("all"), ["you", "all"]);
    assert_eq!(clients[0].hears_until("all"), ["all"]);
    assert_eq!(clients[2].hears_until("all"), ["all"]);
}

#[test]
fn what_other_programs_add() {
    let (redis, a, b) = pair();
    let clients = [a.client(&[LUNCH]), b.client(&[LUNCH])];
    redis.ask(&[
        "XADD",
        "mcp:bus",
        "*",
        "uri",
        LUNCH,
        "text",
        "pie",
        "mime",
        "text/plain",
    ]);
    clients.iter().for_each(|client| client.hears(LUNCH));
    for node in [&a, &b] {
        assert_eq!(
            node.store.get(LUNCH).unwrap().mime_type.as_deref(),
            Some("text/plain")
        );
    }
    let value = redis.ask(&["HGET", "mcp:board", LUNCH]);
    assert!(
        value.ends_with(r#" {"text":"pie","mimeType":"text/plain"}"#),
        "{value}"
    );
    let huge = "x".repeat(2 * 1024 * 1024);
    let wrong: [&[&str]; 5] = [
        &["lunch", "soup"],
        &["uri", LUNCH, "topic", "tools"],
        &["uri", LUNCH, "text", &huge],
        &["uri", "http://elsewhere/", "text", "x"],
        &["all", "1", "level", "loud", "data", "x"],
    ];
    for fields in wrong {
        let mut command = vec!["XADD", "mcp:bus", "*"];
        command.extend(fields);
        redis.ask(&command);
    }
    redis.ask(&[
        "HSET",
        "mcp:board",
        "board://strange",
        "what a node never writes",
    ]);
    redis.ask(&[
        "XADD",
        "mcp:bus",
        "*",
        "uri",
        "board://strange",
        "stored",
        "1",
    ]);
    redis.ask(&[
        "XADD", "mcp:bus", "*", "all", "1", "level", "error", "data", "soon",
    ]);
    for client in &clients {
        assert_eq!(client.hears_until("soon"), ["soon"]);
    }
    redis.ask(&["XADD", "mcp:bus", "*", "uri", LUNCH, "gone", "1"]);
    clients.iter().for_each(|client| client.hears(LUNCH));
    a.has(LUNCH, None);
}

#[test]
fn what_is_published_while_redis_is_down() {
    let (mut redis, a, b) = pair();
    let clients = [
        a.client(&[LUNCH, "board://1", "board://2"]),
        b.client(&[LUNCH, "board://1", "board://2"]),
    ];
    redis.kill();
    offset(a.door.changed(Topic::Resource("board://1".into())));
    clients[0].hears("board://1");
    a.put(LUNCH, "bread");
    clients[0].hears(LUNCH);
    a.has(LUNCH, Some("bread"));
    offset(b.door.changed(Topic::Resource("board://2".into())));
    clients[1].hears("board://2");
    redis.launch();
    clients[1].hears_all(&["board://1", LUNCH]);
    b.has(LUNCH, Some("bread"));
    clients[0].hears("board://2");
    // It came back empty.
    assert!(
        redis
            .ask(&["HGET", "mcp:board", LUNCH])
            .ends_with(r#"{"text":"bread"}"#)
    );
}

#[test]
fn what_is_published_while_redis_hangs() {
    let (redis, a, b) = pair();
    let clients = [a.client(&["board://1"]), b.client(&["board://1"])];
    redis.signal("STOP");
    for _ in 0..3 {
        offset(a.door.changed(Topic::Resource("board://1".into())));
        clients[0].hears("board://1");
    }
    offset(a.door.notify_every_session(message("once")));
    redis.signal("CONT");
    clients[1].hears_all(&["board://1", "once"]);
    // Told to each session once, however often it was sent.
    offset(a.door.notify_every_session(message("end")));
    for client in &clients {
        let heard = client.hears_until("end");
        assert!(
            heard.iter().filter(|event| *event == "once").count() <= 1,
            "{heard:?}"
        );
    }
}

#[test]
fn contents_of_a_redis_that_forgot_them() {
    let (redis, a, b) = pair();
    a.put(LUNCH, "soup");
    b.has(LUNCH, Some("soup"));
    let client = b.client(&["board://1"]);
    redis.ask(&["FLUSHALL"]);
    // Anything may have changed.
    client.hears("board://1");
    node::wait_until(
        || "the contents do not come back".to_owned(),
        || {
            redis
                .ask(&["HGET", "mcp:board", LUNCH])
                .ends_with(r#"{"text":"soup"}"#)
        },
    );
    let c = Node::start("c", &redis);
    c.has(LUNCH, Some("soup"));
    a.has(LUNCH, Some("soup"));
}

#[test]
fn entries_that_were_trimmed_before_they_were_read() {
    let (redis, a, b) = pair();
    a.put(LUNCH, "soup");
    b.has(LUNCH, Some("soup"));
    let client = b.client(&["board://1"]);
    // In one step, so that nobody reads between.
    let script = "for i = 1, 9 do redis.call('XADD', 'mcp:bus', '*', 'uri', 'board://1') end
        redis.call('HDEL', 'mcp:board', 'board://lunch')
        redis.call('SET', 'mcp:gone:board://lunch', '9000000000000-0')
        redis.call('XTRIM', 'mcp:bus', 'MAXLEN', 1)
        redis.call('XADD', 'mcp:bus', 'MAXLEN', 1, '*', 'topic', 'prompts')";
    redis.ask(&["EVAL", script, "0"]);
    client.hears("board://1");
    b.has(LUNCH, None);
}

/// A field of the hash that is not there was taken away by nobody.
#[test]
fn a_resource_that_redis_lost_alone() {
    let (redis, a, b) = pair();
    a.put(LUNCH, "soup");
    b.has(LUNCH, Some("soup"));
    redis.ask(&["DEL", "mcp:board"]);
    // Entries that tell of it, and a fresh node that looks for it.
    redis.ask(&["XADD", "mcp:bus", "*", "uri", LUNCH, "stored", "1"]);
    let c = Node::start("c", &redis);
    c.has(LUNCH, Some("soup"));
    [&a, &b]
        .into_iter()
        .for_each(|node| node.has(LUNCH, Some("soup")));
}

/// No entry tells of it, and no node looks for that very resource: they count.
#[test]
fn a_resource_that_somebody_deletes_from_redis() {
    let (redis, a, b) = pair();
    a.put("board://other", "stew");
    a.put(LUNCH, "soup");
    b.has(LUNCH, Some("soup"));
    redis.ask(&["HDEL", "mcp:board", LUNCH]);
    node::wait_until(
        || "the contents do not come back".to_owned(),
        || {
            let value = redis.ask(&["HGET", "mcp:board", LUNCH]);
            value.ends_with(r#"{"text":"soup"}"#)
        },
    );
    let c = Node::start("c", &redis);
    c.has(LUNCH, Some("soup"));
}

fn say(redis: &Redis, data: &str) {
    let entry = [
        "XADD", "mcp:bus", "*", "all", "1", "level", "error", "data", data,
    ];
    redis.ask(&entry);
}

/// It is passed over, wherever in the stream it is: as the newest, the oldest, and between others.
#[test]
fn an_entry_that_is_more_than_anybody_reads() {
    let (redis, a, _b) = pair();
    let client = a.client(&[]);
    let large = "redis.call('XADD', 'mcp:bus', '*', 'item', string.rep('x', 70000000))";
    let many = "local fields = {}
        for i = 1, 7000 do fields[i] = 'x' end
        for i = 1, 150 do redis.call('XADD', 'mcp:bus', '*', unpack(fields)) end";
    for (script, data) in [(large, "one"), (many, "two")] {
        redis.ask(&["EVAL", script, "0"]);
        // As long as nothing comes after it, it is the newest entry, which is looked at every two seconds.
        std::thread::sleep(std::time::Duration::from_millis(2_500));
        say(&redis, data);
        assert_eq!(client.hears_until(data), [data]);
    }
    redis.ask(&["EVAL", large, "0"]);
    redis.ask(&["XTRIM", "mcp:bus", "MAXLEN", "1"]);
    let c = Node::start("c", &redis);
    follows(&c);
    let client = c.client(&[]);
    say(&redis, "soon");
    client.hears("soon");
}

/// Some answers are too large at first; that is no reason to read one entry per connection.
#[test]
fn a_backlog_that_is_more_than_one_answer() {
    let (redis, a, _b) = pair();
    let client = a.client(&[]);
    let script = "for i = 1, 400 do
            redis.call('XADD', 'mcp:bus', '*', 'item', string.rep('x', 400000))
        end
        redis.call('XADD', 'mcp:bus', '*', 'all', '1', 'level', 'error', 'data', 'soon')";
    redis.ask(&["EVAL", script, "0"]);
    assert_eq!(client.hears_until("soon"), ["soon"]);
}
