//! What a proxy says of who asks, at a node that hears it from another node.

use std::net::IpAddr;
use std::sync::Arc;

use pinfold::internals::auth::{Proxy, ProxySettings, Who};
use pinfold::internals::limits::Limits;
use pinfold::internals::shard::{Cluster, Located};
use pinfold::internals::wire::forwarded::PeerSecret;
use pinfold::internals::wire::session_id::NodeName;

use crate::support::identified::{identify_by, rules};
use crate::support::node::{Node, setup};
use crate::support::{Answer, Client, Request};

const V11: &str = "2025-11-25";
/// The proxy's, which is no node's.
const PROXY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
const OTHER_NODE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 0, 2));

fn secret() -> PeerSecret {
    PeerSecret::new(b"of the nodes")
}

fn name(text: &str) -> NodeName {
    NodeName::new(text).expect("a name")
}

/// A node among others, to which the proxy says who asks.
fn node(text: &str) -> Client {
    let node = Node::with(1, |core| {
        let mut setup = setup(core, 1, Limits::default(), 0x00b0_0700);
        setup.node = name(text);
        setup.cluster = Some(Cluster {
            secret: Some(secret()),
        });
        setup
    });
    let mut client = Client { node };
    let settings = ProxySettings {
        from: PROXY.to_string().parse().expect("a network"),
        scopes_field: Some("x-groups".into()),
        ..ProxySettings::default()
    };
    let proxy = Proxy::new(settings, None).expect("a proxy");
    identify_by(&mut client.node, &Arc::new(rules(Who::Proxy(proxy))));
    client
}

fn ask(client: &mut Client, peer: IpAddr, request: &Request) -> Answer {
    let socket = client.node.connect(0, Some(peer)).expect("room");
    client.exchange(socket, request)
}

fn said_of(request: Request, subject: &str) -> Request {
    request.with("X-Forwarded-User", subject)
}

/// A node, a session of Alice's at it, and what another node passes on for her.
fn passed_on() -> (Client, String, Vec<u8>) {
    let mut owner = node("node-b");
    let opened = ask(
        &mut owner,
        PROXY,
        &said_of(Request::initialize(V11), "alice"),
    );
    let session = opened.field("mcp-session-id").expect("an id").to_owned();
    let mut entry = node("node-a");
    let socket = entry.node.connect(0, Some(PROXY)).expect("room");
    let ping = said_of(Request::ping(&session, 7), "alice").with("X-Groups", "dev");
    entry.send(socket, &ping);
    entry.node.locate(Located::There);
    let (_, bytes) = entry.node.forwarded.pop().expect("passed on");
    (owner, session, bytes)
}

/// As one node sends it to the other: with the line that says so.
fn arrive(owner: &mut Client, session: &str, bytes: &[u8]) -> Answer {
    let end = bytes.windows(4).position(|end| end == b"\r\n\r\n");
    let end = end.expect("a head") + 2;
    let line = format!(
        "Pinfold-Forwarded: {}\r\n",
        secret().sign(name("node-a"), session)
    );
    let bytes = [&bytes[..end], line.as_bytes(), &bytes[end..]].concat();
    let socket = owner.node.connect(0, Some(OTHER_NODE)).expect("room");
    owner.node.sockets[socket].reader.expected.push_back(false);
    owner.send_bytes(socket, &bytes);
    owner.answer(socket)
}

fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = std::str::from_utf8(bytes).expect("text");
    assert!(text.contains(from), "{text}");
    text.replace(from, to).into_bytes()
}

#[test]
fn a_request_that_is_nobodys_at_its_owner_because_a_node_passed_it_on() {
    let (mut owner, session, bytes) = passed_on();
    let answer = arrive(&mut owner, &session, &bytes);
    assert_eq!(
        (answer.status, &answer.json()["id"]),
        (200, &7.into()),
        "{answer:?}"
    );
}

#[test]
fn words_of_a_proxy_that_were_changed_on_the_way() {
    let (mut owner, session, bytes) = passed_on();
    for (from, to) in [
        ("X-Forwarded-User: alice", "X-Forwarded-User: bob"),
        ("X-Groups: dev", "X-Groups: dev,admin"),
        ("X-Groups: dev\r\n", ""),
        ("X-Groups: dev", "X-Groups: dev\r\nX-Groups: admin"),
        ("pinfold-proxied: ", "pinfold-proxied: A"),
        ("pinfold-proxied: ", "x-proxied: "),
    ] {
        let changed = replaced(&bytes, from, to);
        let answer = arrive(&mut owner, &session, &changed);
        assert_eq!(
            (answer.status, &*answer.reason()),
            (401, "unauthenticated"),
            "{to}"
        );
    }
    assert_eq!(arrive(&mut owner, &session, &bytes).status, 200);
}

/// The proof alone makes nobody a proxy, nor does that of one session serve in another.
#[test]
fn a_proof_of_a_proxys_words_that_somebody_else_shows() {
    let (mut owner, session, bytes) = passed_on();
    let text = String::from_utf8(bytes.clone()).expect("text");
    let proof = text.split("pinfold-proxied: ").nth(1).expect("a proof");
    let proof = proof.split("\r\n").next().expect("a line");
    let shown = |request: Request| {
        let request = said_of(request, "alice").with("X-Groups", "dev");
        request.with("Pinfold-Proxied", proof)
    };
    let answer = ask(&mut owner, OTHER_NODE, &shown(Request::ping(&session, 1)));
    assert_eq!(answer.status, 401);
    let opened = ask(
        &mut owner,
        PROXY,
        &said_of(Request::initialize(V11), "alice"),
    );
    let other = opened.field("mcp-session-id").expect("an id").to_owned();
    let moved = replaced(&bytes, &session, &other);
    assert_eq!(arrive(&mut owner, &other, &moved).status, 401);
}

#[test]
fn a_client_that_says_to_a_node_what_only_the_proxy_may_say() {
    let (_, session, _) = passed_on();
    let mut entry = node("node-a");
    let ping = said_of(Request::ping(&session, 1), "alice");
    let answer = ask(&mut entry, OTHER_NODE, &ping);
    assert_eq!(answer.status, 401);
    assert!(entry.node.forwarded.is_empty() && entry.node.asked.is_empty());
}
