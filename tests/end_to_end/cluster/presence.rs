//! What Redis knows of sessions, and what clients are told of those that are not where they ask.

use pinfold::internals::wire::session_id::SessionId;
use serde_json::Value;

use super::client::Session;
use super::fleet::Plan;
use super::redis::{Reply, key};
use super::{wait_for, wait_until};

const THIRTY_DAYS_S: i64 = 30 * 86_400;

/// The same place in the same process, with a secret that nobody was told.
fn forged(id: &str) -> String {
    let (start, last) = id.split_at(id.len() - 4);
    let other = if last.starts_with('A') {
        "BAAA"
    } else {
        "AAAA"
    };
    // The last character has unused bits, which must be zero: A it is.
    format!("{start}{other}")
}

fn of_node(name: &str, id: &str) -> String {
    let (_, rest) = id.split_once('.').expect("a node's name leads the id");
    format!("{name}.{rest}")
}

#[test]
fn a_record_for_thirty_days_until_the_session_is_deleted() {
    let mut fleet = Plan::new("cluster/record").start();
    let session = Session::open(&fleet.traefik.mcp());
    let owner = fleet.owner(&session.id).name.clone();
    let redis = fleet.redis();
    let record = wait_for("a record", || redis.record(&session.id));
    let record: Value = serde_json::from_str(&record).expect("a record is JSON");
    assert_eq!(record["node"], owner.as_str(), "{record}");
    for member in ["boot", "version", "client", "created"] {
        let has = |it: &String| it.to_lowercase().contains(member);
        let members = record.as_object().expect("an object");
        assert!(members.keys().any(has), "no {member} in {record}");
    }
    let Reply::Integer(ttl_s) = redis.command(&["TTL", &key(&session.id)]) else {
        panic!("TTL answers with a number");
    };
    assert!(
        (THIRTY_DAYS_S - 60..=THIRTY_DAYS_S).contains(&ttl_s),
        "{ttl_s}"
    );
    assert_eq!(session.delete().status, 204);
    wait_until("the record is gone", || {
        !fleet.redis().has_record(&session.id)
    });
    fleet.stop();
}

#[test]
fn a_deleted_session_is_deleted_wherever_its_client_asked_for_it() {
    let mut fleet = Plan::new("cluster/delete").start();
    let session = Session::open(&fleet.node("a").mcp());
    wait_until("a record", || fleet.redis().has_record(&session.id));
    // At a node that does not have it.
    let answer = session.through(&fleet.node("b").mcp()).delete();
    assert!(matches!(answer.status, 200 | 204), "{answer:?}");
    wait_until("the record is gone", || {
        !fleet.redis().has_record(&session.id)
    });
    session.ping().expect_gone("expired");

    // And when its owner is dead.
    let orphan = Session::open(&fleet.node("c").mcp());
    wait_until("a record", || fleet.redis().has_record(&orphan.id));
    fleet.node_mut("c").kill();
    let answer = orphan.through(&fleet.node("b").mcp()).delete();
    assert!(matches!(answer.status, 200 | 204 | 404), "{answer:?}");
    wait_until("the record is gone", || {
        !fleet.redis().has_record(&orphan.id)
    });
    fleet.stop();
}

#[test]
fn every_node_serves_every_session() {
    let fleet = Plan::new("cluster/forward").start();
    for owner in &fleet.nodes {
        let session = Session::open(&owner.mcp());
        for other in &fleet.nodes {
            let answer = session.through(&other.mcp()).ping();
            assert_eq!(
                answer.status, 200,
                "{} by {}: {answer:?}",
                owner.name, other.name
            );
        }
    }
    fleet.stop();
}

/// Transport state lives in a process: what Redis remembers of an earlier one is not had, and the reason is told.
#[test]
fn a_session_of_an_earlier_process_is_gone_and_the_mismatch_logged() {
    let mut fleet = Plan::new("cluster/restarted").ending().start();
    let session = Session::open(&fleet.node("a").mcp());
    wait_until("a record", || fleet.redis().has_record(&session.id));
    fleet.node_mut("a").kill();
    fleet.node_mut("a").start_again();
    session.ping().expect_gone("owner_restarted");
    wait_until("the mismatch is logged", || {
        fleet.node("a").log().contains("owner_restarted")
    });
    // The same at a node that never had it, once it has noticed.
    let elsewhere = session.through(&fleet.node("b").mcp());
    wait_until("another node knows the reason", || {
        let answer = elsewhere.ping_until_known();
        assert_eq!(answer.status, 404, "{answer:?}");
        answer.reason() == "owner_restarted"
    });
    let log = fleet.node("a").log() + &fleet.node("b").log();
    assert!(!log.contains(&session.id), "a whole session id in a log");
    fleet.stop();
}

