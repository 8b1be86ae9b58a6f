//! Tokens that were taken back on one node, and what the others make of them.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::json;

use super::client::{initialize, post};
use super::node::Node;
use super::redis::Redis;
use super::stream::Stream;
use super::{wait_for, wait_until};
use crate::auth::{Issuer, claims};
use crate::program::{output_of, scratch_folder};
use crate::server::binary;

const ISSUER: &str = "https://login.example.com";
const AUDIENCE: &str = "https://mcp.example.com/mcp";

/// A token that was issued so many seconds ago.
fn token(key: &Issuer, subject: &str, ago_s: i64) -> String {
    let mut claims = claims(ISSUER, AUDIENCE, subject);
    let now = claims["iat"].as_i64().expect("seconds");
    claims["iat"] = json!(now - ago_s);
    claims["exp"] = json!(now + 3_600);
    format!("Bearer {}", key.token(&claims))
}

/// The options of a node that asks who sends a request.
fn options(redis: &Redis, key: &Issuer, scratch: &Path) -> Vec<String> {
    let keys = scratch.join("keys.json");
    std::fs::write(&keys, Issuer::key_set(&[key])).expect("a file can be written");
    let options = [
        "--redis",
        &redis.url(),
        "--peer-secret-file",
        &super::node::peer_secret(scratch),
        "--auth",
        "jwt",
        "--auth-issuer",
        ISSUER,
        "--auth-jwks",
        keys.to_str().expect("a plain path"),
        "--public-url",
        AUDIENCE,
    ];
    options.map(str::to_owned).to_vec()
}

fn start(name: &str, options: &[String], scratch: &Path) -> Node {
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    Node::start_with(name, &options, scratch)
}

fn revoke(node: &Node, subject: &str, issued_up_to: u64) -> Output {
    output_of(
        Command::new(binary())
            .args(["revoke", "--admin", &node.admin()])
            .args(["--issuer", ISSUER, "--subject", subject])
            .args(["--issued-up-to", &issued_up_to.to_string()]),
    )
}

fn opens(node: &Node, bearer: &str) -> (u16, String) {
    let answer = initialize(&node.mcp(), &[("Authorization", bearer)]);
    match answer.status {
        200 => (200, String::new()),
        status => (status, answer.reason()),
    }
}

fn refused() -> (u16, String) {
    (401, "token_revoked".to_owned())
}

fn now_s() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.expect("it is after 1970").as_secs()
}

#[test]
fn a_principal_that_was_revoked_on_another_node_and_listens_on() {
    let scratch = scratch_folder("cluster/revoked");
    let redis = Redis::start(&scratch);
    let key = Issuer::ed25519("one");
    let options = options(&redis, &key, &scratch);
    let (mut one, mut other) = (
        start("a", &options, &scratch),
        start("b", &options, &scratch),
    );
    let (old, bob) = (token(&key, "alice", 60), token(&key, "bob", 60));
    let opened = initialize(&other.mcp(), &[("Authorization", &old)]);
    let session = opened
        .field("mcp-session-id")
        .expect("a session")
        .to_owned();
    let listen = |bearer: &str, session: &str| {
        let fields = [("Authorization", bearer)];
        let stream = Stream::try_of_session(other.address(), session, &fields);
        stream.expect("somebody listens").expect_open()
    };
    let mut stream = listen(&old, &session);
    let of_bob = initialize(&other.mcp(), &[("Authorization", &bob)]);
    let of_bob = of_bob
        .field("mcp-session-id")
        .expect("a session")
        .to_owned();
    let mut bobs = listen(&bob, &of_bob);
    let up_to = now_s() - 30;
    let said = revoke(&one, "alice", up_to);
    let told = String::from_utf8_lossy(&said.stdout);
    assert!(
        said.status.success() && told.contains("on all nodes"),
        "{said:?}"
    );
    wait_until("the other node ends the stream", || stream.has_ended());
    let ended = "pinfold_streams_ended_total{reason=\"token_revoked\"}";
    wait_until("it is counted", || other.metric(ended) == 1.0);
    assert_eq!(opens(&one, &old), refused());
    assert_eq!(opens(&other, &old), refused());
    // What was issued afterwards goes on with the session.
    let newer = token(&key, "alice", 10);
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let fields = [("Authorization", &*newer), ("Mcp-Session-Id", &session)];
    assert_eq!(post(&other.mcp(), &fields, &ping).status, 200);
    let mut stream = listen(&newer, &session);
    one.publish(&json!({"topic": "tools"}));
    for stream in [&mut stream, &mut bobs] {
        stream.wait_to_hear("notifications/tools/list_changed");
    }
    // A node that starts now, and one that Redis had to be told anew of it.
    let mut late = start("c", &options, &scratch);
    wait_until("a node that came later knows it", || {
        opens(&late, &old) == refused()
    });
    redis.flush();
    let mut last = start("d", &options, &scratch);
    let known = wait_for("Redis is told again", || {
        (opens(&last, &old) == refused()).then_some(opens(&last, &newer))
    });
    assert_eq!(known, (200, String::new()));
    for node in [&one, &other, &late, &last] {
        assert!(!node.log().contains(&old[7..]), "a token in the log");
    }
    Node::stop_all([&mut one, &mut other, &mut late, &mut last]);
}

#[test]
fn a_revocation_that_redis_did_not_hear_of() {
    let scratch = scratch_folder("cluster/revoked_alone");
    let mut redis = Redis::start(&scratch);
    let key = Issuer::ed25519("one");
    let options = options(&redis, &key, &scratch);
    let (mut one, mut other) = (
        start("a", &options, &scratch),
        start("b", &options, &scratch),
    );
    let old = token(&key, "alice", 60);
    assert_eq!((opens(&one, &old).0, opens(&other, &old).0), (200, 200));
    redis.stop();
    let said = revoke(&one, "alice", now_s() - 30);
    let told = String::from_utf8_lossy(&said.stdout);
    assert!(told.contains("when Redis is back"), "{said:?}");
    wait_until("it counts here at once", || opens(&one, &old) == refused());
    assert_eq!(opens(&other, &old).0, 200);
    redis.start_again();
    wait_until("it counts there as well", || {
        opens(&other, &old) == refused()
    });
    Node::stop_all([&mut one, &mut other]);
}
