//! Several nodes and clients that ask any of them for any session: one random step after the other, on a network that
//! cuts, delays, and takes a part; among nodes that hang, die and come again, and one that speaks no sense.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use pinfold::app::call::{Notice, Outcome};
use pinfold::forward::{Owner, Side};
use pinfold::shard::Gone;
use pinfold::wire::session_id::{Locator, NodeName, SessionId};
use serde_json::json;

use super::asker::{Asked, Came, Kind, SessionOf, Wire, pad_of, request};
use super::line::{End, LineId, Network};
use super::played;
use super::station::{PassingBreakage, READ_BYTES_MAX, Station, name_of};
use crate::support::node::Arrived;
use crate::support::{Item, Random, Request};

const V11: &str = "2025-11-25";
const PLAYED_BOOT: u64 = 77;
/// A heartbeat outlives its node by so much.
const BELIEVED_MS: u64 = 3_000;
/// What is known of an owner is that old at most, and so is the reason of an answer.
const STALE_MS: u64 = 3_000;

/// What happened to a node last, and when: for the reasons that clients are told.
#[derive(Clone, Copy, Default)]
struct Troubles {
    /// It was dead, or hung for so long that it counts as dead.
    down: u64,
    /// It took no connections.
    unreachable: u64,
    /// A connection to it, or what came of it, broke.
    broken: u64,
    hung: u64,
    /// Nobody could be asked where it is.
    blind: u64,
}

#[derive(Clone, Copy, Default)]
struct Health {
    dead_since: Option<u64>,
    hangs_since: Option<u64>,
    refuses: bool,
}

pub(super) struct Convoy {
    pub(super) now: u64,
    pub(super) random: Random,
    pub(super) stations: Vec<Station>,
    pub(super) network: Network,
    health: Vec<Health>,
    /// The last one is the played owner's.
    troubles: Vec<Troubles>,
    played_is_down: bool,
    /// Redis is away.
    blind: bool,
    boots: u64,
    ids: u64,
    sessions: Vec<SessionOf>,
    deleted: BTreeSet<String>,
    /// The number of the last message to each session.
    told: BTreeMap<String, u64>,
    executed: BTreeMap<u64, usize>,
    pub(super) wires: Vec<Wire>,
    /// Nothing goes wrong.
    calm: bool,
    broken: Option<PassingBreakage>,
    pub(super) met: BTreeSet<String>,
}

