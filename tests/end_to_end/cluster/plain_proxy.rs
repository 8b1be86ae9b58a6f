//! Behind a Traefik as everybody has one: nodes in turns, no middleware, no cookie. Calls that are answered by a stream,
//! of a client that sends head and body apart, as Python's do, and in every other way; and what the printed one holds.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use super::client::Session;
use super::fleet::Plan;
use super::node::Node;
use super::stream::Stream;
use super::traefik::Traefik;
use crate::ports::free_port;
use crate::program::scratch_folder;
use crate::server::App;

const CLIENTS: usize = 10;
const CALLS_EACH: usize = 100;
/// Of a client that calls its kernel twice.
const BETWEEN_PACKETS: Duration = Duration::from_micros(500);
/// Only so that a test ends in which nothing comes any more.
const READ_LIMIT: Duration = Duration::from_secs(60);

/// How a request is sent.
#[derive(Clone, Copy, Debug)]
enum Manner {
    Apart,
    OnePiece,
    Chunked,
    ExpectContinue,
}

const MANNERS: [Manner; 4] = [
    Manner::Apart,
    Manner::OnePiece,
    Manner::Chunked,
    Manner::ExpectContinue,
];

/// A connection to the proxy that is used again and again.
struct Caller {
    socket: TcpStream,
    read: Vec<u8>,
}

impl Caller {
    fn new(proxy: SocketAddr) -> Caller {
        let socket = TcpStream::connect(proxy).expect("the proxy listens");
        socket.set_nodelay(true).expect("an option can be set");
        let limit = socket.set_read_timeout(Some(READ_LIMIT));
        limit.expect("a time limit can be set");
        Caller {
            socket,
            read: Vec::new(),
        }
    }

    fn send(&mut self, fields: &str, body: &str, manner: Manner) {
        let mut head = format!(
            "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\n{fields}"
        );
        let length = format!("Content-Length: {}\r\n", body.len());
        let (framing, content) = match manner {
            Manner::Apart | Manner::OnePiece => (length, body.to_owned()),
            Manner::ExpectContinue => (length + "Expect: 100-continue\r\n", body.to_owned()),
            Manner::Chunked => {
                let content = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
                ("Transfer-Encoding: chunked\r\n".to_owned(), content)
            }
        };
        head += &(framing + "\r\n");
        match manner {
            Manner::OnePiece => head += &content,
            Manner::Apart | Manner::Chunked | Manner::ExpectContinue => {}
        }
        self.write(&head);
        match manner {
            Manner::OnePiece => return,
            Manner::Apart | Manner::Chunked => std::thread::sleep(BETWEEN_PACKETS),
            Manner::ExpectContinue => {
                let interim = self.read_until("\r\n\r\n");
                assert!(interim.starts_with("HTTP/1.1 100 "), "{interim}");
            }
        }
        self.write(&content);
    }

    fn write(&mut self, text: &str) {
        let written = self.socket.write_all(text.as_bytes());
        written.expect("the proxy takes a request");
    }

    /// What comes up to here; what comes after it stays.
    fn read_until(&mut self, end: &str) -> String {
        let mut buffer = [0; 4096];
        loop {
            let found = self
                .read
                .windows(end.len())
                .position(|it| it == end.as_bytes());
            if let Some(at) = found {
                let rest = self.read.split_off(at + end.len());
                let text = std::mem::replace(&mut self.read, rest);
                return String::from_utf8(text).expect("text");
            }
            match self.socket.read(&mut buffer) {
                Ok(count @ 1..) => self.read.extend_from_slice(&buffer[..count]),
                end => panic!(
                    "cut ({end:?}) after {:?}",
                    String::from_utf8_lossy(&self.read)
                ),
            }
        }
    }

    /// Reads a stream up to its last chunk: its head, and its messages.
    fn whole_stream(&mut self) -> (String, Vec<Value>) {
        let mut head = self.read_until("\r\n\r\n");
        // One more of the node's own, behind the proxy's.
        while head.starts_with("HTTP/1.1 100 ") {
            head = self.read_until("\r\n\r\n");
        }
        let body = self.read_until("\r\n0\r\n\r\n");
        let data = body.lines().filter_map(|line| line.strip_prefix("data: "));
        let messages = data.map(|data| serde_json::from_str(data).expect("an event is JSON"));
        (head, messages.collect())
    }
}

