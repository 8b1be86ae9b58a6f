//! A node and its clients, and one random step after the other.

use std::sync::Arc;

use pinfold::PrincipalId;
use pinfold::app::call::{Notice, NotifyRefused, Outcome, Topic};
use pinfold::internals::auth::Who;
use pinfold::internals::limits::Limits;
use pinfold::mcp::RpcError;
use serde_json::json;

use crate::operators::Operators;
use crate::peer::{LISTS, Peer};
use crate::support::Random;
use crate::support::identified::{identify_by, principal, rules, tokens};
use crate::support::node::{Arrived, Breakage, Node};

const VERSIONS: [Option<&str>; 4] = [
    Some("2025-03-26"),
    Some("2025-06-18"),
    Some("2025-11-25"),
    None,
];
pub(crate) const URIS: usize = 4;

/// What one fake socket ever holds of a stalled reader: far above one write, far below what is published.
const STALLED_BYTES_MAX: usize = 8 * 1024;

/// What changed, and for whom if not for all.
pub(crate) type News = (String, Option<PrincipalId>);

/// The last one is nowhere.
const PRINCIPALS: [&str; 3] = ["alice", "bob", "carol"];

pub(crate) struct World {
    pub(crate) node: Node,
    pub(crate) peers: Vec<Peer>,
    pub(crate) random: Random,
    /// The newest publication of each topic: for all, and for each principal.
    published: Vec<(News, u64)>,
    /// What it wants to publish, if that is done elsewhere.
    pub(crate) posted: Option<Vec<(usize, Option<PrincipalId>)>>,
    /// Sessions and connections move between cores.
    travels: bool,
    progress: u64,
    operators: Operators,
}

pub(crate) fn limits() -> Limits {
    Limits {
        pipeline_bytes_max: 512,
        connections_max: 64,
        streams_per_session_max: 2,
        calls_per_client_max: 2,
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

/// Another spelling of a resource's URI.
pub(crate) fn other_name(uri: &str) -> String {
    uri.replacen('u', "U", 1)
}

pub(crate) fn topic(number: usize) -> (String, Topic) {
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
        // A broken driver shows in what it always showed in.
        let is_identified = match broken {
            None => Random::new(seed + 2).one_in(3),
            Some(breakage) => breakage.is_of_principals(),
        };
        if is_identified {
            identify_by(&mut node, &Arc::new(rules(Who::Tokens(tokens()))));
        }
        node.broken = broken.map(|breakage| (breakage, Random::new(seed + 1)));
        let peers = (0..2 + random.below(4)).map(|number| {
            let version = *random.pick(&VERSIONS);
            // Some are the same principal.
            let name = is_identified.then_some(PRINCIPALS[number % 2]);
            Peer::new(number, version, !random.one_in(3), name)
        });
        let peers = peers.collect();
        World {
            node,
            peers,
            random,
            published: Vec::new(),
            posted: None,
            travels: broken.is_none_or(Breakage::travels),
            progress: 0,
            operators: Operators::default(),
        }
    }

    pub(crate) fn step(&mut self) {
        let core = self.random.below(self.node.cores.len());
        // The other faults show in what they always showed in.
        let steps = 20 + usize::from(self.travels);
        match self.random.below(steps) {
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
            14 if self.random.one_in(2) => self.tell(),
            14 => self.disturb(),
            15..=16 => self.application_acts(),
            20 if self.random.one_in(2) => self.travel(),
            _ => {
                let peer = self.random.below(self.peers.len());
                self.act(peer);
            }
        }
        self.check_memory();
        self.operators.check(&mut self.node);
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
                let wires = &peer.wires[wire];
                assert!(
                    !wires.is_owed(socket.closed),
                    "a client that sends nothing more has no answer to {:?}",
                    wires.expected
                );
                let socket = wires.socket;
                self.node.cut(socket);
                peer.lose(wire);
            }
        }
    }

    fn carry(&mut self) {
        if self.node.messages.is_empty() {
            return;
        }
        let index = self.random.below(self.node.messages.len());
        let message = self.node.messages.remove(index).expect("it is there");
        self.node.deliver(message);
    }

    fn publish(&mut self) {
        let number = self.random.below(3 + URIS);
        let is_directed = self.node.rules.is_some() && self.random.one_in(3);
        let whose = is_directed.then(|| principal(self.random.pick::<&str>(&PRINCIPALS)));
        if let Some(posted) = &mut self.posted {
            return posted.push((number, whose));
        }
        let (name, topic) = topic(number);
        let offset = match whose {
            Some(principal) => self.node.publish_to(principal, topic, 0),
            None => self.node.publish(topic),
        };
        self.expect((name, whose), offset);
    }

    /// Whoever hears of this has to be told of something that is not older than this.
    pub(crate) fn expect(&mut self, news: News, offset: u64) {
        self.expect_nothing(&news);
        self.published.push((news, offset));
    }

    pub(crate) fn expect_nothing(&mut self, news: &News) {
        self.published.retain(|(other, _)| other != news);
    }

    fn pass(&mut self) {
        let ms = *self.random.pick(&[1, 30, 300, 300, 2_500]);
        self.node.pass(ms);
        self.notice_ends();
    }

    /// A message for one session, from outside of any call.
    fn tell(&mut self) {
        let peer = self.random.below(self.peers.len());
        let Some(session) = self.peers[peer].session.clone() else {
            return;
        };
        self.progress += 1;
        let params = json!({"level": "error", "data": self.progress})
            .to_string()
            .into();
        let notice = Notice::Message { level: 4, params };
        let mut is_somewhere = false;
        for core in 0..self.node.cores.len() {
            let now = self.node.now;
            let shard = &mut self.node.cores[core].shard;
            // All but its own refuse.
            let told = shard.handle_notice(now, &session, &notice);
            is_somewhere |= matches!(told, Ok(()) | Err(NotifyRefused::Full));
            self.node.settle(core);
        }
        assert!(is_somewhere, "no core has the session {session}");
    }

    /// The last changes, and then a network that breaks with them on the way.
    pub(crate) fn strike(&mut self) {
        (0..self.random.below(6)).for_each(|_| self.publish());
        for core in 0..self.node.cores.len() {
            while self.node.hand_out(core) {}
            while self.node.fan_out(core) {}
        }
        for peer in &mut self.peers {
            for wire in (0..peer.wires.len()).rev() {
                if self.random.one_in(2) {
                    let socket = peer.wires[wire].socket;
                    self.node.cut(socket);
                    self.node.sockets[socket].arrived.clear();
                    peer.lose(wire);
                }
            }
        }
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
        match self.random.below(12) {
            6 => {
                peer.wires[wire].ended = true;
                self.node.sockets[socket].ended = true;
            }
            0..=1 => {
                self.node.cut(socket);
                self.node.sockets[socket].arrived.clear();
                peer.lose(wire);
            }
            2..=5 => peer.wires[wire].stalled = !peer.wires[wire].stalled,
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

    pub(crate) fn next_id(&mut self, peer: usize) -> u64 {
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

    pub(crate) fn published(&self) -> &[(News, u64)] {
        &self.published
    }

    pub(crate) fn fail_all_calls(&mut self) {
        for Arrived { core, key, .. } in std::mem::take(&mut self.node.calls) {
            self.node
                .outcome(core, key, &Outcome::Error(RpcError::internal("the end")));
        }
    }
}
