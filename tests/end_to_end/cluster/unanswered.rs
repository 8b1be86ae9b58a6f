//! Requests whose node hangs or is killed while they wait: each is answered, with the reason, counted and logged.

use std::sync::Barrier;

use super::client::{Answer, Session};
use super::fleet::{Fleet, Plan};
use super::node::Node;
use super::owner::{Peer, PlayedOwner};
use super::redis::{Redis, key};
use super::stream::Stream;
use super::wait_until;
use crate::program::scratch_folder;
use crate::server::App;

const REASONS: [&str; 2] = ["owner_down", "owner_unreachable"];
const BROKE_OFF: &str = r#"pinfold_session_refusals_total{reason="broke_off",status="502"}"#;
const NOT_THERE: &str = r#"pinfold_session_refusals_total{reason="owner_down",status="404"}"#;

fn expect_lost(answer: &Answer) {
    let reason = answer.reason();
    let told = answer.status == 404 && REASONS.contains(&reason.as_str());
    assert!(told, "{answer:?}");
}

fn post_head(session: &str, length: usize) -> String {
    format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nMcp-Session-Id: {session}\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// One request finds that nobody is there, and the others are told the same, not that nothing can be said.
#[test]
fn forty_requests_at_once_for_a_node_that_was_killed() {
    const AT_ONCE: usize = 40;
    let mut fleet = Plan::new("cluster/killed_at_once").ending().start();
    let open = |_| Session::open(&fleet.node("c").mcp()).through(&fleet.node("a").mcp());
    let sessions: Vec<Session> = (0..AT_ONCE).map(open).collect();
    wait_until("each has a record", || {
        let redis = fleet.redis();
        sessions.iter().all(|session| redis.has_record(&session.id))
    });
    for session in &sessions {
        assert_eq!(session.ping().status, 200);
    }
    fleet.node_mut("c").kill();
    for _ in 0..5 {
        let all_are_there = Barrier::new(AT_ONCE);
        std::thread::scope(|scope| {
            for session in &sessions {
                let all_are_there = &all_are_there;
                scope.spawn(move || {
                    all_are_there.wait();
                    expect_lost(&session.ping());
                });
            }
        });
    }
    fleet.stop();
}

/// Its head has arrived and been passed on, and so has what came of the body since; then the node is lost.
#[test]
fn a_body_that_came_later_to_an_owner_that_hangs() {
    let scratch = scratch_folder("cluster/hangs_with_a_body");
    let redis = Redis::start(&scratch);
    let mut node = Node::start("b", App::Board, Some(&redis), &scratch);
    let owner = PlayedOwner::join(&redis);
    let (small, large) = (40, 300_000);
    let mut waiting = Vec::new();
    for (number, length) in [small, large].into_iter().enumerate() {
        let session = PlayedOwner::session(number as u32);
        let incarnation = 1_700_000_000_000_u64;
        let record = format!(r#"{{"node":"played","boot":{incarnation}}}"#);
        redis.command(&["SET", &key(&session), &record]);
        let start = r#"{"jsonrpc":"2.0","id":7,"method":"ping"#;
        let rest = format!("{}{}", r#""}"#, " ".repeat(length - start.len() - 2));
        let mut client = Peer::connect(node.address());
        client.write(&(post_head(&session, length) + start));
        let mut passed_on = owner.accept();
        passed_on.read_to(start);
        client.write(&rest);
        passed_on.read_to(&rest[rest.len() - 2..]);
        waiting.push((client, passed_on));
    }
    redis.command(&["DEL", "mcp:node:played"]);
    for ((mut client, _passed_on), length) in waiting.into_iter().zip([small, large]) {
        let answer = client.read_to("}}}");
        assert!(answer.starts_with("HTTP/1.1 404 "), "{length}: {answer}");
        assert!(answer.contains(r#""reason":"owner_down""#), "{answer}");
        if length == large {
            assert!(answer.contains("Connection: close\r\n"), "{answer}");
        }
    }
    wait_until("both are counted", || node.metric(NOT_THERE) >= 2.0);
    node.stop().unwrap_or_else(|fault| panic!("{fault}"));
}

#[test]
fn a_502_that_nobody_sees() {
    let scratch = scratch_folder("cluster/broke_off");
    let redis = Redis::start(&scratch);
    let mut node = Node::start("b", App::Board, Some(&redis), &scratch);
    let owner = PlayedOwner::join(&redis);
    let session = PlayedOwner::session(0);
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let mut client = Peer::connect(node.address());
    client.write(&(post_head(&session, ping.len()) + ping));
    let mut passed_on = owner.accept();
    passed_on.read_to(ping);
    drop(passed_on);
    let answer = client.read_to_end();
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    wait_until("it is counted", || node.metric(BROKE_OFF) >= 1.0);
    wait_until("it is logged", || node.log().contains("which broke off"));
    node.stop().unwrap_or_else(|fault| panic!("{fault}"));
}

/// Traefik has sent it, and the node never answers; its other clients' streams go on for as long as they like.
#[test]
fn a_request_that_the_proxy_has_sent_to_a_node_that_hangs() {
    let plan = Plan {
        proxy_options: &["--keep-alive", "1s"],
        ..Plan::new("cluster/hangs_behind_the_proxy").ending()
    };
    let fleet = plan.start();
    let kept = Session::open(&fleet.node("b").mcp());
    let mut stream = Stream::of_session(fleet.traefik.address(), &kept.id).expect_open();
    let session = Session::open(&fleet.node("a").mcp()).through(&fleet.traefik.mcp());
    assert_eq!(session.ping().status, 200);
    fleet.node("a").hang();
    let answer = session.try_ping().expect("an answer while its node hangs");
    if answer.status != 504 {
        expect_lost(&answer);
    }
    assert!(!stream.has_ended(), "a stream that had begun was cut");
    wait_until("the others answer for it", || {
        let answer = session.ping_until_known();
        answer.status == 404 && answer.reason() == "owner_down"
    });
    fleet.node("a").go_on();
    wait_until("it is found again", || session.ping().status == 200);
    fleet.stop();
}

#[test]
fn sessions_are_counted_at_their_node() {
    let fleet: Fleet = Plan::new("cluster/sessions_counted").start();
    let sessions: Vec<_> = (0..3)
        .map(|_| Session::open(&fleet.node("b").mcp()))
        .collect();
    let count = |name| fleet.node(name).metric("pinfold_sessions");
    assert_eq!((count("a"), count("b")), (0.0, 3.0));
    assert_eq!(sessions[0].delete().status, 204);
    wait_until("it is not counted any more", || count("b") == 2.0);
    fleet.stop();
}
