//! One node: its cores' shards, the sockets of its clients, the messages between cores, and the application.
//!
//! Drives shards exactly as the runtime does: after each `handle_*` it drains `poll_transmit` and `poll_effect`,
//! and it reads from a connection until `wants_bytes` says no, then not before `Effect::Read`. Every shard's
//! invariants are checked after every step.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use pinfold::PrincipalId;
use pinfold::app::call::{Call, Lifecycle, Notice, Outcome, ServerInfoJson, Topic};
use pinfold::internals::auth::Rules;
use pinfold::internals::budget::Charge;
use pinfold::internals::clients::{Client, Commons, Networks, Ticket};
use pinfold::internals::limits::{GAP_OFFSETS, Limits};
use pinfold::internals::shard::{
    AskedByPeer, CallKey, CardSettings, Closed, ConnectionKey, Located, Look, Millis, Publication,
    RequestPolicy, SessionEvent, Shard, ShardSetup, UnknownSender,
};
use pinfold::internals::wire::session_id::{NodeName, SessionId};
use serde_json::json;

pub use super::breakage::Breakage;
use super::client::{is_topic_event, topic_of};
use super::heard_of::HeardOf;
use super::random::Random;
pub use super::server_info::server_info;
use super::socket::Socket;

pub type SocketId = usize;

/// A call as it reached the application.
pub struct Arrived {
    pub core: usize,
    pub key: CallKey,
    pub request: Call,
}

/// A connection on its way to another core.
pub struct CoreMessage {
    pub socket: SocketId,
    pub core: usize,
    pub bytes: Vec<u8>,
    pub ticket: Ticket,
}

/// What the application heard back from a client it had asked.
#[derive(Debug)]
pub struct Heard {
    pub call: CallKey,
    pub ask: u32,
    pub answer: String,
}

/// What the sequencer posts to every core.
#[derive(Clone)]
pub enum News {
    Published(Publication),
    TellAll(u64, Notice),
    Gap(u64),
}

pub struct Core {
    pub shard: Shard,
    /// Published, not handed to this core yet.
    pub log: VecDeque<News>,
    /// Of what it was handed.
    pub heard_of: HeardOf,
}

pub struct Node {
    pub now: Millis,
    pub cores: Vec<Core>,
    pub commons: Arc<Commons>,
    pub sockets: Vec<Socket>,
    pub(super) by_key: HashMap<(usize, ConnectionKey), SocketId>,
    pub calls: VecDeque<Arrived>,
    pub cancelled: Vec<CallKey>,
    pub heard: Vec<Heard>,
    pub messages: VecDeque<CoreMessage>,
    /// Requests that wait to hear where their session is.
    pub asked: VecDeque<(usize, ConnectionKey, SessionId)>,
    /// Requests that wait to hear who sent them.
    pub who: VecDeque<(usize, UnknownSender)>,
    /// What other nodes ask for operators there.
    pub questions: VecDeque<(usize, AskedByPeer)>,
    /// Until when nothing is written to a connection.
    pub held: Vec<(Millis, usize, ConnectionKey)>,
    /// Bodies that wait to be looked at, and whether they wait.
    pub looks: VecDeque<(usize, ConnectionKey, Look, Charge)>,
    pub looks_later: bool,
    /// What left for other nodes.
    pub forwarded: Vec<(SocketId, Vec<u8>)>,
    /// Whose those requests were, with the places of their connections.
    pub forwarded_for: Vec<(Option<Client>, Ticket)>,
    /// What other nodes were told.
    pub said: Vec<SessionEvent>,
    /// Why streams of notifications ended.
    pub ended: Vec<Closed>,
    /// What the application was told of sessions and subscriptions.
    pub delivered: Vec<Lifecycle>,
    /// Letters and publications wait until they are carried.
    pub slow_mail: bool,
    /// The application answers `{}` in the moment it is asked.
    pub instant: bool,
    /// Other rules hold on one core than on the other: what arrives may lose something by that.
    pub unlike: bool,
    /// Checks no invariants: for tests with thousands of entries.
    pub unchecked: bool,
    pub offset: u64,
    /// Whom that was for which was not for all, by offset.
    pub directed: HashMap<u64, PrincipalId>,
    /// By which its cores know who asks, if they do.
    pub rules: Option<Arc<Rules>>,
    pub broken: Option<(Breakage, Random)>,
    /// What happened, each kind once: shows whether a simulation meets what it is meant to meet.
    pub met: BTreeSet<String>,
}

