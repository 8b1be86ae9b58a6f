//! A node's membership against a Redis of this process.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use monoio::time::{sleep, timeout};

use super::*;
use crate::mcp::ProtocolVersion;
use crate::metrics::Metrics;
use crate::redis::Settings;
use crate::redis::testing::{FakeRedis, Mood};
use crate::runtime::{ClusterHandle, SessionOwner};
use crate::shard::{MissReason, SessionEvent, SessionInfo};
use crate::wire::session_id::{Locator, SessionId};

const INCARNATION: u64 = 1_000;
/// Nothing here may take that long.
const LONG: Duration = Duration::from_secs(120);
const READONLY: &str = "READONLY You can't write against a read only replica.";

struct Node {
    redis: FakeRedis,
    membership: Arc<Membership>,
    announced: Rc<Cell<u32>>,
    verified: Rc<Cell<u32>>,
    metrics: Arc<Metrics>,
}

fn name(name: &str) -> NodeName {
    NodeName::new(name).unwrap()
}

/// Runs a node named `node-a` for as long as `work` takes.
fn run(work: impl AsyncFnOnce(&Node)) {
    let redis = FakeRedis::start();
    let setup = ClusterSetup {
        redis: Settings::new(redis.url(), "pinfold-node-a"),
        prefix: "mcp:".into(),
        node: name("node-a"),
        advertised: Some(Advertised {
            url: "http://node-a:8080".into(),
            address: ([10, 0, 0, 1], 8080).into(),
        }),
        sessions_max: 1_000,
        metrics: Arc::default(),
    };
    let metrics = setup.metrics.clone();
    let mut runtime = monoio::RuntimeBuilder::<monoio::FusionDriver>::new()
        .enable_timer()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (membership, control) = join(setup);
        let announced = Rc::new(Cell::new(0));
        let count = announced.clone();
        let verified = Rc::new(Cell::new(0));
        let looks = verified.clone();
        let control = monoio::spawn(control.run(
            INCARNATION,
            move || count.set(count.get() + 1),
            move || looks.set(looks.get() + 1),
        ));
        let node = Node {
            redis,
            membership,
            announced,
            verified,
            metrics,
        };
        timeout(LONG, work(&node)).await.expect("in time");
        drop(control);
    });
}

async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        sleep(Duration::from_millis(2)).await;
    }
}

impl Node {
    fn say(&self, presence: SessionEvent) {
        self.membership.say(vec![presence]);
    }

    fn open(&self, session: SessionId) {
        let info = Box::new(SessionInfo {
            version: ProtocolVersion::V2025_11_25,
            client_name: Some("test".into()),
            client_version: Some("1".into()),
            created_at: 1_000,
            fence: 0,
            state: None,
        });
        self.say(SessionEvent::Opened { session, info });
    }

    async fn has(&self, session: SessionId) {
        until(|| self.redis.get(&key(session)).is_some()).await;
    }

    async fn has_not(&self, session: SessionId) {
        until(|| self.redis.get(&key(session)).is_none()).await;
    }

    async fn beats(&self) {
        until(|| self.redis.get("mcp:node:node-a").is_some()).await;
    }

    async fn locate(&self, session: SessionId) -> SessionOwner {
        let answer = self.membership.locate(session).await;
        answer.unwrap_or(SessionOwner::Gone(MissReason::CannotTell))
    }

    /// Another node as Redis knows it.
    fn other(&self, incarnation: u64) {
        let record = format!(
            r#"{{"node":"node-b","boot":{incarnation},"url":"http://b","address":"10.0.0.2:80"}}"#
        );
        self.redis.set("mcp:node:node-b", &record);
    }
}

fn session(node: &str, slot: u32) -> SessionId {
    SessionId {
        node: name(node),
        locator: Locator {
            core: 0,
            slot,
            generation: 0,
            incarnation: INCARNATION,
        },
        secret: *b"sixteen secrets!",
    }
}

fn key(session: SessionId) -> String {
    let mut key = "mcp:session:".to_owned();
    session.emit(&mut key);
    key
}

