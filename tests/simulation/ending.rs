//! The end of a run: everything comes to rest, and what was promised is checked.

use pinfold::app::call::Outcome;
use serde_json::json;

use crate::peer::{Expected, Peer};
use crate::support::node::Arrived;
use crate::wire::Wire;
use crate::world::World;

/// Rounds in which nothing changes before the world counts as being at rest.
const QUIET_ROUNDS: usize = 3;
const ROUNDS_MAX: usize = 500;

impl World {
    /// Every client reads, and is connected if it has a session; what is under way arrives.
    pub(crate) fn come_to_rest(&mut self) {
        let mut quiet = 0;
        for _ in 0..ROUNDS_MAX {
            let before = self.fingerprint();
            self.round();
            quiet = if self.fingerprint() == before {
                quiet + 1
            } else {
                0
            };
            if quiet == QUIET_ROUNDS {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    fn round(&mut self) {
        for peer in 0..self.peers.len() {
            for wire in 0..self.peers[peer].wires.len() {
                let socket = self.peers[peer].wires[wire].socket;
                self.node.set_room(socket, usize::MAX);
                self.node.receive(socket, usize::MAX);
                self.peers[peer].take(&mut self.node, wire, usize::MAX);
            }
        }
        self.notice_ends();
        for core in 0..self.node.cores.len() {
            while self.node.hand_out(core) {}
            while self.node.fan_out(core) {}
        }
        while self.node.carry() {}
        (0..self.node.cores.len()).for_each(|core| self.finish_calls(core));
        self.node.release(u64::MAX);
        for peer in 0..self.peers.len() {
            let session = self.peers[peer].session.clone();
            if let Some(session) = session.filter(|_| !self.peers[peer].is_listening()) {
                self.get(peer, session);
            }
        }
    }

    pub(crate) fn finish_calls(&mut self, core: usize) {
        let calls = std::mem::take(&mut self.node.calls).into_iter();
        let (ours, others) = calls.partition(|it: &Arrived| it.core == core);
        self.node.calls = others;
        for Arrived { core, key, request } in Vec::from(ours) {
            let params = request.params.expect("calls have params");
            let params: serde_json::Value =
                serde_json::from_str(params.get()).expect("params are JSON");
            let json = json!({"who": params["arguments"]["who"]}).to_string();
            self.node.outcome(
                core,
                key,
                &Outcome::Result {
                    json,
                    caching: None,
                },
            );
        }
    }

    /// Differs whenever anything was sent, read, told or opened.
    pub(crate) fn fingerprint(&self) -> (u64, usize, usize, usize) {
        let read = self
            .node
            .sockets
            .iter()
            .map(|socket| socket.reader.bytes_read)
            .sum();
        let waiting = self
            .node
            .sockets
            .iter()
            .map(|socket| socket.sent.len() + socket.arrived.len())
            .sum();
        (self.node.offset, self.node.sockets.len(), read, waiting)
    }

    /// The invariant: who stays subscribed and keeps reading is told, after the last change of a topic, that it changed.
    pub(crate) fn check_everyone_knows(&self) {
        for peer in &self.peers {
            for ((topic, whose), offset) in self.published() {
                if whose.is_some() && *whose != peer.principal() {
                    continue;
                }
                let subscribed = peer.wanted.get(topic).is_some_and(|since| since < offset);
                let heard = peer.heard.get(topic).copied().unwrap_or(0);
                assert!(
                    !subscribed || heard >= *offset,
                    "client {} ({:?}) never heard of {topic} at {offset}: it knows {heard}; {}",
                    peer.number,
                    peer.version,
                    self.show(peer),
                );
            }
        }
    }

    fn show(&self, peer: &Peer) -> String {
        let wire = |wire: &Wire| {
            let socket = &self.node.sockets[wire.socket];
            format!(
                "socket {} of core {}: streaming {:?}, expecting {:?}, sent {}, reading {}",
                wire.socket,
                socket.core,
                wire.streaming,
                wire.expected,
                socket.sent.len(),
                socket.reading
            )
        };
        peer.wires.iter().map(wire).collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn check_every_call_is_answered(&self) {
        for peer in &self.peers {
            for wire in peer.wires.iter().filter(|wire| !is_blocked(wire)) {
                assert!(
                    wire.is_idle(),
                    "never answered: {:?} {:?}",
                    wire.streaming,
                    wire.expected
                );
            }
            let pending = |id: u64| {
                peer.wires
                    .iter()
                    .any(|wire| is_blocked(wire) && is_about(wire, id))
            };
            for (id, request) in &peer.requests {
                let settled =
                    request.answered || request.void || request.interrupted || pending(*id);
                assert!(settled, "client {} waits for {id} for ever", peer.number);
            }
        }
    }

    /// When everybody is gone nothing is left of them.
    pub(crate) fn check_nothing_is_left(&mut self) {
        for peer in &mut self.peers {
            for wire in std::mem::take(&mut peer.wires) {
                self.node.cut(wire.socket);
            }
        }
        while self.node.carry() {}
        self.fail_all_calls();
        self.node.pass(700_000);
        for left in self.node.check_nobody_is_left() {
            assert_eq!(left.topics, 3, "the lists");
        }
    }
}

/// A stream that stays open is there, and whatever was sent behind it waits.
fn is_blocked(wire: &Wire) -> bool {
    let first = wire.streaming.as_ref().or(wire.expected.front());
    matches!(first, Some(Expected::Get { .. } | Expected::Listen { .. }))
}

fn is_about(wire: &Wire, id: u64) -> bool {
    wire.expected.iter().any(|expected| match expected {
        Expected::Call { id: own, .. } | Expected::Resume { id: own } => *own == id,
        _ => false,
    })
}

impl Peer {
    /// How much of the world reached this client, to tell two runs apart.
    pub(crate) fn digest(&self) -> (usize, usize, u64) {
        (
            self.heard.len(),
            self.requests.len(),
            self.heard.values().sum(),
        )
    }
}
