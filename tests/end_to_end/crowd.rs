//! A crowd: a thousand streams of both eras, some of which stall, some of which are cut and come back, while fifty
//! topics change again and again. Whoever reads hears of the last change of each topic, and when all have left,
//! the server's memory is back where it was.
//!
//! The clients are plain non-blocking sockets in one loop: a thousand SDK clients would need a machine of their own.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use pinfold::internals::wire::sse::EventParser;
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use crate::dechunker::Dechunker;
use crate::program::scratch_folder;
use crate::server::{App, Placement, Server};
use crate::waits::agent;

const STREAMS: usize = 1_000;
pub(crate) const TOPICS: usize = 50;
const PUBLISHES: usize = 2_000;
const BATCH: usize = 50;
/// One in so many stalls, and one in so many is cut and comes back.
const ONE_IN: usize = 20;
/// Far longer than anything takes, on however busy a machine.
const DEADLINE: Duration = Duration::from_secs(600);
/// Whoever stalls here does so for as long as the test takes, and then reads: none of them is cut for it.
const PATIENT: [&str; 2] = ["--write-stall", "1h"];
/// What a second crowd may leave behind.
const LEFT_MAX: u64 = 1 << 20;

#[test]
fn a_change_that_one_of_a_thousand_readers_did_not_hear_of() {
    hear_all(Placement::OneCore, "crowd/one_core");
}

#[test]
fn a_change_that_one_of_a_thousand_readers_on_two_cores_did_not_hear_of() {
    hear_all(Placement::AtRandom, "crowd/moving");
}

fn hear_all(placement: Placement, test: &str) {
    let server = Server::start_with(&PATIENT, App::Board, placement, &scratch_folder(test));
    let visit = || {
        let mut crowd = Crowd::gather(&server);
        crowd.live_through_changes(&server);
        crowd.leave();
    };
    visit();
    let first = server.settled_memory();
    // What the first crowd leaves behind (slabs, pools) the second one uses again. More is a leak.
    visit();
    server.shrinks_to(first + LEFT_MAX);
    server.stop().expect("a clean end");
}

