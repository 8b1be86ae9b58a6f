//! Whose session it is, through another node than its own.

use std::process::Command;

use super::client::{initialize, post};
use super::node::Node;
use super::redis::Redis;
use super::wait_until;
use crate::program::scratch_folder;
use crate::server::binary;
use serde_json::json;

fn new_token(name: &str) -> (String, String) {
    let made = Command::new(binary())
        .args(["token", "new", "--name", name])
        .output();
    let made = made.expect("the program runs");
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
