//! One node: its shard, its forwarder, and the driver of that, which does what the runtime does.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use pinfold::internals::forward::{
    Departing, EXCHANGE_BYTES, ForwardEffect, Forwarder, ForwarderSetup, IdleKey, PassMode,
    PassageKey, Question, Returning, SessionOwner, Side, SocketInterest,
};
use pinfold::internals::limits::Limits;
use pinfold::internals::shard::{Closed, Cluster, Millis, SessionEvent};
use pinfold::internals::wire::forwarded::PeerSecret;
use pinfold::internals::wire::session_id::{NodeName, SessionId};

use super::line::{End, LineId, Network};
use crate::support::Random;
use crate::support::node::{Node, SocketId, setup};

/// What one read brings at most.
pub(super) const READ_BYTES_MAX: usize = 2_048;
/// Of one request and its answer, with bodies and answers as large as there are here.
const HELD_BYTES_MAX: usize = 18 * 1024;

/// How a broken driver behaves. For tests of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PassingBreakage {
    /// What was read ahead is not taken back.
    LosesAhead,
    /// A request that went over an idle connection goes again.
    SendsTwice,
    /// A part of an answer is lost, and the connection goes on.
    CutsQuietly,
    /// What a slow client did not take is forgotten.
    ForgetsUnsent,
    /// A connection is not waited for.
    ForgetsToWatch,
    /// An owner that does not answer counts as one that is gone.
    BelievesTheWorst,
}

/// A connection outside of the shard.
struct Passage {
    client: SocketId,
    owner: Option<LineId>,
    watched: [SocketInterest; 2],
    /// The client's end was read.
    ended: bool,
}

pub(super) struct Station {
    pub(super) number: usize,
    pub(super) incarnation: u64,
    pub(super) node: Node,
    pub(super) forwarder: Forwarder,
    passages: BTreeMap<PassageKey, Passage>,
    idle: BTreeMap<IdleKey, LineId>,
    /// What was asked and is not answered yet, and by when it must be.
    pub(super) asks: Vec<(Millis, Question, SessionId)>,
    pub(super) dials: Vec<(Millis, PassageKey, SocketAddr)>,
    pub(super) probes: Vec<(Millis, PassageKey, SocketAddr)>,
    pub(super) said: Vec<SessionEvent>,
    pub(super) met: Vec<&'static str>,
    broken: Option<(PassingBreakage, Random)>,
}

pub(super) fn limits() -> Limits {
    Limits {
        pipeline_bytes_max: 512,
        keep_alive_ms: 1_000,
        write_stall_ms: 4_000,
        ..Limits::default()
    }
}

pub(super) fn name_of(number: usize) -> NodeName {
    NodeName::new(&format!("n{number}")).expect("a name")
}

impl Station {
    pub(super) fn new(
        number: usize,
        incarnation: u64,
        now: Millis,
        broken: Option<(PassingBreakage, Random)>,
    ) -> Self {
        let secret = PeerSecret::new(b"of the nodes");
        let mut node = Node::with(1, |core| {
            let mut setup = setup(core, 1, limits(), incarnation);
            setup.node = name_of(number);
            setup.cluster = Some(Cluster {
                secret: Some(secret.clone()),
            });
            setup
        });
        // Tickets are the forwarder's here: what is left is counted at the end.
        node.unchecked = true;
        node.now = now;
        let forwarder = Forwarder::new(ForwarderSetup {
            node: name_of(number),
            path: "/mcp".into(),
            secret: Some(secret),
            limits: limits(),
            read_bytes_max: READ_BYTES_MAX,
        });
        Station {
            number,
            incarnation,
            node,
            forwarder,
            passages: BTreeMap::new(),
            idle: BTreeMap::new(),
            asks: Vec::new(),
            dials: Vec::new(),
            probes: Vec::new(),
            said: Vec::new(),
            met: Vec::new(),
            broken,
        }
    }

