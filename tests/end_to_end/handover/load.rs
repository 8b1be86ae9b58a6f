//! Two hundred streams of both eras, readers that are slow, and connections that come and go, while the node changes its process
//! again and again: each event comes once and in its order, and nobody is cut, refused or left without an answer. The long form,
//! with figures, is `pinfold-bench handover`.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use serde_json::json;

use super::Upgraded;
use crate::crowd::{Habit, TOPICS, connect, listen_request, open_session, post, read_head, uri};
use crate::server::App;
use crate::waits::{OverAtItsEnd, agent, wait_for, wait_until};

const STREAMS: usize = 200;
/// One in so many is a slow reader.
const ONE_IN: usize = 20;
const HAND_OVERS: u64 = 3;
/// Publications from one hand-over to the next.
const BETWEEN: u64 = 25;
/// A topic is published again when everybody has heard of it, or it would be told of once.
const AHEAD_MAX: u64 = TOPICS as u64 - 10;
/// Slow readers read in one of so many rounds.
const SLOW_ROUNDS: u64 = 8;

#[test]
fn an_event_a_stream_or_a_connection_that_is_lost_on_the_ring() {
    lose_nothing("uring");
}

#[test]
fn an_event_a_stream_or_a_connection_that_is_lost_under_epoll() {
    lose_nothing("epoll");
}

fn lose_nothing(driver: &str) {
    let load = Load::start(driver);
    let (node, address) = (&load.node, load.node.address());
    let mut followers: Vec<Follower> = (0..STREAMS)
        .map(|number| Follower::open(address, number))
        .collect();
    let published = AtomicU64::new(0);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _over = OverAtItsEnd(&over);
        let operator = scope.spawn(|| {
            let mut process = node.pid().into();
            for number in 1..=HAND_OVERS {
                wait_until("more is published, or will not be", || {
                    published.load(SeqCst) >= number * BETWEEN || over.load(SeqCst)
                });
                if over.load(SeqCst) {
                    return;
                }
                process = load.hand_over(process);
            }
        });
        let mut shorts = Vec::new();
        let mut left = BETWEEN;
        while left > 0 {
            assert!(
                !operator.is_finished() || load.hand_overs.load(SeqCst) == HAND_OVERS,
                "{}",
                node.log()
            );
            left -= u64::from(operator.is_finished());
            let number = published.load(SeqCst);
            wait_for("everybody has heard of what was published", || {
                read_all(&mut followers, true);
                let least = followers.iter().map(|it| it.heard).min();
                (least? + AHEAD_MAX > number).then_some(())
            });
            load.publish(number);
            published.store(number + 1, SeqCst);
            shorts.push(Short::open(address));
            shorts.retain_mut(|it| !it.is_answered());
            read_all(&mut followers, number.is_multiple_of(SLOW_ROUNDS));
        }
        wait_for("everybody who asked is answered", || {
            shorts.retain_mut(|it| !it.is_answered());
            shorts.is_empty().then_some(())
        });
    });
    let all = published.load(SeqCst);
    wait_for("everybody has heard of everything", || {
        read_all(&mut followers, true);
        followers.iter().all(|it| it.heard == all).then_some(())
    });
    load.end();
}

fn read_all(followers: &mut [Follower], slow_read: bool) {
    let reading = followers.iter_mut().filter(|it| slow_read || !it.is_slow);
    reading.for_each(Follower::read);
}

/// A stream, and how many events have come.
struct Follower {
    socket: TcpStream,
    is_slow: bool,
    unread: Vec<u8>,
    heard: u64,
}

impl Follower {
    fn open(address: SocketAddr, number: usize) -> Follower {
        let is_slow = number % ONE_IN < 2;
        let habit = if is_slow { Habit::Stalls } else { Habit::Reads };
        let request = match number % 2 {
            0 => listen_request(),
            _ => format!(
                "GET /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nMcp-Session-Id: {}\r\n\r\n",
                open_session(address)
            ),
        };
        let mut socket = connect(address, habit);
        socket.write_all(request.as_bytes()).expect("it reads");
        let head = read_head(&mut socket);
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        socket.set_nonblocking(true).expect("a socket");
        Follower {
            socket,
            is_slow,
            unread: Vec::new(),
            heard: 0,
        }
    }

