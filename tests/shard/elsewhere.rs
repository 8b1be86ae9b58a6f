//! Sessions of other nodes and of earlier processes: who is asked, what is passed on, what the answer says, and what
//! the other nodes are told.

use std::collections::HashSet;
use std::sync::Arc;

use pinfold::internals::auth::Who;
use pinfold::internals::limits::{HEADER_FIELDS_MAX, Limits};
use pinfold::internals::shard::{Cluster, DrainTimes, Located, MissReason, SessionEvent};
use pinfold::internals::wire::forwarded::PeerSecret;
use pinfold::internals::wire::session_id::NodeName;

use crate::support::identified::{identify_by, rules, tokens};
use crate::support::node::{Node, setup};
use crate::support::{Answer, Client, Request};

const V11: &str = "2025-11-25";
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

fn secret() -> PeerSecret {
    PeerSecret::new(b"of the nodes")
}

/// A node among others, of this name.
fn node(name: &str, limits: Limits) -> Client {
    let node = Node::with(1, |core| {
        let mut setup = setup(core, 1, limits, 0x00b0_0700);
        setup.node = NodeName::new(name).expect("a name");
        setup.cluster = Some(Cluster {
            secret: Some(secret()),
        });
        setup
    });
    Client { node }
}

/// A node, and the id of a session that another one has.
fn strangers() -> (Client, String) {
    let session = node("node-b", Limits::default()).session(V11);
    (node("node-a", Limits::default()), session)
}

fn reason(answer: &Answer) -> String {
    let reason = answer.json()["error"]["data"]["reason"].clone();
    reason.as_str().expect("a reason").to_owned()
}

#[test]
fn a_request_for_another_nodes_session_leaves_with_all_that_was_read() {
    let (mut client, session) = strangers();
    let socket = client.connect();
    let request = Request::ping(&session, 7).bytes();
    client.send_bytes(socket, &request[..request.len() - 3]);
    assert_eq!(client.node.asked.len(), 1);
    client.node.locate(Located::There);
    let (who, bytes) = client.node.forwarded.pop().expect("passed on");
    assert_eq!(who, socket);
    assert_eq!(bytes, request[..request.len() - 3]);
    assert_eq!(client.node.cores[0].shard.counts().connections, 0);
}

#[test]
fn what_is_pipelined_behind_it_leaves_too_and_nothing_is_answered_out_of_order() {
    let (mut client, session) = strangers();
    let own = client.session(V11);
    let socket = client.connect();
    let mut bytes = Request::ping(&own, 1).bytes();
    let rest = [
        Request::ping(&session, 2).bytes(),
        Request::ping(&own, 3).bytes(),
    ]
    .concat();
    bytes.extend_from_slice(&rest);
    client.node.sockets[socket].reader.expected.push_back(false);
    client.send_bytes(socket, &bytes);
    assert_eq!(client.answer(socket).json()["id"], 1);
    client.node.locate(Located::There);
    assert_eq!(client.node.forwarded, [(socket, rest)]);
}

#[test]
fn each_reason_reaches_the_client_with_its_request_id() {
    let reasons = [
        (MissReason::Unknown, 404, "unknown"),
        (MissReason::Expired, 404, "expired"),
        (MissReason::OwnerRestarted, 404, "owner_restarted"),
        (MissReason::OwnerDown, 404, "owner_down"),
        (MissReason::OwnerUnreachable, 404, "owner_unreachable"),
        (MissReason::Misrouted, 404, "misrouted"),
        (MissReason::CannotTell, 503, "owner_unreachable"),
    ];
    let (mut client, session) = strangers();
    let socket = client.connect();
    for (gone, status, text) in reasons {
        client.send(socket, &Request::ping(&session, 9));
        client.node.locate(Located::Gone(gone));
        let answer = client.answer(socket);
        assert_eq!(answer.status, status, "{gone:?}");
        assert_eq!(answer.json()["id"], 9);
        assert_eq!(reason(&answer), text);
        assert_eq!(answer.field("retry-after").is_some(), status == 503);
    }
}

#[test]
fn a_body_that_comes_late_is_answered_all_the_same() {
    let (mut client, session) = strangers();
    let socket = client.connect();
    let request = Request::ping(&session, 5).bytes();
    let (head, tail) = request.split_at(request.len() - 5);
    client.send_bytes(socket, head);
    client.node.sockets[socket].reader.expected.push_back(false);
    client.node.locate(Located::Gone(MissReason::OwnerDown));
    client.send_bytes(socket, tail);
    assert_eq!(client.answer(socket).json()["id"], 5);
}

#[test]
fn nobody_answers_where_the_session_is() {
    let (mut client, session) = strangers();
    let socket = client.connect();
    client.send(socket, &Request::ping(&session, 1));
    client.node.pass(Limits::default().head_timeout_ms + 100);
    assert_eq!(client.answer(socket).status, 503);
}

