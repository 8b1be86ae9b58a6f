//! Each fault that a test can make happen, and the alert that fires for it. Prometheus evaluates the rules as they are deployed,
//! but for how long a fault has to last.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::path::Path;

use serde_json::json;

use super::prometheus::{Firing, Prometheus};
use crate::cluster::client::{Session, initialize, post, try_get};
use crate::cluster::node::Node;
use crate::cluster::redis::Redis;
use crate::cluster::stream::Stream;
use crate::crowd::{self, Habit};
use crate::program::scratch_folder;
use crate::server::{App, Placement};

const LARGE: usize = 3_800_000;
pub(super) const LARGE_ENTRIES: [&str; 2] = ["--board-entry-bytes-max", "4MiB"];
const LARGE_URI: &str = "board://large";

/// A node, and a Prometheus that looks at it.
pub(super) struct Watched {
    pub(super) node: Node,
    pub(super) prometheus: Prometheus,
}

impl Watched {
    pub(super) fn start(options: &[&str], scratch: &Path) -> Watched {
        let place = Placement::OneCore;
        let node = Node::start_placed("a", App::Board, place, None, options, scratch);
        Watched::of(node, scratch)
    }

    pub(super) fn of(node: Node, scratch: &Path) -> Watched {
        let prometheus = Prometheus::start(&[("a", &node.admin())], None, scratch);
        prometheus.wait_to_see("up == 1");
        Watched { node, prometheus }
    }

    pub(super) fn fires(&self, alert: &str) -> Firing {
        self.fires_while(alert, || {})
    }

    pub(super) fn fires_while(&self, alert: &str, act: impl FnMut()) -> Firing {
        let firing = self.prometheus.wait_to_fire(alert, "a", act);
        firing.expect_readable();
        firing
    }
}

/// What is so large that an answer with it fills whatever is between a node and a client who does not read.
pub(super) struct LargeResource {
    address: SocketAddr,
    session: String,
}

impl LargeResource {
    pub(super) fn post(node: &Node) -> LargeResource {
        let session = Session::open(&node.mcp());
        let text = "x".repeat(LARGE);
        let posting = json!({"name": "post", "arguments": {"uri": LARGE_URI, "text": text}});
        let posted = session.request("tools/call", posting, &[]);
        assert!(
            posted.status == 200 && !posted.body.contains("isError"),
            "{posted:?}"
        );
        LargeResource {
            address: node.address(),
            session: session.id,
        }
    }

    /// By these clients, for a node that believes a proxy here, each of whom asks for it and reads nothing.
    pub(super) fn unread(&self, clients: Range<usize>) -> Vec<TcpStream> {
        clients.map(|number| self.unread_by(number)).collect()
    }

    fn unread_by(&self, number: usize) -> TcpStream {
        let read = json!({"jsonrpc": "2.0", "id": 7, "method": "resources/read", "params": {"uri": LARGE_URI}});
        let fields = format!(
            "Mcp-Session-Id: {}\r\nX-Forwarded-For: 10.0.{}.{}\r\n",
            self.session,
            number / 250,
            number % 250 + 1
        );
        let mut socket = crowd::connect(self.address, Habit::Stalls);
        let sent = socket.write_all(crowd::post(&read, &fields).as_bytes());
        sent.expect("a request can be sent");
        socket
    }
}

#[test]
fn clients_that_do_not_read() {
    let scratch = scratch_folder("observed/slow-readers");
    let options = [LARGE_ENTRIES.as_slice(), &["--write-stall", "1h"]].concat();
    let watched = Watched::start(&options, &scratch);
    let readers = LargeResource::post(&watched.node).unread(0..5);
    let firing = watched.fires("PinfoldSlowReaders");
    let summary = &firing.annotations["summary"];
    assert!(
        summary.contains("connections of node a are not read"),
        "{summary}"
    );
    drop(readers);
}

#[test]
fn clients_that_are_cut_off_since_they_do_not_read() {
    let scratch = scratch_folder("observed/cut-off");
    let options = [LARGE_ENTRIES.as_slice(), &["--write-stall", "1s"]].concat();
    let watched = Watched::start(&options, &scratch);
    // None of them leaves by itself.
    let large = LargeResource::post(&watched.node);
    let mut readers = Vec::new();
    watched.fires_while("PinfoldSlowReadersCutOff", || {
        if readers.len() < 100 {
            readers.extend(large.unread(0..20));
        }
    });
}

