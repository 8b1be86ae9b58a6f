//! Requests on their way to another node, through real sockets: what becomes of them when either side leaves, dawdles
//! or dies in the middle. The owner is played by the test.

use std::net::Shutdown;
use std::path::PathBuf;

use super::node::Node;
use super::owner::{Peer, PlayedOwner};
use super::redis::{Redis, Reply, key};
use super::wait_until;
use crate::program::scratch_folder;
use crate::server::App;
use crate::waits::agent;

/// One real node, and one that the test plays.
struct Pair {
    redis: Redis,
    node: Node,
    owner: PlayedOwner,
    scratch: PathBuf,
}

impl Pair {
    fn start(test: &str) -> Pair {
        let scratch = scratch_folder(test);
        let redis = Redis::start(&scratch);
        let node = Node::start("b", App::Board, Some(&redis), &scratch);
        let owner = PlayedOwner::join(&redis);
        is_joined(&redis, &node);
        Pair {
            redis,
            node,
            owner,
            scratch,
        }
    }

    fn stop(mut self) {
        self.node.stop().unwrap_or_else(|fault| panic!("{fault}"));
    }
}

/// Before its first heartbeat it cannot tell whose session is where.
fn is_joined(redis: &Redis, node: &Node) {
    let record = format!("mcp:node:{}", node.name);
    wait_until("a heartbeat", || {
        redis.command(&["EXISTS", &record]) == Reply::Integer(1)
    });
}

fn get(session: &str) -> String {
    format!(
        "GET /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nMcp-Session-Id: {session}\r\n\r\n"
    )
}

fn post_head(session: &str, length: usize) -> String {
    format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nMcp-Session-Id: {session}\r\nContent-Length: {length}\r\n\r\n"
    )
}

pub(super) const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
pub(super) const PONG: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong";
const CHUNK: &str = "3\r\n:\n\n\r\n";
const OPENED: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n:\n\n\r\n";

pub(super) fn post(session: &str) -> String {
    post_head(session, PING.len()) + PING
}

/// Each forwarded stream is two sockets of this node.
#[test]
fn requests_that_are_passed_on_are_connections_too() {
    let pair = Pair::start("cluster/forwarded_limit");
    let secret = pair.scratch.join("peer-secret").display().to_string();
    let url = pair.redis.url();
    let options = [
        "--redis",
        &url,
        "--peer-secret-file",
        &secret,
        "--connections-max",
        "6",
    ];
    let mut narrow = Node::start_with("narrow", &options, &pair.scratch);
    is_joined(&pair.redis, &narrow);
    let idle = Peer::connect(narrow.address());
    let mut open = Vec::new();
    for number in 0..2 {
        let mut client = Peer::connect(narrow.address());
        client.write(&get(&PlayedOwner::session(number)));
        let mut owner = pair.owner.accept();
        owner.read_to("\r\n\r\n");
        owner.write(OPENED);
        client.read_to(":\n\n\r\n");
        open.push((client, owner));
    }
    // Four are taken, and one idle one: a request that would take two more is told so.
    let mut late = Peer::connect(narrow.address());
    late.write(&get(&PlayedOwner::session(2)));
    let answer = late.read_to_end();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(pair.owner.try_accept().is_none(), "it was passed on");
    // Nor is there room for two more connections.
    let _sixth = Peer::connect(narrow.address());
    let answer = Peer::connect(narrow.address()).read_to_end();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    drop((idle, open));
    narrow.stop().unwrap_or_else(|fault| panic!("{fault}"));
    pair.stop();
}

