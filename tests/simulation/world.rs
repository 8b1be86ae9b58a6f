//! A node and its clients, and one random step after the other.

use pinfold::app::call::{Outcome, Topic};
use pinfold::limits::Limits;
use pinfold::mcp::RpcError;
use serde_json::json;

use crate::peer::{Expected, LISTS, Peer, Wire};
use crate::support::node::{Arrived, Breakage, Node};
use crate::support::{Random, Request};

const VERSIONS: [Option<&str>; 4] = [
    Some("2025-03-26"),
    Some("2025-06-18"),
    Some("2025-11-25"),
    None,
];
const URIS: usize = 4;

/// What one fake socket ever holds of a stalled reader: far above one write, far below what is published.
const STALLED_BYTES_MAX: usize = 8 * 1024;

pub(crate) struct World {
    pub(crate) node: Node,
    pub(crate) peers: Vec<Peer>,
    pub(crate) random: Random,
    /// The newest publication of each topic.
    published: Vec<(String, u64)>,
    progress: u64,
}

fn limits() -> Limits {
    Limits {
        pipeline_bytes_max: 512,
        connections_max: 64,
        streams_per_session_max: 2,
        stream_queue_bytes_max: 1024,
        head_timeout_ms: 3_000,
        body_timeout_ms: 3_000,
        connection_idle_ms: 6_000,
        // Longer than a run: whoever loses its session without a DELETE has found a bug.
        session_idle_ms: 600_000,
        write_stall_ms: 4_000,
        keep_alive_ms: 1_000,
        resume_window_ms: 5_000,
        ask_timeout_ms: 2_000,
        ..Limits::default()
    }
}

fn topic(number: usize) -> (String, Topic) {
    match number {
        0 => (LISTS[0].to_owned(), Topic::Tools),
        1 => (LISTS[1].to_owned(), Topic::Prompts),
        2 => (LISTS[2].to_owned(), Topic::Resources),
        uri => (
            format!("u:{uri}"),
            Topic::Resource(format!("u:{uri}").into()),
        ),
    }
}

impl World {
    pub(crate) fn new(seed: u64, broken: Option<Breakage>) -> Self {
        let mut random = Random::new(seed);
        let mut node = Node::new(1 + random.below(3), limits());
        node.slow_mail = true;
        node.broken = broken.map(|breakage| (breakage, Random::new(seed + 1)));
        let peers = (0..2 + random.below(4)).map(|number| {
            let version = *random.pick(&VERSIONS);
            Peer::new(number, version, !random.one_in(3))
        });
        let peers = peers.collect();
        World {
            node,
            peers,
            random,
            published: Vec::new(),
            progress: 0,
        }
    }

    pub(crate) fn step(&mut self) {
        let core = self.random.below(self.node.cores.len());
        match self.random.below(20) {
            0..=5 => self.move_bytes(),
            6..=7 => {
                self.node.fan_out(core);
            }
            8..=9 => {
                self.node.hand_out(core);
            }
            10 => self.carry(),
            11..=12 => self.publish(),
            13 => self.pass(),
            14 => self.disturb(),
            15..=16 => self.application_acts(),
            _ => {
                let peer = self.random.below(self.peers.len());
                self.act(peer);
            }
        }
        self.check_memory();
    }

    fn move_bytes(&mut self) {
        let peer = self.random.below(self.peers.len());
        let count = *self.random.pick(&[1, 7, 100, 700, usize::MAX]);
        let peer = &mut self.peers[peer];
        if peer.wires.is_empty() {
            return;
        }
        let wire = self.random.below(peer.wires.len());
        if self.random.one_in(2) {
            self.node.receive(peer.wires[wire].socket, count);
        } else if !peer.wires[wire].stalled {
            peer.take(&mut self.node, wire, count);
        }
        self.notice_ends();
    }