#[test]
fn a_client_that_leaves_before_its_session_is_found() {
    let (mut client, session) = strangers();
    let socket = client.connect();
    client.send(socket, &Request::ping(&session, 1));
    client.node.cut(socket);
    client.node.locate(Located::There);
    assert!(client.node.forwarded.is_empty());
}

#[test]
fn a_request_that_was_passed_on_is_never_passed_on_again() {
    let (mut client, session) = strangers();
    let proof = secret().sign(NodeName::new("node-c").expect("a name"), &session);
    let answer = client.ask(&Request::ping(&session, 1).with("Pinfold-Forwarded", &proof));
    assert_eq!(answer.status, 404);
    assert_eq!(reason(&answer), "unknown");
    assert!(client.node.asked.is_empty());
}

/// A request that is as large as it may be is so at every node.
#[test]
fn a_head_that_has_no_room_for_another_nodes_word() {
    let limits = Limits::default();
    let mut client = node("node-a", limits);
    let session = client.session(V11);
    let from = NodeName::new("the-longest-name").expect("a name");
    let word = secret().sign(from, &session);
    let bytes = |request: &Request| {
        let bytes = request.bytes();
        bytes
            .windows(4)
            .position(|end| end == b"\r\n\r\n")
            .expect("a head")
            + 4
    };
    let ping = Request::ping(&session, 1);
    let room = limits.head_bytes_max - bytes(&ping.clone().with("X", ""));
    let largest = ping.clone().with("X", &"x".repeat(room));
    assert_eq!(bytes(&largest), limits.head_bytes_max);
    let mut most = ping;
    while most.fields.len() < HEADER_FIELDS_MAX - 1 {
        most = most.with("X", "x");
    }
    for request in [largest, most] {
        // The length of the body is a field, too.
        assert_eq!(client.ask(&request).status, 200);
        let mut forwarded = request.bytes();
        // As a node adds it: behind all others.
        let at = bytes(&request) - 2;
        let line = format!("Pinfold-Forwarded: {word}\r\n");
        forwarded.splice(at..at, line.into_bytes());
        let socket = client.connect();
        client.node.sockets[socket].reader.expected.push_back(false);
        client.send_bytes(socket, &forwarded);
        assert_eq!(client.answer(socket).status, 200);
        assert_eq!(client.ask(&request.with("Y", "y")).status, 431);
    }
}

#[test]
fn a_forged_word_of_another_node() {
    let (mut client, session) = strangers();
    let own = client.session(V11);
    let of_other_session = secret().sign(NodeName::new("node-c").expect("a name"), &session);
    for forged in ["", "node-c.AAAA", "yes", &of_other_session] {
        let answer = client.ask(&Request::ping(&own, 1).with("Pinfold-Forwarded", forged));
        assert_eq!(answer.status, 403, "{forged}");
        assert_eq!(reason(&answer), "forged_forward");
    }
    let proof = secret().sign(NodeName::new("node-c").expect("a name"), &own);
    let request = Request::ping(&own, 1).with("Pinfold-Forwarded", &proof);
    let answer = client.ask(&request.clone().with("Pinfold-Forwarded", &proof));
    assert_eq!(answer.status, 403, "said twice");
    assert_eq!(client.ask(&request).status, 200);
}

/// The word of the node, not that of anybody before it; a node of the version before has none.
#[test]
fn a_request_from_another_node_that_counts_for_that_node() {
    let mut client = node(
        "node-a",
        Limits {
            calls_per_client_max: 1,
            connections_per_client_max: Some(1),
            ..Limits::default()
        },
    );
    let own = client.node.connect(0, Some([203, 0, 113, 1].into()));
    let opened = client.exchange(own.expect("room"), &Request::initialize(V11));
    let session = opened.field("mcp-session-id").expect("an id").to_owned();
    let from = NodeName::new("node-b").expect("a name");
    let word = secret().sign(from, &session);
    let client_word = |last: u8| secret().sign_client([203, 0, 113, last].into(), from, &session);
    let by_old_node = |request: Request| request.with("Pinfold-Forwarded", &word);
    let by_node = |request, last| by_old_node(request).with("Pinfold-Client", &client_word(last));
    let mut ask = |request: Request| {
        // From another node, which is no trusted proxy.
        let socket = client.node.connect(0, None).expect("room");
        client.send(socket, &request);
        match client.items(socket).as_slice() {
            [] => None,
            items => Some(format!("{items:?}").contains("per-client-max")),
        }
    };
    let tool = || Request::tool(&session, 1);
    assert_eq!(ask(by_node(tool(), 8)), None);
    assert_eq!(ask(by_node(tool(), 8)), Some(true));
    assert_eq!(ask(by_node(tool(), 9)), None);
    let forged = tool().with("Pinfold-Client", "AAAA.203.0.113.7");
    assert_eq!(ask(by_node(forged, 9)), Some(true));
    let said = tool().with("X-Forwarded-For", "203.0.113.7");
    assert_eq!(ask(by_old_node(said.clone())), None, "the session's client");
    assert_eq!(ask(by_old_node(said)), Some(true));
    // A stream is a connection of its client's.
    let get = || Request::get(&session);
    assert_eq!(ask(by_node(get(), 8)), Some(false));
    assert_eq!(ask(by_node(get(), 8)), Some(true));
    assert_eq!(ask(by_node(get(), 9)), Some(false));
}

