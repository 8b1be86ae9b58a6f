//! Requests on their way to another node, through real sockets: what becomes of them when either side leaves, dawdles
//! or dies in the middle. The owner is played by the test.

use std::path::PathBuf;

use super::node::Node;
use super::owner::{Peer, PlayedOwner};
use super::redis::Redis;
use crate::program::scratch_folder;
use crate::server::App;

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

fn get(session: &str) -> String {
    format!(
        "GET /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nMcp-Session-Id: {session}\r\n\r\n"
    )
}

const OPENED: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n:\n\n\r\n";

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
