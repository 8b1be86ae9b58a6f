//! What was accepted is kept, or said to be lost; and whoever is told of a change reads it, at whatever node.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Session, modern_read, try_get};
use super::node::Node;
use super::redis::{Redis, Reply};
use super::stream::Stream;
use super::{POLL, wait_until};
use crate::program::scratch_folder;
use crate::server::App;

const URI: &str = "board://kept";
const UPDATED: &str = "notifications/resources/updated board://kept";

/// Three nodes and their Redis, without a proxy.
struct Trio {
    redis: Redis,
    nodes: Vec<Node>,
}

/// A modern client without cookies: it listens at one node, and reads at another whenever it is told.
struct Reader {
    stream: Stream,
    heard: usize,
    read: Option<String>,
}

impl Trio {
    fn start(test: &str) -> Trio {
        let scratch = scratch_folder(test);
        let redis = Redis::start(&scratch);
        let start = |name: &&str| Node::start(name, App::Board, Some(&redis), &scratch);
        Trio {
            nodes: ["a", "b", "c"].iter().map(start).collect(),
            redis,
        }
    }

    fn put(&self, uri: &str, text: &str) -> Value {
        let answer = self.nodes[0].try_publish(&json!([{"uri": uri, "contents": text}]));
        let answers: Value = serde_json::from_str(&answer.body).expect("answers are JSON");
        assert_eq!(answers[0]["accepted"], true, "{answer:?}");
        answers[0].clone()
    }

    fn has_everywhere(&self, uri: &str, text: &str) {
        for node in &self.nodes {
            let session = Session::open(&node.mcp());
            wait_until("it is there", || {
                read(&session, uri).as_deref() == Some(text)
            });
        }
    }

    fn stop(mut self) {
        Node::stop_all(&mut self.nodes);
    }
}

pub(super) fn read(session: &Session, uri: &str) -> Option<String> {
    let answer = session.request("resources/read", json!({"uri": uri}), &[]);
    let body: Value = serde_json::from_str(&answer.body).ok()?;
    let text = body["result"]["contents"][0]["text"].as_str();
    text.map(str::to_owned)
}

impl Reader {
    fn open(at: &Node) -> Reader {
        Reader {
            stream: Stream::listening(at.address(), &[URI]).expect_open(),
            heard: 0,
            read: None,
        }
    }

    /// Reads if there is something new.
    fn follow(&mut self, elsewhere: &Session) {
        self.stream.has_heard(UPDATED);
        if self.stream.heard.len() > self.heard {
            self.heard = self.stream.heard.len();
            self.read = read(elsewhere, URI);
        }
    }

    fn comes_to_know(&mut self, elsewhere: &Session, text: &str) {
        wait_until("it was told, and read the new contents", || {
            self.follow(elsewhere);
            self.read.as_deref() == Some(text)
        });
    }
}

/// The older contents of that resource, too, on all nodes.
#[test]
fn a_publish_that_is_lost_since_redis_forgets_at_that_moment() {
    let trio = Trio::start("cluster/kept_flushed");
    for number in 0..6 {
        let uri = format!("board://kept/{number}");
        trio.put(&uri, "old");
        trio.has_everywhere(&uri, "old");
        std::thread::scope(|scope| {
            scope.spawn(|| trio.put(&uri, "new"));
            std::thread::sleep(Duration::from_micros(400 * number));
            trio.redis.flush();
        });
        trio.has_everywhere(&uri, "new");
    }
    trio.stop();
}

#[test]
fn boards_that_are_emptied_by_a_redis_that_forgets_while_it_is_read_again() {
    const RESOURCES: usize = 2_000;
    let trio = Trio::start("cluster/kept_flushed_twice");
    let item = |number: usize| json!({"uri": format!("board://kept/{number}"), "contents": "x"});
    let items: Vec<Value> = (0..RESOURCES).map(item).collect();
    for items in items.chunks(1_000) {
        trio.nodes[0].publish(&json!(items));
    }
    trio.has_everywhere(&format!("board://kept/{}", RESOURCES - 1), "x");
    trio.redis.flush();
    // Each node notices, and reads and writes again: in the middle of that.
    for _ in 0..3 {
        wait_until("something is put back", || {
            trio.redis.command(&["HLEN", "mcp:board"]) != Reply::Integer(0)
        });
        trio.redis.flush();
    }
    wait_until("everything is put back", || {
        trio.redis.command(&["HLEN", "mcp:board"]) == Reply::Integer(RESOURCES as i64)
    });
    for number in (0..RESOURCES).step_by(97) {
        trio.has_everywhere(&format!("board://kept/{number}"), "x");
    }
    trio.stop();
}

