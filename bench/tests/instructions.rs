//! Counted, not timed: work for callgrind, which says how many instructions a core spends on a request and on an event.
//! `pinfold-bench counted` runs each twice with another `COUNT`: the difference of both over the difference of the counts is what
//! one of them takes. By hand:
//!
//! ```sh
//! test=$(cargo test --release -p pinfold-bench --test instructions --no-run 2>&1 | sed -n 's/.*(\(.*\))/\1/p')
//! COUNT=2000 valgrind --tool=callgrind --callgrind-out-file=/dev/null "$test" --exact pings --test-threads=1
//! ```
//!
//! Without `COUNT` each does a little, so that it is known to work.

mod common;

use pinfold::app::Topic;
use pinfold::internals::shard::Publication;

use self::common::{NOW, Rig, call_without_a_session, post};

const STREAMS: usize = 1_000;

fn count() -> usize {
    let count = std::env::var("COUNT").ok();
    count.map_or(10, |it| it.parse().expect("COUNT is a number"))
}

#[test]
fn pings() {
    let mut rig = Rig::new();
    let (key, session) = rig.open_session();
    let ping = post(&session, r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#);
    for _ in 0..count() {
        rig.answer(key, &ping);
    }
    assert!(rig.text().contains(r#""result""#), "{}", rig.text());
}

#[test]
fn calls_in_a_session() {
    let mut rig = Rig::with_a_tool();
    let (key, session) = rig.open_session();
    let body = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"hello","arguments":{}}}"#;
    let call = post(&session, body);
    for _ in 0..count() {
        rig.answer(key, &call);
    }
    assert!(rig.text().contains("hello"), "{}", rig.text());
}

#[test]
fn calls_without_a_session() {
    let mut rig = Rig::with_a_tool();
    let key = rig.connect();
    let call = call_without_a_session();
    for _ in 0..count() {
        rig.answer(key, &call);
    }
    assert!(rig.text().contains("hello"), "{}", rig.text());
}

#[test]
fn broadcasts_to_legacy_streams() {
    let mut rig = Rig::new();
    for _ in 0..STREAMS {
        rig.open_legacy_stream();
    }
    broadcast(&mut rig);
}

#[test]
fn broadcasts_to_modern_streams() {
    let mut rig = Rig::new();
    for id in 0..STREAMS {
        rig.open_modern_stream(id);
    }
    broadcast(&mut rig);
}

/// An event to each stream, so often.
fn broadcast(rig: &mut Rig) {
    for offset in 1..=count() as u64 {
        let topic = Topic::Resource("board://bench".into());
        let publication = Publication {
            offset,
            published: NOW,
            topic,
            principal: None,
        };
        rig.shard.handle_publication(&publication);
        let mut delivered = 0;
        while rig.shard.poll_fanout(NOW, &mut rig.written).is_some() {
            delivered += 1;
        }
        assert_eq!(delivered, STREAMS);
    }
}
