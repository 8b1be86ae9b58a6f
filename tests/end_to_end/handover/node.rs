//! What a node has beside its cores goes along when it is handed over: nothing that was published is lost, refused or published
//! twice, other nodes notice nothing, and who was shut out stays so.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::scope;
use std::time::Duration;

use serde_json::{Value, json};

use crate::auth::{Issuer, claims};
use crate::cluster::client::{self, Session, modern_read};
use crate::cluster::node::Node;
use crate::cluster::redis::Redis;
use crate::cluster::stream::Stream;
use crate::processes::signal;
use crate::program::{output_of, scratch_folder};
use crate::server::{App, Placement, binary};
use crate::waits::{OverAtItsEnd, wait_until};

const HAND_OVERS: usize = 5;

/// Hands the node over, which must succeed: the process that has it now. It ends with the node's test.
fn hand_over(node: &Node) -> u32 {
    let (status, said) = ask(node);
    assert_eq!(status, 200, "{said}\n{}", node.log());
    assert_eq!(said["serves"], true, "{said}");
    let pid = said["pid"].as_u64().and_then(|it| it.try_into().ok());
    pid.expect("it says which process it is")
}

fn lone(options: &[&str], scratch: &Path) -> Node {
    Node::start_placed(
        "alone",
        App::Board,
        Placement::OneCore,
        None,
        options,
        scratch,
    )
}

fn ask(node: &Node) -> (u16, Value) {
    let answer = client::post(&format!("{}/handover", node.admin()), &[], &json!({}));
    let body = serde_json::from_str(&answer.body).unwrap_or_default();
    (answer.status, body)
}

fn accepted(answer: &client::Answer) -> bool {
    answer.status == 200 && !answer.body.contains("\"accepted\":false")
}

/// Publishes contents until it is told to end: what stands at last. Every item must be accepted, each is one request.
fn publish_on(node: &Node, publisher: usize, ends: &AtomicBool) -> Vec<(String, String)> {
    let mut last = Vec::new();
    let mut number = 0;
    while !ends.load(Ordering::Relaxed) {
        let uri = format!("board://{publisher}/{}", number % 7);
        let text = format!("{number}");
        let item = json!([{"uri": uri, "contents": text, "key": format!("{publisher}-{number}")}]);
        let answer = node.try_publish(&item);
        assert!(accepted(&answer), "{uri}: {answer:?}\n{}", node.log());
        last.retain(|(before, _)| *before != uri);
        last.push((uri, text));
        number += 1;
    }
    last
}

#[test]
fn items_that_are_refused_or_lost_while_the_node_is_handed_over() {
    let scratch = scratch_folder("handover::node::items");
    let node = lone(&[], &scratch);
    // Some of it is copied while the rest is written.
    let large = "x".repeat(100_000);
    for number in 0..80 {
        let uri = format!("board://large/{number}");
        node.publish(&json!([{"uri": uri, "contents": format!("{number}{large}")}]));
    }
    node.publish(&json!([{"uri": "board://gone", "contents": "x"}]));
    let ends = AtomicBool::new(false);
    let last = scope(|scope| {
        let publishing = OverAtItsEnd(&ends);
        let publishers: Vec<_> = (0..3)
            .map(|it| {
                let (node, ends) = (&node, &ends);
                scope.spawn(move || publish_on(node, it, ends))
            })
            .collect();
        for _ in 0..HAND_OVERS {
            std::thread::sleep(Duration::from_millis(200));
            hand_over(&node);
        }
        node.publish(&json!([{"uri": "board://gone", "contents": null}]));
        hand_over(&node);
        drop(publishing);
        let all = publishers
            .into_iter()
            .map(|it| it.join().expect("it ended"));
        all.collect::<Vec<_>>()
    });
    let read = |uri: &str| modern_read(&node.mcp(), uri).expect("it answers").body;
    for (uri, text) in last.iter().flatten() {
        let text = format!("\"text\":\"{text}\"");
        assert!(read(uri).contains(&text), "{uri} {text}: {}", read(uri));
    }
    for number in 0..80 {
        let uri = format!("board://large/{number}");
        assert!(read(&uri).contains(&format!("\"{number}xx")), "{uri}");
    }
    assert!(!read("board://gone").contains("\"text\":\"x\""));
    // Who is not sure whether an item arrived sends it again, under the same key.
    let (uri, text) = &last[0][0];
    let item = json!([{"uri": uri, "contents": text, "key": format!("0-{text}")}]);
    let again = node.try_publish(&item);
    assert!(again.body.contains("\"duplicate\":true"), "{again:?}");
    let other = json!([{"uri": uri, "contents": "other", "key": format!("0-{text}")}]);
    let other = node.try_publish(&other);
    assert!(other.body.contains("key_reused"), "{other:?}");
}