#[test]
fn a_node_that_ends_with_what_it_accepted_and_says_nothing() {
    let mut trio = Trio::start("cluster/kept_unsent");
    assert_eq!(trio.put(URI, "early")["kept"], "cluster");
    trio.redis.stop();
    assert_eq!(trio.put("board://kept/late", "lost")["kept"], "node");
    let log = trio.nodes[0].log().len();
    trio.nodes[0]
        .stop()
        .unwrap_or_else(|fault| panic!("{fault}"));
    let log = trio.nodes[0].log().split_off(log);
    let said = log.contains("count=1") && log.contains("board://kept/late");
    assert!(said, "{log}");
    trio.redis.start_again();
    // One that has its Redis back in time loses nothing.
    trio.nodes[0].start_again();
    trio.redis.stop();
    assert_eq!(trio.put(URI, "late")["kept"], "node");
    std::thread::scope(|scope| {
        let (leaving, others) = trio.nodes.split_at_mut(1);
        scope.spawn(|| leaving[0].stop().unwrap_or_else(|fault| panic!("{fault}")));
        trio.redis.start_again();
        for node in others {
            let session = Session::open(&node.mcp());
            wait_until("it is there", || {
                read(&session, URI).as_deref() == Some("late")
            });
        }
    });
    trio.stop();
}

#[test]
fn a_client_that_reads_elsewhere_than_it_listens_and_stays_stale() {
    let trio = Trio::start("cluster/kept_stale");
    let elsewhere = Session::open(&trio.nodes[2].mcp());
    let mut reader = Reader::open(&trio.nodes[0]);
    for number in 0..40 {
        let text = format!("calm {number}");
        trio.put(URI, &text);
        reader.comes_to_know(&elsewhere, &text);
    }
    for number in 0..3 {
        let text = format!("Redis hangs {number}");
        trio.redis.hang();
        trio.put(URI, &text);
        wait_until("it is told ahead", || {
            reader.follow(&elsewhere);
            reader.stream.heard.len() > 40
        });
        trio.redis.go_on();
        reader.comes_to_know(&elsewhere, &text);
    }
    for number in 0..3 {
        let text = format!("a node hangs {number}");
        let heard = reader.stream.heard.len();
        trio.nodes[2].hang();
        trio.put(URI, &text);
        wait_until("it is told", || {
            reader.stream.has_heard(UPDATED);
            reader.stream.heard.len() > heard
        });
        // What it would read there now never comes.
        reader.heard = reader.stream.heard.len();
        trio.nodes[2].go_on();
        reader.comes_to_know(&elsewhere, &text);
    }
    for number in 0..3 {
        let text = format!("a tail is killed {number}");
        kill_tail(&trio.redis, "c");
        trio.put(URI, &text);
        reader.comes_to_know(&elsewhere, &text);
    }
    trio.stop();
}

pub(super) fn kill_tail(redis: &Redis, node: &str) {
    let Reply::Text(clients) = redis.command(&["CLIENT", "LIST"]) else {
        panic!("a list of clients");
    };
    let name = format!("name=pinfold-{node}-bus-tail ");
    let tail = clients.lines().find(|line| line.contains(&name));
    let id = tail.and_then(|line| line.strip_prefix("id=")?.split(' ').next());
    let killed = redis.command(&["CLIENT", "KILL", "ID", id.expect("it is connected")]);
    assert_eq!(killed, Reply::Integer(1));
}

/// What is between one node and Redis, to be cut, or to be held: what the node says arrives later.
pub(super) struct Way {
    address: SocketAddr,
    is_cut: Arc<AtomicBool>,
    /// Of the connection that reads the log, and of the others.
    pub(super) holds_tail: Arc<AtomicBool>,
    pub(super) holds_others: Arc<AtomicBool>,
}

impl Way {
    pub(super) fn to(redis: u16) -> Way {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let way = Way {
            address: listener.local_addr().expect("it is bound"),
            is_cut: Arc::default(),
            holds_tail: Arc::default(),
            holds_others: Arc::default(),
        };
        let cut = way.is_cut.clone();
        let holds = [way.holds_others.clone(), way.holds_tail.clone()];
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let far = TcpStream::connect(("127.0.0.1", redis));
                if let Some(far) = far.ok().filter(|_| !cut.load(Ordering::Relaxed)) {
                    pass_on(&near, &far, &cut, holds.clone());
                    pass_on(&far, &near, &cut, Default::default());
                }
            }
        });
        way
    }

    /// The URL of Redis by this way.
    pub(super) fn url(&self, redis: &Redis) -> String {
        let port = format!(":{}", redis.port());
        let own = format!(":{}", self.address.port());
        redis.url().replace(&port, &own)
    }
}