pub fn setup(core: usize, core_count: usize, limits: Limits, incarnation: u64) -> ShardSetup {
    let mut random = Random::new(incarnation ^ core as u64);
    ShardSetup {
        node: NodeName::new("node-a").expect("a valid name"),
        core: core as u16,
        core_count: core_count as u16,
        incarnation,
        limits,
        commons: Commons::new(&limits, Networks::private()),
        gate: RequestPolicy {
            path: "/mcp".into(),
            http_sse: None,
            loopback: true,
            hosts: Vec::new(),
            origins: vec!["https://app.example".into()],
        },
        cluster: None,
        adoption: false,
        server_info: Arc::new(server_info()),
        card: Some(CardSettings::default()),
        accepts: Box::new(|uri| {
            let own = pinfold::internals::wire::uri::normal(uri)?;
            Ok((!own.starts_with("forbidden:")).then(|| own.into()))
        }),
        spelling: Box::new(|uri| {
            let own = pinfold::internals::wire::uri::normal(uri)?;
            Ok(Some(own.into()))
        }),
        secrets: Box::new(move || {
            let (low, high) = (random.next(), random.next());
            (u128::from(high) << 64 | u128::from(low)).to_le_bytes()
        }),
    }
}

impl Node {
    pub fn new(core_count: usize, limits: Limits) -> Self {
        Self::with(core_count, |core| {
            setup(core, core_count, limits, 0x00b0_0700)
        })
    }

    pub fn with(core_count: usize, setup: impl Fn(usize) -> ShardSetup) -> Self {
        let now = 1_000;
        let commons = setup(0).commons;
        let shard = |core| {
            let commons = commons.clone();
            Shard::new(
                ShardSetup {
                    commons,
                    ..setup(core)
                },
                now,
            )
        };
        let core = |core| Core {
            shard: shard(core),
            log: VecDeque::new(),
            heard_of: HeardOf::default(),
        };
        Node {
            now,
            cores: (0..core_count).map(core).collect(),
            commons: commons.clone(),
            sockets: Vec::new(),
            by_key: HashMap::new(),
            calls: VecDeque::new(),
            cancelled: Vec::new(),
            heard: Vec::new(),
            messages: VecDeque::new(),
            asked: VecDeque::new(),
            who: VecDeque::new(),
            questions: VecDeque::new(),
            held: Vec::new(),
            looks: VecDeque::new(),
            looks_later: false,
            forwarded: Vec::new(),
            forwarded_for: Vec::new(),
            said: Vec::new(),
            ended: Vec::new(),
            unlike: false,
            delivered: Vec::new(),
            slow_mail: false,
            instant: false,
            unchecked: false,
            offset: 0,
            directed: HashMap::new(),
            rules: None,
            broken: None,
            met: BTreeSet::new(),
        }
    }

    /// The process of its connections is gone.
    pub fn forget_sockets(&mut self) {
        self.by_key.clear();
        self.held.clear();
        for socket in &mut self.sockets {
            socket.key = None;
        }
    }

    /// `None`: refused.
    pub fn connect(&mut self, core: usize, peer: Option<IpAddr>) -> Option<SocketId> {
        let key = self.cores[core].shard.handle_open(self.now, peer).ok()?;
        let id = self.sockets.len();
        self.sockets.push(Socket::new(core, peer, key));
        self.by_key.insert((core, key), id);
        self.settle(core);
        Some(id)
    }

    /// The server reads at most `count` bytes of what the client sent. True if it read any.
    pub fn receive(&mut self, id: SocketId, count: usize) -> bool {
        let socket = &mut self.sockets[id];
        let Some(key) = socket.key.filter(|_| socket.reading) else {
            return false;
        };
        let count = count.min(socket.sent.len());
        if count == 0 {
            return self.receive_end(id, key);
        }
        let bytes: Vec<u8> = socket.sent.drain(..count).collect();
        let core = socket.core;
        self.cores[core].shard.handle_bytes(self.now, key, &bytes);
        self.settle(core);
        self.ask_for_bytes(id);
        true
    }