    pub(super) fn breaks(&mut self, what: PassingBreakage) -> bool {
        match &mut self.broken {
            Some((breakage, random)) if *breakage == what => random.one_in(4),
            _ => false,
        }
    }

    /// Carries out all that is wanted done.
    pub(super) fn drain(&mut self, network: &mut Network) {
        loop {
            let now = self.node.now;
            if let Some((_, connection, session)) = self.node.asked.pop_front() {
                self.forwarder.handle_locate(now, connection, session);
            } else if !self.node.forwarded.is_empty() {
                self.forward();
            } else if let Some((key, side)) = self.forwarder.poll_transmit() {
                self.transmit(network, key, side);
            } else if let Some(effect) = self.forwarder.poll_effect() {
                self.carry_out(network, effect);
            } else {
                break;
            }
        }
        self.forwarder.invariants();
        self.node.cores[0].shard.invariants();
        for passage in self.passages.values().filter(|it| it.ended) {
            let delivered = |line: LineId| network.lines[line].up_ended;
            assert!(
                passage.owner.is_none_or(delivered),
                "the owner was not told"
            );
        }
        for held in self.forwarder.held_bytes() {
            assert!(held <= HELD_BYTES_MAX, "{held} bytes of one request");
        }
    }

    fn forward(&mut self) {
        let (id, bytes) = self.node.forwarded.remove(0);
        let (client, mut ticket) = self.node.forwarded_for.remove(0);
        ticket.widen().expect("there is room");
        let (now, shard) = (self.node.now, &mut self.node.cores[0].shard);
        let charge = shard.handle_hold(now, client, EXCHANGE_BYTES);
        let charge = charge.expect("there is room");
        let departing = Departing {
            bytes,
            client,
            ticket,
            charge,
        };
        let began = self.forwarder.handle_forward(now, departing);
        let key = began.unwrap_or_else(|_| panic!("the shard sent what is no request"));
        let passage = Passage {
            client: id,
            owner: None,
            watched: [SocketInterest::Nothing; 2],
            ended: false,
        };
        assert!(self.passages.insert(key, passage).is_none());
    }

    fn carry_out(&mut self, network: &mut Network, effect: ForwardEffect) {
        let now = self.node.now;
        match effect {
            ForwardEffect::Located {
                connection,
                located,
            } => {
                let shard = &mut self.node.cores[0].shard;
                shard.handle_located(now, connection, located);
                self.node.settle(0);
            }
            ForwardEffect::Ask {
                question,
                session,
                within_ms,
            } => self.asks.push((now + within_ms, question, session)),
            ForwardEffect::Connect {
                key,
                address,
                within_ms,
                ..
            } => self.dials.push((now + within_ms, key, address)),
            ForwardEffect::Probe {
                key,
                address,
                within_ms,
                ..
            } => self.probes.push((now + within_ms, key, address)),
            ForwardEffect::Reuse { key, idle } => self.reuse(network, key, idle),
            ForwardEffect::Keep { key, idle } => {
                let line = self.passage(key).owner.take().expect("it has an owner");
                assert!(self.idle.insert(idle, line).is_none());
            }
            ForwardEffect::Discard(idle) => {
                let line = self.idle.remove(&idle).expect("it is idle");
                network.lines[line].close();
            }
            ForwardEffect::Watch {
                key,
                side,
                from,
                to,
            } => {
                let forgets = self.breaks(PassingBreakage::ForgetsToWatch);
                let watched = &mut self.passage(key).watched[side as usize];
                if !forgets {
                    *watched = to;
                }
                assert!(forgets || from != to);
            }
            ForwardEffect::EndSending { key, side } => self.end_sending(network, key, side),
            ForwardEffect::LoseOwner(key) => {
                if let Some(line) = self.passage(key).owner.take() {
                    network.lines[line].close();
                }
            }
            ForwardEffect::Hold { key, what, count } => {
                let shard = &mut self.node.cores[0].shard;
                let charge = shard.handle_hold(now, None, count);
                self.node.settle(0);
                self.forwarder.handle_held(key, what, charge);
            }
            ForwardEffect::Return { key, returning } => self.give_back(network, key, returning),
            ForwardEffect::Close(key) => {
                let passage = self.take_passage(network, key);
                self.node.sockets[passage.client].closed = Some(Closed::PeerLeft);
            }
            ForwardEffect::Announce(presence) => self.said.push(presence),
        }
    }

