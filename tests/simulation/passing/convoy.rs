//! Several nodes and clients that ask any of them for any session: one random step after the other, on a network that
//! cuts, delays, and takes a part; among nodes that hang, die and come again, and one that speaks no sense.

use std::collections::{BTreeMap, BTreeSet};

use pinfold::app::call::{Notice, Outcome};
use pinfold::internals::forward::Side;
use pinfold::internals::wire::session_id::{Locator, NodeName, SessionId};
use serde_json::json;

use super::asker::{Asked, Came, Kind, SessionOf, Wire, pad_of, request};
use super::line::{End, Network};
use super::station::{PassingBreakage, READ_BYTES_MAX, Station};
use super::weather::{Health, Troubles};
use crate::support::node::Arrived;
use crate::support::{Item, Random, Request};

const V11: &str = "2025-11-25";
pub(super) const PLAYED_INCARNATION: u64 = 77;
pub(super) struct Convoy {
    pub(super) now: u64,
    pub(super) random: Random,
    pub(super) stations: Vec<Station>,
    pub(super) network: Network,
    pub(super) health: Vec<Health>,
    /// The last one is the played owner's.
    pub(super) troubles: Vec<Troubles>,
    pub(super) played_is_down: bool,
    /// Redis is away.
    pub(super) blind: bool,
    pub(super) incarnations: u64,
    pub(super) ids: u64,
    pub(super) sessions: Vec<SessionOf>,
    pub(super) deleted: BTreeSet<String>,
    /// The number of the last message to each session.
    pub(super) delivered: BTreeMap<String, u64>,
    pub(super) executed: BTreeMap<u64, usize>,
    pub(super) wires: Vec<Wire>,
    /// Nothing goes wrong.
    pub(super) calm: bool,
    pub(super) broken: Option<PassingBreakage>,
    pub(super) met: BTreeSet<String>,
}

impl Convoy {
    pub(super) fn new(seed: u64, broken: Option<PassingBreakage>) -> Self {
        let mut random = Random::new(seed);
        let count = 2 + random.below(2);
        let calm = random.one_in(4);
        let mut convoy = Convoy {
            now: 10_000,
            stations: Vec::new(),
            network: Network::default(),
            health: vec![Health::default(); count + 1],
            troubles: vec![Troubles::default(); count + 1],
            played_is_down: false,
            blind: false,
            incarnations: 100,
            ids: 0,
            sessions: Vec::new(),
            deleted: BTreeSet::new(),
            delivered: BTreeMap::new(),
            executed: BTreeMap::new(),
            wires: Vec::new(),
            calm,
            broken,
            met: BTreeSet::new(),
            random,
        };
        for number in 0..count {
            let station = convoy.station(number);
            convoy.stations.push(station);
            (0..2).for_each(|_| convoy.open_session(number));
        }
        if !calm {
            (0..2).for_each(|number| convoy.play_session(number));
        }
        convoy
    }

    pub(super) fn station(&mut self, number: usize) -> Station {
        self.incarnations += 1;
        let random = Random::new(self.random.next());
        let broken = self.broken.map(|broken| (broken, random));
        Station::new(number, self.incarnations, self.now, broken)
    }

    pub(super) fn open_session(&mut self, number: usize) {
        let station = &mut self.stations[number];
        let socket = station.node.connect(0, None).expect("there is room");
        let request = Request::initialize(V11);
        let it = &mut station.node.sockets[socket];
        it.reader.expected.push_back(false);
        it.sent.extend(request.bytes());
        station.node.receive(socket, usize::MAX);
        station.node.take(socket, usize::MAX);
        let item = station.node.sockets[socket].reader.items.pop_front();
        let Some(Item::Answer(answer)) = item else {
            panic!("no session: {item:?}");
        };
        station.node.cut(socket);
        let id = answer.field("mcp-session-id").expect("a session id");
        let incarnation = station.incarnation;
        self.know(id.to_owned(), End::Station(number), incarnation);
    }

    pub(super) fn play_session(&mut self, slot: u32) {
        let id = SessionId {
            node: NodeName::new("played").expect("a name"),
            locator: Locator {
                core: 0,
                slot,
                generation: 0,
                incarnation: PLAYED_INCARNATION,
            },
            secret: [7; 16],
        };
        let mut text = String::new();
        id.emit(&mut text);
        self.know(text, End::Played, PLAYED_INCARNATION);
    }

