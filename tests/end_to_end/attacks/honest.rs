//! The honest client beside an attack: it opens sessions and ends them, pings, calls a tool, and hears what is published,
//! again and again until it is told to stop. Any answer that is not the right one ends its thread with a panic.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::requests;
use crate::publish::http::Exchange;
use crate::server::{App, Server};

/// Pings in each round, so that there are many to take a percentile of.
const PINGS: usize = 5;
const ROUNDS_BEFORE: usize = 40;

const BEFORE: u8 = 0;
const DURING: u8 = 1;
const OVER: u8 = 2;

pub(super) struct Honest {
    phase: Arc<AtomicU8>,
    rounds: Arc<AtomicUsize>,
    thread: JoinHandle<[Vec<Duration>; 2]>,
}

/// How long a ping took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
}

impl Honest {
    /// Returns when it has been served often enough to know what is usual.
    pub(super) fn begin(server: &Server, app: App) -> Self {
        let phase = Arc::new(AtomicU8::new(BEFORE));
        let rounds = Arc::new(AtomicUsize::new(0));
        let (its_phase, its_rounds) = (Arc::clone(&phase), Arc::clone(&rounds));
        let (mcp, admin) = (server.mcp(), server.admin());
        let thread = std::thread::spawn(move || {
            let mut client = Client::join(&mcp, &admin, app);
            let mut times = [Vec::new(), Vec::new()];
            loop {
                let phase = its_phase.load(Ordering::Acquire);
                let Some(times) = times.get_mut(usize::from(phase)) else {
                    return times;
                };
                client.round(times);
                its_rounds.fetch_add(1, Ordering::Release);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let honest = Honest {
            phase,
            rounds,
            thread,
        };
        honest.await_rounds(ROUNDS_BEFORE);
        honest.phase.store(DURING, Ordering::Release);
        honest
    }

    /// Returns when it was served so many times more, or failed.
    pub(super) fn await_rounds(&self, count: usize) {
        let wanted = self.rounds.load(Ordering::Acquire) + count;
        while self.rounds.load(Ordering::Acquire) < wanted && !self.thread.is_finished() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Times before the attack and during it; the panic's sentence if it was not served rightly.
    pub(super) fn end(self) -> Result<[Times; 2], String> {
        self.phase.store(OVER, Ordering::Release);
        let times = self.thread.join().map_err(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            text.or_else(|| panic.downcast_ref::<&str>().map(|&it| it.to_owned()))
                .unwrap_or_default()
        })?;
        Ok(times.map(Times::of))
    }
}

impl Times {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort();
        let at = |quantile: f64| {
            let index = (times.len() as f64 * quantile) as usize;
            let time = times.get(index.min(times.len().saturating_sub(1)));
            time.map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
        };
        Times {
            p50_ms: at(0.5),
            p99_ms: at(0.99),
        }
    }
}

struct Client {
    mcp: String,
    admin: String,
    app: App,
    session: String,
    requests: Exchange,
    stream: Exchange,
}

impl Client {
    fn join(mcp: &str, admin: &str, app: App) -> Self {
        let mut requests = Exchange::open(mcp);
        let session = initialize(&mut requests);
        let fields = requests::in_session(&session);
        let mut stream = Exchange::open(mcp);
        stream.send(format!(
            "GET /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{fields}\r\n"
        ));
        assert_eq!(stream.head().status, 200, "a GET stream");
        Client {
            mcp: mcp.to_owned(),
            admin: admin.to_owned(),
            app,
            session,
            requests,
            stream,
        }
    }

    fn round(&mut self, pings: &mut Vec<Duration>) {
        for _ in 0..PINGS {
            let begun = Instant::now();
            let answer = self.ask("ping", &json!({}));
            pings.push(begun.elapsed());
            assert_eq!(answer["result"], json!({}), "ping: {answer}");
        }
        let (arguments, right) = match self.app {
            App::Board => (
                json!({"name": "post", "arguments": {"uri": "board://honest", "text": "soup"}}),
                ["Posted board://honest", "board://honest says so already"].as_slice(),
            ),
            App::Conformance => (
                json!({"name": "test_simple_text", "arguments": {}}),
                ["This is a simple text response for testing."].as_slice(),
            ),
        };
        let answer = self.ask("tools/call", &arguments);
        let text = answer["result"]["content"][0]["text"].as_str();
        assert!(
            text.is_some_and(|it| right.contains(&it)),
            "tools/call: {answer}"
        );
        self.hear();
        self.come_and_go();
    }

    fn ask(&mut self, method: &str, params: &Value) -> Value {
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let fields = requests::in_session(&self.session);
        let (status, body) = post(&mut self.requests, &fields, &message);
        assert_eq!(status, 200, "{method}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|_| panic!("{method}: {body}"))
    }

    /// What is published now is told on the stream.
    fn hear(&mut self) {
        let mut admin = Exchange::open(&self.admin);
        // Not to its session alone: that waits for a core, and gives up on one that a busy machine keeps away.
        admin.post("/publish", "", r#"[{"topic":"tools"}]"#);
        let (status, body) = admin.response();
        assert!(
            status == 200 && body.contains("\"accepted\":true"),
            "publish: {status} {body}"
        );
        self.stream.event("notifications/tools/list_changed");
    }

    /// A new session on a new connection, and its end.
    fn come_and_go(&self) {
        let mut exchange = Exchange::open(&self.mcp);
        let session = initialize(&mut exchange);
        exchange.send(requests::delete(&session).head);
        assert_eq!(exchange.head().status, 204, "DELETE");
    }
}

fn initialize(exchange: &mut Exchange) -> String {
    let request = requests::initialize("2025-06-18", "{}", r#""honest""#);
    exchange.send(request.head);
    exchange.send(&request.body);
    let head = exchange.head();
    let body = exchange.body(&head);
    assert_eq!(head.status, 200, "initialize: {body}");
    let session = head.header("mcp-session-id").expect("a session").to_owned();
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let (status, body) = post(exchange, &requests::in_session(&session), &initialized);
    assert_eq!(status, 202, "initialized: {body}");
    session
}

/// In one piece: what a client of most languages does.
fn post(exchange: &mut Exchange, fields: &str, message: &Value) -> (u16, String) {
    let request = requests::post(fields, &message.to_string());
    let mut bytes = request.head.into_bytes();
    bytes.extend_from_slice(&request.body);
    exchange.send(bytes);
    exchange.response()
}
