//! The nodes, and what is on its way between them.

mod answers;
mod events;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::redis::{Ask, Record, Redis, RedisMemory, RedisSaid, SessionNumber};
use crate::cluster::lease::{NodeLease, RENEW_EVERY, WantedPledges};
use crate::cluster::nodes::Heartbeat;
use crate::cluster::pledges::{PledgeAsker, Pledges};
use crate::wire::session_id::{NodeName, Process};

pub(super) const NODES: usize = 4;
pub(super) const STEP_MS: u64 = 10;
const SESSIONS_OF_A_NODE: u32 = 2;
/// After it the other nodes' answers come too late.
const ROUND_MS: u64 = 450;
const BEAT_MS: u64 = RENEW_EVERY.as_millis() as u64;

/// A rule that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mutant {
    /// A new process claims at once.
    NotSilent,
    /// A pledge keeps nobody from claiming.
    NotKept,
    /// A pledge is given while a claim is on its way, or after one.
    ClaimsForgotten,
    /// A claim that broke off is taken for one that got nothing.
    UnknownIsNothing,
    /// The lease counts from when Redis answered.
    CountsFromAnswer,
    /// What was claimed is not let go of before the lease counts again.
    NotLetGo,
    /// Who has lost its lease asks like one that has not.
    LapsedIsNot,
    /// What Redis does not say is believed even just after it forgot.
    MemoryTrusted,
    /// Whoever does not answer counts as one that pledges.
    SilenceIsConsent,
}

impl Mutant {
    pub(super) const ALL: [Mutant; 9] = [
        Mutant::NotSilent,
        Mutant::NotKept,
        Mutant::ClaimsForgotten,
        Mutant::UnknownIsNothing,
        Mutant::CountsFromAnswer,
        Mutant::NotLetGo,
        Mutant::LapsedIsNot,
        Mutant::MemoryTrusted,
        Mutant::SilenceIsConsent,
    ];

    /// Some matter rarely: a little before where it was seen last.
    pub(super) const fn looked_for_from(self) -> u64 {
        match self {
            Mutant::NotSilent => 290,
            Mutant::ClaimsForgotten => 40,
            Mutant::UnknownIsNothing => 1_165,
            Mutant::LapsedIsNot => 425,
            _ => 0,
        }
    }
}

struct Round {
    sent_at: u64,
    waits_for: Vec<usize>,
}

struct PlayedNode {
    name: NodeName,
    boot: u64,
    lives: bool,
    hangs_until: u64,
    /// From Redis, and since when it does not know it yet.
    is_cut: bool,
    breaks_at: Option<u64>,
    connection: u64,
    lease: NodeLease,
    pledges: Pledges,
    heartbeat: Heartbeat,
    beats: u64,
    beats_at: u64,
    /// As its cores were told it. None: for ever.
    until: Option<Instant>,
    sessions: BTreeMap<SessionNumber, u64>,
    /// On the present connection, without an answer: sessions and whose they were.
    claims: Vec<Process>,
    round: Option<Round>,
    knows_others: bool,
}

enum OnTheWay {
    ToRedis(super::redis::SentAsk),
    FromRedis(super::redis::SentAsk, RedisSaid),
    Question {
        from: usize,
        asker: PledgeAsker,
        sent_at: u64,
    },
    /// None: the connection was refused.
    Answer {
        from: usize,
        sent_at: u64,
        pledged: Option<bool>,
    },
}

pub(super) struct PlayedCluster {
    random: u64,
    mutant: Option<Mutant>,
    is_calm: bool,
    start: Instant,
    now: u64,
    nodes: Vec<PlayedNode>,
    redis: Redis,
    kept: RedisMemory,
    next_session: SessionNumber,
    /// When it arrives, in which order, and for whom.
    on_the_way: BTreeMap<(u64, u64), (usize, OnTheWay)>,
    number: u64,
    /// Nothing overtakes on a connection: to Redis, and from it.
    last: [[u64; 2]; NODES],
    apart: [[bool; NODES]; NODES],
    /// Nothing happens before that.
    calm_until: u64,
    pub(super) claims: u64,
    pub(super) forgot: u64,
    pub(super) rounds_won: u64,
    pub(super) moments_served: u64,
}

fn name(node: usize) -> NodeName {
    NodeName::new(["a", "b", "c", "d"][node]).expect("a name")
}

