//! Counted, not timed: what a shard keeps on the heap for each idle client, as the allocator sees it.
//!
//! A block costs what malloc of glibc makes of it. A connection has no task: what the runtime keeps besides is its place
//! in a table, which the test beside `SOCKET_BYTES` (src/runtime/sockets.rs) holds. What the kernel keeps is not here.

mod common;

use self::common::{NOW, Rig, held};

/// Bytes for each client at most, the slack of whatever grows by doubling included. Snapshots: a change that makes
/// one smaller writes the smaller one down, and one that makes it larger says why. Eight bytes of each are where a connection
/// keeps what it holds of the node's memory budget, which is nothing here.
/// Of these some thirty came when the first head's time began to run from the accept: the timer of each is armed twice;
/// a dozen went when connections had a wheel of their own, whose entries have no need to say what they are of.
const KEEP_ALIVE: i64 = 167;
const MODERN_STREAM: i64 = 309;
const LEGACY_SESSION_WITH_STREAM: i64 = 582;

const CLIENTS: usize = 10_000;

#[test]
fn a_connection_between_requests() {
    let bytes = bytes_per_client(|rig, _| {
        let key = rig.connect();
        // One that has never asked anything is given up sooner.
        rig.answer(key, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    });
    assert_at_most(bytes, KEEP_ALIVE);
}

#[test]
fn a_listen_stream() {
    assert_at_most(bytes_per_client(Rig::open_modern_stream), MODERN_STREAM);
}

#[test]
fn a_session_with_its_stream() {
    let bytes = bytes_per_client(|rig, _| rig.open_legacy_stream());
    assert_at_most(bytes, LEGACY_SESSION_WITH_STREAM);
}

/// After a minute in which nothing happened but keep-alives.
fn bytes_per_client(mut open: impl FnMut(&mut Rig, usize)) -> i64 {
    let mut rig = Rig::new();
    open(&mut rig, 0);
    let before = held();
    for id in 1..=CLIENTS {
        open(&mut rig, id);
    }
    for now in (NOW..NOW + 60_000).step_by(64) {
        rig.shard.handle_timeout(now);
        rig.drain(now);
    }
    (held() - before) / CLIENTS as i64
}

fn assert_at_most(bytes: i64, limit: i64) {
    assert!(bytes <= limit, "{bytes} bytes, and {limit} were enough");
    assert!(
        bytes + 8 > limit,
        "{bytes} bytes are enough: write it down, {limit} is there"
    );
}