/// Its node crashed, and started again with its clock an hour behind. Redis says for thirty days that the session lives,
/// and its process seems to be later than any that comes.
#[test]
fn a_session_from_before_its_nodes_clock_was_set_back() {
    const HOUR_MS: u64 = 3_600_000;
    let mut fleet = Plan::new("cluster/clock").start();
    let now = Session::open(&fleet.node("a").mcp());
    let mut earlier = SessionId::parse(&now.id).expect("a session id");
    earlier.locator.incarnation += HOUR_MS;
    let mut id = String::new();
    earlier.emit(&mut id);
    let record = format!(r#"{{"node":"a","boot":{}}}"#, earlier.locator.incarnation);
    fleet
        .redis()
        .command(&["SET", &format!("mcp:session:{id}"), &record]);
    for name in ["a", "b", "c"] {
        let session = Session::known(&fleet.node(name).mcp(), &id);
        session.ping().expect_gone("owner_restarted");
    }
    let elsewhere = now.through(&fleet.node("b").mcp());
    assert_eq!(elsewhere.ping().status, 200, "the clock does not matter");
    fleet.stop();
}

#[test]
fn a_session_of_a_dead_node_is_gone_and_the_mismatch_logged() {
    let mut fleet = Plan::new("cluster/owner_down").ending().start();
    let session = Session::open(&fleet.node("c").mcp());
    wait_until("a record", || fleet.redis().has_record(&session.id));
    fleet.node_mut("c").kill();
    let elsewhere = session.through(&fleet.node("a").mcp());
    wait_until("the node is known to be down", || {
        let answer = elsewhere.ping_until_known();
        // Until its heartbeat is missed it is said to live, and does not answer.
        assert_eq!(answer.status, 404, "{answer:?}");
        assert!(
            ["owner_down", "owner_unreachable"].contains(&answer.reason().as_str()),
            "{answer:?}"
        );
        answer.reason() == "owner_down"
    });
    // A flood of them is counted and not logged: so ask until one is.
    wait_until("the mismatch is logged", || {
        elsewhere.ping();
        fleet.node("a").log().contains("owner_down")
    });
    fleet.stop();
}

#[test]
fn a_session_that_nobody_knows() {
    let fleet = Plan::new("cluster/unknown").start();
    let real = Session::open(&fleet.node("a").mcp());
    let forged = forged(&real.id);
    assert_ne!(forged, real.id);
    for node in &fleet.nodes {
        Session::known(&node.mcp(), &forged)
            .ping_until_known()
            .expect_gone("unknown");
    }
    let of_nobody = of_node("zz", &real.id);
    for url in [fleet.node("b").mcp(), fleet.traefik.mcp()] {
        Session::known(&url, &of_nobody)
            .ping_until_known()
            .expect_gone("unknown");
    }
    assert_eq!(real.ping().status, 200);
    fleet.stop();
}

#[test]
fn a_session_that_is_here_asks_nothing_of_redis() {
    const REQUESTS: u64 = 300;
    const READS: [&str; 9] = [
        "get", "mget", "exists", "ttl", "pttl", "hget", "hgetall", "getex", "expire",
    ];
    let mut fleet = Plan::new("cluster/happy_path").start();
    let session = Session::open(&fleet.node("a").mcp());
    wait_until("a record", || fleet.redis().has_record(&session.id));
    let before = fleet.redis().calls(&READS);
    for _ in 0..REQUESTS {
        assert_eq!(session.ping().status, 200);
    }
    // Heartbeats may look at their own keys.
    let reads = fleet.redis().calls(&READS) - before;
    assert!(
        reads < REQUESTS / 10,
        "{reads} reads for {REQUESTS} requests"
    );
    fleet.stop();
}