#[test]
fn an_owner_that_goes_on_for_a_client_that_left() {
    let pair = Pair::start("cluster/forwarded_leaves");
    let session = PlayedOwner::session(0);
    // In the middle of a stream, and while an answer is waited for.
    for (request, begun) in [(get(&session), OPENED), (post(&session), "")] {
        let mut client = Peer::connect(pair.node.address());
        client.write(&request);
        let mut owner = pair.owner.accept();
        let end = &request[request.len() - 4..];
        let head = owner.read_to(end);
        assert!(head.contains("\r\npinfold-forwarded: b."), "{head}");
        let word = head
            .split_once("\r\npinfold-client: ")
            .expect("whose it is");
        let word = word.1.lines().next().and_then(|it| it.split_once('.'));
        assert_eq!(word.map(|(_, address)| address), Some("127.0.0.1"));
        owner.write(begun);
        if !begun.is_empty() {
            client.read_to(":\n\n\r\n");
        }
        drop(client);
        assert_eq!(owner.read_to_end(), "");
    }
    pair.stop();
}

/// It sent a whole request and reads on: the owner is told what it would see, and its answer is passed on.
#[test]
fn an_answer_lost_between_an_owner_and_a_client_that_sends_nothing_more() {
    let pair = Pair::start("cluster/forwarded_half_close");
    let session = PlayedOwner::session(0);
    let mut client = Peer::connect(pair.node.address());
    let request = post(&session);
    client.write(&request);
    client.socket.shutdown(Shutdown::Write).expect("an end");
    let mut owner = pair.owner.accept();
    assert!(owner.read_to_end().ends_with(PING));
    owner.write(PONG);
    assert!(client.read_to_end().ends_with("pong"));
    // A stream too, for as long as its client takes what comes.
    let mut client = Peer::connect(pair.node.address());
    client.write(&get(&session));
    let mut owner = pair.owner.accept();
    owner.read_to("\r\n\r\n");
    owner.write(OPENED);
    client.read_to(":\n\n\r\n");
    client.socket.shutdown(Shutdown::Write).expect("an end");
    assert_eq!(owner.read_to_end(), "");
    owner.write(CHUNK);
    client.read_to(CHUNK);
    owner.write("0\r\n\r\n");
    assert_eq!(client.read_to_end(), "0\r\n\r\n");
    pair.stop();
}

/// The owner is to see that its client is gone as if it were its own: what it writes is answered with a reset.
#[test]
fn a_stream_that_outlives_its_client_at_another_node() {
    let pair = Pair::start("cluster/forwarded_gone");
    let session = PlayedOwner::session(0);
    let mut client = Peer::connect(pair.node.address());
    client.write(&get(&session));
    let mut owner = pair.owner.accept();
    owner.read_to("\r\n\r\n");
    owner.write(OPENED);
    client.read_to(":\n\n\r\n");
    drop(client);
    assert_eq!(owner.read_to_end(), "");
    wait_until("the owner's connection is cut", || {
        // The node has closed its side; what comes then is answered with a reset.
        std::io::Write::write_all(&mut owner.socket, CHUNK.as_bytes()).is_err()
    });
    pair.stop();
}

#[test]
fn a_body_that_is_still_coming_when_its_head_has_arrived() {
    let pair = Pair::start("cluster/forwarded_body");
    let session = PlayedOwner::session(0);
    let mut client = Peer::connect(pair.node.address());
    let (first, second) = PING.split_at(7);
    client.write(&(post_head(&session, PING.len()) + first));
    let mut owner = pair.owner.accept();
    owner.read_to(first);
    client.write(second);
    assert_eq!(owner.read_to(second), second);
    owner.write(PONG);
    assert!(client.read_to("pong").starts_with("HTTP/1.1 200 OK"));
    // Both connections are as good as new; and an answer that comes before its request is whole ends both.
    client.write(&(post_head(&session, PING.len()) + first));
    owner.read_to(first);
    owner.write(PONG);
    assert!(client.read_to_end().ends_with("pong"));
    assert_eq!(owner.read_to_end(), "");
    pair.stop();
}