#[test]
fn a_sessions_record_comes_and_goes_with_it() {
    run(async |node| {
        let (first, second) = (session("node-a", 1), session("node-a", 2));
        node.open(first);
        node.open(second);
        node.has(second).await;
        let record = node.redis.get(&key(first)).unwrap();
        assert!(
            record.contains(r#""client":{"name":"test","version":"1"}"#),
            "{record}"
        );
        let days = |key: &str| node.redis.time_to_live(key).unwrap().as_secs_f64() / 86_400.0;
        assert!((29.9..=30.0).contains(&days(&key(first))));
        node.say(SessionEvent::Active { session: first });
        node.say(SessionEvent::Ended { session: first });
        node.say(SessionEvent::Restarting { session: second });
        node.has_not(first).await;
        until(|| {
            node.redis
                .get(&key(second))
                .unwrap()
                .contains("owner_restarted")
        })
        .await;
        assert!(node.redis.time_to_live(&key(second)).unwrap() <= Duration::from_secs(300));
        let reads = node.redis.seen();
        let reads = reads
            .iter()
            .filter(|(name, key)| name == "GET" && key.contains("session"));
        assert_eq!(
            reads.count(),
            0,
            "nothing asks Redis for a session that is here"
        );
        assert_eq!(node.announced.get(), 0);
    });
}

#[test]
fn what_happens_while_redis_is_away_is_told_afterwards() {
    run(async |node| {
        let (old, new) = (session("node-a", 1), session("node-a", 2));
        node.open(old);
        node.has(old).await;
        node.redis.set_mood(Mood::Away);
        node.say(SessionEvent::Ended { session: old });
        node.open(new);
        sleep(Duration::from_millis(200)).await;
        node.redis.set_mood(Mood::Serving);
        node.has_not(old).await;
        node.has(new).await;
        until(|| node.announced.get() == 1).await;
    });
}

#[test]
fn a_redis_that_refuses_writes_gets_them_later() {
    run(async |node| {
        node.beats().await;
        node.redis.set_mood(Mood::Refusing(READONLY));
        let sessions = (0..600).map(|slot| session("node-a", slot));
        sessions.clone().for_each(|session| node.open(session));
        let refused = node.metrics.redis_errors.with_label_values(&["READONLY"]);
        until(|| refused.get() >= 600).await;
        node.redis.set_mood(Mood::Serving);
        for session in sessions {
            node.has(session).await;
        }
    });
}

#[test]
fn a_redis_that_was_flushed_is_told_everything_again() {
    run(async |node| {
        node.beats().await;
        node.redis.flush();
        until(|| node.announced.get() == 1).await;
        node.beats().await;
        let session = session("node-a", 1);
        node.say(SessionEvent::Active { session });
        until(|| node.announced.get() == 2).await;
    });
}

#[test]
fn the_owner_of_a_session() {
    run(async |node| {
        node.beats().await;
        node.other(INCARNATION);
        let theirs = session("node-b", 1);
        let owner = node.locate(theirs).await;
        let SessionOwner::Alive {
            address, cookie, ..
        } = &owner
        else {
            panic!("{owner:?}")
        };
        assert_eq!(*address, ([10, 0, 0, 2], 80).into());
        assert_eq!(**cookie, steering::cookie_value("http://b"));
        // Remembered, and good enough while Redis hangs; whoever is not known cannot be told.
        node.redis.set_mood(Mood::Hanging);
        sleep(Duration::from_millis(1_050)).await;
        assert_eq!(node.locate(theirs).await, owner);
        let unknown = node.locate(session("node-c", 1)).await;
        assert_eq!(unknown, SessionOwner::Gone(MissReason::CannotTell));
        node.redis.set_mood(Mood::Serving);
        node.other(INCARNATION + 1);
        until(|| {
            node.redis
                .seen()
                .iter()
                .filter(|(_, key)| key == "mcp:node:node-a")
                .count()
                > 4
        })
        .await;
        let owner = node.locate(theirs).await;
        assert_eq!(owner, SessionOwner::Gone(MissReason::OwnerRestarted));
    });
}

#[test]
fn a_node_that_is_not_in_redis_is_gone_unless_redis_forgot() {
    run(async |node| {
        node.beats().await;
        let theirs = session("node-b", 1);
        let record = format!(r#"{{"node":"node-b","boot":{INCARNATION}}}"#);
        node.redis.set(&key(theirs), &record);
        let down = SessionOwner::Gone(MissReason::OwnerDown);
        assert_eq!(node.locate(theirs).await, down);
        let unknown = SessionOwner::Gone(MissReason::Unknown);
        let cannot_tell = SessionOwner::Gone(MissReason::CannotTell);
        // Redis may have hung until now, and have been told of nobody.
        while node.locate(session("node-b", 2)).await == cannot_tell {
            sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(node.locate(session("node-b", 2)).await, unknown);
        let foreign = node.metrics.foreign_records.with_label_values(&["session"]);
        let before = foreign.get();
        node.redis.set(&key(theirs), "not JSON");
        assert_eq!(node.locate(theirs).await, unknown);
        assert!(foreign.get() > before);
        // Forgotten is not gone: it may write its key any moment, and counts as gone when it has not.
        node.redis.flush();
        node.redis.set(&key(theirs), &record);
        assert_eq!(node.locate(theirs).await, cannot_tell);
        node.beats().await;
        assert_eq!(node.locate(theirs).await, cannot_tell);
        while node.locate(theirs).await != down {
            sleep(Duration::from_millis(50)).await;
        }
    });
}

#[test]
fn a_miss_is_counted_and_asked_about_before_its_record_goes() {
    run(async |node| {
        node.beats().await;
        let session = session("node-a", 1);
        node.redis.set(&key(session), "{}");
        let expired = node.metrics.session_misses.with_label_values(&["expired"]);
        let before = expired.get();
        let gone = MissReason::Expired;
        let said = vec![
            SessionEvent::Missed { session, gone },
            SessionEvent::Ended { session },
        ];
        node.membership.say(said);
        node.has_not(session).await;
        assert!(expired.get() > before);
        let seen = node.redis.seen();
        let about = seen.iter().filter(|(_, it)| *it == key(session));
        let names: Vec<_> = about.map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["GET", "DEL"]);
    });
}

#[test]
fn a_node_that_leaves_says_so() {
    run(async |node| {
        node.beats().await;
        let session = session("node-a", 1);
        node.open(session);
        node.say(SessionEvent::Restarting { session });
        let membership = node.membership.clone();
        let leaving = std::thread::spawn(move || membership.leave(LONG));
        until(|| leaving.is_finished()).await;
        assert!(
            node.redis
                .get(&key(session))
                .unwrap()
                .contains("owner_restarted")
        );
        assert_eq!(node.redis.get("mcp:node:node-a"), None);
    });
}

#[test]
fn nobody_waits_for_a_redis_that_is_away_at_the_end() {
    run(async |node| {
        node.redis.set_mood(Mood::Away);
        node.open(session("node-a", 1));
        let membership = node.membership.clone();
        let begun = Instant::now();
        let leaving = std::thread::spawn(move || membership.leave(LONG));
        until(|| leaving.is_finished()).await;
        assert!(begun.elapsed() < LONG / 2);
    });
}

#[test]
fn a_node_whose_key_somebody_deleted() {
    run(async |node| {
        node.beats().await;
        node.other(INCARNATION);
        let record = node.redis.get("mcp:node:node-b").unwrap();
        let field = format!("node-b.{INCARNATION}");
        node.redis.set_field("mcp:processes", &field, &record);
        let looks = node.verified.get() + 2;
        until(|| node.verified.get() >= looks).await;
        node.redis.remove("mcp:node:node-b");
        // With its sessions' records or without them, and whether it was asked for before or not.
        let theirs = session("node-b", 1);
        let owner = node.locate(theirs).await;
        assert!(matches!(owner, SessionOwner::Alive { .. }), "{owner:?}");
        // It does not write it again: it is dead, or hangs.
        while node.locate(theirs).await != SessionOwner::Gone(MissReason::OwnerDown) {
            sleep(Duration::from_millis(50)).await;
        }
    });
}

#[test]
fn what_a_killed_process_of_this_node_left_behind() {
    run(async |node| {
        let left = SessionId {
            locator: Locator {
                incarnation: INCARNATION - 1,
                ..session("node-a", 1).locator
            },
            ..session("node-a", 1)
        };
        let record = format!(r#"{{"node":"node-a","boot":{}}}"#, INCARNATION - 1);
        node.redis.set(&key(left), &record);
        let field = format!("node-a.{}", INCARNATION - 1);
        node.redis.set_field("mcp:processes", &field, &record);
        let own = session("node-a", 2);
        node.open(own);
        let is_marked = |it: String| it.contains("owner_restarted");
        until(|| node.redis.get(&key(left)).is_some_and(is_marked)).await;
        assert!(node.redis.time_to_live(&key(left)).unwrap() <= Duration::from_secs(300));
        until(|| node.redis.field("mcp:processes", &field).is_none()).await;
        let record = node.redis.get(&key(own)).unwrap();
        assert!(!record.contains("ended"), "{record}");
        let own = format!("node-a.{INCARNATION}");
        assert!(node.redis.field("mcp:processes", &own).is_some());
    });
}
