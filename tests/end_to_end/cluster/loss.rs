//! A node is lost, and nodes are exchanged one by one, while clients go on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::json;

use super::client::{Session, initialize, try_initialize};
use super::fleet::{NODES, Plan};
use super::stream::Stream;
use super::{POLL, wait_until};

const STREAMS_PER_NODE: usize = 100;
const URI: &str = "board://loss";
const TOOLS_CHANGED: &str = "notifications/tools/list_changed";
const UPDATED: &str = "notifications/resources/updated board://loss";

/// A stream, and the session that it is of, if it has one.
struct Client {
    session: Option<Session>,
    stream: Stream,
}

impl Client {
    /// With a session at that node, or modern.
    fn open(mcp: &str, address: SocketAddr, legacy: bool) -> Client {
        let session = legacy.then(|| Session::open(mcp));
        let stream = match &session {
            Some(session) => {
                session.subscribe(URI);
                Stream::of_session(address, &session.id)
            }
            None => Stream::listening(address, &[URI]),
        };
        Client {
            session,
            stream: stream.expect_open(),
        }
    }
}

#[test]
fn a_killed_nodes_clients_begin_anew_elsewhere_and_the_others_notice_nothing() {
    let mut fleet = Plan::new("cluster/killed").ending().start();
    let proxy = fleet.traefik.address();
    // A modern stream names no node; opened at the node itself it is known to be there.
    let open = |name: &str, number: usize| {
        let node = fleet.node(name);
        let legacy = number.is_multiple_of(2);
        let address = if legacy { proxy } else { node.address() };
        Client::open(&node.mcp(), address, legacy)
    };
    let gather = |name: &str| {
        (0..STREAMS_PER_NODE)
            .map(|number| open(name, number))
            .collect()
    };
    let mut lost: Vec<Client> = gather("b");
    let mut kept: Vec<Client> = gather("a");
    kept.extend::<Vec<Client>>(gather("c"));

    fleet.node_mut("b").kill();
    wait_until("the dead node's streams end", || {
        lost.iter_mut().all(|client| client.stream.has_ended())
    });
    let mcp = fleet.traefik.mcp();
    let mut found: Vec<Client> = lost
        .iter()
        .map(|client| begin_anew(client, &mcp, proxy))
        .collect();

    fleet
        .node("a")
        .publish(&json!([{"topic": "tools"}, {"uri": URI, "contents": "loss"}]));
    for client in kept.iter_mut().chain(&mut found) {
        client.stream.wait_to_hear(TOOLS_CHANGED);
        client.stream.wait_to_hear(UPDATED);
    }
    let ended = kept
        .iter_mut()
        .filter_map(|client| client.stream.has_ended().then_some(()));
    assert_eq!(ended.count(), 0, "streams of living nodes ended");
    fleet.stop();
}

/// Its kernel takes connections and requests, and nobody answers them.
#[test]
fn a_node_that_hangs_with_its_clients_at_another_one() {
    let mut fleet = Plan::new("cluster/hangs").ending().start();
    let session = Session::open(&fleet.node("a").mcp());
    let deleted = Session::open(&fleet.node("a").mcp());
    wait_until("a record", || fleet.redis().has_record(&deleted.id));
    let elsewhere = session.through(&fleet.node("b").mcp());
    assert_eq!(elsewhere.ping().status, 200);
    fleet.node("a").hang();
    let reasons = ["owner_down", "owner_unreachable"];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let answer = deleted.through(&fleet.node("b").mcp()).delete();
            assert!(reasons.contains(&answer.reason().as_str()), "{answer:?}");
        });
        let answer = elsewhere.ping();
        assert_eq!(answer.status, 404, "{answer:?}");
        assert!(reasons.contains(&answer.reason().as_str()), "{answer:?}");
    });
    // All of this while it hangs.
    wait_until("the record is gone", || {
        !fleet.redis().has_record(&deleted.id)
    });
    fleet.node("a").go_on();
    wait_until("it is found again", || elsewhere.ping().status == 200);
    fleet.stop();
}

/// As a good client does: a session that is gone is opened again, a modern stream is just asked for again.
fn begin_anew(client: &Client, mcp: &str, proxy: SocketAddr) -> Client {
    if let Some(session) = &client.session {
        let answer = session.through(mcp).ping();
        assert_eq!(answer.status, 404, "{answer:?}");
        let reason = answer.reason();
        assert!(
            ["owner_down", "owner_unreachable"].contains(&reason.as_str()),
            "{reason}"
        );
    }
    Client::open(mcp, proxy, client.session.is_some())
}