    fn give_back(&mut self, network: &mut Network, key: PassageKey, returning: Returning) {
        let passage = self.take_passage(network, key);
        let mut bytes = returning.bytes;
        if returning.gone.is_none() && self.breaks(PassingBreakage::LosesAhead) {
            bytes.clear();
        }
        self.met.push(match returning.gone {
            Some(_) => "answered here",
            None if bytes.is_empty() => "returned",
            None => "read ahead",
        });
        let (ticket, gone) = (returning.ticket, returning.gone);
        let client = passage.client;
        self.node.take_back(client, 0, &bytes, ticket, gone);
    }

    fn passage(&mut self, key: PassageKey) -> &mut Passage {
        self.passages
            .get_mut(&key)
            .expect("a passage has its sockets")
    }

    fn take_passage(&mut self, network: &mut Network, key: PassageKey) -> Passage {
        let mut passage = self.passages.remove(&key).expect("it has its sockets");
        if let Some(line) = passage.owner.take() {
            network.lines[line].close();
        }
        passage
    }

    fn end_sending(&mut self, network: &mut Network, key: PassageKey, side: Side) {
        let passage = self.passage(key);
        match (side, passage.owner) {
            (Side::Client, _) => {
                let client = passage.client;
                self.node.sockets[client].half_closed = true;
                self.met.push("lingering");
            }
            (Side::Owner, Some(line)) => {
                network.lines[line].up_ended = true;
                self.met.push("half-closed");
            }
            (Side::Owner, None) => panic!("there is no owner"),
        }
    }

    fn reuse(&mut self, network: &mut Network, key: PassageKey, idle: IdleKey) {
        let line = self.idle.remove(&idle).expect("it is idle");
        let now = self.node.now;
        if network.lines[line].is_quiet() {
            self.met.push("reused");
            self.passage(key).owner = Some(line);
            self.forwarder.handle_connected(now, key);
            if self.breaks(PassingBreakage::SendsTwice) {
                let bytes = self.forwarder.unsent(key, Side::Owner).to_vec();
                let _ = network.lines[line].send(&bytes);
            }
        } else {
            network.lines[line].close();
            self.forwarder.handle_stale(now, key);
        }
    }

    /// A dial, a question or a probe has come to something.
    pub(super) fn dialed(
        &mut self,
        network: &mut Network,
        key: PassageKey,
        to: Option<(End, u64)>,
    ) {
        match to {
            Some((end, incarnation)) if self.forwarder.is_open(key) => {
                let line = network.open(self.number, end, incarnation);
                self.passage(key).owner = Some(line);
                self.forwarder.handle_connected(self.node.now, key);
            }
            Some(_) => {}
            None => self.forwarder.handle_unconnected(key, true),
        }
        self.drain(network);
    }

    pub(super) fn probed(&mut self, network: &mut Network, key: PassageKey, is_there: bool) {
        let is_there = is_there && !self.breaks(PassingBreakage::BelievesTheWorst);
        self.forwarder.handle_probed(self.node.now, key, is_there);
        self.drain(network);
    }

    pub(super) fn handle_owner(
        &mut self,
        network: &mut Network,
        question: Question,
        owner: SessionOwner,
    ) {
        self.forwarder.handle_owner(self.node.now, question, owner);
        self.drain(network);
    }