/// The path on which the kernel takes a part of what is written, again and again.
#[test]
fn a_stream_garbled_for_a_reader_of_single_bytes() {
    let folder = scratch_folder("crowd/trickle");
    let server = Server::start_with(&PATIENT, App::Board, Placement::OneCore, &folder);
    let address = server.address();
    let session = Some(open_session(address));
    for session in [session, None] {
        let mut listener = Listener::open(address, session, Habit::Stalls);
        for _ in 0..200 {
            server.publish(&(0..TOPICS).map(uri).collect::<Vec<_>>());
            (0..10).for_each(|_| _ = listener.read_up_to(1));
        }
        listener.heard.clear();
        server.publish(&(0..TOPICS).map(uri).collect::<Vec<_>>());
        // All that waits is more than once each topic; the newest of each comes in the end.
        let deadline = Instant::now() + DEADLINE;
        while listener.heard.len() < TOPICS {
            assert!(Instant::now() < deadline, "a topic was not told of");
            if !listener.read_up_to(1) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
    server.stop().expect("a clean end");
}

/// What a client is like.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Habit {
    Reads,
    /// Takes nothing until the end.
    Stalls,
    /// Loses its connection now and then and comes back at once.
    IsCut,
}

pub(crate) struct Listener {
    address: SocketAddr,
    /// None: 2026-07-28.
    session: Option<String>,
    habit: Habit,
    socket: TcpStream,
    parser: EventParser,
    body: Dechunker,
    /// How often each topic was told since the last look.
    pub(crate) heard: HashMap<String, usize>,
    pub(crate) last_id: String,
}

struct Crowd {
    listeners: Vec<Listener>,
    dice: u64,
}

impl Crowd {
    fn gather(server: &Server) -> Crowd {
        let address = server.address();
        let listeners = (0..STREAMS).map(|number| {
            let habit = match number % ONE_IN {
                0 | 1 => Habit::Stalls,
                2 | 3 => Habit::IsCut,
                _ => Habit::Reads,
            };
            // Both habits in both eras, half of ONE_IN of each.
            let session = (number % 2 == 0).then(|| open_session(address));
            Listener::open(address, session, habit)
        });
        Crowd {
            listeners: listeners.collect(),
            dice: 0x9e37_79b9_7f4a_7c15,
        }
    }

    fn live_through_changes(&mut self, server: &Server) {
        for batch in 0..PUBLISHES / BATCH {
            let topics: Vec<usize> = (0..BATCH).map(|_| self.roll(TOPICS)).collect();
            server.publish(&topics.iter().map(|&it| uri(it)).collect::<Vec<_>>());
            self.read_some();
            if batch % 4 == 0 {
                self.cut_some();
            }
        }
        // What follows is the last change of each topic: everyone has to hear of it from now on.
        self.read_until("the crowd is up to date", Crowd::is_quiet);
        for listener in &mut self.listeners {
            listener.heard.clear();
        }
        server.publish(&(0..TOPICS).map(uri).collect::<Vec<_>>());
        self.cut_some();
        for listener in &mut self.listeners {
            listener.habit = Habit::Reads;
        }
        self.read_until("everyone hears of the last changes", |crowd| {
            crowd.listeners.iter().all(|it| it.heard.len() == TOPICS)
        });
    }

    fn leave(self) {
        for listener in self.listeners {
            if let Some(session) = &listener.session {
                let answer = exchange(
                    listener.address,
                    &format!(
                        "DELETE /mcp HTTP/1.1\r\nHost: localhost\r\nMcp-Session-Id: {session}\r\nConnection: close\r\n\r\n"
                    ),
                );
                assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
            }
        }
    }

    fn cut_some(&mut self) {
        let (count, address) = (self.listeners.len(), self.listeners[0].address);
        for number in 0..count {
            if self.listeners[number].habit != Habit::IsCut || self.roll(2) == 0 {
                continue;
            }
            let old = &self.listeners[number];
            let mut new =
                Listener::open_at(address, old.session.clone(), Habit::IsCut, &old.last_id);
            // A modern stream has no past: what it heard counts on, what it missed meanwhile it has to read.
            new.heard = std::mem::take(&mut self.listeners[number].heard);
            if new.session.is_none() {
                new.heard.extend((0..TOPICS).map(|topic| (uri(topic), 1)));
            }
            self.listeners[number] = new;
        }
    }

    /// True if anybody got anything.
    fn read_some(&mut self) -> bool {
        let mut any = false;
        for listener in self
            .listeners
            .iter_mut()
            .filter(|it| it.habit != Habit::Stalls)
        {
            any |= listener.read();
        }
        any
    }

    fn is_quiet(&mut self) -> bool {
        std::thread::sleep(Duration::from_millis(200));
        !self.read_some()
    }

    fn read_until(&mut self, what: &str, mut done: impl FnMut(&mut Crowd) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !done(self) {
            assert!(
                Instant::now() < deadline,
                "{what}: not within {DEADLINE:?}\n{}",
                self.state()
            );
            if !self.read_some() {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }

    fn state(&self) -> String {
        let behind = self.listeners.iter().filter(|it| it.heard.len() < TOPICS);
        let lines = behind.map(|it| {
            format!(
                "session {:?} heard of {} topics",
                it.session,
                it.heard.len()
            )
        });
        lines.take(10).collect::<Vec<_>>().join("\n")
    }

    fn roll(&mut self, sides: usize) -> usize {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice % sides as u64) as usize
    }
}

impl Listener {
    pub(crate) fn open(address: SocketAddr, session: Option<String>, habit: Habit) -> Listener {
        Listener::open_at(address, session, habit, "")
    }

    pub(crate) fn open_at(
        address: SocketAddr,
        session: Option<String>,
        habit: Habit,
        last_id: &str,
    ) -> Listener {
        let request = match &session {
            None => listen_request(),
            Some(session) => {
                let resume = if last_id.is_empty() {
                    String::new()
                } else {
                    format!("Last-Event-ID: {last_id}\r\n")
                };
                format!(
                    "GET /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nMcp-Session-Id: {session}\r\n{resume}\r\n"
                )
            }
        };
        let mut socket = connect(address, habit);
        socket
            .write_all(request.as_bytes())
            .expect("a request can be sent");
        let head = read_head(&mut socket);
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        socket
            .set_nonblocking(true)
            .expect("a socket can be non-blocking");
        Listener {
            address,
            session,
            habit,
            socket,
            parser: EventParser::new(1 << 20),
            body: Dechunker::default(),
            heard: HashMap::new(),
            last_id: last_id.to_owned(),
        }
    }

    pub(crate) fn read(&mut self) -> bool {
        self.read_up_to(16 * 1024)
    }

    /// Takes what is there. True if there was anything.
    pub(crate) fn read_up_to(&mut self, bytes_max: usize) -> bool {
        let mut buffer = [0; 16 * 1024];
        let count = match self.socket.read(&mut buffer[..bytes_max]) {
            Ok(0) => panic!("the server closed the stream of {:?}", self.session),
            Ok(count) => count,
            Err(fault) if fault.kind() == ErrorKind::WouldBlock => return false,
            Err(fault) => panic!("{fault}"),
        };
        let text = self.body.take(&buffer[..count]);
        let mut rest = text.as_slice();
        while !rest.is_empty() {
            let (used, event) = self.parser.parse(rest).expect("events of a sane size");
            rest = &rest[used..];
            let Some(event) = event else { continue };
            self.last_id = event.id;
            if event.data.is_empty() {
                continue;
            }
            let message: Value = serde_json::from_str(&event.data).expect("an event is JSON");
            if message["method"] == "notifications/resources/updated" {
                let uri = message["params"]["uri"].as_str().expect("a uri").to_owned();
                *self.heard.entry(uri).or_insert(0) += 1;
            }
        }
        true
    }
}

pub(crate) fn uri(topic: usize) -> String {
    format!("board://crowd/{topic}")
}

pub(crate) fn post(body: &Value, fields: &str) -> String {
    let body = body.to_string();
    format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\n{fields}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub(crate) fn listen_request() -> String {
    let uris: Vec<String> = (0..TOPICS).map(uri).collect();
    let body = json!({"jsonrpc": "2.0", "id": "crowd", "method": "subscriptions/listen", "params": {
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        },
        "notifications": { "resourceSubscriptions": uris },
    }});
    post(
        &body,
        "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen\r\n",
    )
}

/// A session with all subscriptions, each in a request of its own.
pub(crate) fn open_session(address: SocketAddr) -> String {
    open_session_of(address, TOPICS)
}

/// A session with so many subscriptions.
pub(crate) fn open_session_of(address: SocketAddr, topics: usize) -> String {
    let mut socket = connect(address, Habit::Reads);
    let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "crowd", "version": "1"},
    }});
    socket
        .write_all(post(&initialize, "").as_bytes())
        .expect("a request can be sent");
    let answer = read_answer(&mut socket);
    let session = answer
        .lines()
        .find_map(|line| line.strip_prefix("Mcp-Session-Id: "))
        .expect("a session id")
        .to_owned();
    for topic in 0..topics {
        let subscribe = json!({"jsonrpc": "2.0", "id": topic + 1, "method": "resources/subscribe", "params": {"uri": uri(topic)}});
        let request = post(&subscribe, &format!("Mcp-Session-Id: {session}\r\n"));
        socket
            .write_all(request.as_bytes())
            .expect("a request can be sent");
        let answer = read_answer(&mut socket);
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.contains("\"result\":{}"),
            "{answer}"
        );
    }
    session
}