#[test]
fn a_memory_budget_that_is_used_up() {
    let scratch = scratch_folder("observed/memory");
    // Large answers leave a sixteenth of it to small ones: in a smaller one the last that would fit might be what is missing to
    // nine tenths.
    let budget = ["--memory-max", "256MiB", "--write-stall", "1h"];
    // Clients that have something already may not use all of it.
    let clients = ["--trusted-proxy", "127.0.0.1/32"];
    let options = [LARGE_ENTRIES.as_slice(), &budget, &clients].concat();
    let watched = Watched::start(&options, &scratch);
    let large = LargeResource::post(&watched.node);
    let mut readers = Vec::new();
    let mut press = || {
        // Those who are there are cut off for those who come.
        let count = readers.len();
        if count < 600 {
            readers.extend(large.unread(count..count + 20));
        }
    };
    watched.fires_while("PinfoldMemoryAlmostUsed", &mut press);
    watched.fires_while("PinfoldMemoryShort", &mut press);
}

#[test]
fn a_core_that_is_stuck() {
    let scratch = scratch_folder("observed/stuck");
    let watched = Watched::start(&["--break-thread", "core-0=stall"], &scratch);
    watched.node.break_thread();
    let firing = watched.fires("PinfoldThreadStuck");
    assert_eq!(firing.labels["thread"], "core-0");
    let firing = watched.fires("PinfoldNodeNotReady");
    assert_eq!(firing.labels["state"], "impaired");
}

#[test]
fn redis_that_is_away() {
    let scratch = scratch_folder("observed/redis");
    let mut redis = Redis::start(&scratch);
    let node = Node::start("a", App::Board, Some(&redis), &scratch);
    let watched = Watched::of(node, &scratch);
    redis.stop();
    watched.fires("PinfoldRedisAway");
    // A session and a publication of which Redis does not hear.
    Session::open(&watched.node.mcp());
    watched
        .node
        .try_publish(&json!([{"uri": "board://unheard"}]));
    watched.fires("PinfoldPresencePending");
    watched.fires("PinfoldBusQueued");
}

#[test]
fn a_node_that_leaves_and_is_gone() {
    let scratch = scratch_folder("observed/leaves");
    let mut watched = Watched::start(&["--drain-notice", "1h"], &scratch);
    watched.node.leave();
    watched.fires("PinfoldNodeLeaving");
    watched.node.kill();
    watched.fires("PinfoldNodeGone");
}

#[test]
fn a_process_that_dies_with_its_sessions() {
    let scratch = scratch_folder("observed/dies");
    let redis = Redis::start(&scratch);
    let start = |name| Node::start_ending(name, &redis, &scratch);
    let (watched, mut other) = (Watched::of(start("a"), &scratch), start("b"));
    let session = Session::open(&other.mcp());
    super::wait_for(
        || redis.has_record(&session.id).then_some(()),
        || "a record of the session".into(),
    );
    other.kill();
    watched.fires("PinfoldSessionsLost");
}

#[test]
fn a_client_in_a_loop() {
    let scratch = scratch_folder("observed/loop");
    let limit = ["--initialize-per-second-per-client-max", "1"];
    let watched = Watched::start(&limit, &scratch);
    watched.fires_while("PinfoldClientsThrottled", || {
        (0..50).for_each(|_| _ = initialize(&watched.node.mcp(), &[]));
    });
}

#[test]
fn clients_without_a_token() {
    let scratch = scratch_folder("observed/not-let-in");
    let tokens = scratch.join("tokens");
    std::fs::write(&tokens, "").expect("a file");
    let tokens = tokens.display().to_string();
    let options = ["--auth", "token", "--auth-token-file", &tokens];
    let watched = Watched::start(&options, &scratch);
    watched.fires_while("PinfoldClientsNotLetIn", || {
        (0..50).for_each(|_| assert_eq!(initialize(&watched.node.mcp(), &[]).status, 401));
    });
}

