//! Alerts about what does not go on: a core that stood still while something was published, files that can no longer be opened, a
//! node that answers nobody, a log that nobody takes; and what waits meanwhile, on the page.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::alerts::{LARGE_ENTRIES, LargeResource, Watched};
use super::prometheus::Prometheus;
use super::wait_for;
use crate::cluster::client::{Session, try_get};
use crate::cluster::node::Node;
use crate::cluster::redis::Redis;
use crate::cluster::stream::Stream;
use crate::hardship::outputs::{PIPE_BYTES, pipe};
use crate::hardship::{Output, Process};
use crate::program::scratch_folder;

const TOPIC: &str = "board://late";
/// Some more than a node has open that does nothing.
const OPEN_FILES: usize = 100;

fn stuck_node(scratch: &Path) -> Watched {
    Watched::start(&["--break-thread", "core-0=stall"], scratch)
}

#[test]
fn what_is_published_while_a_core_stands_still() {
    let scratch = scratch_folder("observed/late");
    let watched = stuck_node(&scratch);
    let mut listener = Stream::listening(watched.node.address(), &[TOPIC]).expect_open();
    watched.node.break_thread();
    let silent = "pinfold_thread_last_beat_seconds{thread=\"core-0\"}";
    watched.prometheus.wait_to_see(&format!("{silent} > 1"));
    watched.node.publish(&json!([{"uri": TOPIC}]));
    // It waits for its core, and is older than it may be once that goes on.
    watched
        .prometheus
        .wait_to_see("pinfold_mailbox_messages{core=\"0\"} > 0");
    let seen = watched.prometheus.values(silent);
    let long_after = format!("{silent} > {}", seen[0] + 6.0);
    watched.prometheus.wait_to_see(&long_after);
    watched.node.break_thread();
    listener.wait_to_hear(&format!("notifications/resources/updated {TOPIC}"));
    watched.fires("PinfoldSlowDeliveries");
    watched
        .prometheus
        .wait_to_see("pinfold_mailbox_messages{core=\"0\"} == 0");
}

#[test]
fn bytes_that_wait_for_readers_and_are_on_no_page() {
    let scratch = scratch_folder("observed/pending");
    let options = [LARGE_ENTRIES.as_slice(), &["--write-stall", "1h"]].concat();
    let watched = Watched::start(&options, &scratch);
    watched.prometheus.wait_to_see("pinfold_pending_bytes == 0");
    let readers = LargeResource::post(&watched.node).unread(0..3);
    // What the kernel has of them does not wait here any more.
    watched
        .prometheus
        .wait_to_see("pinfold_blocked_streams == 3 and pinfold_pending_bytes > 1e5");
    drop(readers);
    watched.prometheus.wait_to_see("pinfold_pending_bytes == 0");
}

#[test]
fn files_that_a_node_can_soon_open_no_more() {
    let scratch = scratch_folder("observed/open-files");
    let watched = Watched::start(&[], &scratch);
    let done = Command::new("prlimit")
        .args(["--pid", &watched.node.id().to_string()])
        .arg(format!("--nofile={OPEN_FILES}"))
        .status();
    assert!(done.is_ok_and(|status| status.success()), "prlimit");
    let mut connections = Vec::new();
    watched.fires_while("PinfoldOpenFilesNearLimit", || {
        let used = watched.prometheus.values("process_open_fds");
        // Whoever looks at it needs some as well.
        if used.iter().all(|used| *used < 0.92 * OPEN_FILES as f64) {
            connections.push(TcpStream::connect(watched.node.address()).expect("it listens"));
        }
    });
    drop(connections);
}

#[test]
fn a_node_that_is_said_to_live_and_takes_no_connection() {
    let scratch = scratch_folder("observed/unreachable");
    let redis = Redis::start(&scratch);
    // Else it is asked for until its sessions can be taken over.
    let start = |name| Node::start_ending(name, &redis, &scratch);
    let (watched, mut other) = (Watched::of(start("a"), &scratch), start("b"));
    let open = |other: &mut Node| {
        let session = Session::open(&other.mcp()).through(&watched.node.mcp());
        assert_eq!(session.ping_until_known().status, 200);
        other.kill();
        session
    };
    let mut session = open(&mut other);
    watched.fires_while("PinfoldOwnerUnreachable", || {
        // Its last heartbeat counts for some seconds; then it is known to be down, and has to come back to be lost again.
        if session.ping().reason() != "owner_unreachable" {
            other.start_again();
            session = open(&mut other);
        }
    });
}

#[test]
fn a_log_that_nobody_takes() {
    let scratch = scratch_folder("observed/log");
    let (unread, _readers) = pipe(PIPE_BYTES);
    let node = Process::start_with(&["--log", "debug"], &Output::Log, &unread, &scratch);
    let admin = format!("http://127.0.0.1:{}", node.ports.admin);
    let prometheus = Prometheus::start(&[("a", &admin)], None, &scratch);
    let url = format!("http://127.0.0.1:{}/healthz", node.ports.client);
    // Each connection leaves some lines.
    let firing = prometheus.wait_to_fire("PinfoldLogLinesDropped", "a", || {
        for _ in 0..500 {
            assert!(try_get(&url, &[]).is_some_and(|answer| answer.status == 200));
        }
    });
    firing.expect_readable();
    wait_for(
        || try_get(&format!("{admin}/readyz"), &[]),
        || "the node serves all the same".into(),
    );
}