    /// Clients see which of their connections the server ended, once they have read all there is.
    pub(crate) fn notice_ends(&mut self) {
        for peer in &mut self.peers {
            for wire in (0..peer.wires.len()).rev() {
                let socket = &mut self.node.sockets[peer.wires[wire].socket];
                if !socket.is_over() || !socket.arrived.is_empty() {
                    continue;
                }
                let whole = socket.reader.finish();
                assert!(
                    whole || socket.closed.is_some(),
                    "half-closed in the middle of an answer"
                );
                let socket = peer.wires[wire].socket;
                self.node.cut(socket);
                peer.lose(wire);
            }
        }
    }

    fn carry(&mut self) {
        if self.node.letters.is_empty() {
            return;
        }
        let index = self.random.below(self.node.letters.len());
        let letter = self.node.letters.remove(index).expect("it is there");
        self.node.deliver(letter);
    }

    fn publish(&mut self) {
        let (name, topic) = topic(self.random.below(3 + URIS));
        let offset = self.node.publish(topic);
        self.published.retain(|(other, _)| *other != name);
        self.published.push((name, offset));
    }

    fn pass(&mut self) {
        let ms = *self.random.pick(&[1, 30, 300, 300, 2_500]);
        self.node.pass(ms);
        self.notice_ends();
    }

    /// A network that is not what it was.
    fn disturb(&mut self) {
        let peer = self.random.below(self.peers.len());
        let peer = &mut self.peers[peer];
        if peer.wires.is_empty() {
            return;
        }
        let wire = self.random.below(peer.wires.len());
        let socket = peer.wires[wire].socket;
        match self.random.below(6) {
            0 => {
                self.node.cut(socket);
                self.node.sockets[socket].arrived.clear();
                peer.lose(wire);
            }
            1..=2 => peer.wires[wire].stalled = !peer.wires[wire].stalled,
            _ => self
                .node
                .set_room(socket, *self.random.pick(&[usize::MAX, 0, 60, 500])),
        }
    }

    fn application_acts(&mut self) {
        if self.node.calls.is_empty() {
            return;
        }
        let index = self.random.below(self.node.calls.len());
        let Arrived {
            core,
            key,
            ref request,
        } = self.node.calls[index];
        let params = request.params.as_ref().map_or("{}", |params| params.get());
        let params: serde_json::Value = serde_json::from_str(params).expect("params are JSON");
        let who = params["arguments"]["who"]
            .as_str()
            .expect("calls say who")
            .to_owned();
        let now = self.node.now;
        let shard = &mut self.node.cores[core].shard;
        match self.random.below(6) {
            0 => {
                shard.handle_ask(now, key, "sampling/createMessage", "{}");
            }
            1 => shard.handle_close_stream(now, key),
            2..=3 => {
                for _ in 0..1 + self.random.below(12) {
                    self.progress += 1;
                    let message = "m".repeat(self.random.below(200));
                    let params = json!({"progressToken": who, "progress": self.progress, "message": message}).to_string();
                    shard.handle_notify(now, key, "notifications/progress", &params);
                }
            }
            _ => {
                self.node.calls.remove(index);
                let json = json!({"who": who}).to_string();
                shard.handle_outcome(
                    now,
                    key,
                    &Outcome::Result {
                        json,
                        caching: None,
                    },
                );
            }
        }
        self.node.settle(core);
    }

    fn act(&mut self, peer: usize) {
        match (self.peers[peer].version, self.peers[peer].session.clone()) {
            (None, _) => self.act_modern(peer),
            (Some(version), None) if !self.peers[peer].opening => {
                self.peers[peer].opening = true;
                self.send(peer, &Request::initialize(version), Expected::Initialize);
            }
            (Some(_), None) => {}
            (Some(version), Some(session)) => self.act_legacy(peer, version, session),
        }
    }

    fn act_modern(&mut self, peer: usize) {
        let id = self.next_id(peer);
        match self.random.below(5) {
            0 => self.call(peer, id),
            1 => self.garbage(peer),
            _ if !self.peers[peer].is_listening() => self.listen(peer, id),
            _ => {}
        }
    }

