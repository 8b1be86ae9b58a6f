//! What does not belong: forged words between nodes, strangers' entries in Redis, a Redis that refuses. A clear line in
//! the log each, never a crash, never a wrong delivery.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use serde_json::json;

use super::client::{Session, initialize};
use super::fleet::{Fleet, Plan};
use super::node::Node;
use super::owner::PlayedOwner;
use super::redis::{Redis, Reply, key};
use super::stream::Stream;
use super::wait_until;
use crate::program::scratch_folder;
use crate::server::App;

#[test]
fn a_forged_word_of_another_node_is_refused() {
    let fleet = Plan::new("cluster/forged").start();
    let session = Session::open(&fleet.node("a").mcp());
    let proof = format!("b.{}", "A".repeat(43));
    for url in [
        fleet.node("a").mcp(),
        fleet.node("c").mcp(),
        fleet.traefik.mcp(),
    ] {
        for forged in [proof.as_str(), "b.", "b", "nonsense"] {
            let answer = session
                .through(&url)
                .ping_with(&[("Pinfold-Forwarded", forged)]);
            let told = (answer.status, answer.reason());
            assert_eq!(told, (403, "forged_forward".to_owned()), "{answer:?}");
        }
    }
    assert_eq!(session.ping().status, 200);
    for name in ["a", "c"] {
        let node = fleet.node(name);
        wait_until("each forged word is counted", || {
            node.metric("pinfold_forged_forwards_total") >= 4.0
        });
        let log = node.log();
        assert!(log.contains("--peer-secret-file"), "no word of it:\n{log}");
    }
    fleet.stop();
}

/// A publication of one node arrives at the others: the bus works.
fn bus_works(fleet: &Fleet, uri: &str) {
    let session = Session::open(&fleet.node("c").mcp());
    session.subscribe(uri);
    let mut stream = Stream::of_session(fleet.node("c").address(), &session.id).expect_open();
    fleet.node("a").publish(&json!([{"uri": uri}]));
    stream.wait_to_hear(&format!("notifications/resources/updated {uri}"));
    let heard: Vec<_> = stream
        .heard
        .iter()
        .filter(|it| !it.ends_with(uri))
        .collect();
    assert!(heard.is_empty(), "{heard:?}");
}

fn counts_as_none_and_is_logged(fleet: &Fleet, node: &str, session: &str) {
    let asked = Session::known(&fleet.node("b").mcp(), session);
    let answer = asked.ping_until_known();
    assert_eq!(answer.status, 404, "{session}: {answer:?}");
    let record = format!("mcp:node:{node}");
    // A flood of them is counted and not logged: so ask until one is.
    wait_until("the log tells of the record", || {
        asked.ping();
        let log = fleet.node("b").log();
        let mut lines = log.lines().filter(|line| line.contains("is not pinfold's"));
        lines.any(|line| line.contains(&record))
    });
}

#[test]
fn records_that_are_not_ours_count_as_none() {
    let mut fleet = Plan::new("cluster/foreign_records").start();
    let session = Session::open(&fleet.node("a").mcp());
    wait_until("a record", || fleet.redis().has_record(&session.id));
    // Of a node that is not about to come.
    let old = PlayedOwner::session(0);
    let (_, rest) = old.split_once('.').expect("a node's name leads the id");
    for (number, record) in ["", "not json", "[]", "{\"node\":7}", "\u{1F4A9}"]
        .iter()
        .enumerate()
    {
        let node = format!("foreign-{number}");
        let id = format!("{node}.{rest}");
        fleet.redis().command(&["SET", &key(&id), record]);
        fleet
            .redis()
            .command(&["SET", &format!("mcp:node:{node}"), record]);
        counts_as_none_and_is_logged(&fleet, &node, &id);
    }
    // Of another type altogether.
    let id = format!("listed.{rest}");
    fleet.redis().command(&["LPUSH", &key(&id), "x"]);
    fleet.redis().command(&["LPUSH", "mcp:node:listed", "x"]);
    counts_as_none_and_is_logged(&fleet, "listed", &id);

    wait_until("each foreign record is counted", || {
        fleet.node("b").metric("pinfold_foreign_records_total") >= 6.0
    });
    assert_eq!(session.ping().status, 200);
    bus_works(&fleet, "board://still-here");
    fleet.stop();
}