/// Until either side ends, or the way is cut.
fn pass_on(
    from: &TcpStream,
    to: &TcpStream,
    is_cut: &Arc<AtomicBool>,
    holds: [Arc<AtomicBool>; 2],
) {
    let clone = |socket: &TcpStream| socket.try_clone().expect("a handle can be cloned");
    let (mut from, mut to) = (clone(from), clone(to));
    let is_cut = is_cut.clone();
    from.set_read_timeout(Some(POLL))
        .expect("a time limit can be set");
    std::thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        let mut is_tail = false;
        while !is_cut.load(Ordering::Relaxed) {
            let read = from.read(&mut buffer);
            // Its first words have its name.
            let words = &buffer[..*read.as_ref().unwrap_or(&0)];
            is_tail |= words.windows(9).any(|it| it == b"-bus-tail");
            while holds[usize::from(is_tail)].load(Ordering::Relaxed) {
                std::thread::sleep(POLL / 10);
            }
            match read {
                Ok(count) if count > 0 && to.write_all(&buffer[..count]).is_ok() => {}
                Err(fault) if fault.kind() == ErrorKind::WouldBlock => {}
                _ => break,
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    });
}

#[test]
fn an_older_write_that_stands_because_its_node_was_cut_off() {
    let scratch = scratch_folder("cluster/kept_order");
    let redis = Redis::start(&scratch);
    let way = Way::to(redis.port());
    let own = way.url(&redis);
    let options = ["--redis", &own, "--no-forward"];
    let mut cut_off = Node::start_with("a", &options, &scratch);
    let url = redis.url();
    let mut other = Node::start_with("b", &["--redis", &url, "--no-forward"], &scratch);
    let put = |node: &Node, text: &str| node.publish(&json!([{"uri": URI, "contents": text}]));
    put(&cut_off, "first");
    let sessions = [&cut_off, &other].map(|node| Session::open(&node.mcp()));
    wait_until("it is there", || {
        read(&sessions[1], URI).as_deref() == Some("first")
    });
    way.is_cut.store(true, Ordering::Relaxed);
    wait_until("the node is alone", || {
        put(&cut_off, "older");
        cut_off.metric("pinfold_bus_queued") > 0.0
    });
    // Writes of one moment may come in any order.
    std::thread::sleep(Duration::from_millis(400));
    put(&other, "newer");
    assert_eq!(read(&sessions[0], URI).as_deref(), Some("older"));
    way.is_cut.store(false, Ordering::Relaxed);
    wait_until("it has come back", || {
        cut_off.metric("pinfold_bus_queued") == 0.0
            && read(&sessions[0], URI).as_deref() != Some("older")
    });
    for session in &sessions {
        assert_eq!(read(session, URI).as_deref(), Some("newer"));
    }
    wait_until("it is counted", || {
        cut_off.metric("pinfold_bus_events_total{kind=\"overtaken\"}") == 1.0
    });
    Node::stop_all([&mut cut_off, &mut other]);
}

/// It says why not, and when it takes clients all the same.
#[test]
fn a_node_that_is_ready_without_its_board() {
    let mut trio = Trio::start("cluster/kept_ready");
    trio.put(URI, "soup");
    trio.has_everywhere(URI, "soup");
    trio.nodes[2].kill();
    trio.redis.hang();
    std::thread::scope(|scope| {
        let late = &mut trio.nodes[2..];
        let (own, admin) = (late[0].url(), late[0].admin());
        let starting = scope.spawn(|| late[0].start_again());
        for url in [own.clone(), admin] {
            wait_until("it says what it waits for", || {
                try_get(&format!("{url}/readyz"), &[])
                    .is_some_and(|it| it.status == 503 && it.body.contains("board"))
            });
        }
        // Whoever comes all the same is not told that there is no soup.
        let early = modern_read(&format!("{own}/mcp"), URI).expect("an answer");
        assert_eq!(early.status, 503, "{early:?}");
        assert!(early.field("retry-after").is_some(), "{early:?}");
        trio.redis.go_on();
        starting.join().expect("it becomes ready");
    });
    let gave_up = trio.nodes[2].log().contains("takes clients without");
    assert!(!gave_up, "it waited for the board");
    let session = Session::open(&trio.nodes[2].mcp());
    assert_eq!(read(&session, URI).as_deref(), Some("soup"));
    trio.nodes[2].kill();
    trio.redis.stop();
    trio.nodes[2].start_again();
    let ready = try_get(&format!("{}/readyz", trio.nodes[2].admin()), &[]).expect("an answer");
    assert!(ready.body.contains("without"), "{ready:?}");
    assert!(trio.nodes[2].log().contains("takes clients without"));
    trio.stop();
}
