//! Counted, not timed: system calls of the whole running program for each event it delivers and each request it
//! answers, as `strace` counts them.
//!
//! What starting, connecting and ending takes is in every run; two runs that differ in nothing but the number of
//! events or requests differ by what those take. Whether a thread slept in between is chance, so there is a little room
//! above what was seen. With io_uring the program's few other operations share their calls; epoll has one for each.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use serde_json::json;

use crate::crowd::{Habit, connect, listen_request, open_session, open_session_of, post};
use crate::program::scratch_folder;
use crate::server::{App, Server};
use crate::tools::strace;

const STREAMS: usize = 50;

/// Calls of any kind for a broadcast to [`STREAMS`] streams, one publishing request each: a send for each stream, and
/// for the request, its connection, its answer and two threads that wake and sleep 10 with io_uring, 18 with epoll.
const PER_BROADCAST_MAX: f64 = STREAMS as f64 + 25.0;
/// Calls for a `ping` or a `tools/call` that comes alone. Seen: a wait that ends, a look at who has sent something, a read,
/// a send; those that come together share the first two.
const PER_REQUEST_MAX: f64 = 4.5;
/// With epoll the wait is a `poll`, and one that finds nothing takes two calls more: the thread sleeps, and polls again.
/// Whether it has to is chance: a client that gets no CPU sends its next request when the thread sleeps already.
const PER_SLEEP_WITH_EPOLL: f64 = 2.0;

#[test]
fn a_broadcast_that_takes_more_than_a_send_for_each_stream() {
    for driver in ["auto", "epoll"] {
        let scratch = scratch_folder(&format!("syscalls/broadcast-{driver}"));
        let calls = difference(&scratch, driver, App::Board, broadcasts, [20, 70]);
        let all: f64 = calls.values().sum();
        let sends = calls.get("sendto").copied().unwrap_or(0.0);
        assert!(
            all <= PER_BROADCAST_MAX && sends.round() >= STREAMS as f64,
            "{driver}: {all} calls for a broadcast to {STREAMS} streams: {calls:?}"
        );
    }
}

#[test]
fn a_ping_that_takes_more_than_a_read_and_a_send() {
    for driver in ["auto", "epoll"] {
        let scratch = scratch_folder(&format!("syscalls/ping-{driver}"));
        let calls = difference(&scratch, driver, App::Board, pings, [100, 600]);
        assert_a_read_and_a_send(driver, "a ping", &calls);
    }
}

#[test]
fn a_tools_call_that_takes_more_than_a_ping() {
    let eras: [(&str, Work); 2] = [("legacy", legacy_calls), ("modern", modern_calls)];
    for driver in ["auto", "epoll"] {
        for (era, work) in eras {
            let scratch = scratch_folder(&format!("syscalls/call-{era}-{driver}"));
            let calls = difference(&scratch, driver, App::Conformance, work, [100, 600]);
            assert_a_read_and_a_send(driver, &format!("a tools/call, {era}"), &calls);
        }
    }
}

fn assert_a_read_and_a_send(driver: &str, what: &str, calls: &BTreeMap<String, f64>) {
    let all: f64 = calls.values().sum();
    let count = |name| calls.get(name).copied().unwrap_or(0.0);
    // One that wakes for nothing is not forgiven.
    let slept = count("epoll_wait").min(1.0);
    let most = PER_REQUEST_MAX + slept * PER_SLEEP_WITH_EPOLL;
    let read_and_sent = ["recvfrom", "sendto"].map(count);
    assert!(
        all <= most && read_and_sent.iter().all(|it| it.round() == 1.0),
        "{driver}: {all} calls for {what}: {calls:?}"
    );
}

/// Tells everybody of something, again and again; each time when all have heard of it.
fn broadcasts(server: &Server, count: usize) {
    let mut streams: Vec<TcpStream> = (0..STREAMS)
        .map(|_| {
            let mut stream = connect(server.address(), Habit::Reads);
            let asked = stream.write_all(listen_request().as_bytes());
            asked.expect("a request can be sent");
            read_until(&mut stream, "acknowledged");
            stream
        })
        .collect();
    for _ in 0..count {
        server.publish(&["board://crowd/0".to_owned()]);
        for stream in &mut streams {
            read_until(stream, "resources/updated");
        }
    }
}

fn pings(server: &Server, count: usize) {
    let session = open_session(server.address());
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let ping = post(&ping, &format!("Mcp-Session-Id: {session}\r\n"));
    ask(server, &ping, "\"result\":{}", count);
}

const TOOL: &str = "test_simple_text";
const TEXT: &str = "This is a simple text response for testing.";

fn legacy_calls(server: &Server, count: usize) {
    let session = open_session_of(server.address(), 0);
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": TOOL, "arguments": {},
    }});
    let call = post(&call, &format!("Mcp-Session-Id: {session}\r\n"));
    ask(server, &call, TEXT, count);
}

fn modern_calls(server: &Server, count: usize) {
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": TOOL, "arguments": {},
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        },
    }});
    let fields = format!(
        "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: {TOOL}\r\n"
    );
    ask(server, &post(&call, &fields), TEXT, count);
}

/// The same request again and again, each when the last is answered.
fn ask(server: &Server, request: &str, answer: &str, count: usize) {
    let mut connection = connect(server.address(), Habit::Reads);
    for _ in 0..count {
        let asked = connection.write_all(request.as_bytes());
        asked.expect("a request can be sent");
        read_until(&mut connection, answer);
    }
}

/// Small answers and events come in one piece; a second one would only wait for the next read.
fn read_until(socket: &mut TcpStream, needle: &str) {
    let mut read = Vec::new();
    let mut piece = [0; 4096];
    while !String::from_utf8_lossy(&read).contains(needle) {
        let count = socket.read(&mut piece).expect("something in time");
        assert!(count > 0, "the server left");
        read.extend_from_slice(&piece[..count]);
    }
}

type Work = fn(&Server, usize);

/// Calls by name for one more of what `work` does, between fewer and more of it.
fn difference(
    scratch: &Path,
    driver: &str,
    app: App,
    work: Work,
    counts: [usize; 2],
) -> BTreeMap<String, f64> {
    let [fewer, more] = counts.map(|count| {
        let summary = scratch.join(format!("{count}.strace"));
        let server = Server::start_traced(&strace(), &summary, &["--driver", driver], app, scratch);
        work(&server, count);
        server.end_traced();
        let summary = std::fs::read_to_string(&summary).expect("strace left a summary");
        calls(&summary)
    });
    per_step(fewer, more, counts[1] - counts[0])
}

/// Calls by name for one step, of which `more` has so many more.
pub(crate) fn per_step(
    mut fewer: BTreeMap<String, f64>,
    more: BTreeMap<String, f64>,
    steps: usize,
) -> BTreeMap<String, f64> {
    let per_step = more.into_iter().map(|(name, calls)| {
        let before = fewer.remove(&name).unwrap_or(0.0);
        (name, (calls - before) / steps as f64)
    });
    // What chance made more or less of.
    per_step.filter(|(_, calls)| *calls > 0.0).collect()
}

/// The table that `strace -c` prints: the number of calls is the fourth column, the name the last.
pub(crate) fn calls(summary: &str) -> BTreeMap<String, f64> {
    let rows = summary.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let calls = fields.get(3)?.parse().ok()?;
        Some(((*fields.last()?).to_owned(), calls))
    });
    rows.filter(|(name, _)| name != "total").collect()
}