/// Every call tells its progress at once, and its client gets all of it.
fn call_again_and_again(proxy: &Traefik, number: usize) {
    let session = Session::open(&proxy.mcp());
    let mut caller = Caller::new(proxy.address());
    let fields = format!("Mcp-Session-Id: {}\r\n", session.id);
    for id in 0..CALLS_EACH {
        let manner = MANNERS[id % MANNERS.len()];
        let call = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {
            "name": "test_tool_with_progress", "arguments": {}, "_meta": {"progressToken": id},
        }});
        caller.send(&fields, &call.to_string(), manner);
        let (head, messages) = caller.whole_stream();
        assert!(head.contains("text/event-stream"), "{head}");
        let progress = |message: &Value| message["params"]["progress"].as_f64();
        let told: Vec<_> = messages.iter().filter_map(progress).collect();
        assert_eq!(
            told,
            [0.0, 50.0, 100.0],
            "{number}, {manner:?}: {messages:?}"
        );
        let last = messages.last().expect("a result");
        assert_eq!(last["id"], id, "{number}, {manner:?}: {messages:?}");
    }
}

fn calls(proxy: &Traefik) {
    std::thread::scope(|scope| {
        let clients = (0..CLIENTS).map(|it| scope.spawn(move || call_again_and_again(proxy, it)));
        for client in clients.collect::<Vec<_>>() {
            client.join().expect("no call was cut");
        }
    });
}

#[test]
fn a_thousand_streamed_calls_of_one_node_of_which_none_is_cut() {
    let scratch = scratch_folder("cluster/plain_one");
    let mut node = Node::start("a", App::Conformance, None, &scratch);
    let proxy = Traefik::plain(free_port(), std::slice::from_ref(&node), &scratch);
    calls(&proxy);
    node.stop().unwrap_or_else(|fault| panic!("{fault}"));
}

/// Two of three reach a node that passes them on.
#[test]
fn a_thousand_streamed_calls_of_three_nodes_of_which_none_is_cut() {
    let plan = Plan {
        app: App::Conformance,
        plain: true,
        ..Plan::new("cluster/plain_three")
    };
    let fleet = plan.start();
    calls(&fleet.traefik);
    fleet.stop();
}

/// Streams that begin at once and stay open: clients of 2026-07-28.
#[test]
fn a_thousand_listeners_of_whom_none_is_cut() {
    const CLIENTS: usize = 4;
    const STREAMS_EACH: usize = 250;
    let plan = Plan {
        joined: false,
        plain: true,
        ..Plan::new("cluster/plain_listeners")
    };
    let fleet = plan.start();
    let proxy = fleet.traefik.address();
    let open = || -> Vec<Stream> {
        let opened = (0..STREAMS_EACH).map(|_| Stream::listening(proxy, &[]).expect_open());
        opened.collect()
    };
    let mut streams: Vec<Stream> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(open)).collect();
        let opened = clients.into_iter().map(|it| it.join().expect("streams"));
        opened.flatten().collect()
    });
    for node in &fleet.nodes {
        node.publish(&json!([{"topic": "tools"}]));
    }
    for stream in &mut streams {
        stream.wait_to_hear("notifications/tools/list_changed");
    }
    drop(streams);
    fleet.stop();
}

/// A buffer for each request, of the largest size that a request may have, would be a thousand times as much.
#[test]
fn streams_that_drown_the_proxy() {
    const STREAMS: usize = 500;
    const BYTES_EACH_MAX: usize = 150 * 1024;
    let fleet = Plan::new("cluster/proxy_memory").start();
    // Each client opens its session through the proxy, too: what a request took and left is then taken again.
    let open = |_| {
        let session = Session::open(&fleet.traefik.mcp());
        Stream::of_session(fleet.traefik.address(), &session.id).expect_open()
    };
    // What the first ones make it set up.
    let mut streams: Vec<Stream> = (0..50).map(open).collect();
    let before = fleet.traefik.resident_bytes();
    streams.extend((0..STREAMS).map(open));
    let each = fleet.traefik.resident_bytes().saturating_sub(before) / STREAMS;
    println!("{each} bytes of the proxy's memory for each stream");
    assert!(each <= BYTES_EACH_MAX, "{each} bytes for each stream");
    drop(streams);
    fleet.stop();
}
