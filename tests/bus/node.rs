//! A node of this process, its bus, and clients that write down what they are told.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use pinfold::app::board::{Board, BoardLimits};
use pinfold::app::contents::{Body, ContentStore, Contents};
use pinfold::internals::cluster::bus::{BusHandle, BusSetup, ReceiptReceiver, RedisSettings, open};
use pinfold::internals::redis::{RedisUrl, Settings};
use pinfold::internals::runtime::{Driver, run_alone};
use pinfold::internals::wire::session_id::NodeName;
use serde_json::{Value, json};

use crate::redis::Redis;

/// Far above what anything takes here, on however busy a machine.
const LIMIT: Duration = Duration::from_secs(120);

pub(crate) struct Node {
    running: pinfold::Node,
    pub(crate) door: Arc<BusHandle>,
    pub(crate) store: Arc<dyn ContentStore>,
}

impl Node {
    pub(crate) fn start(name: &str, redis: &Redis) -> Node {
        let board = Board::new(BoardLimits::default());
        let store = board.store();
        let builder = pinfold::Node::builder(move || board.app()).listen("127.0.0.1:0");
        let builder = builder.cores(2).name(name).driver(Driver::Epoll);
        let running = builder.start().expect("a node starts");
        let url: RedisUrl = redis.url().parse().expect("a URL");
        let way = RedisSettings {
            redis: Settings::new(url, format!("pinfold-{name}")),
            prefix: "mcp:".to_owned(),
            metrics: Arc::default(),
        };
        let setup = BusSetup {
            node: NodeName::new(name).expect("a name"),
            incarnation: running.options().incarnation,
            store: Some(store.clone()),
            uri_bytes_max: 2048,
        };
        let publisher = running.publisher().clone();
        let (sender, door) = channel();
        std::thread::spawn(move || {
            let (door, run) = open(way, setup, publisher);
            sender.send(door).expect("the test waits");
            run_alone(Driver::Epoll, run)
        });
        let door = door.recv().expect("it was sent");
        Node {
            running,
            door,
            store,
        }
    }

    pub(crate) fn put(&self, uri: &str, text: &str) -> Option<u64> {
        offset(self.door.put(uri.into(), Some(contents(text))))
    }

    pub(crate) fn has(&self, uri: &str, text: Option<&str>) {
        let what = || format!("{uri} is {:?}, not {text:?}", self.store.get(uri));
        wait_until(what, || self.store.get(uri) == text.map(contents));
    }

    pub(crate) fn client(&self, uris: &[&str]) -> Client {
        Client::open(self.running.address(), uris)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.running.stop();
    }
}

pub(crate) fn contents(text: &str) -> Contents {
    Contents {
        mime_type: None,
        name: None,
        description: None,
        body: Body::Text(text.to_owned()),
    }
}

/// What the publisher is answered, also while Redis hangs.
pub(crate) fn offset(mut receipt: ReceiptReceiver) -> Option<u64> {
    let since = Instant::now();
    loop {
        if let Some(receipt) = receipt.try_recv().expect("the bus runs") {
            return receipt.offset;
        }
        assert!(since.elapsed() < LIMIT, "a publisher waits for Redis");
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) fn wait_until(what: impl Fn() -> String, holds: impl Fn() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < LIMIT, "{}", what());
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A session with an open stream; its events arrive as topics or as the data of a message.
pub(crate) struct Client {
    pub(crate) session: String,
    events: Receiver<String>,
}

impl Client {
    fn open(address: SocketAddr, uris: &[&str]) -> Client {
        let version = "2025-06-18";
        let params = json!({"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}});
        let (session, _) = post(
            address,
            None,
            &json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}),
        );
        let session = session.expect("a session");
        post(
            address,
            Some(&session),
            &json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        );
        for uri in uris {
            let subscribe = json!({"jsonrpc": "2.0", "id": 2, "method": "resources/subscribe", "params": {"uri": uri}});
            let (_, body) = post(address, Some(&session), &subscribe);
            assert!(body.contains("result"), "{body}");
        }
        let mut stream = TcpStream::connect(address).expect("the node listens");
        let head = format!(
            "GET /mcp HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\nMcp-Session-Id: {session}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("it reads");
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).expect("a head");
        }
        let (sender, events) = channel();
        std::thread::spawn(move || pass_on(reader, &sender));
        Client { session, events }
    }

    /// Reads on until this was told.
    pub(crate) fn hears(&self, event: &str) {
        self.hears_all(&[event]);
    }

    /// Reads on until all of these were told, in any order.
    pub(crate) fn hears_all(&self, events: &[&str]) {
        let until = Instant::now() + LIMIT;
        let mut missing = events.to_vec();
        while !missing.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            let heard = self.events.recv_timeout(left);
            let heard = heard.unwrap_or_else(|_| panic!("never told of {missing:?}"));
            missing.retain(|event| *event != heard);
        }
    }

    /// All that was told up to this event, which is the last.
    pub(crate) fn hears_until(&self, event: &str) -> Vec<String> {
        let mut all = Vec::new();
        while all.last().is_none_or(|last| last != event) {
            all.push(self.events.recv_timeout(LIMIT).expect("another event"));
        }
        all
    }
}

fn pass_on(reader: BufReader<TcpStream>, sender: &Sender<String>) {
    for line in reader.lines() {
        let Ok(line) = line else { return };
        let Some(data) = line.strip_prefix("data: ") else {
            continue;
        };
        let message: Value = serde_json::from_str(data).expect("JSON");
        let params = &message["params"];
        let event = match message["method"].as_str() {
            Some("notifications/resources/updated") => params["uri"].as_str(),
            Some("notifications/message") => params["data"].as_str(),
            other => other,
        };
        if sender
            .send(event.expect("a notification").to_owned())
            .is_err()
        {
            return;
        }
    }
}

fn post(address: SocketAddr, session: Option<&str>, message: &Value) -> (Option<String>, String) {
    let mut request = ureq::post(format!("http://{address}/mcp"))
        .header("Accept", "application/json, text/event-stream")
        .header("Content-Type", "application/json");
    if let Some(session) = session {
        request = request.header("Mcp-Session-Id", session);
    }
    let mut response = request.send(message.to_string()).expect("an answer");
    let session = response.headers().get("mcp-session-id");
    let session = session.map(|id| id.to_str().expect("text").to_owned());
    (
        session,
        response.body_mut().read_to_string().expect("a body"),
    )
}
