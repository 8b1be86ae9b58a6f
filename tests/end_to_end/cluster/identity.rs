//! Whose session it is, through another node than its own.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use super::client::{initialize, post};
use super::node::Node;
use super::redis::Redis;
use super::wait_until;
use crate::program::{output_of, scratch_folder};
use crate::server::binary;

/// What is shown as `Authorization`, and the line for the file of tokens.
pub(super) fn new_token(name: &str) -> (String, String) {
    let made = output_of(Command::new(binary()).args(["token", "new", "--name", name]));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        format!("Bearer {}", text(&made.stderr).trim()),
        text(&made.stdout),
    )
}

#[test]
fn a_session_of_another_principal_through_another_node() {
    let scratch = scratch_folder("cluster/identity");
    let redis = Redis::start(&scratch);
    let ((alice, of_alice), (bob, of_bob)) = (new_token("alice"), new_token("bob"));
    let file = scratch.join("tokens");
    std::fs::write(&file, of_alice + &of_bob).expect("a file can be written");
    let url = redis.url();
    let secret = super::node::peer_secret(&scratch);
    let options = [
        "--redis",
        &url,
        "--peer-secret-file",
        &secret,
        "--auth",
        "token",
        "--auth-token-file",
        file.to_str().expect("a plain path"),
    ];
    let mut owner = Node::start_with("a", &options, &scratch);
    let mut other = Node::start_with("b", &options, &scratch);
    let opened = initialize(&owner.mcp(), &[("Authorization", &alice)]);
    let session = opened
        .field("mcp-session-id")
        .expect("a session")
        .to_owned();
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let through = |node: &Node, bearer: &str| {
        let fields = [("Authorization", bearer), ("Mcp-Session-Id", &*session)];
        post(&node.mcp(), &fields, &ping)
    };
    wait_until("the nodes know each other", || {
        through(&other, &alice).status == 200
    });
    let (here, there) = (through(&owner, &bob), through(&other, &bob));
    assert_eq!((here.status, there.status), (404, 404));
    assert_eq!(here.reason(), there.reason());
    let nobody = post(&other.mcp(), &[("Mcp-Session-Id", &session)], &ping);
    assert_eq!(nobody.status, 401);
    assert_eq!(through(&other, &alice).status, 200, "it is as it was");
    Node::stop_all([&mut owner, &mut other]);
}

/// What the proxy says comes from 127.0.0.2, and nodes reach each other from 127.0.0.1.
const PROXY: [u8; 4] = [127, 0, 0, 2];
const NO_PROXY: [u8; 4] = [127, 0, 0, 1];

/// A request from this address, in which its sender says that it is of this user. Its status, and the session that it names.
fn post_from(
    from: [u8; 4],
    node: &Node,
    user: &str,
    session: &str,
    message: &Value,
) -> (u16, String) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let own = SocketAddr::from((from, 0));
    socket
        .bind(&own.into())
        .expect("all of 127.0.0.0/8 is loopback");
    socket.connect(&node.address().into()).expect("it listens");
    let mut socket = TcpStream::from(socket);
    let limit = Some(super::PATIENCE);
    socket
        .set_read_timeout(limit)
        .expect("a time limit can be set");
    let body = message.to_string();
    let session = match session {
        "" => String::new(),
        id => format!("Mcp-Session-Id: {id}\r\n"),
    };
    let request = format!(
        "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
         X-Forwarded-User: {user}\r\n{session}Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).expect("it is read");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer");
    let status = answer.split(' ').nth(1).and_then(|it| it.parse().ok());
    let field = |line: &str| Some(line.strip_prefix("Mcp-Session-Id: ")?.to_owned());
    let session = answer.lines().find_map(field).unwrap_or_default();
    (status.expect("a status"), session)
}

#[test]
fn a_proxys_word_that_is_worth_nothing_through_another_node() {
    let scratch = scratch_folder("cluster/proxied");
    let redis = Redis::start(&scratch);
    let (url, secret) = (redis.url(), super::node::peer_secret(&scratch));
    let options = [
        "--redis",
        &url,
        "--peer-secret-file",
        &secret,
        "--auth",
        "proxy",
        "--auth-proxy-from",
        "127.0.0.2",
    ];
    let mut owner = Node::start_with("a", &options, &scratch);
    let mut other = Node::start_with("b", &options, &scratch);
    let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"},
    }});
    let (status, session) = post_from(PROXY, &owner, "alice", "", &initialize);
    assert!(status == 200 && !session.is_empty());
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let through = |from, node: &Node, user| post_from(from, node, user, &session, &ping).0;
    wait_until(
        "the nodes know each other, and believe what a proxy said",
        || through(PROXY, &other, "alice") == 200,
    );
    assert_eq!(through(PROXY, &owner, "alice"), 200);
    for node in [&owner, &other] {
        assert_eq!(through(PROXY, node, "bob"), 404, "she is somebody else");
        assert_eq!(
            through(NO_PROXY, node, "alice"),
            401,
            "anybody could say so"
        );
    }
    Node::stop_all([&mut owner, &mut other]);
}