fn address_of(number: usize) -> SocketAddr {
    ([10, 0, 0, number as u8], 1).into()
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
            boots: 100,
            ids: 0,
            sessions: Vec::new(),
            deleted: BTreeSet::new(),
            told: BTreeMap::new(),
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

    fn station(&mut self, number: usize) -> Station {
        self.boots += 1;
        let random = Random::new(self.random.next());
        let broken = self.broken.map(|broken| (broken, random));
        Station::new(number, self.boots, self.now, broken)
    }

    fn open_session(&mut self, number: usize) {
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
        let boot = station.boot;
        self.know(id.to_owned(), End::Station(number), boot);
    }

    fn play_session(&mut self, slot: u32) {
        let id = SessionId {
            node: NodeName::new("played").expect("a name"),
            locator: Locator {
                core: 0,
                slot,
                generation: 0,
                boot: PLAYED_BOOT,
            },
            secret: [7; 16],
        };
        let mut text = String::new();
        id.emit(&mut text);
        self.know(text, End::Played, PLAYED_BOOT);
    }

    fn know(&mut self, id: String, owner: End, boot: u64) {
        self.sessions.push(SessionOf { id, owner, boot });
    }

    fn number_of(&self, end: End) -> usize {
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

    fn is_running(&self, number: usize) -> bool {
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
    fn act(&mut self) {
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
    fn has_stream(&self, session: &str) -> bool {
        let is_its = |asked: &Asked| asked.kind == Kind::Stream && asked.session.id == session;
        self.wires
            .iter()
            .any(|wire| wire.asked.iter().chain(&wire.streaming).any(is_its))
    }

    fn connect(&mut self) -> Option<usize> {
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

    fn move_client(&mut self) {
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

    fn take(&mut self, wire: usize, count: usize) {
        let (station, socket) = (self.wires[wire].station, self.wires[wire].socket);
        let node = &mut self.stations[station].node;
        node.take(socket, count);
        let items: Vec<Item> = node.sockets[socket].reader.items.drain(..).collect();
        for item in items {
            if let Some(Came::Answer(asked, answer)) = self.wires[wire].take(item) {
                self.judge(&asked, &answer);
            }
        }
    }

    /// Any passage of a node, at any side.
    fn ready(&mut self, number: usize) {
        let keys = self.stations[number].passage_keys();
        if keys.is_empty() || !self.is_running(number) {
            return;
        }
        let key = *self.random.pick(&keys);
        let side = *self.random.pick(&[Side::Client, Side::Owner]);
        let count = *self.random.pick(&[1, 20, 300, usize::MAX]);
        self.stations[number].ready(&mut self.network, key, side, count);
    }

    fn land(&mut self) {
        let open = |line: &LineId| !self.network.lines[*line].closed_at_both();
        let lines: Vec<LineId> = (0..self.network.lines.len()).filter(open).collect();
        if lines.is_empty() {
            return;
        }
        let line = *self.random.pick(&lines);
        let count = *self.random.pick(&[1, 50, 700, usize::MAX]);
        self.land_one(line, count);
    }

    /// What is under way on a line arrives, in both directions.
    fn land_one(&mut self, id: LineId, count: usize) {
        let line = &mut self.network.lines[id];
        match line.to {
            End::Played => {
                if played::answer(line, &mut self.random) {
                    self.troubles.last_mut().expect("the played one's").broken = self.now;
                }
                line.is_over = line.closed;
            }
            End::Station(number) => {
                if self.is_running(number) {
                    self.land_at(id, number, count);
                }
            }
        }
    }

    fn land_at(&mut self, id: LineId, number: usize, count: usize) {
        let line = &mut self.network.lines[id];
        let station = &mut self.stations[number];
        if line.boot != station.boot {
            (line.broken, line.is_over) = (true, true);
            return;
        }
        let from = [10, 0, 0, line.from as u8];
        let Some(socket) = line
            .landed
            .or_else(|| station.node.connect(0, Some(from.into())))
        else {
            line.broken = true;
            return;
        };
        line.landed = Some(socket);
        let arrives = count.min(line.up.len());
        let it = &mut station.node.sockets[socket];
        it.sent.extend(line.up.drain(..arrives));
        if it.arrived.len() < 4_000 {
            it.room = 4_000;
        }
        let leaves = count.min(it.arrived.len());
        line.down.extend(it.arrived.drain(..leaves));
        let at_end = it.is_over() && it.arrived.is_empty();
        line.down_ended |= at_end;
        it.ended |= line.up_ended && line.up.is_empty();
        let gone = (line.closed && line.up.is_empty()) || line.broken;
        if gone || at_end {
            station.node.cut(socket);
            station.node.sockets[socket].arrived.clear();
            line.is_over = true;
        } else {
            station.node.take(socket, 0);
            while station.node.receive(socket, READ_BYTES_MAX) {}
        }
        while self.stations[number].node.fan_out(0) {}
    }

    /// The others, or Redis, answer what a node wants to know. `all`: also what has time.
    pub(super) fn settle_questions(&mut self, number: usize, all: bool) {
        if !self.is_running(number) {
            return;
        }
        let now = self.now;
        let due = |due: u64, random: &mut Random| all || due <= now || random.one_in(2);
        let random = &mut self.random;
        let station = &mut self.stations[number];
        let asks: Vec<_> = station
            .asks
            .extract_if(.., |it| due(it.0, random))
            .collect();
        let dials: Vec<_> = station
            .dials
            .extract_if(.., |it| due(it.0, random))
            .collect();
        let probes: Vec<_> = station
            .probes
            .extract_if(.., |it| due(it.0, random))
            .collect();
        for (_, question, session) in asks {
            let owner = self.owner_of(&session);
            self.stations[number].told_owner(&mut self.network, question, owner);
        }
        for (_, key, address) in dials {
            let end = self.reach(address);
            self.stations[number].dialed(&mut self.network, key, end);
        }
        for (_, key, address) in probes {
            let is_there = self.reach(address).is_some();
            self.stations[number].probed(&mut self.network, key, is_there);
        }
    }

    /// Who takes connections there.
    fn reach(&mut self, address: SocketAddr) -> Option<(End, u64)> {
        let number = (0..=self.stations.len()).find(|it| address_of(*it) == address)?;
        let is_played = number == self.stations.len();
        let takes = match is_played {
            true => !self.played_is_down,
            false => self.health[number].dead_since.is_none(),
        };
        if !takes || self.health[number].refuses {
            self.troubles[number].unreachable = self.now;
            return None;
        }
        match is_played {
            true => Some((End::Played, PLAYED_BOOT)),
            false => Some((End::Station(number), self.stations[number].boot)),
        }
    }

    /// As the cluster would say it.
    fn owner_of(&mut self, session: &SessionId) -> Owner {
        let number = (0..self.stations.len()).find(|it| name_of(*it) == session.node);
        let number = number.unwrap_or(self.stations.len());
        let (health, trouble) = (self.health[number], &mut self.troubles[number]);
        if self.blind {
            trouble.blind = self.now;
            return Owner::Gone(Gone::CannotTell);
        }
        let for_long = |since: Option<u64>| since.is_some_and(|it| self.now > it + BELIEVED_MS);
        let is_played = number == self.stations.len();
        let is_down = match is_played {
            true => self.played_is_down,
            false => for_long(health.dead_since) || for_long(health.hangs_since),
        };
        if is_down {
            trouble.down = self.now;
            return Owner::Gone(Gone::OwnerDown);
        }
        if !is_played && self.stations[number].boot != session.locator.boot {
            return Owner::Gone(Gone::OwnerRestarted);
        }
        Owner::Alive {
            address: address_of(number),
            cookie: format!("cookie{number}").into(),
        }
    }

    fn application_acts(&mut self, number: usize) {
        let station = &mut self.stations[number];
        if station.node.calls.is_empty() || self.health[number].dead_since.is_some() {
            return;
        }
        let index = self.random.below(station.node.calls.len());
        self.answer_call(number, index);
    }

    fn answer_call(&mut self, number: usize, index: usize) {
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
    fn tell(&mut self) {
        let session = self.random.below(self.sessions.len());
        let session = self.sessions[session].clone();
        let End::Station(number) = session.owner else {
            return;
        };
        if !self.is_running(number) {
            return;
        }
        let next = self.told.entry(session.id.clone()).or_default();
        let node = &mut self.stations[number].node;
        for _ in 0..1 + self.random.below(8) {
            let logger = "l".repeat(self.random.below(300));
            let params = json!({"level": "error", "data": *next, "logger": logger});
            let params = params.to_string().into();
            let notice = Notice::Message { level: 4, params };
            let shard = &mut node.cores[0].shard;
            let told = shard.handle_tell(self.now, &session.id, &notice);
            *next += u64::from(told.is_ok());
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

    fn settle_due(&mut self, number: usize) {
        let station = &self.stations[number];
        let dues = station.asks.iter().map(|it| it.0);
        let dues = dues.chain(station.dials.iter().map(|it| it.0));
        let mut dues = dues.chain(station.probes.iter().map(|it| it.0));
        if dues.any(|due| due <= self.now) {
            self.settle_questions(number, false);
        }
    }

    fn note_troubles(&mut self, number: usize) {
        let (health, trouble) = (self.health[number], &mut self.troubles[number]);
        if health.hangs_since.is_some() {
            trouble.hung = self.now;
        }
        if health.dead_since.is_some() {
            (trouble.hung, trouble.broken) = (self.now, self.now);
        }
    }

    /// What goes wrong.
    fn disturb(&mut self, number: usize) {
        match self.random.below(16) {
            0..=2 => self.cut_line(),
            3..=4 => {
                if let Some(line) = self.some_line() {
                    let room = *self.random.pick(&[usize::MAX, 0, 40, 600]);
                    self.network.lines[line].room = room;
                }
            }
            5..=6 => self.cut_client(),
            7..=8 => self.stall_client(),
            9 => {
                let health = &mut self.health[number];
                if health.dead_since.is_none() {
                    health.hangs_since = match health.hangs_since {
                        Some(_) => None,
                        None => Some(self.now),
                    };
                    self.catch_up(number);
                }
            }
            10 => self.kill(number),
            11..=12 => self.revive(number),
            13 => self.blind = !self.blind,
            14 => self.health[number].refuses = !self.health[number].refuses,
            _ => self.played_is_down = !self.played_is_down,
        }
        self.note_troubles(number);
    }

    fn some_line(&mut self) -> Option<LineId> {
        let is_open = |line: &LineId| !self.network.lines[*line].closed_at_both();
        let lines: Vec<LineId> = (0..self.network.lines.len()).filter(is_open).collect();
        (!lines.is_empty()).then(|| *self.random.pick(&lines))
    }

    fn cut_line(&mut self) {
        if let Some(line) = self.some_line() {
            self.break_line(line);
        }
    }

    fn break_line(&mut self, line: LineId) {
        let number = self.number_of(self.network.lines[line].to);
        self.troubles[number].broken = self.now;
        self.network.lines[line].broken = true;
        self.network.lines[line].down.clear();
    }

    fn cut_client(&mut self) {
        if self.wires.is_empty() {
            return;
        }
        let wire = self.random.below(self.wires.len());
        let wire = self.wires.swap_remove(wire);
        self.stations[wire.station].node.cut(wire.socket);
    }

    fn stall_client(&mut self) {
        if self.wires.is_empty() {
            return;
        }
        let wire = self.random.below(self.wires.len());
        let wire = &mut self.wires[wire];
        wire.stalled = !wire.stalled;
        wire.was_stalled = true;
        let socket = &mut self.stations[wire.station].node.sockets[wire.socket];
        if wire.stalled {
            socket.room = socket.room.min(100);
        }
    }

    fn kill(&mut self, number: usize) {
        if self.health[number].dead_since.is_some() {
            return;
        }
        self.health[number].dead_since = Some(self.now);
        self.health[number].hangs_since = None;
        self.met.insert("killed".into());
        for line in 0..self.network.lines.len() {
            let it = &self.network.lines[line];
            if it.to == End::Station(number) && !it.closed {
                self.break_line(line);
            } else if it.from == number {
                self.network.lines[line].close();
            }
        }
        // Its clients' connections go with it.
        self.wires.retain(|wire| wire.station != number);
    }

    fn revive(&mut self, number: usize) {
        if self.health[number].dead_since.take().is_none() {
            return;
        }
        self.stations[number] = self.station(number);
        self.met.insert("restarted".into());
        (0..2).for_each(|_| self.open_session(number));
    }

    fn catch_up(&mut self, number: usize) {
        if self.is_running(number) {
            let station = &mut self.stations[number];
            let behind = self.now - station.node.now;
            station.node.pass(behind);
            station.timeout(&mut self.network);
        }
    }

    /// Everything is well again.
    pub(super) fn heal(&mut self) {
        for number in 0..self.stations.len() {
            self.health[number].refuses = false;
            if self.health[number].hangs_since.take().is_some() {
                self.catch_up(number);
            }
            self.revive(number);
        }
        self.blind = false;
        // Else those who wait for it wait as long as it hangs.
        self.played_is_down = true;
        for line in &mut self.network.lines {
            line.room = usize::MAX;
        }
        for wire in &mut self.wires {
            wire.stalled = false;
            let socket = &mut self.stations[wire.station].node.sockets[wire.socket];
            socket.room = usize::MAX;
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

    pub(super) fn trouble_since(&self, asked: &Asked) -> bool {
        let trouble = &self.troubles[self.number_of(asked.session.owner)];
        let since = asked.at.saturating_sub(STALE_MS);
        let restarted = self.is_of_earlier(&asked.session);
        let any = [
            trouble.broken,
            trouble.down,
            trouble.unreachable,
            trouble.hung,
            trouble.blind,
        ];
        restarted || any.into_iter().any(|at| at >= since)
    }

    fn is_of_earlier(&self, session: &SessionOf) -> bool {
        match session.owner {
            End::Station(number) => self.stations[number].boot != session.boot,
            End::Played => false,
        }
    }

    /// Whether an answer says what is true.
    fn judge(&mut self, asked: &Asked, answer: &crate::support::Answer) {
        let trouble = self.troubles[self.number_of(asked.session.owner)];
        let since = asked.at.saturating_sub(STALE_MS);
        let (status, reason) = match answer.status {
            200 | 202 | 204 => (answer.status, String::new()),
            status => (status, answer.reason()),
        };
        self.met.insert(format!("{status} {reason}"));
        let is_true = match (status, reason.as_str()) {
            (200, _) => {
                if asked.kind == Kind::Call {
                    super::asker::check_result(asked.id, &answer.json());
                }
                assert_eq!(answer.json()["id"].as_u64(), Some(asked.id), "{answer:?}");
                true
            }
            (204, _) => asked.kind == Kind::Delete,
            (404, "owner_restarted") => self.is_of_earlier(&asked.session),
            (404, "owner_down") => trouble.down >= since,
            (404, "owner_unreachable") => trouble.unreachable >= since,
            (503, "owner_unreachable") => trouble.blind >= since,
            (404, "unknown" | "expired") => self.deleted.contains(&asked.session.id),
            (502, "owner_unreachable") => trouble.broken >= since,
            // Its body took too long on its way.
            (408, _) => self.now > asked.at + 5_000,
            _ => false,
        };
        assert!(is_true, "{asked:?} was told at {}: {answer:?}", self.now);
    }

    /// Clients see which of their connections have ended, once they have read all there is.
    fn notice_ends(&mut self) {
        for index in (0..self.wires.len()).rev() {
            let wire = &self.wires[index];
            let socket = &mut self.stations[wire.station].node.sockets[wire.socket];
            if !socket.is_over() || !socket.arrived.is_empty() || !socket.unwritten.is_empty() {
                continue;
            }
            let whole = socket.reader.finish();
            let closed = socket.closed;
            let wire = self.wires.swap_remove(index);
            self.stations[wire.station].node.cut(wire.socket);
            let Some(first) = wire.first() else {
                assert!(whole, "an answer that nobody asked for was cut");
                continue;
            };
            let excused = wire.was_stalled || wire.closes || self.now > first.at + 5_000;
            assert!(
                excused || self.trouble_since(first),
                "{first:?} has no answer, for no reason ({closed:?}) at {}",
                self.now
            );
            self.met
                .insert(if whole { "no answer" } else { "half an answer" }.into());
        }
    }
}