impl PlayedCluster {
    pub(super) fn new(seed: u64, mutant: Option<Mutant>) -> PlayedCluster {
        let start = Instant::now() + Duration::from_secs(3_600);
        let mut world = PlayedCluster {
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1,
            mutant,
            is_calm: false,
            start,
            now: 0,
            nodes: Vec::new(),
            redis: Redis::default(),
            kept: RedisMemory::default(),
            next_session: 0,
            on_the_way: BTreeMap::new(),
            number: 0,
            last: Default::default(),
            apart: Default::default(),
            calm_until: 0,
            claims: 0,
            forgot: 0,
            rounds_won: 0,
            moments_served: 0,
        };
        for node in 0..NODES {
            let began = world.begin(node, 1);
            world.nodes.push(began);
        }
        for node in 0..NODES {
            world.open_sessions(node);
        }
        world
    }

    /// Nothing happens that is not asked for.
    pub(super) fn calm(seed: u64) -> PlayedCluster {
        PlayedCluster {
            is_calm: true,
            ..PlayedCluster::new(seed, None)
        }
    }

    pub(super) fn run_for(&mut self, ms: u64) {
        for _ in 0..ms / STEP_MS {
            self.step();
        }
    }

    /// For all nodes at once.
    pub(super) fn redis_is_away(&mut self, is_away: bool) {
        for node in 0..NODES {
            self.cut(node, is_away);
        }
    }

    pub(super) fn step(&mut self) {
        self.now += STEP_MS;
        if !self.is_calm {
            self.befall();
        }
        while let Some(first) = self.on_the_way.first_entry() {
            if first.key().0 > self.now {
                break;
            }
            let (node, message) = first.remove();
            self.arrive(node, message);
        }
        for (command, said) in self.redis.turn(self.now) {
            self.post(command.0, OnTheWay::FromRedis(command, said));
        }
        for node in 0..NODES {
            if self.runs(node) {
                self.act(node);
            }
        }
        self.moments_served += self.served_now() as u64;
    }

    /// What is wrong, if a session has two nodes that serve it.
    pub(super) fn two_owners(&self) -> Option<String> {
        let mut owners: BTreeMap<SessionNumber, usize> = BTreeMap::new();
        for node in 0..NODES {
            for session in self.served(node) {
                if let Some(other) = owners.insert(session, node) {
                    return Some(format!(
                        "at {} ms session {session} is served by {} and {}",
                        self.now, self.nodes[other].name, self.nodes[node].name
                    ));
                }
            }
        }
        None
    }

    pub(super) fn served_now(&self) -> usize {
        (0..NODES).map(|node| self.served(node).count()).sum()
    }

    fn served(&self, node: usize) -> impl Iterator<Item = SessionNumber> {
        let it = &self.nodes[node];
        let serves = self.runs(node) && it.until.is_none_or(|until| self.at(self.now) < until);
        it.sessions.keys().copied().filter(move |_| serves)
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// Below that.
    fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % bound
    }

    fn runs(&self, node: usize) -> bool {
        let it = &self.nodes[node];
        it.lives && self.now >= it.hangs_until
    }

    fn begin(&self, node: usize, boot: u64) -> PlayedNode {
        let now = self.at(self.now);
        let long_ago = now - Duration::from_secs(3_000);
        let begun = if self.is(Mutant::NotSilent) {
            long_ago
        } else {
            now
        };
        PlayedNode {
            name: name(node),
            boot,
            lives: true,
            hangs_until: 0,
            is_cut: false,
            breaks_at: None,
            connection: boot * 1_000,
            lease: NodeLease::default(),
            pledges: Pledges::new(begun),
            heartbeat: Heartbeat::new(now),
            beats: 0,
            beats_at: self.now,
            until: None,
            sessions: BTreeMap::new(),
            claims: Vec::new(),
            round: None,
            knows_others: false,
        }
    }

    fn process(&self, node: usize) -> Process {
        (self.nodes[node].name, self.nodes[node].boot)
    }

    fn open_sessions(&mut self, node: usize) {
        for _ in 0..SESSIONS_OF_A_NODE {
            self.next_session += 1;
            self.nodes[node].sessions.insert(self.next_session, 0);
        }
    }

    fn announce(&mut self, node: usize) {
        let owner = self.process(node);
        let sessions: Vec<_> = self.nodes[node].sessions.clone().into_iter().collect();
        for (session, fence) in sessions {
            let record = Record {
                owner,
                fence,
                is_free: false,
            };
            self.ask(node, Ask::Write { session, record });
        }
    }