/// Of what somebody else keeps in the board's hash: all of it is counted, and told in a line.
#[test]
fn ten_thousand_values_on_the_board_that_no_node_wrote() {
    let mut fleet = Plan::new("cluster/foreign_contents").start();
    bus_works(&fleet, "board://before");
    let script =
        "for i = 1, 10000 do redis.call('HSET', 'mcp:board', 'board://foreign/' .. i, 'x') end
        redis.call('XADD', 'mcp:bus', '*', 'uri', 'board://foreign/1', 'stored', '1')";
    fleet.redis().command(&["EVAL", script, "0"]);
    // Entries are lost: each node reads the whole hash again.
    let lose = "redis.call('XADD', 'mcp:bus', '*', 'topic', 'tools')
        redis.call('XTRIM', 'mcp:bus', 'MAXLEN', 0)
        redis.call('XADD', 'mcp:bus', '*', 'topic', 'tools')";
    fleet.redis().command(&["EVAL", lose, "0"]);
    for name in ["a", "b", "c"] {
        let node = fleet.node(name);
        wait_until("each of them is counted", || {
            node.metric("pinfold_foreign_records_total") >= 10_000.0
        });
        let lines = || {
            let log = node.log();
            let told = log
                .lines()
                .filter(|line| line.contains("was not written by a node"));
            told.map(str::to_owned).collect::<Vec<_>>()
        };
        wait_until("it is told", || !lines().is_empty());
        let lines = lines();
        assert!(lines.len() <= 2, "{} lines", lines.len());
        assert!(
            lines[0].contains("count=") && lines[0].contains("board://foreign/"),
            "{lines:?}"
        );
    }
    bus_works(&fleet, "board://after");
    fleet.stop();
}

#[test]
fn entries_of_the_bus_that_make_no_sense_are_passed_over() {
    let mut fleet = Plan::new("cluster/foreign_entries").start();
    bus_works(&fleet, "board://first");
    let huge = "x".repeat(9 << 20);
    for fields in [
        ["nothing", "known"],
        ["item", "not json"],
        ["item", "{\"topic\": \"no such topic\"}"],
        ["uri", ""],
        ["item", &huge],
    ] {
        let added = fleet
            .redis()
            .command(&["XADD", "mcp:bus", "*", fields[0], fields[1]]);
        assert!(matches!(added, Reply::Text(_)), "{added:?}");
    }
    bus_works(&fleet, "board://second");
    let lines = |fleet: &Fleet| {
        let log = fleet.node("b").log();
        log.matches("an entry of the bus was skipped").count()
    };
    wait_until("the log tells of each entry", || lines(&fleet) >= 5);
    wait_until("each entry is counted", || {
        let malformed = "pinfold_bus_events_total{kind=\"malformed\"}";
        fleet.node("b").metric(malformed) >= 5.0
    });
    // A flood of them is counted, and a part of it logged.
    let flood = "for i = 1, 500 do redis.call('XADD', 'mcp:bus', '*', 'nothing', 'known') end";
    fleet.redis().command(&["EVAL", flood, "0"]);
    wait_until("each entry is counted", || {
        let malformed = "pinfold_bus_events_total{kind=\"malformed\"}";
        fleet.node("b").metric(malformed) >= 505.0
    });
    let logged = lines(&fleet);
    assert!(logged < 5 + 100, "{logged} lines");
    fleet.stop();
}

/// It serves its own clients, and says what is wrong.
fn serves_alone_and_says(node: &Node, words: &[&str]) {
    let answer = initialize(&node.mcp(), &[]);
    assert_eq!(answer.status, 200, "{answer:?}");
    let id = answer.field("mcp-session-id").expect("a session");
    let session = Session::known(&node.mcp(), id);
    session.subscribe("board://alone");
    let mut stream = Stream::of_session(node.address(), id).expect_open();
    node.publish(&json!([{"uri": "board://alone"}]));
    stream.wait_to_hear("notifications/resources/updated board://alone");
    wait_until("the log names the cause", || {
        let log = node.log();
        words.iter().any(|word| log.contains(word))
    });
    wait_until("the errors are counted", || {
        node.metric("pinfold_redis_errors_total") > 0.0
    });
    // A cause is told when it begins, not with each attempt.
    let told = node.log().matches(words[0]).count();
    assert!(told < 10, "told {told} times:\n{}", node.log());
}