    /// The client is gone; the server notices.
    pub fn cut(&mut self, id: SocketId) {
        let socket = &self.sockets[id];
        if let Some(key) = socket.key {
            let core = socket.core;
            self.cores[core].shard.handle_disconnect(self.now, key);
            self.settle(core);
        }
        self.sockets[id].sent.clear();
        self.sockets[id].client_left = true;
    }

    /// The client takes at most `count` bytes; the kernel goes on with a write that waited.
    pub fn take(&mut self, id: SocketId, count: usize) {
        let socket = &mut self.sockets[id];
        socket.read(count);
        self.push_on(id);
    }

    pub fn set_room(&mut self, id: SocketId, room: usize) {
        self.sockets[id].room = room;
        self.push_on(id);
    }

    fn push_on(&mut self, id: SocketId) {
        let socket = &mut self.sockets[id];
        let Some(key) = socket.key.filter(|_| !socket.unwritten.is_empty()) else {
            return;
        };
        if !socket.push_on() {
            return;
        }
        let (core, done) = (socket.core, socket.unwritten.is_empty());
        self.cores[core].shard.handle_progress(self.now, key);
        if done && !self.breaks(Breakage::ForgetsWritten) {
            self.cores[core].shard.handle_written(self.now, key, 0);
        }
        self.settle(core);
    }

    pub fn outcome(&mut self, core: usize, call: CallKey, outcome: &Outcome) {
        self.cores[core]
            .shard
            .handle_outcome(self.now, call, outcome);
        self.settle(core);
    }

    /// Gives the topic its place in the log and hands it to the cores, or leaves that to `hand_out`.
    pub fn publish(&mut self, topic: Topic) -> u64 {
        self.publish_at(0, topic)
    }

    /// The offset is at least `floor`: the place in a shared log.
    pub fn publish_at(&mut self, floor: u64, topic: Topic) -> u64 {
        let published = self.now;
        self.post(floor, |offset| {
            News::Published(Publication {
                offset,
                published,
                topic: topic.clone(),
                principal: None,
            })
        })
    }

    pub fn tell_all_at(&mut self, floor: u64, notice: &Notice) -> u64 {
        self.post(floor, |offset| News::TellAll(offset, notice.clone()))
    }

    /// Something was lost between nodes: anything may have changed.
    pub fn gap(&mut self) -> u64 {
        self.post(0, News::Gap);
        self.offset += GAP_OFFSETS - 1;
        self.offset
    }

    pub(super) fn post(&mut self, floor: u64, news: impl Fn(u64) -> News) -> u64 {
        self.offset = floor.max(self.offset + 1);
        for core in 0..self.cores.len() {
            if !self.breaks(Breakage::LosesPublication) {
                self.cores[core].log.push_back(news(self.offset));
            }
            if !self.slow_mail {
                self.hand_out(core);
            }
        }
        self.offset
    }

    /// The next publication reaches a core. True if there was one.
    pub fn hand_out(&mut self, core: usize) -> bool {
        let Some(news) = self.cores[core].log.pop_front() else {
            return false;
        };
        let slow = |it: &Socket| it.core == core && !it.unwritten.is_empty();
        if self.sockets.iter().any(slow) && self.breaks(Breakage::ConflatesToTheOldest) {
            return true;
        }
        let now = self.now;
        match news {
            News::Published(publication) => {
                let handed_out = self.handed_out(&publication);
                let core_state = &mut self.cores[core];
                core_state.shard.handle_publication(&handed_out);
                core_state.heard_of.note(&publication);
            }
            News::TellAll(offset, notice) => {
                let shard = &mut self.cores[core].shard;
                shard.handle_notice_to_all(now, offset, &notice);
            }
            News::Gap(offset) => {
                self.cores[core].shard.handle_gap(offset);
                self.cores[core].heard_of.gap = offset;
            }
        }
        self.settle(core);
        true
    }