/// What the clients of a rolling deploy saw.
#[derive(Default)]
struct Seen {
    answers: usize,
    sessions: usize,
    /// 5xx, no answer at all, or a 404 without a reason.
    faults: Vec<String>,
}

#[test]
fn three_nodes_exchanged_one_by_one_without_one_request_failing() {
    let mut fleet = Plan::new("cluster/rolling").ending().start();
    let over = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..4)
        .map(|_| call(fleet.traefik.mcp(), over.clone()))
        .collect();
    let followers: Vec<_> = (0..30)
        .map(|number| {
            follow(
                fleet.traefik.mcp(),
                fleet.traefik.address(),
                number % 2 == 0,
                over.clone(),
            )
        })
        .collect();
    for name in NODES {
        fleet
            .node_mut(name)
            .stop()
            .unwrap_or_else(|fault| panic!("{fault}"));
        fleet.node_mut(name).start_again();
        let lead = format!("{name}.");
        wait_until("the proxy gives the new process clients", || {
            let answer = initialize(&fleet.traefik.mcp(), &[]);
            answer
                .field("mcp-session-id")
                .is_some_and(|id| id.starts_with(&lead))
        });
    }
    over.store(true, Ordering::Relaxed);
    let mut seen = Seen::default();
    for caller in callers.into_iter().chain(followers) {
        let one = caller.join().expect("a client");
        seen.answers += one.answers;
        seen.sessions += one.sessions;
        seen.faults.extend(one.faults);
    }
    println!(
        "{} answers, {} sessions opened",
        seen.answers, seen.sessions
    );
    assert!(seen.faults.is_empty(), "{:#?}", seen.faults);
    assert!(
        seen.answers > 300,
        "there was little load: {} answers",
        seen.answers
    );
    fleet.stop();
}

/// Sends requests one after the other, and initializes when its session is gone.
fn call(mcp: String, over: Arc<AtomicBool>) -> JoinHandle<Seen> {
    std::thread::spawn(move || {
        let mut seen = Seen::default();
        let mut session = None;
        while !over.load(Ordering::Relaxed) {
            let Some(current) = &session else {
                session = seen.open(&mcp);
                continue;
            };
            if !seen.ping(current) {
                session = None;
            }
            std::thread::sleep(POLL);
        }
        seen
    })
}

/// Keeps a stream open, and opens it again when it ends.
fn follow(mcp: String, proxy: SocketAddr, legacy: bool, over: Arc<AtomicBool>) -> JoinHandle<Seen> {
    std::thread::spawn(move || {
        let mut seen = Seen::default();
        let mut session = None;
        let mut stream: Option<Stream> = None;
        while !over.load(Ordering::Relaxed) {
            std::thread::sleep(POLL);
            if stream.as_mut().is_some_and(|stream| !stream.has_ended()) {
                continue;
            }
            if legacy && session.is_none() {
                session = seen.open(&mcp);
                continue;
            }
            let next = match &session {
                Some(session) => Stream::of_session(proxy, &session.id),
                None => Stream::listening(proxy, &[URI]),
            };
            seen.answers += 1;
            match next.status() {
                200 => stream = Some(next),
                404 if legacy => session = None,
                status => seen.faults.push(format!("a stream was answered {status}")),
            }
        }
        seen
    })
}

impl Seen {
    fn open(&mut self, mcp: &str) -> Option<Session> {
        let asked = Instant::now();
        let Some(answer) = try_initialize(mcp, &[]) else {
            self.faults.push("initialize had no answer".into());
            return None;
        };
        self.answers += 1;
        self.check_time(asked);
        let id = answer.field("mcp-session-id").map(str::to_owned);
        match id {
            Some(id) if answer.status == 200 => {
                self.sessions += 1;
                Some(Session::known(mcp, &id))
            }
            _ => {
                self.faults.push(format!("initialize: {answer:?}"));
                None
            }
        }
    }

    /// False when the session is gone.
    fn ping(&mut self, session: &Session) -> bool {
        let asked = Instant::now();
        let Some(answer) = session.try_ping() else {
            self.faults.push("a ping had no answer".into());
            return true;
        };
        self.answers += 1;
        self.check_time(asked);
        match (answer.status, answer.reason().is_empty()) {
            (200, _) => true,
            (404, false) => false,
            _ => {
                self.faults.push(format!("ping: {answer:?}"));
                false
            }
        }
    }

    fn check_time(&mut self, asked: Instant) {
        const SLOW: Duration = Duration::from_secs(60);
        if asked.elapsed() > SLOW {
            self.faults
                .push(format!("a request took {:?}", asked.elapsed()));
        }
    }
}
