//! Counted, not timed: what a shard keeps on the heap for each idle client, as the allocator sees it.
//!
//! A block costs what malloc of glibc makes of it: 8 bytes more, in steps of 16, at least 32. What the runtime keeps
//! besides (a socket's place in a table) and what the kernel keeps is not here.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use pinfold::app::{Toolkit, handler};
use pinfold::limits::Limits;
use pinfold::mcp::types::Resource;
use pinfold::shard::{ConnectionKey, Gate, Setup, Shard};
use pinfold::wire::session_id::NodeName;

/// Bytes for each client at most, the slack of whatever grows by doubling included. Snapshots: a change that makes
/// one smaller writes the smaller one down, and one that makes it larger says why.
const KEEP_ALIVE: i64 = 146;
const MODERN_STREAM: i64 = 313;
const LEGACY_SESSION_WITH_STREAM: i64 = 593;

const NOW: u64 = 1_000;
const CLIENTS: i64 = 10_000;

/// Counts what the calling thread holds: tests run side by side.
struct Counting;

thread_local! {
    static HELD: Cell<i64> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: everything is passed on to the system's allocator as it came; the counter is a plain thread-local without
// a destructor, which allocates nothing itself.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        hold(block(layout.size()));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        hold(-block(layout.size()));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        hold(block(size) - block(layout.size()));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(memory, layout, size) }
    }
}

fn block(size: usize) -> i64 {
    (size + 8).next_multiple_of(16).max(32) as i64
}

fn hold(bytes: i64) {
    HELD.with(|held| held.set(held.get() + bytes));
}

#[test]
fn a_connection_without_a_request() {
    let bytes = bytes_per_client(|shard, _| {
        connect(shard);
    });
    assert_at_most(bytes, KEEP_ALIVE);
}

#[test]
fn a_listen_stream() {
    let bytes = bytes_per_client(|shard, id| {
        let key = connect(shard);
        let listen = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"subscriptions/listen","params":{{"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}}}},"notifications":{{"resourceSubscriptions":["board://bench"]}}}}}}"#
        );
        let fields = "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen\r\n";
        let answered = answer(shard, key, &post(fields, &listen));
        assert!(answered.contains("acknowledged"), "{answered}");
    });
    assert_at_most(bytes, MODERN_STREAM);
}

#[test]
fn a_session_with_its_stream() {
    let bytes = bytes_per_client(|shard, _| {
        let key = connect(shard);
        let initialize = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}"#;
        let answered = answer(shard, key, &post("", initialize));
        let id = answered
            .lines()
            .find_map(|line| line.strip_prefix("Mcp-Session-Id: "))
            .expect("initialize is answered with a session");
        let session = format!("Mcp-Session-Id: {id}\r\nMCP-Protocol-Version: 2025-11-25\r\n");
        let subscribe = r#"{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"board://bench"}}"#;
        answer(shard, key, &post(&session, subscribe));
        let get = format!(
            "GET /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{session}\r\n"
        );
        let answered = answer(shard, key, &get);
        assert!(answered.contains("text/event-stream"), "{answered}");
    });
    assert_at_most(bytes, LEGACY_SESSION_WITH_STREAM);
}

/// After a minute in which nothing happened but keep-alives.
fn bytes_per_client(mut open: impl FnMut(&mut Shard, i64)) -> i64 {
    let mut shard = shard();
    open(&mut shard, 0);
    let before = HELD.with(Cell::get);
    for id in 1..=CLIENTS {
        open(&mut shard, id);
    }
    for now in (NOW..NOW + 60_000).step_by(64) {
        shard.handle_timeout(now);
        write_all(&mut shard, now);
    }
    (HELD.with(Cell::get) - before) / CLIENTS
}

fn assert_at_most(bytes: i64, limit: i64) {
    assert!(bytes <= limit, "{bytes} bytes, and {limit} were enough");
    assert!(
        bytes + 8 > limit,
        "{bytes} bytes are enough: write it down, {limit} is there"
    );
}

fn connect(shard: &mut Shard) -> ConnectionKey {
    shard.handle_open(NOW, None).expect("there is room")
}

/// What a driver does for one request whose answer is ready at once.
fn answer(shard: &mut Shard, key: ConnectionKey, request: &str) -> String {
    shard.handle_bytes(NOW, key, request.as_bytes());
    write_all(shard, NOW)
}

fn write_all(shard: &mut Shard, now: u64) -> String {
    while shard.poll_effect().is_some() {}
    let mut written = String::new();
    let mut bytes = Vec::new();
    while let Some(key) = shard.poll_transmit(&mut bytes) {
        written += &String::from_utf8_lossy(&bytes);
        shard.handle_written(now, key, true);
    }
    written
}

fn post(fields: &str, body: &str) -> String {
    format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: application/json, text/event-stream\r\n\
         Content-Type: application/json\r\n{fields}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn shard() -> Shard {
    let app = Toolkit::new("test", "0")
        .resource(Resource::new("board://bench", "bench"), |_context| async {
            "nothing"
        });
    let setup = Setup {
        node: NodeName::new("node").expect("letters are allowed"),
        core: 0,
        core_count: 1,
        boot: 1,
        limits: Limits::default(),
        gate: Gate {
            path: "/mcp".into(),
            loopback: true,
            hosts: Vec::new(),
            origins: Vec::new(),
        },
        cluster: None,
        about: Arc::new(handler(app).about()),
        accepts: Box::new(|_| true),
        secrets: Box::new(|| [7; 16]),
    };
    Shard::new(setup, NOW)
}