/// It is told where a request comes from, also if that is a principal's.
#[test]
fn a_principal_whose_address_its_sessions_node_does_not_learn() {
    let (mut client, session) = strangers();
    identify_by(&mut client.node, &Arc::new(rules(Who::Tokens(tokens()))));
    let peer = [127, 0, 0, 1].into();
    let socket = client.node.connect(0, Some(peer)).expect("room");
    let request = Request::ping(&session, 1).with("X-Forwarded-For", "203.0.113.2");
    client.send(socket, &request.shown_by("alice"));
    client.node.locate(Located::There);
    let [(Some(from), _)] = &client.node.forwarded_for[..] else {
        panic!("nobody's, or nothing was passed on");
    };
    assert_eq!(from.address(), Some([203, 0, 113, 2].into()));
}

#[test]
fn whose_a_request_is_that_leaves_for_another_node() {
    let (mut client, session) = strangers();
    let ask = Request::ping(&session, 1);
    let peers = [[203, 0, 113, 1], [127, 0, 0, 1]];
    for peer in peers {
        let socket = client.node.connect(0, Some(peer.into())).expect("room");
        let request = ask.clone().with("X-Forwarded-For", "203.0.113.2");
        client.send(socket, &request);
        client.node.locate(Located::There);
    }
    let forwarded = client.node.forwarded_for.iter();
    let addresses = forwarded.filter_map(|(client, _)| client.as_ref()?.address());
    let addresses: Vec<String> = addresses.map(|it| it.to_string()).collect();
    assert_eq!(addresses, ["203.0.113.1", "203.0.113.2"]);
    let counted = client.node.commons.clients.holders();
    assert_eq!(
        counted.len(),
        1,
        "the stranger's own connection: {counted:?}"
    );
}

#[test]
fn what_this_node_refuses_is_not_passed_on() {
    let (mut client, session) = strangers();
    let evil = Request::ping(&session, 1).with("Origin", "http://evil.example");
    assert_eq!(client.ask(&evil).status, 403);
    let mut elsewhere = Request::ping(&session, 1);
    elsewhere.target = "/other".into();
    assert_eq!(client.ask(&elsewhere).status, 404);
    let twice = Request::ping(&session, 1).session(&session);
    assert_eq!(client.ask(&twice).status, 400);
    let modern = Request::ping(&session, 1).with("MCP-Protocol-Version", "2026-07-28");
    assert_ne!(client.ask(&modern).status, 503);
    assert!(client.node.asked.is_empty());
}

#[test]
fn other_nodes_are_told_of_a_sessions_life() {
    let mut client = node("node-a", Limits::default());
    let session = client.session(V11);
    client.ask(&Request::ping(&session, 1));
    let stream = client.open(&Request::get(&session));
    client.node.pass(DAY_MS);
    client.ask(&Request::ping(&session, 2));
    client.ask(&Request::ping(&session, 3));
    client.node.cut(stream);
    client.ask(&Request::delete(&session));
    let said: Vec<String> = client.node.said.iter().map(kind).collect();
    assert_eq!(said, ["opened test 1", "active", "ended"]);
}

#[test]
fn a_record_that_expires_under_a_session_that_only_listens() {
    let mut client = node("node-a", Limits::default());
    let session = client.session(V11);
    client.open(&Request::get(&session));
    client.node.said.clear();
    let idle_ms = Limits::default().session_idle_ms;
    for _ in 0..=2 * DAY_MS / idle_ms {
        client.node.pass(idle_ms);
    }
    let said: Vec<String> = client.node.said.iter().map(kind).collect();
    assert_eq!(said, ["active", "active"]);
}