    pub(super) fn know(&mut self, id: String, owner: End, incarnation: u64) {
        self.sessions.push(SessionOf {
            id,
            owner,
            incarnation,
        });
    }

    pub(super) fn number_of(&self, end: End) -> usize {
        match end {
            End::Station(number) => number,
            End::Played => self.stations.len(),
        }
    }

    pub(super) fn step(&mut self) {
        let number = self.random.below(self.stations.len());
        match self.random.below(26) {
            0..=3 => self.act(),
            4..=9 => self.move_client(),
            10..=14 => self.ready(number),
            15..=17 => self.land(),
            18 => self.settle_questions(number, false),
            19..=20 => self.application_acts(number),
            21..=22 => self.tell(),
            23 => {
                let ms = *self.random.pick(&[1, 10, 64, 300, 1_100]);
                self.pass(ms);
            }
            _ if self.calm => {}
            _ => self.disturb(number),
        }
        self.drain_all();
        self.notice_ends();
    }

    pub(super) fn is_running(&self, number: usize) -> bool {
        let health = &self.health[number];
        health.dead_since.is_none() && health.hangs_since.is_none()
    }

    pub(super) fn drain_all(&mut self) {
        for number in 0..self.stations.len() {
            if self.is_running(number) {
                self.stations[number].drain(&mut self.network);
                let met = std::mem::take(&mut self.stations[number].met);
                self.met.extend(met.into_iter().map(str::to_owned));
            }
        }
    }

    /// A client asks for something, on a connection that it has or on a new one.
    pub(super) fn act(&mut self) {
        let session = self.random.below(self.sessions.len());
        let session = self.sessions[session].clone();
        let kind = match self.random.below(12) {
            0..=5 => Kind::Ping,
            6..=8 => Kind::Call,
            9..=10 => Kind::Stream,
            _ if self.random.one_in(8) => Kind::Delete,
            _ => Kind::Ping,
        };
        if kind == Kind::Delete {
            self.deleted.insert(session.id.clone());
        }
        if kind == Kind::Stream && self.has_stream(&session.id) {
            return;
        }
        self.ids += 1;
        let asked = Asked {
            kind,
            id: self.ids,
            session,
            at: self.now,
        };
        let bytes = request(&asked.kind, asked.id, &asked.session.id).bytes();
        let usable = |wire: &Wire| {
            !wire.ended && wire.streaming.is_none() && !wire.stalled && wire.asked.len() < 12
        };
        let usable: Vec<usize> = (0..self.wires.len())
            .filter(|&it| usable(&self.wires[it]))
            .collect();
        let wire = match usable.is_empty() || self.random.one_in(4) {
            true => match self.connect() {
                Some(wire) => wire,
                None => return,
            },
            false => *self.random.pick(&usable),
        };
        let wire = &mut self.wires[wire];
        let socket = &mut self.stations[wire.station].node.sockets[wire.socket];
        socket.reader.expected.push_back(false);
        socket.sent.extend(bytes);
        wire.asked.push_back(asked);
        if self.random.one_in(12) {
            (wire.ended, socket.ended) = (true, true);
        }
    }

    /// One at a time: what is told then comes on it.
    pub(super) fn has_stream(&self, session: &str) -> bool {
        let is_its = |asked: &Asked| asked.kind == Kind::Stream && asked.session.id == session;
        self.wires
            .iter()
            .any(|wire| wire.asked.iter().chain(&wire.streaming).any(is_its))
    }

    pub(super) fn connect(&mut self) -> Option<usize> {
        let number = self.random.below(self.stations.len());
        if !self.is_running(number) {
            return None;
        }
        let station = &mut self.stations[number];
        let client = [203, 0, 113, self.random.below(3) as u8];
        let socket = station.node.connect(0, Some(client.into()))?;
        station.node.sockets[socket].room =
            *self.random.pick(&[usize::MAX, usize::MAX, 300, 2_000]);
        self.wires.push(Wire::new(number, socket));
        Some(self.wires.len() - 1)
    }

    pub(super) fn move_client(&mut self) {
        if self.wires.is_empty() {
            return;
        }
        let wire = self.random.below(self.wires.len());
        let count = *self.random.pick(&[1, 30, 400, usize::MAX]);
        if !self.is_running(self.wires[wire].station) {
            return;
        }
        if self.random.one_in(2) {
            let (station, socket) = (self.wires[wire].station, self.wires[wire].socket);
            let node = &mut self.stations[station].node;
            node.receive(socket, count.min(READ_BYTES_MAX));
        } else if !self.wires[wire].stalled {
            self.take(wire, count);
        }
    }