#[test]
fn a_pooled_connection_that_its_owner_has_closed() {
    let pair = Pair::start("cluster/forwarded_stale");
    let request = post(&PlayedOwner::session(0));
    let mut client = Peer::connect(pair.node.address());
    client.write(&request);
    let mut owner = pair.owner.accept();
    owner.read_to(PING);
    owner.write(PONG);
    client.read_to("pong");
    drop(owner);
    client.write(&request);
    let mut owner = pair.owner.accept();
    owner.read_to(PING);
    owner.write(PONG);
    assert!(client.read_to("pong").starts_with("HTTP/1.1 200 OK"));

    // Closed just as the next request arrives, which may have been carried out: it is not sent again.
    client.write(&request);
    owner.read_to(PING);
    drop(owner);
    let answer = client.read_to_end();
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    nothing_was_sent(&pair.owner);
    pair.stop();
}

#[test]
fn a_request_that_is_sent_twice_because_its_owner_died() {
    let pair = Pair::start("cluster/forwarded_dies");
    let request = post(&PlayedOwner::session(0));
    // It dies before the answer, and in the middle of it.
    for begun in ["", &PONG[..PONG.len() - 2]] {
        let mut client = Peer::connect(pair.node.address());
        client.write(&request);
        let mut owner = pair.owner.accept();
        owner.read_to(PING);
        owner.write(begun);
        drop(owner);
        let answer = client.read_to_end();
        let told = if begun.is_empty() {
            "HTTP/1.1 502 "
        } else {
            begun
        };
        assert!(answer.starts_with(told), "{answer}");
        nothing_was_sent(&pair.owner);
    }
    // And when nobody is there any more: whether it did what was asked is not known, and its session may be had later.
    let mut client = Peer::connect(pair.node.address());
    client.write(&request);
    let mut owner = pair.owner.accept();
    owner.read_to(PING);
    pair.owner.close();
    drop(owner);
    let answer = client.read_to(r#""reason":"owner_unreachable"}}}"#);
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    pair.stop();
}

/// Its client is done with the session, whatever its owner made of the request.
#[test]
fn a_record_that_stays_because_the_owner_broke_off() {
    let pair = Pair::start("cluster/forwarded_delete");
    let session = PlayedOwner::session(0);
    pair.redis.command(&["SET", &key(&session), "{}"]);
    let mut client = Peer::connect(pair.node.address());
    client.write(&get(&session).replace("GET ", "DELETE "));
    let mut owner = pair.owner.accept();
    owner.read_to("\r\n\r\n");
    drop(owner);
    assert!(client.read_to_end().starts_with("HTTP/1.1 502 "));
    wait_until("the record is gone", || !pair.redis.has_record(&session));
    pair.stop();
}

#[test]
fn a_stream_of_another_node_that_a_leaving_one_keeps() {
    let pair = Pair::start("cluster/forwarded_drain");
    let open = |request: &str| {
        let mut client = Peer::connect(pair.node.address());
        client.write(request);
        let mut owner = pair.owner.accept();
        owner.read_to("\r\n\r\n");
        owner.write(OPENED);
        client.read_to(":\n\n\r\n");
        (client, owner)
    };
    // An empty line before a request is forgiven.
    let (mut early, _owner) = open(&format!("\r\n{}", get(&PlayedOwner::session(0))));
    let drained = agent()
        .post(&format!("{}/drain", pair.node.admin()))
        .send_empty();
    assert_eq!(drained.expect("an answer").status(), 202);
    assert_eq!(early.read_to_end(), "0\r\n\r\n", "in good order");
    wait_until("the node is drained", || {
        pair.node.log().contains("drained")
    });
    let mut late = Peer::connect(pair.node.address());
    late.write(&get(&PlayedOwner::session(1)));
    let mut owner = pair.owner.accept();
    owner.read_to("\r\n\r\n");
    owner.write(OPENED);
    assert!(late.read_to_end().ends_with(":\n\n\r\n0\r\n\r\n"));
    pair.stop();
}

/// Whether the owner lives may be asked by connecting, and by nothing more.
fn nothing_was_sent(owner: &PlayedOwner) {
    while let Some(mut asked) = owner.try_accept() {
        assert_eq!(asked.read_to_end(), "");
    }
}