    /// One delivery of the fan-out. True if there was one.
    pub fn fan_out(&mut self, core: usize) -> bool {
        let mut bytes = Vec::new();
        let Some(key) = self.cores[core].shard.poll_fanout(self.now, &mut bytes) else {
            return false;
        };
        if !self.breaks(Breakage::LosesFanout) {
            let socket = &mut self.sockets[self.by_key[&(core, key)]];
            let (heard_of, whose) = (&self.cores[core].heard_of, socket.principal);
            let delivered = topics_in(&bytes).into_iter().map(|topic| {
                let offset = heard_of.newest(&topic, whose);
                (topic, offset)
            });
            socket.delivered.extend(delivered);
            self.write(core, key, &bytes, false);
        }
        self.settle(core);
        true
    }

    /// Answers the first question of where a session is.
    pub fn locate(&mut self, located: Located) {
        let (core, key, _) = self.asked.pop_front().expect("somebody asked");
        self.cores[core]
            .shard
            .handle_located(self.now, key, located);
        self.settle(core);
    }

    /// Lets time pass, with every timeout on its way in its moment.
    pub fn pass(&mut self, ms: Millis) {
        let until = self.now + ms;
        loop {
            let timeouts = self
                .cores
                .iter()
                .filter_map(|core| core.shard.poll_timeout());
            let releases = self.held.iter().map(|(due, ..)| *due);
            let due = timeouts.chain(releases).min();
            let Some(due) = due.filter(|&due| due <= until) else {
                break;
            };
            self.now = self.now.max(due);
            self.release(self.now);
            for core in 0..self.cores.len() {
                self.cores[core].shard.handle_timeout(self.now);
                self.settle(core);
            }
        }
        self.now = until;
    }

    pub fn settle(&mut self, core: usize) {
        self.pump(core);
        if !self.unchecked {
            self.cores[core].shard.invariants();
            self.count_clients();
        }
        while !self.slow_mail && self.carry() {}
    }

    pub(super) fn pump(&mut self, core: usize) {
        let mut bytes = Vec::new();
        loop {
            if let Some(key) = self.cores[core].shard.poll_transmit(&mut bytes) {
                self.write(core, key, &bytes, true);
                continue;
            }
            match self.cores[core].shard.poll_effect() {
                Some(effect) => self.carry_out(core, effect),
                None => return,
            }
        }
    }

    fn write(&mut self, core: usize, key: ConnectionKey, bytes: &[u8], tells_done: bool) {
        let id = self.by_key[&(core, key)];
        let done = self.sockets[id].write(bytes);
        if done && !tells_done {
            return;
        }
        if !(done && self.breaks(Breakage::ForgetsWritten)) {
            let rest = self.sockets[id].unwritten.len();
            self.cores[core].shard.handle_written(self.now, key, rest);
        }
    }

    pub(super) fn ask_for_bytes(&mut self, id: SocketId) {
        let socket = &mut self.sockets[id];
        if let Some(key) = socket.key {
            socket.reading = self.cores[socket.core].shard.wants_bytes(key);
        }
    }

    pub fn breaks(&mut self, what: Breakage) -> bool {
        match &mut self.broken {
            // A client counts wrong or it does not, and so does a driver.
            Some((
                breakage @ (Breakage::ResumesOffByOne | Breakage::TravelsOnePlaceFurther),
                _,
            )) => *breakage == what,
            Some((breakage, random)) if *breakage == what => random.one_in(4),
            _ => false,
        }
    }
}

/// As events name it.
pub(super) fn name_of(topic: &Topic) -> &str {
    match topic {
        Topic::Tools => "tools/list_changed",
        Topic::Prompts => "prompts/list_changed",
        Topic::Resources => "resources/list_changed",
        Topic::Resource(uri) => uri,
        other => panic!("{other:?} has no name here"),
    }
}

/// Of the topic events in what the fan-out gave.
fn topics_in(bytes: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(bytes).expect("events are text");
    let messages = text
        .split('\n')
        .filter_map(|line| line.strip_prefix("data: "));
    let parsed = messages.filter_map(|data| serde_json::from_str::<serde_json::Value>(data).ok());
    parsed
        .filter(is_topic_event)
        .map(|message| topic_of(&message))
        .collect()
}