    fn listen(&mut self, peer: usize, id: u64) {
        let uris: Vec<String> = (3..3 + URIS)
            .filter(|_| self.random.one_in(2))
            .map(|uri| topic(uri).0)
            .collect();
        let tools = self.random.one_in(2);
        let mut topics = uris.clone();
        topics.extend(tools.then(|| LISTS[0].to_owned()));
        self.peers[peer].heard.clear();
        self.peers[peer].wanted.clear();
        let request = Request::listen(
            id,
            json!({"toolsListChanged": tools, "resourceSubscriptions": uris}),
        );
        self.send(peer, &request, Expected::Listen { id, topics });
    }

    fn act_legacy(&mut self, peer: usize, version: &str, session: String) {
        let id = self.next_id(peer);
        match self.random.below(24) {
            0..=3 => self.pings(peer, &session),
            4..=7 => self.call(peer, id),
            8..=10 => {
                let (uri, _) = topic(3 + self.random.below(URIS));
                self.peers[peer].asked.insert(uri.clone());
                let params = json!({"uri": uri});
                let request = Request::call(&session, id, "resources/subscribe", params);
                let sure = !self.peers[peer].unsure.contains(&uri);
                self.send(
                    peer,
                    &request,
                    Expected::Subscribe {
                        uri,
                        id,
                        session,
                        sure,
                    },
                );
            }
            11 => self.unsubscribe(peer, id, session),
            12..=17 if !self.peers[peer].is_listening() || self.random.one_in(4) => {
                self.get(peer, session)
            }
            18..=19 => self.resume_call(peer, &session),
            20 => self.cancel(peer, session),
            21 => self.garbage(peer),
            22 if version == "2025-03-26" => {
                let batch = json!([{"jsonrpc": "2.0", "id": id, "method": "ping"}, {"jsonrpc": "2.0", "method": "notifications/x"}]);
                let request = Request::post(&batch).session(&session);
                self.send(
                    peer,
                    &request,
                    Expected::Plain {
                        id: Some(id),
                        session,
                    },
                );
            }
            23 if self.random.one_in(8) => self.delete(peer, session),
            _ => {}
        }
    }

    fn pings(&mut self, peer: usize, session: &str) {
        for _ in 0..1 + self.random.below(5) {
            let id = self.next_id(peer);
            let expected = Expected::Plain {
                id: Some(id),
                session: session.to_owned(),
            };
            self.send(peer, &Request::ping(session, id), expected);
        }
    }

    fn call(&mut self, peer: usize, id: u64) {
        let who = self.peers[peer].who(id);
        let params = json!({"name": "t", "arguments": {"who": who}});
        let session = self.peers[peer].session.clone();
        let request = match &session {
            Some(session) => Request::call(session, id, "tools/call", params),
            None => Request::modern(id, "tools/call", params),
        };
        self.peers[peer].requests.insert(id, Default::default());
        self.send(peer, &request, Expected::Call { id, session });
    }

    /// Until that is answered it may overtake, or be overtaken by, a subscribe on another connection.
    fn unsubscribe(&mut self, peer: usize, id: u64, session: String) {
        let (uri, _) = topic(3 + self.random.below(URIS));
        self.peers[peer].wanted.remove(&uri);
        self.peers[peer].unsure.insert(uri.clone());
        let request = Request::call(&session, id, "resources/unsubscribe", json!({"uri": uri}));
        self.send(peer, &request, Expected::Unsubscribe { uri, id, session });
    }

    pub(crate) fn get(&mut self, peer: usize, session: String) {
        let mut request = Request::get(&session);
        if let Some(id) = self.peers[peer]
            .last_id
            .clone()
            .filter(|_| self.peers[peer].resumes)
        {
            request = request.resume(&id);
        }
        self.send(peer, &request, Expected::Get { session });
    }

    fn resume_call(&mut self, peer: usize, session: &str) {
        let peer_state = &self.peers[peer];
        let mut waiting: Vec<_> = peer_state
            .requests
            .iter()
            .filter(|(_, it)| it.interrupted && !it.void)
            .collect();
        waiting.sort_by_key(|(id, _)| **id);
        let Some(&(&id, request)) = waiting.first() else {
            return;
        };
        let Some(last_id) = request.last_id.clone() else {
            return;
        };
        self.peers[peer]
            .requests
            .get_mut(&id)
            .expect("it is there")
            .interrupted = false;
        self.send(
            peer,
            &Request::get(session).resume(&last_id),
            Expected::Resume { id },
        );
    }