#[test]
fn other_nodes_that_notice_a_hand_over() {
    const EACH: usize = 60;
    let scratch = scratch_folder("handover::node::others");
    let redis = Redis::start(&scratch);
    let start = |name: &&str| Node::start(name, App::Board, Some(&redis), &scratch);
    let nodes: Vec<Node> = ["a", "b", "c"].iter().map(start).collect();
    let uris = |publisher: usize| (0..EACH).map(move |it| format!("board://{publisher}/{it}"));
    let all: Vec<String> = (0..3)
        .flat_map(uris)
        .chain(["board://last".into()])
        .collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let listen = |node: &Node| Stream::listening(node.address(), &all).expect_open();
    let mut streams: Vec<Stream> = nodes.iter().map(listen).collect();
    let sessions: Vec<Session> = nodes.iter().map(|it| Session::open(&it.mcp())).collect();
    let incarnation = |node: &Node| cluster_of(node, "b")["incarnation"].clone();
    wait_until("they know each other", || {
        nodes.iter().all(|it| !incarnation(it).is_null())
    });
    let before = incarnation(&nodes[0]);
    let mut serving = 0;
    scope(|scope| {
        let publishers: Vec<_> = nodes
            .iter()
            .enumerate()
            .map(|(number, node)| {
                scope.spawn(move || {
                    for uri in uris(number) {
                        node.publish(&json!([{ "uri": uri }]));
                        std::thread::sleep(Duration::from_millis(30));
                    }
                })
            })
            .collect();
        while !publishers.iter().all(|it| it.is_finished()) {
            serving = hand_over(&nodes[1]);
            for (node, session) in nodes.iter().zip(&sessions) {
                assert_eq!(cluster_of(node, "b")["state"], "alive");
                // Its own, and through the others.
                assert_eq!(session.through(&nodes[1].mcp()).ping().status, 200);
                assert_eq!(sessions[1].through(&node.mcp()).ping().status, 200);
            }
        }
    });
    nodes[1].publish(&json!([{"uri": "board://last"}]));
    for stream in &mut streams {
        stream.wait_to_hear("notifications/resources/updated board://last");
        heard_each_once_and_in_order(stream, EACH);
        assert!(!stream.has_ended());
    }
    assert_eq!(
        incarnation(&nodes[0]),
        before,
        "it is the same process to the others"
    );
    assert!(redis.has_record(&sessions[1].id), "its session is known");
    // It ends as any other, and says so.
    assert!(signal("TERM", serving));
    wait_until("it has let go of its session", || {
        let record = redis.record(&sessions[1].id);
        record.is_some_and(|it| it.contains(r#""free":true"#))
    });
    let elsewhere = sessions[1].through(&nodes[0].mcp());
    assert_eq!(elsewhere.ping().status, 200, "another node goes on with it");
}

fn heard_each_once_and_in_order(stream: &Stream, each: usize) {
    for publisher in 0..3 {
        let prefix = format!("notifications/resources/updated board://{publisher}/");
        let heard = stream.heard.iter();
        let heard = heard.filter_map(|it| it.strip_prefix(&prefix));
        let heard: Vec<_> = heard.map(|it| it.parse::<usize>()).collect();
        let expected: Vec<_> = (0..each).map(Ok).collect();
        assert_eq!(heard, expected, "each once, and in order");
    }
}

/// What a node says of one of them.
fn cluster_of(node: &Node, name: &str) -> Value {
    let answer = client::try_get(&format!("{}/cluster", node.admin()), &[]);
    let answer = answer.expect("the admin listener answers");
    let seen: Value = serde_json::from_str(&answer.body).expect("JSON");
    let nodes = seen["nodes"].as_array().expect("a list");
    let found = nodes.iter().find(|it| it["node"] == *name);
    found.cloned().unwrap_or_default()
}

#[test]
fn what_redis_did_not_get_and_is_lost_with_the_process() {
    let scratch = scratch_folder("handover::node::unsent");
    let mut redis = Redis::start(&scratch);
    let start = |name| Node::start(name, App::Board, Some(&redis), &scratch);
    let [one, other] = ["a", "b"].map(start);
    let listen = |node: &Node| Stream::listening(node.address(), &["board://b"]).expect_open();
    let mut streams = [listen(&one), listen(&other)];
    redis.stop();
    let answer = one.try_publish(&json!([{"uri": "board://b", "contents": "while it is away"}]));
    assert!(answer.body.contains("\"kept\":\"node\""), "{answer:?}");
    streams[0].wait_to_hear("notifications/resources/updated board://b");
    hand_over(&one);
    hand_over(&one);
    redis.start_again();
    streams[1].wait_to_hear("notifications/resources/updated board://b");
    wait_until("the other one has it", || {
        let read = modern_read(&other.mcp(), "board://b");
        read.is_some_and(|it| it.body.contains("while it is away"))
    });
    assert!(!streams[0].has_ended());
}

#[test]
fn a_token_that_was_taken_back_and_is_good_in_the_next_process() {
    const ISSUER: &str = "https://login.example.com";
    const AUDIENCE: &str = "https://mcp.example.com/mcp";
    let scratch = scratch_folder("handover::node::revoked");
    let key = Issuer::ed25519("one");
    let keys = scratch.join("keys.json");
    std::fs::write(&keys, Issuer::key_set(&[&key])).expect("a file can be written");
    let keys = keys.to_str().expect("a plain path");
    let options = [
        ["--auth", "jwt"],
        ["--auth-issuer", ISSUER],
        ["--auth-jwks", keys],
        ["--public-url", AUDIENCE],
    ];
    let node = lone(&options.concat(), &scratch);
    let bearer =
        |subject: &str| format!("Bearer {}", key.token(&claims(ISSUER, AUDIENCE, subject)));
    let opens = |bearer: &str| client::initialize(&node.mcp(), &[("Authorization", bearer)]).status;
    let (alice, bob) = (bearer("alice"), bearer("bob"));
    assert_eq!((opens(&alice), opens(&bob)), (200, 200));
    let mut revoke = Command::new(binary());
    revoke.args(["revoke", "--admin", &node.admin()]).args([
        "--issuer",
        ISSUER,
        "--subject",
        "alice",
    ]);
    let revoked = output_of(&mut revoke);
    assert!(revoked.status.success(), "{revoked:?}");
    assert_eq!((opens(&alice), opens(&bob)), (401, 200));
    for _ in 0..2 {
        hand_over(&node);
        assert_eq!((opens(&alice), opens(&bob)), (401, 200));
    }
}

#[test]
fn a_configuration_that_wants_a_restart_and_is_taken_over() {
    let scratch = scratch_folder("handover::node::configuration");
    let file = scratch.join("pinfold.toml");
    let write = |text: &str| std::fs::write(&file, text).expect("a file can be written");
    write("driver = \"epoll\"\n");
    let options = ["--config", file.to_str().expect("a plain path")];
    let node = lone(&options, &scratch);
    let sessions = [(); 3].map(|()| Session::open(&node.mcp()));
    node.publish(&json!([{"uri": "board://large", "contents": "x".repeat(5_000)}]));
    let refused = [
        ("driver = \"uring\"\n", ""),
        (
            "driver = \"epoll\"\n[limits]\nsessions-max = 2\n",
            "sessions-max is 2",
        ),
        (
            "driver = \"epoll\"\n[limits]\nboard-entry-bytes-max = \"4KiB\"\n",
            "--board-entry-bytes-max",
        ),
    ];
    for (text, why) in refused {
        write(text);
        let (status, body) = ask(&node);
        assert_eq!(status, 409, "{text}: {body}");
        let said = body["error"].as_str().unwrap_or_default();
        assert!(said.contains(why), "{text}: {said}");
        assert_eq!(sessions[0].ping().status, 200, "it goes on");
    }
    write("driver = \"epoll\"\n[limits]\nsessions-max = 3\n");
    hand_over(&node);
    assert!(sessions.iter().all(|it| it.ping().status == 200));
    let more = client::initialize(&node.mcp(), &[]);
    assert_ne!(more.status, 200, "the new limit holds");
}

#[test]
fn an_operator_who_sends_half_a_request_and_holds_up_everything() {
    let scratch = scratch_folder("handover::node::half");
    let node = lone(&[], &scratch);
    let connect = || {
        let address = node.admin().replace("http://", "");
        let socket = TcpStream::connect(address).expect("it listens");
        let limit = socket.set_read_timeout(Some(Duration::from_secs(60)));
        limit.expect("a socket has limits");
        socket
    };
    let (mut half, mut idle) = (connect(), connect());
    let sent = half
        .write_all(b"POST /publish HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n[");
    sent.expect("it is taken");
    let sent = idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    sent.expect("it is taken");
    let mut head = [0; 15];
    idle.read_exact(&mut head).expect("an answer");
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    hand_over(&node);
    let mut rest = String::new();
    idle.read_to_string(&mut rest)
        .expect("it was closed in good order");
    assert!(
        rest.ends_with("\r\n\r\n") || rest.contains("Content-Length"),
        "{rest}"
    );
    // Nothing came of the half.
    node.publish(&json!([{"uri": "board://a", "contents": "x"}]));
}

/// One line after the other on one connection, over several processes: each is answered, or was never taken.
#[test]
fn a_publisher_of_lines_who_does_not_know_what_was_published() {
    let scratch = scratch_folder("handover::node::lines");
    let node = lone(&[], &scratch);
    let address = node.admin().replace("http://", "");
    let mut socket = TcpStream::connect(address).expect("it listens");
    let limit = socket.set_read_timeout(Some(Duration::from_secs(60)));
    limit.expect("a socket has limits");
    let head = "POST /publish HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-ndjson\r\n\
        Transfer-Encoding: chunked\r\n\r\n";
    socket.write_all(head.as_bytes()).expect("it is taken");
    let line = |number: usize| {
        let line = format!("{{\"uri\":\"board://line/{number}\",\"contents\":\"x\"}}\n");
        format!("{:x}\r\n{line}\r\n", line.len())
    };
    (0..10).for_each(|it| socket.write_all(line(it).as_bytes()).expect("it is taken"));
    hand_over(&node);
    let mut answers = String::new();
    socket
        .read_to_string(&mut answers)
        .expect("it was closed in good order");
    let taken = answers.matches("\"accepted\":true").count();
    assert!(answers.contains("send the rest again"), "{answers}");
    let is_there = |number: &usize| {
        let read = modern_read(&node.mcp(), &format!("board://line/{number}"));
        read.is_some_and(|it| it.body.contains("\"text\":\"x\""))
    };
    assert_eq!((0..10).filter(is_there).count(), taken, "{answers}");
    assert_eq!((0..taken).filter(is_there).count(), taken, "the first ones");
}
