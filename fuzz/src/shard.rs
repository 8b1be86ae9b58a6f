//! The whole engine as a fuzz target: the input is a script of what clients, the network, the application and the clock do
//! to a node of two cores. After every step each shard's invariants hold (`support::Node` checks them), all that is sent
//! is well-formed HTTP, and when everybody has gone nothing of them is left.
//!
//! Two bytes are a step: what happens, and to whom or how much. A request comes from a list, whole, with a byte changed, or as
//! raw bytes that follow in the input, so that sessions and streams are reached as easily as refusals.

use std::collections::BTreeSet;

use pinfold::app::call::{Notice, Outcome, Topic};
use pinfold::internals::limits::Limits;
use pinfold::internals::shard::{Cluster, DrainTimes, Located, MissReason, ShardSetup};
use pinfold::mcp::RpcError;
use serde_json::json;

use crate::support::node::{self, Arrived, SocketId};
use crate::support::{Item, Node, Request};

/// Longer than every time limit of [`Limits`] and the drain below.
const LONG_MS: u64 = 4_000_000;
const CORES: usize = 2;
const SOCKETS_MAX: usize = 12;

pub(crate) fn shard(input: &[u8]) {
    let _ = met(input);
}

/// Plays the input, and tells what kinds of effects the shards had.
#[must_use]
pub fn met(input: &[u8]) -> BTreeSet<String> {
    let mut play = Play::new();
    let mut rest = input;
    while let [what, how, after @ ..] = rest {
        let taken = play.step(*what, *how, after);
        rest = &after[taken..];
    }
    play.everybody_goes();
    play.node.met
}

struct Play {
    node: Node,
    /// The connection that steps are about, and whether only bytes were sent on it that the reader can follow.
    current: SocketId,
    readable: Vec<bool>,
    session: String,
    event_id: String,
}

impl Play {
    fn new() -> Self {
        let mut node = Node::with(CORES, |core| ShardSetup {
            cluster: Some(Cluster { secret: None }),
            ..node::setup(core, CORES, Limits::tiny(), 0x00b0_0700)
        });
        node.connect(0, None).expect("there is room for the first");
        Play {
            node,
            current: 0,
            readable: vec![true],
            session: String::new(),
            event_id: String::new(),
        }
    }

    /// How much of `after` belongs to the step.
    fn step(&mut self, what: u8, how: u8, after: &[u8]) -> usize {
        let amount = usize::from(how);
        match what % 24 {
            0 => self.connect(amount),
            1 => self.current = amount % self.node.sockets.len(),
            2..=5 => self.send(&self.request(how).bytes(), true),
            6 => self.send(&self.through_a_proxy(how).bytes(), true),
            7 => self.send(&self.of_another_node(how).bytes(), true),
            8 => return self.send_changed(how, after),
            9 => {
                let raw = &after[..amount.min(after.len())];
                self.send(raw, false);
                return raw.len();
            }
            10 => drop(self.node.receive(self.current, amount)),
            11 => self.take(amount * 16),
            12 => self.node.set_room(self.current, amount * 8),
            13 => self.end(amount),
            14 => self.node.pass(u64::from(how) * u64::from(how)),
            15 | 16 => self.publish(amount),
            17 if amount >= 128 => self.travel(amount),
            17 => while self.node.fan_out(amount % CORES) {},
            18 | 19 => self.application(amount),
            20 => self.mail(amount),
            21 => self.locate(amount),
            22 => self.drain(amount),
            _ => self.read_everything(),
        }
        0
    }

    fn connect(&mut self, amount: usize) {
        if self.node.sockets.len() < SOCKETS_MAX
            && let Some(id) = self.node.connect(amount % CORES, None)
        {
            self.current = id;
            self.readable.push(true);
        }
    }