#[test]
fn a_wrong_password_is_named_in_the_log() {
    let scratch = scratch_folder("cluster/wrong_password");
    let redis = Redis::start(&scratch);
    let url = redis.url_with("close-sesame");
    let mut node = Node::start_with("a", &["--redis", &url, "--no-forward"], &scratch);
    serves_alone_and_says(&node, &["WRONGPASS", "password"]);
    assert!(
        !node.log().contains("close-sesame"),
        "the password is in the log"
    );
    node.stop().unwrap_or_else(|fault| panic!("{fault}"));
}

#[test]
fn a_redis_that_refuses_every_command_is_named_in_the_log() {
    for (code, words) in [
        ("LOADING", "loading"),
        ("READONLY", "READONLY"),
        ("OOM", "OOM"),
        ("NOPERM", "NOPERM"),
    ] {
        let scratch = scratch_folder(&format!("cluster/redis_refuses_{code}"));
        let url = refusing_redis(code);
        let mut node = Node::start_with("a", &["--redis", &url, "--no-forward"], &scratch);
        serves_alone_and_says(&node, &[words]);
        node.stop().unwrap_or_else(|fault| panic!("{fault}"));
    }
}

/// One that has let the node in, and then refuses what it writes. What it missed it gets afterwards.
#[test]
fn a_redis_that_takes_no_writes_is_named_in_the_log() {
    let refusals: [(&str, &[&str], &[&str]); 3] = [
        (
            "OOM",
            &["CONFIG", "SET", "maxmemory", "1"],
            &["CONFIG", "SET", "maxmemory", "0"],
        ),
        (
            "READONLY",
            &["REPLICAOF", "127.0.0.1", "1"],
            &["REPLICAOF", "NO", "ONE"],
        ),
        (
            "NOPERM",
            &["ACL", "SETUSER", "pinfold", "-set", "-xadd"],
            &["ACL", "SETUSER", "pinfold", "+set", "+xadd"],
        ),
    ];
    for (code, refuse, allow) in refusals {
        let scratch = scratch_folder(&format!("cluster/redis_writes_{code}"));
        let redis = Redis::start(&scratch);
        let mut node = Node::start("a", App::Board, Some(&redis), &scratch);
        let early = Session::open(&node.mcp());
        wait_until("a record", || redis.has_record(&early.id));
        assert_eq!(redis.command(refuse), Reply::Text("OK".into()));
        serves_alone_and_says(&node, &["takes no presence records"]);
        for word in ["takes no presence records", "refuses what the bus wants"] {
            wait_until("each part of the node names the cause", || {
                let log = node.log();
                let mut lines = log.lines().filter(|line| line.contains(word));
                lines.any(|line| line.contains(code))
            });
        }
        let errors = format!("pinfold_redis_errors_total{{kind=\"{code}\"}}");
        assert!(node.metric(&errors) > 0.0, "{errors}");
        let late = Session::open(&node.mcp());
        assert!(!redis.has_record(&late.id));
        assert_eq!(redis.command(allow), Reply::Text("OK".into()));
        wait_until("a record of what was missed", || redis.has_record(&late.id));
        node.stop().unwrap_or_else(|fault| panic!("{fault}"));
    }
}

/// A Redis that answers every command with one error. It lives as long as the test's process.
fn refusing_redis(code: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            std::thread::spawn(move || refuse_all(socket, code));
        }
    });
    format!("redis://{address}")
}

/// Commands are counted by their first line, `*{words}`, which no word of theirs begins with.
fn refuse_all(mut socket: TcpStream, code: &str) {
    let answer = format!("-{code} this Redis takes no commands\r\n");
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = socket.read(&mut buffer) {
        let commands = buffer[..count].iter().filter(|byte| **byte == b'*').count();
        if socket
            .write_all(answer.repeat(commands).as_bytes())
            .is_err()
        {
            return;
        }
    }
}