    fn cancel(&mut self, peer: usize, session: String) {
        let mut ids: Vec<u64> = self.peers[peer].requests.keys().copied().collect();
        ids.sort_unstable();
        let Some(&id) = ids.last() else { return };
        self.peers[peer]
            .requests
            .get_mut(&id)
            .expect("it is there")
            .void = true;
        let message = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
        let request = Request::post(&message).session(&session);
        self.send(peer, &request, Expected::Plain { id: None, session });
    }

    fn delete(&mut self, peer: usize, session: String) {
        let state = &mut self.peers[peer];
        state.deleted.insert(session.clone());
        state.session = None;
        state.wanted.clear();
        state
            .requests
            .values_mut()
            .for_each(|request| request.void = true);
        self.send(
            peer,
            &Request::delete(&session),
            Expected::Plain { id: None, session },
        );
    }

    /// What is no request, or none that can be served.
    fn garbage(&mut self, peer: usize) {
        let request = match self.random.below(4) {
            0 => Request::post_text("{").session("x"),
            1 => Request::new("PUT"),
            2 => Request::new("GET").with("Mcp-Session-Id", "node-a.AAAA"),
            _ => Request::new("POST").with("Content-Length", "+5"),
        };
        self.send(peer, &request, Expected::Garbage);
    }

    /// On a connection that is there, behind what is under way on it, or on a new one.
    fn send(&mut self, peer: usize, request: &Request, expected: Expected) {
        let usable =
            |wire: &&mut Wire| wire.streaming.is_none() && wire.expected.len() < 8 && !wire.stalled;
        let behind_stream = self.random.one_in(10);
        let wires = &mut self.peers[peer].wires;
        let found = wires
            .iter_mut()
            .rev()
            .find(|wire| usable(wire) || (behind_stream && wire.expected.is_empty()));
        if let Some(wire) = found.filter(|_| !self.random.one_in(3)) {
            wire.expected.push_back(expected);
            let socket = &mut self.node.sockets[wire.socket];
            socket.reader.expected.push_back(false);
            socket.sent.extend(request.bytes());
            return;
        }
        let core = self.random.below(self.node.cores.len());
        let Some(socket) = self.node.connect(core, None) else {
            return self.not_sent(peer, expected);
        };
        let mut wire = Wire::new(socket);
        wire.expected.push_back(expected);
        self.peers[peer].wires.push(wire);
        let socket = &mut self.node.sockets[socket];
        socket.room = *self.random.pick(&[usize::MAX, usize::MAX, 200, 2_000]);
        socket.reader.expected.push_back(false);
        socket.sent.extend(request.bytes());
    }

    /// As if the connection had broken at once.
    fn not_sent(&mut self, peer: usize, expected: Expected) {
        let mut wire = Wire::new(usize::MAX);
        wire.expected.push_back(expected);
        self.peers[peer].wires.push(wire);
        let last = self.peers[peer].wires.len() - 1;
        self.peers[peer].lose(last);
    }

    fn next_id(&mut self, peer: usize) -> u64 {
        self.peers[peer].next_id += 1;
        self.peers[peer].next_id
    }

    fn check_memory(&self) {
        for socket in &self.node.sockets {
            assert!(
                socket.unwritten.len() <= STALLED_BYTES_MAX,
                "{} bytes for one reader",
                socket.unwritten.len()
            );
        }
    }

    pub(crate) fn published(&self) -> &[(String, u64)] {
        &self.published
    }

    pub(crate) fn fail_all_calls(&mut self) {
        for Arrived { core, key, .. } in std::mem::take(&mut self.node.calls) {
            self.node
                .outcome(core, key, &Outcome::Error(RpcError::internal("the end")));
        }
    }
}