#[test]
fn limits_that_are_almost_reached() {
    let scratch = scratch_folder("observed/limits");
    let node = ["--connections-max", "40", "--sessions-max", "20"];
    let client = [
        "--connections-per-client-max",
        "40",
        "--sessions-per-client-max",
        "20",
    ];
    let watched = Watched::start(&[node, client].concat(), &scratch);
    let sessions: Vec<Session> = (0..20)
        .map(|_| Session::open(&watched.node.mcp()))
        .collect();
    watched.fires("PinfoldSessionsNearLimit");
    let open = |session: &Session| Stream::of_session(watched.node.address(), &session.id);
    let streams: Vec<Stream> = sessions.iter().chain(&sessions[..19]).map(open).collect();
    watched.fires("PinfoldConnectionsNearLimit");
    drop(streams);
}

#[test]
fn requests_that_fail() {
    let scratch = scratch_folder("observed/errors");
    let watched = Watched::start(&[], &scratch);
    let session = Session::open(&watched.node.mcp());
    watched.fires_while("PinfoldRequestErrors", || {
        for _ in 0..20 {
            session.request("resources/read", json!({"uri": "board://nothing"}), &[]);
        }
    });
}

#[test]
fn a_node_that_takes_nobody_any_more() {
    let scratch = scratch_folder("observed/no-room");
    let watched = Watched::start(&["--drain-notice", "0s"], &scratch);
    let told = post(&format!("{}/drain", watched.node.admin()), &[], &json!({}));
    assert_eq!(told.status, 202, "{told:?}");
    let tries = || _ = initialize(&watched.node.mcp(), &[]);
    watched.fires_while("PinfoldNoRoom", || (0..50).for_each(|_| tries()));
}

#[test]
fn what_does_not_belong_in_redis() {
    let scratch = scratch_folder("observed/foreign");
    let redis = Redis::start(&scratch);
    let node = Node::start("a", App::Board, Some(&redis), &scratch);
    let watched = Watched::of(node, &scratch);
    let mut number = 0;
    watched.fires_while("PinfoldBusLost", || {
        redis.command(&["XADD", "mcp:bus", "*", "nothing", "known"]);
    });
    let session = Session::open(&watched.node.mcp()).id;
    let (_, rest) = session.split_once('.').expect("a node's name leads the id");
    watched.fires_while("PinfoldForeignRecords", || {
        number += 1;
        let id = format!("s{number}.{rest}");
        redis.command(&["SET", &format!("mcp:session:{id}"), "not json"]);
        Session::known(&watched.node.mcp(), &id).ping();
    });
    let session = Session::known(&watched.node.mcp(), &session);
    watched.fires_while("PinfoldForgedForwards", || {
        let forged = session.ping_with(&[("Pinfold-Forwarded", "b.nonsense")]);
        assert_eq!(forged.status, 403, "{forged:?}");
    });
    assert!(try_get(&format!("{}/readyz", watched.node.admin()), &[]).is_some());
}

#[test]
fn a_node_that_starts_again_and_again() {
    let scratch = scratch_folder("observed/restarts");
    let mut watched = Watched::start(&[], &scratch);
    for count in 1..=3 {
        watched.node.kill();
        watched.prometheus.wait_to_see("up == 0");
        watched.node.start_again();
        let again = format!("changes(process_start_time_seconds[30m]) == {count}");
        watched.prometheus.wait_to_see(&again);
    }
    watched.fires("PinfoldNodeRestarts");
}

#[test]
fn a_redis_that_is_full() {
    let scratch = scratch_folder("observed/full-redis");
    let redis = Redis::start(&scratch);
    let node = Node::start("a", App::Board, Some(&redis), &scratch);
    let watched = Watched::of(node, &scratch);
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let firing = watched.fires_while("PinfoldRedisErrors", || {
        Session::open(&watched.node.mcp());
    });
    assert_eq!(firing.labels["kind"], "OOM");
}

#[test]
fn a_node_that_reads_the_bus_late() {
    let scratch = scratch_folder("observed/behind");
    let redis = Redis::start(&scratch);
    let start = |name| Node::start(name, App::Board, Some(&redis), &scratch);
    let (watched, other) = (Watched::of(start("a"), &scratch), start("b"));
    // Both are up, and hear each other.
    watched
        .prometheus
        .wait_to_see("pinfold_bus_events_total{kind=\"heard\"} >= 0");
    other.hang();
    watched.fires_while("PinfoldBusBehind", || {
        watched.node.publish(&json!([{"uri": "board://late"}]));
    });
    other.go_on();
}