pub(crate) fn connect(address: SocketAddr, habit: Habit) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    if habit == Habit::Stalls {
        // So small that the stream of one who does not read stalls after some hundred events.
        socket.set_recv_buffer_size(4096).expect("a small buffer");
    }
    socket.connect(&address.into()).expect("the server listens");
    let socket = TcpStream::from(socket);
    socket
        .set_read_timeout(Some(DEADLINE))
        .expect("a time limit can be set");
    socket
}

pub(crate) fn exchange(address: SocketAddr, request: &str) -> String {
    let mut socket = connect(address, Habit::Reads);
    socket
        .write_all(request.as_bytes())
        .expect("a request can be sent");
    read_answer(&mut socket)
}

/// Byte by byte: what follows the head belongs to someone else.
pub(crate) fn read_head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte).expect("an answer");
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("ASCII")
}

fn read_answer(socket: &mut TcpStream) -> String {
    let head = read_head(socket);
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "));
    let mut body = vec![0; length.map_or(0, |it| it.parse().expect("a length"))];
    socket.read_exact(&mut body).expect("a body");
    head + &String::from_utf8_lossy(&body)
}

impl Server {
    pub(crate) fn address(&self) -> SocketAddr {
        let url = self.mcp();
        let authority = url.trim_start_matches("http://").trim_end_matches("/mcp");
        authority.parse().expect("an address and a port")
    }

    pub(crate) fn publish(&self, uris: &[String]) {
        let items: Vec<Value> = uris.iter().map(|uri| json!({ "uri": uri })).collect();
        let url = format!("{}/publish", self.admin());
        let answer = agent()
            .post(&url)
            .send(Value::from(items).to_string())
            .expect("an answer");
        let text = answer.into_body().read_to_string().expect("a body");
        assert!(!text.contains("\"accepted\":false"), "{text}");
    }

    /// Private memory once the kernel and the server have noticed that everyone is gone.
    fn settled_memory(&self) -> u64 {
        let deadline = Instant::now() + DEADLINE;
        let mut last = self.private_bytes();
        loop {
            std::thread::sleep(Duration::from_millis(300));
            let now = self.private_bytes();
            if now == last {
                return now;
            }
            assert!(
                Instant::now() < deadline,
                "the server's memory does not settle"
            );
            last = now;
        }
    }

    fn shrinks_to(&self, bytes: u64) {
        let deadline = Instant::now() + DEADLINE;
        while self.private_bytes() > bytes {
            assert!(
                Instant::now() < deadline,
                "a second crowd left more behind: {} instead of {bytes} bytes",
                self.private_bytes()
            );
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    fn private_bytes(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("it runs");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"))
            .expect("Linux tells");
        let kilobytes: u64 = line
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .expect("a number");
        kilobytes * 1024
    }
}
