//! What Redis says of nodes and sessions is deleted, or goes on saying what is over: it becomes true again, and clients
//! are told nothing else meanwhile.

use super::client::Session;
use super::fleet::{Fleet, Plan};
use super::node::Node;
use super::redis::{Reply, key};
use super::{POLL, wait_until};

/// Every node has had the time to learn of every other.
fn know_each_other(fleet: &Fleet) {
    const BEATS: &str = r#"pinfold_redis_commands_total{kind="beat"}"#;
    const LOOKS: &str = r#"pinfold_redis_commands_total{kind="index"}"#;
    let counts = || {
        let of = |node: &Node| [node.metric(BEATS), node.metric(LOOKS)];
        fleet.nodes.iter().map(of).collect::<Vec<_>>()
    };
    let before = counts();
    wait_until("each node has looked twice since", || {
        let mut grown = before.iter().zip(counts());
        grown.all(|([beats, looks], now)| {
            // Two commands a beat, four a look.
            now[0] >= beats + 6.0 && (now[1] >= looks + 12.0 || now[1] == 0.0)
        })
    });
}

fn open_with_record(fleet: &mut Fleet, node: &str) -> Session {
    let session = Session::open(&fleet.node(node).mcp());
    wait_until("a record", || fleet.redis().has_record(&session.id));
    session
}

#[test]
fn a_living_nodes_heartbeat_that_somebody_deletes() {
    let mut fleet = Plan::new("cluster/heartbeat_deleted").start();
    let session = open_with_record(&mut fleet, "b");
    know_each_other(&fleet);
    // By nodes that have not asked for it before.
    for name in ["a", "c"] {
        let elsewhere = session.through(&fleet.node(name).mcp());
        wait_until("it was written just now", || {
            let Reply::Integer(left_ms) = fleet.redis().command(&["PTTL", "mcp:node:b"]) else {
                panic!("PTTL answers with a number");
            };
            left_ms > 4_800
        });
        fleet.redis().command(&["DEL", "mcp:node:b"]);
        wait_until("it is written again", || {
            let answer = elsewhere.ping();
            assert_eq!(answer.status, 200, "{answer:?}");
            fleet.redis().command(&["EXISTS", "mcp:node:b"]) == Reply::Integer(1)
        });
    }
    fleet.stop();
}

#[test]
fn a_hung_nodes_presence_that_somebody_deletes() {
    for flush in [false, true] {
        let mut fleet = Plan::new("cluster/hung_and_forgotten").start();
        let session = open_with_record(&mut fleet, "b");
        know_each_other(&fleet);
        fleet.node("b").hang();
        wait_until("its heartbeat is over", || {
            fleet.redis().command(&["EXISTS", "mcp:node:b"]) == Reply::Integer(0)
        });
        match flush {
            true => fleet.redis().flush(),
            false => drop(fleet.redis().command(&["DEL", &key(&session.id)])),
        }
        let elsewhere = session.through(&fleet.node("a").mcp());
        for _ in 0..150 {
            let answer = elsewhere.ping_until_known();
            let reason = answer.reason();
            let told = ["owner_down", "owner_unreachable"].contains(&reason.as_str());
            assert!(answer.status == 404 && told, "flush {flush}: {answer:?}");
            std::thread::sleep(POLL);
        }
        fleet.node("b").go_on();
        wait_until("it is found again", || elsewhere.ping().status == 200);
        wait_until("and its record", || fleet.redis().has_record(&session.id));
        fleet.stop();
    }
}

#[test]
fn records_of_live_sessions_that_somebody_deletes() {
    let mut fleet = Plan::new("cluster/records_deleted").start();
    let names = ["a", "b", "c", "a", "b", "c"];
    let sessions = names.map(|name| open_with_record(&mut fleet, name));
    for session in &sessions {
        fleet.redis().command(&["DEL", &key(&session.id)]);
    }
    wait_until("each is written again", || {
        sessions
            .iter()
            .all(|session| fleet.redis().has_record(&session.id))
    });
    fleet.stop();
}

/// Which sessions are active: Redis says so, also after a node was killed.
#[test]
fn sessions_of_a_killed_process_that_redis_counts_as_active() {
    let mut fleet = Plan::new("cluster/dead_records").ending().start();
    let of_b: Vec<_> = (0..3).map(|_| open_with_record(&mut fleet, "b")).collect();
    let of_c: Vec<_> = (0..3).map(|_| open_with_record(&mut fleet, "c")).collect();
    let kept = open_with_record(&mut fleet, "a");
    know_each_other(&fleet);
    for name in ["b", "c"] {
        fleet.node_mut(name).kill();
    }
    // One comes again, the other does not.
    fleet.node_mut("b").start_again();
    for (sessions, reason) in [(of_b, "owner_restarted"), (of_c, "owner_down")] {
        wait_until("each is said to have ended", || {
            let redis = fleet.redis();
            let ended = |session: &Session| {
                let record = redis.record(&session.id);
                record.is_none_or(|record| record.contains(&format!(r#""ended":"{reason}""#)))
            };
            sessions.iter().all(ended)
        });
        let elsewhere = sessions[0].through(&fleet.node("a").mcp());
        elsewhere.ping().expect_gone(reason);
    }
    let record = fleet.redis().record(&kept.id).expect("a record");
    assert!(!record.contains("ended"), "{record}");
    wait_until("the dead are in the index no more", || {
        fleet.redis().command(&["HLEN", "mcp:processes"]) == Reply::Integer(2)
    });
    let buried = |node: &Node| node.metric("pinfold_records_buried_total");
    let nodes = fleet.nodes.iter().filter(|node| node.runs());
    assert_eq!(nodes.map(buried).sum::<f64>(), 6.0);
    fleet.stop();
}