    fn ask(&mut self, node: usize, ask: Ask) {
        let it = &self.nodes[node];
        let command = (node, it.connection, self.now, ask);
        self.post(node, OnTheWay::ToRedis(command));
    }

    fn post(&mut self, node: usize, message: OnTheWay) {
        let delay = match self.below(20) {
            0 => self.below(1_500),
            1..6 => self.below(200),
            _ => self.below(20),
        };
        let delay = if self.is_calm { delay.min(100) } else { delay };
        let mut due = self.now + delay;
        let lane = match &message {
            OnTheWay::ToRedis(_) => Some(0),
            OnTheWay::FromRedis(..) => Some(1),
            OnTheWay::Question { .. } | OnTheWay::Answer { .. } => None,
        };
        if let Some(lane) = lane {
            // What is on its way when a connection breaks may arrive long after, but before what comes by the next one.
            due = due.max(self.last[node][lane]);
            self.last[node][lane] = due;
        }
        self.number += 1;
        self.on_the_way.insert((due, self.number), (node, message));
    }

    fn arrive(&mut self, node: usize, message: OnTheWay) {
        match message {
            OnTheWay::ToRedis(command) => {
                let is_present = command.1 == self.nodes[node].connection;
                if is_present && self.nodes[node].is_cut && self.below(4) > 0 {
                    // Lost; or it arrives all the same, and its answer does not.
                    return;
                }
                self.redis.take(command);
            }
            OnTheWay::FromRedis(command, said) => {
                let it = &self.nodes[node];
                let is_lost = it.is_cut || command.1 != it.connection || !it.lives;
                if is_lost {
                    return;
                }
                if !self.runs(node) {
                    let due = self.nodes[node].hangs_until;
                    self.number += 1;
                    let late = OnTheWay::FromRedis(command, said);
                    self.on_the_way.insert((due, self.number), (node, late));
                    return;
                }
                self.hear(node, command, said);
            }
            OnTheWay::Question {
                from,
                asker,
                sent_at,
            } => self.be_asked(node, (from, asker, sent_at)),
            OnTheWay::Answer {
                from,
                sent_at,
                pledged,
            } => {
                if !self.apart[node][from] {
                    self.count_pledge(node, from, sent_at, pledged);
                }
            }
        }
    }

    /// What a node does by itself.
    fn act(&mut self, node: usize) {
        if self.nodes[node].breaks_at.is_some_and(|at| self.now >= at) {
            self.notice_break(node);
        }
        if self.now >= self.nodes[node].beats_at {
            self.nodes[node].beats_at = self.now + BEAT_MS;
            self.nodes[node].beats += 1;
            let (by, beats) = (self.process(node), self.nodes[node].beats);
            self.ask(node, Ask::Beat { by, beats });
        }
        if self.next_session > 0 && self.below(8) == 0 {
            let session = 1 + self.below(u64::from(self.next_session)) as SessionNumber;
            if !self.is_calm && !self.nodes[node].sessions.contains_key(&session) {
                self.ask(node, Ask::Read { session });
            }
        }
        self.go_round(node);
    }

    fn go_round(&mut self, node: usize) {
        let silence = self.is(Mutant::SilenceIsConsent);
        if let Some(round) = &self.nodes[node].round {
            let is_over = self.now >= round.sent_at + ROUND_MS;
            if round.waits_for.is_empty() || (is_over && silence) {
                let sent_at = self.at(round.sent_at);
                self.rounds_won += 1;
                let it = &mut self.nodes[node];
                it.lease.extend(sent_at);
                it.until = it.lease.until();
                it.round = None;
            } else if is_over {
                self.nodes[node].round = None;
            }
            return;
        }
        let wanted = self.nodes[node].lease.wanted_pledges(self.at(self.now));
        let Some(WantedPledges {
            beat_age,
            is_lapsed,
        }) = wanted
        else {
            return;
        };
        let asker = PledgeAsker {
            process: self.process(node),
            beat_age,
            is_lapsed: is_lapsed && !self.is(Mutant::LapsedIsNot),
        };
        let others: Vec<usize> = (0..NODES).filter(|&it| it != node).collect();
        let (from, sent_at) = (node, self.now);
        for &other in &others {
            self.post(
                other,
                OnTheWay::Question {
                    from,
                    asker,
                    sent_at,
                },
            );
        }
        self.nodes[node].round = Some(Round {
            sent_at,
            waits_for: others,
        });
    }
}