    fn read(&mut self) {
        let mut bytes = [0; 16 * 1024];
        loop {
            match self.socket.read(&mut bytes) {
                Ok(0) => panic!("a stream ended after {} events", self.heard),
                Ok(count) => self.take(&bytes[..count]),
                Err(fault) if fault.kind() == ErrorKind::WouldBlock => return,
                Err(fault) => panic!("a stream broke after {} events: {fault}", self.heard),
            }
        }
    }

    /// A chunk has whole events, so that no framing is in one.
    fn take(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
        while let Some(end) = self.unread.windows(2).position(|it| it == b"\n\n") {
            let event: Vec<u8> = self.unread.drain(..end + 2).collect();
            let event = String::from_utf8_lossy(&event);
            let Some((_, rest)) = event.split_once("\"params\":{\"uri\":\"") else {
                continue;
            };
            let told = rest.split('"').next();
            let due = uri(self.heard as usize % TOPICS);
            assert_eq!(told, Some(due.as_str()), "the event after {}", self.heard);
            self.heard += 1;
        }
    }
}

/// One request on a connection of its own.
struct Short {
    socket: TcpStream,
    answer: Vec<u8>,
}

impl Short {
    fn open(address: SocketAddr) -> Short {
        let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "short", "version": "1"},
        }});
        let mut socket = connect(address, Habit::Reads);
        socket
            .write_all(post(&body, "").as_bytes())
            .expect("it is taken");
        socket.set_nonblocking(true).expect("a socket");
        Short {
            socket,
            answer: Vec::new(),
        }
    }

    fn is_answered(&mut self) -> bool {
        let mut bytes = [0; 4096];
        match self.socket.read(&mut bytes) {
            Ok(0) => panic!("a connection ended without an answer"),
            Ok(count) => self.answer.extend_from_slice(&bytes[..count]),
            Err(fault) if fault.kind() == ErrorKind::WouldBlock => return false,
            Err(fault) => panic!("a connection broke without an answer: {fault}"),
        }
        let answer = String::from_utf8_lossy(&self.answer);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer.ends_with('}')
    }
}

/// Whose process is another one by now.
struct Load {
    node: Upgraded,
    hand_overs: AtomicU64,
}

impl Load {
    fn start(driver: &str) -> Load {
        let options = ["--driver", driver, "--write-stall", "1h"];
        let rate = ["--initialize-per-second-max", "1000000"];
        let test = format!("load_{driver}");
        Load {
            node: Upgraded::start(&test, App::Board, &[&options[..], &rate].concat()),
            hand_overs: AtomicU64::new(0),
        }
    }

    /// Whoever gets no answer asks again, and is known by the key.
    fn publish(&self, number: u64) {
        let topic = number as usize % TOPICS;
        let item = json!({ "uri": uri(topic), "key": number.to_string() }).to_string();
        let url = format!("{}/publish", self.node.admin());
        wait_for("a publication is answered", || {
            let answer = agent().post(&url).send(&item).ok()?;
            answer.into_body().read_to_string().ok()
        });
    }

    /// Whether the answer comes is for other tests: here it may be held up by a publication that waits for the hand-over. The log
    /// says what became of it.
    fn hand_over(&self, before: u64) -> u64 {
        let url = format!("{}/handover", self.node.admin());
        let answer = agent().post(&url).send_empty();
        let refused = matches!(answer, Err(ureq::Error::StatusCode(_)));
        assert!(!refused, "{answer:?}\n{}", self.node.log());
        let number = self.hand_overs.load(SeqCst) as usize;
        let process = wait_for("the new process serves", || {
            let log = self.node.log();
            let line = log
                .lines()
                .filter(|it| it.contains("handed over: "))
                .nth(number)?;
            line.split_once("pid=")?.1.split(' ').next()?.parse().ok()
        });
        assert_ne!(process, before);
        self.hand_overs.fetch_add(1, SeqCst);
        process
    }

    fn end(&self) {
        self.node.signal("TERM", self.node.pid());
        self.node.is_gone();
        let log = self.node.log();
        assert!(!log.contains("ERROR"), "{log}");
    }
}