#[test]
fn a_record_that_stays_because_its_session_ended_during_a_drain() {
    let mut client = node(
        "node-a",
        Limits {
            session_idle_ms: 1_000,
            ..Limits::default()
        },
    );
    let sessions: Vec<String> = (0..3).map(|_| client.session(V11)).collect();
    client.open(&Request::get(&sessions[2]));
    let times = DrainTimes {
        notice_ms: 5_000,
        window_ms: 1_000,
    };
    let now = client.node.now;
    client.node.cores[0].shard.handle_drain(now, times);
    client.node.said.clear();
    assert_eq!(client.ask(&Request::delete(&sessions[0])).status, 204);
    client.node.pass(3_000);
    let said: Vec<String> = client.node.said.iter().map(kind).collect();
    assert_eq!(said, ["ended", "ended"], "deleted, and idle");
    client.node.pass(4_000);
    assert_eq!(
        client.node.said.last().map(kind).as_deref(),
        Some("restarting")
    );
}

#[test]
fn a_record_is_removed_by_a_delete_that_finds_no_session() {
    let mut old = node("node-a", Limits::default());
    let session = old.session(V11).replace("node-a.AAAA", "node-a.AAAB");
    let mut client = node("node-a", Limits::default());
    assert_eq!(client.ask(&Request::delete(&session)).status, 404);
    let said: Vec<String> = client.node.said.iter().map(kind).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].starts_with("missed") && said[1] == "ended",
        "{said:?}"
    );

    let (mut client, session) = strangers();
    let socket = client.connect();
    client.send(socket, &Request::delete(&session));
    client.node.locate(Located::Gone(MissReason::OwnerDown));
    assert_eq!(client.answer(socket).status, 404);
    let said: Vec<String> = client.node.said.iter().map(kind).collect();
    assert_eq!(said, ["missed OwnerDown", "ended"]);
}

#[test]
fn every_session_is_announced_again() {
    let mut client = node("node-a", Limits::default());
    client.node.unchecked = true;
    let mut sessions: Vec<String> = (0..3000).map(|_| client.session(V11)).collect();
    client.ask(&Request::delete(&sessions.swap_remove(1500)));
    client.node.said.clear();
    client.node.cores[0].shard.handle_announce();
    for _ in 0..8 {
        client.node.pass(1_000);
    }
    let announced = client
        .node
        .said
        .iter()
        .filter(|it| kind(it).starts_with("opened"));
    assert_eq!(announced.count(), 2999);
}

/// Somebody deleted its record, and it is not used today.
#[test]
fn a_session_whose_record_nobody_looks_for() {
    let mut client = node("node-a", Limits::default());
    client.node.unchecked = true;
    (0..3000).for_each(|_| drop(client.session(V11)));
    client.node.said.clear();
    let mut seen = HashSet::new();
    for look in 1..=47 {
        client.node.cores[0].shard.handle_verify();
        client.node.settle(0);
        let said = std::mem::take(&mut client.node.said);
        assert_eq!(said.len(), if look < 47 { 64 } else { 3000 - 46 * 64 });
        for presence in said {
            let SessionEvent::Active { session } = presence else {
                panic!("{presence:?}")
            };
            seen.insert(session.locator.slot);
        }
    }
    assert_eq!(seen.len(), 3000);
}

#[test]
fn a_node_that_is_alone_asks_and_tells_nobody() {
    let (_, session) = strangers();
    let mut client = Client::new();
    let answer = client.ask(&Request::ping(&session, 1).with("Pinfold-Forwarded", "anything"));
    assert_eq!(reason(&answer), "unknown");
    client.session(V11);
    assert!(client.node.asked.is_empty() && client.node.said.is_empty());
}

#[test]
fn a_probe_is_answered_whatever_host_it_names() {
    let mut client = node("node-a", Limits::default());
    let probe = |target: &str| {
        let mut request = Request::new("GET");
        request.target = target.into();
        request.fields[0].1 = "10.0.0.7:8080".into();
        request
    };
    assert_eq!(client.ask(&probe("/healthz")).status, 200);
    assert_eq!(client.ask(&probe("/readyz")).status, 200);
    client.node.cores[0]
        .shard
        .handle_drain(1_000, Default::default());
    assert_eq!(client.ask(&probe("/healthz")).status, 200);
    assert_eq!(client.ask(&probe("/readyz")).status, 503);
}

fn kind(event: &SessionEvent) -> String {
    match event {
        SessionEvent::Opened { info, .. } => format!(
            "opened {} {}",
            info.client_name.as_deref().unwrap_or("-"),
            info.client_version.as_deref().unwrap_or("-")
        ),
        SessionEvent::Active { .. } => "active".into(),
        SessionEvent::Ended { .. } => "ended".into(),
        SessionEvent::Restarting { .. } => "restarting".into(),
        SessionEvent::LetGo { .. } => "let go".into(),
        SessionEvent::Missed { gone, .. } => format!("missed {gone:?}"),
        SessionEvent::BrokeOff { .. } => "broke off".into(),
        SessionEvent::Forged => "forged".into(),
    }
}
