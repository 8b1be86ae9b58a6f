//! Counted, not timed: what a shard allocates for a request and for a delivered event, once everything is warm.
//!
//! The figures are snapshots: a change that makes one smaller writes the smaller one down, and one that makes it
//! larger says why.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use pinfold::app::{Toolkit, Topic, handler};
use pinfold::limits::Limits;
use pinfold::mcp::types::Resource;
use pinfold::shard::{ConnectionKey, Gate, Publication, Setup, Shard};
use pinfold::wire::session_id::NodeName;

/// Allocations for one `ping` in a session, from its bytes to the bytes of the answer.
const PER_PING: u64 = 2;
/// Allocations for a whole broadcast, however many streams there are.
const PER_BROADCAST: u64 = 0;

const NOW: u64 = 1_000;
const STREAMS: usize = 1_000;

/// Counts what the calling thread asks for: tests run side by side.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: everything is passed on to the system's allocator as it came; the counter is a plain thread-local without
// a destructor, which allocates nothing itself.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_one();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count_one();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(memory, layout) }
    }
}

fn count_one() {
    ALLOCATIONS.with(|count| count.set(count.get() + 1));
}

fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.with(Cell::get);
    work();
    ALLOCATIONS.with(Cell::get) - before
}

#[test]
fn a_ping() {
    let mut shard = shard();
    let (key, session) = legacy(&mut shard);
    let body = r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#;
    let ping = post(&in_session(&session), body);
    let mut bytes = Vec::new();
    for _ in 0..10 {
        answer(&mut shard, key, &ping, &mut bytes);
    }
    assert!(text(&bytes).ends_with(r#"{"jsonrpc":"2.0","id":7,"result":{}}"#));
    let count = allocations(|| answer(&mut shard, key, &ping, &mut bytes));
    assert_eq!(count, PER_PING);
}

#[test]
fn a_broadcast_to_legacy_streams() {
    let mut shard = shard();
    for _ in 0..STREAMS {
        let (key, session) = legacy(&mut shard);
        let mut bytes = Vec::new();
        let subscribe = r#"{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"board://bench"}}"#;
        answer(
            &mut shard,
            key,
            &post(&in_session(&session), subscribe),
            &mut bytes,
        );
        let get = format!(
            "GET /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{}\r\n",
            in_session(&session)
        );
        answer(&mut shard, key, &get, &mut bytes);
        assert!(
            text(&bytes).contains("text/event-stream"),
            "{}",
            text(&bytes)
        );
    }
    assert_eq!(broadcasts(&mut shard), PER_BROADCAST);
}

#[test]
fn a_broadcast_to_modern_streams() {
    let mut shard = shard();
    for id in 0..STREAMS {
        let key = shard.handle_open(NOW, None).expect("there is room");
        let mut bytes = Vec::new();
        let listen = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"subscriptions/listen","params":{{"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}}}},"notifications":{{"resourceSubscriptions":["board://bench"]}}}}}}"#
        );
        let fields = "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen\r\n";
        answer(&mut shard, key, &post(fields, &listen), &mut bytes);
        assert!(text(&bytes).contains("acknowledged"), "{}", text(&bytes));
    }
    assert_eq!(broadcasts(&mut shard), PER_BROADCAST);
}

/// Allocations of the last of a few broadcasts.
fn broadcasts(shard: &mut Shard) -> u64 {
    let mut bytes = Vec::new();
    let mut last = 0;
    // Offsets take more digits as they grow: the last is as long as the one before it.
    for offset in 1..=8 {
        let topic = Topic::Resource("board://bench".into());
        let publication = Publication { offset, topic };
        last = allocations(|| {
            shard.handle_publication(&publication);
            let mut delivered = 0;
            while shard.poll_fanout(NOW, &mut bytes).is_some() {
                delivered += 1;
            }
            assert_eq!(delivered, STREAMS);
        });
    }
    last
}

/// What a driver does for one request whose answer is ready at once.
fn answer(shard: &mut Shard, key: ConnectionKey, request: &str, bytes: &mut Vec<u8>) {
    bytes.clear();
    shard.handle_bytes(NOW, key, request.as_bytes());
    while shard.poll_effect().is_some() {}
    while let Some(key) = shard.poll_transmit(bytes) {
        shard.handle_written(NOW, key, true);
    }
}

fn legacy(shard: &mut Shard) -> (ConnectionKey, String) {
    let key = shard.handle_open(NOW, None).expect("there is room");
    let mut bytes = Vec::new();
    let initialize = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}"#;
    answer(shard, key, &post("", initialize), &mut bytes);
    let answered = text(&bytes);
    let field = answered
        .lines()
        .find_map(|line| line.strip_prefix("Mcp-Session-Id: "));
    (
        key,
        field
            .expect("initialize is answered with a session")
            .to_owned(),
    )
}

fn in_session(session: &str) -> String {
    format!("Mcp-Session-Id: {session}\r\nMCP-Protocol-Version: 2025-11-25\r\n")
}

fn post(fields: &str, body: &str) -> String {
    format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: application/json, text/event-stream\r\n\
         Content-Type: application/json\r\n{fields}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
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