    pub(super) fn take(&mut self, wire: usize, count: usize) {
        let (station, socket) = (self.wires[wire].station, self.wires[wire].socket);
        let node = &mut self.stations[station].node;
        if !node.sockets[socket].is_over() && !node.sockets[socket].arrived.is_empty() {
            self.wires[wire].took_at = self.now;
        }
        node.take(socket, count);
        let items: Vec<Item> = node.sockets[socket].reader.items.drain(..).collect();
        for item in items {
            if let Some(Came::Answer(asked, answer)) = self.wires[wire].take(item) {
                self.judge(&asked, &answer);
            }
        }
    }

    pub(super) fn application_acts(&mut self, number: usize) {
        let station = &mut self.stations[number];
        if station.node.calls.is_empty() || self.health[number].dead_since.is_some() {
            return;
        }
        let index = self.random.below(station.node.calls.len());
        self.answer_call(number, index);
    }

    pub(super) fn answer_call(&mut self, number: usize, index: usize) {
        let station = &mut self.stations[number];
        let Some(Arrived { core, key, request }) = station.node.calls.remove(index) else {
            return;
        };
        let params = request.params.expect("calls have params");
        let params: serde_json::Value = serde_json::from_str(params.get()).expect("JSON");
        let id = params["arguments"]["who"].as_u64().expect("calls say who");
        let times = self.executed.entry(id).or_default();
        *times += 1;
        assert_eq!(*times, 1, "{id} was carried out twice");
        let json = json!({"pad": pad_of(id)}).to_string();
        let outcome = Outcome::Result {
            json,
            caching: None,
        };
        station.node.outcome(core, key, &outcome);
    }

    /// A numbered message for a session that has a stream.
    pub(super) fn tell(&mut self) {
        let session = self.random.below(self.sessions.len());
        let session = self.sessions[session].clone();
        let End::Station(number) = session.owner else {
            return;
        };
        if !self.is_running(number) {
            return;
        }
        let next = self.delivered.entry(session.id.clone()).or_default();
        let node = &mut self.stations[number].node;
        for _ in 0..1 + self.random.below(8) {
            let logger = "l".repeat(self.random.below(300));
            let params = json!({"level": "error", "data": *next, "logger": logger});
            let params = params.to_string().into();
            let notice = Notice::Message { level: 4, params };
            let shard = &mut node.cores[0].shard;
            let delivered = shard.handle_notice(self.now, &session.id, &notice);
            *next += u64::from(delivered.is_ok());
            node.settle(0);
        }
        while node.fan_out(0) {}
    }

    pub(super) fn pass(&mut self, ms: u64) {
        let until = self.now + ms;
        while self.now < until {
            self.now = until.min(self.now + 64);
            for number in 0..self.stations.len() {
                self.note_troubles(number);
                if !self.is_running(number) {
                    continue;
                }
                let station = &mut self.stations[number];
                let behind = self.now - station.node.now;
                station.node.pass(behind);
                station.timeout(&mut self.network);
                self.settle_due(number);
            }
            self.note_troubles(self.stations.len());
        }
    }

    /// Everything that is under way arrives, and some time passes.
    pub(super) fn round(&mut self) {
        for number in 0..self.stations.len() {
            self.settle_questions(number, true);
            for key in self.stations[number].passage_keys() {
                for side in [Side::Client, Side::Owner] {
                    if self.stations[number].forwarder.is_open(key) {
                        self.stations[number].ready(&mut self.network, key, side, usize::MAX);
                    }
                }
            }
            while !self.stations[number].node.calls.is_empty() {
                self.answer_call(number, 0);
            }
        }
        for line in 0..self.network.lines.len() {
            if !self.network.lines[line].closed_at_both() {
                self.land_one(line, usize::MAX);
            }
        }
        for wire in 0..self.wires.len() {
            let (station, socket) = (self.wires[wire].station, self.wires[wire].socket);
            let node = &mut self.stations[station].node;
            while node.receive(socket, READ_BYTES_MAX) {}
            self.take(wire, usize::MAX);
        }
        self.drain_all();
        self.notice_ends();
    }
}