    fn request(&self, which: u8) -> Request {
        let session = &self.session;
        let uri = format!("board://{}", which >> 6);
        let versions = ["2025-03-26", "2025-06-18", "2025-11-25"];
        match which % 18 {
            0 | 1 => Request::initialize(versions[usize::from(which) % 3]),
            2 => Request::get(session),
            3 => Request::get(session).resume(&self.event_id),
            4 => Request::subscribe(session, &uri),
            5 => Request::call(session, 4, "resources/unsubscribe", json!({"uri": uri})),
            6 => Request::ping(session, 5),
            7 | 8 => Request::tool(session, u64::from(which)),
            9 => Request::delete(session),
            10 => Request::listen(
                which,
                json!({"toolsListChanged": true, "resourceSubscriptions": [uri]}),
            ),
            11 => Request::modern(which, "tools/call", json!({"name": "t", "arguments": {}})),
            12 => Request::post(
                &json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}),
            )
            .session(session),
            13 => Request::post(&json!({"jsonrpc": "2.0", "id": which >> 4, "result": {}})).session(session),
            14 => Request::post(&json!([{"jsonrpc": "2.0", "id": 1, "method": "ping"}, {"jsonrpc": "2.0", "method": "x"}]))
                .session(session),
            15 => Request::modern(1, "server/discover", json!({})).with("Connection", "close"),
            16 => Request::call(session, 9, "logging/setLevel", json!({"level": "debug"})),
            _ => Request::initialize("2025-11-25").with("Expect", "100-continue"),
        }
    }

    fn through_a_proxy(&self, which: u8) -> Request {
        let client = format!("203.0.113.{}", which % 3);
        self.request(which).with("X-Forwarded-For", &client)
    }

    fn of_another_node(&self, which: u8) -> Request {
        let session = self.session.replace("node-a", "node-b");
        match which % 3 {
            0 => Request::get(&session),
            1 => Request::delete(&session),
            _ => Request::ping(&session, 1),
        }
    }

    fn send(&mut self, bytes: &[u8], readable: bool) {
        let id = self.current;
        self.readable[id] &= readable;
        let socket = &mut self.node.sockets[id];
        if socket.ended || socket.client_left {
            return;
        }
        socket.reader.expected.push_back(false);
        socket.sent.extend(bytes);
        while self.node.receive(id, usize::MAX) {}
    }

    /// The next three bytes say where the request changes, and to what.
    fn send_changed(&mut self, how: u8, after: &[u8]) -> usize {
        let mut bytes = self.request(how).bytes();
        let [high, low, value, ..] = after else {
            return after.len();
        };
        let at = usize::from(u16::from_be_bytes([*high, *low])) % bytes.len();
        bytes[at] = *value;
        self.send(&bytes, false);
        3
    }

    /// The client reads; what it learns it says later.
    fn take(&mut self, count: usize) {
        let id = self.current;
        if !self.readable[id] {
            self.node.sockets[id].arrived.clear();
            return self.node.set_room(id, usize::MAX);
        }
        self.node.take(id, count);
        let items: Vec<Item> = self.node.sockets[id].reader.items.drain(..).collect();
        for item in items {
            match item {
                Item::Answer(answer) => {
                    if let Some(session) = answer.field("mcp-session-id") {
                        session.clone_into(&mut self.session);
                    }
                }
                Item::Frame(frame) => self.event_id = frame.id.unwrap_or_default(),
                Item::StreamEnd => {}
            }
        }
    }

    fn end(&mut self, amount: usize) {
        if amount.is_multiple_of(2) {
            return self.node.cut(self.current);
        }
        self.node.sockets[self.current].ended = true;
        while self.node.receive(self.current, usize::MAX) {}
    }

    fn publish(&mut self, amount: usize) {
        let notice = Notice::Message {
            level: 3,
            params: r#"{"level":"warning","data":1}"#.into(),
        };
        match amount % 8 {
            0 => drop(self.node.publish(Topic::Tools)),
            1 => drop(self.node.publish(Topic::Resources)),
            2 => drop(self.node.gap()),
            3 => drop(self.node.tell_all_at(0, &notice)),
            _ => {
                let uri = format!("board://{}", amount >> 6);
                self.node.publish(Topic::Resource(uri.into()));
            }
        }
    }

    /// The oldest call goes on.
    fn application(&mut self, amount: usize) {
        let Some(Arrived { core, key, .. }) = self.node.calls.front() else {
            return;
        };
        let (core, key, now) = (*core, *key, self.node.now);
        let shard = &mut self.node.cores[core].shard;
        match amount % 6 {
            0 => {
                let params = r#"{"progressToken":1,"progress":1}"#;
                shard.handle_notify(now, key, "notifications/progress", params);
            }
            1 => drop(shard.handle_ask(now, key, "sampling/createMessage", "{}")),
            2 => shard.handle_close_stream(now, key),
            3 => {
                self.node.calls.pop_front();
                let error = RpcError::invalid_params("no");
                return self.node.outcome(core, key, &Outcome::Error(error));
            }
            _ => {
                self.node.calls.pop_front();
                let outcome = Outcome::Result {
                    json: r#"{"content":[]}"#.into(),
                    caching: None,
                };
                return self.node.outcome(core, key, &outcome);
            }
        }
        self.node.settle(core);
    }

    fn mail(&mut self, amount: usize) {
        match amount % 4 {
            0 => self.node.slow_mail = !self.node.slow_mail,
            1 => drop(self.node.carry()),
            _ => drop(self.node.hand_out(amount % CORES)),
        }
    }

    /// A session or the current connection goes to another core, if it may leave.
    fn travel(&mut self, amount: usize) {
        let (from, to) = (amount % CORES, amount / CORES % CORES);
        let sessions: Vec<_> = self.node.cores[from].shard.sessions().collect();
        let moved = match sessions.get(amount / 4 % (sessions.len() + 1)) {
            Some(&session) => self.node.move_session(from, session, to),
            None => self.node.move_connection(self.current, to),
        };
        let met = moved.map_or_else(|why| format!("stays: {why}"), |()| "travels".into());
        self.node.met.insert(met);
    }

    fn locate(&mut self, amount: usize) {
        if self.node.asked.is_empty() {
            return;
        }
        self.node.locate(match amount % 2 {
            0 => Located::There,
            _ => Located::Gone(MissReason::Unknown),
        });
    }

    fn drain(&mut self, amount: usize) {
        let times = DrainTimes {
            notice_ms: 100,
            window_ms: 1_000,
        };
        let (now, core) = (self.node.now, amount % CORES);
        let shard = &mut self.node.cores[core].shard;
        match amount % 8 {
            0 => drop(shard.handle_drain(now, times)),
            1 => shard.handle_impaired(amount > 128),
            _ => {}
        }
        self.node.settle(core);
    }

    /// A network without delays, for a moment.
    fn read_everything(&mut self) {
        for id in 0..self.node.sockets.len() {
            self.node.set_room(id, usize::MAX);
        }
        for core in 0..CORES {
            while self.node.hand_out(core) {}
            while self.node.fan_out(core) {}
        }
        let current = self.current;
        for id in 0..self.node.sockets.len() {
            self.current = id;
            self.take(usize::MAX);
        }
        self.current = current;
    }

    fn everybody_goes(&mut self) {
        while self.node.carry() {}
        self.read_everything();
        for id in 0..self.node.sockets.len() {
            self.node.cut(id);
        }
        self.node.slow_mail = false;
        while self.node.carry() {}
        self.node.forwarded_for.clear();
        while !self.node.calls.is_empty() {
            self.application(3);
        }
        self.node.pass(LONG_MS);
        for left in self.node.check_nobody_is_left() {
            assert_eq!(left.held_bytes, 0, "{left:?}");
        }
    }
}