    /// The first or any of its passages has something at one of its sides, if that is waited for.
    pub(super) fn ready(
        &mut self,
        network: &mut Network,
        key: PassageKey,
        side: Side,
        count: usize,
    ) {
        let watched = self.passage(key).watched[side as usize];
        if watched.writes() {
            self.transmit(network, key, side);
        }
        let goes_on = self.passages.contains_key(&key);
        if goes_on && watched.reads() && self.forwarder.reads(key, side) {
            match side {
                Side::Client => self.read_client(key, watched, count),
                Side::Owner => self.read_owner(network, key, count),
            }
        }
        self.drain(network);
    }

    pub(super) fn passage_keys(&self) -> Vec<PassageKey> {
        self.passages.keys().copied().collect()
    }

    fn read_client(&mut self, key: PassageKey, watched: SocketInterest, count: usize) {
        let (now, id) = (self.node.now, self.passage(key).client);
        let socket = &mut self.node.sockets[id];
        let count = count.min(socket.sent.len()).min(READ_BYTES_MAX);
        if socket.client_left {
            self.forwarder.handle_fault(now, key, Side::Client);
        } else if count > 0 {
            let bytes: Vec<u8> = socket.sent.drain(..count).collect();
            self.forwarder.handle_client_bytes(now, key, &bytes);
        } else if socket.ended && watched != SocketInterest::End {
            self.forwarder.handle_client_end(now, key);
            self.passage(key).ended = true;
        }
    }

    fn read_owner(&mut self, network: &mut Network, key: PassageKey, count: usize) {
        let now = self.node.now;
        let Some(line) = self.passage(key).owner else {
            return;
        };
        let bytes = match network.lines[line].receive(count.min(READ_BYTES_MAX)) {
            Ok(Some(bytes)) if bytes.is_empty() => {
                return self.forwarder.handle_owner_end(now, key);
            }
            Ok(Some(bytes)) => bytes,
            Ok(None) => return,
            Err(_) => return self.forwarder.handle_fault(now, key, Side::Owner),
        };
        if self.forwarder.handle_owner_bytes(now, key, &bytes) == PassMode::Buffered {
            return;
        }
        self.met.push("relayed");
        match self.send_to_client(key, &bytes) {
            Some(sent) => {
                if sent < bytes.len() {
                    self.met.push("slow client");
                }
                let forgets = self.breaks(PassingBreakage::ForgetsUnsent);
                let unsent = if forgets { &[] } else { &bytes[sent..] };
                self.forwarder.handle_passed(now, key, unsent);
            }
            None => self.forwarder.handle_unsendable(now, key, Side::Client),
        }
    }

    fn transmit(&mut self, network: &mut Network, key: PassageKey, side: Side) {
        let now = self.node.now;
        let bytes = self.forwarder.unsent(key, side).to_vec();
        if bytes.is_empty() {
            return;
        }
        let sent = match side {
            Side::Client => self.send_to_client(key, &bytes),
            Side::Owner => {
                let line = self.passage(key).owner.expect("it is connected");
                network.lines[line].send(&bytes).ok()
            }
        };
        match sent {
            Some(count) => self.forwarder.handle_sent(now, key, side, count),
            None => self.forwarder.handle_unsendable(now, key, side),
        }
    }

    /// How much the kernel took. None: the client has left.
    fn send_to_client(&mut self, key: PassageKey, bytes: &[u8]) -> Option<usize> {
        let id = self.passage(key).client;
        let cuts = self.breaks(PassingBreakage::CutsQuietly);
        let socket = &mut self.node.sockets[id];
        assert!(!socket.half_closed, "bytes after the half-close");
        if socket.client_left {
            return None;
        }
        let count = bytes.len().min(socket.room);
        let taken = count - usize::from(cuts && count > 0);
        socket.arrived.extend(&bytes[..taken]);
        if socket.room != usize::MAX {
            socket.room -= count;
        }
        Some(count)
    }

    /// Time has passed to the node's own.
    pub(super) fn timeout(&mut self, network: &mut Network) {
        self.forwarder.handle_timeout(self.node.now);
        self.drain(network);
        let due = self.forwarder.poll_timeout();
        assert!(
            due.is_none_or(|due| due > self.node.now),
            "what was due is not done"
        );
    }
}
