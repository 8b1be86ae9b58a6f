//! Redis, as far as ownership needs it: the scripts of `ownership`, in their order.

use std::collections::{BTreeMap, VecDeque};

use crate::wire::session_id::Process;

pub(super) type SessionNumber = u32;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) owner: Process,
    pub(super) fence: u64,
    pub(super) is_free: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Ask {
    Beat {
        by: Process,
        beats: u64,
    },
    Write {
        session: SessionNumber,
        record: Record,
    },
    Read {
        session: SessionNumber,
    },
    Claim {
        session: SessionNumber,
        found: Record,
        by: Process,
    },
    Forget {
        by: Process,
        session: SessionNumber,
    },
}

#[derive(Clone, Debug)]
pub(super) enum RedisSaid {
    /// What the node's key said before, and what was claimed from the process.
    Beat {
        found: Option<(Process, u64)>,
        claimed: Vec<(SessionNumber, u64)>,
    },
    Write(bool),
    Read(Option<Record>),
    Claim(i64),
    Forget,
}

/// Of whom, on which of its connections, when it was sent, and what.
pub(super) type SentAsk = (usize, u64, u64, Ask);

#[derive(Clone, Debug, Default)]
pub(super) struct RedisMemory {
    leases: BTreeMap<Process, u64>,
    nodes: BTreeMap<String, (Process, u64, u64)>,
    records: BTreeMap<SessionNumber, Record>,
    claimed: BTreeMap<Process, BTreeMap<SessionNumber, u64>>,
}

#[derive(Default)]
pub(super) struct Redis {
    pub(super) memory: RedisMemory,
    pub(super) hangs: bool,
    pub(super) waiting: VecDeque<SentAsk>,
}

const LEASE_MS: u64 = super::super::lease::LEASE_LIFE.as_millis() as u64;
const NODE_MS: u64 = super::super::nodes::NODE_LIFE.as_millis() as u64;

impl Redis {
    pub(super) fn take(&mut self, command: SentAsk) {
        self.waiting.push_back(command);
    }

    /// Carries out what has arrived.
    pub(super) fn turn(&mut self, now: u64) -> Vec<(SentAsk, RedisSaid)> {
        if self.hangs {
            return Vec::new();
        }
        let taken: Vec<SentAsk> = self.waiting.drain(..).collect();
        let done = taken.into_iter().map(|it| {
            let said = self.memory.carry_out(&it.3, now);
            (it, said)
        });
        done.collect()
    }
}

impl RedisMemory {
    fn has_lease(&self, process: Process, now: u64) -> bool {
        self.leases.get(&process).is_some_and(|&until| now < until)
    }

    fn carry_out(&mut self, ask: &Ask, now: u64) -> RedisSaid {
        match ask {
            Ask::Beat { by, beats } => {
                let name = by.0.to_string();
                let found = self.nodes.get(&name).filter(|it| now < it.2);
                let found = found.map(|it| (it.0, it.1));
                self.nodes.insert(name, (*by, *beats, now + NODE_MS));
                self.leases.insert(*by, now + LEASE_MS);
                let claimed = self.claimed.get(by).cloned().unwrap_or_default();
                RedisSaid::Beat {
                    found,
                    claimed: claimed.into_iter().collect(),
                }
            }
            Ask::Write { session, record } => {
                let there = self.records.get(session);
                let is_anothers =
                    |it: &Record| it.owner != record.owner && it.fence >= record.fence;
                if there.is_some_and(is_anothers) {
                    return RedisSaid::Write(false);
                }
                self.records.insert(*session, record.clone());
                RedisSaid::Write(true)
            }
            Ask::Read { session } => RedisSaid::Read(self.records.get(session).cloned()),
            Ask::Claim { session, found, by } => {
                RedisSaid::Claim(self.claim(*session, found, *by, now))
            }
            Ask::Forget { by, session } => {
                if let Some(claimed) = self.claimed.get_mut(by) {
                    claimed.remove(session);
                }
                RedisSaid::Forget
            }
        }
    }

    fn claim(&mut self, session: SessionNumber, found: &Record, by: Process, now: u64) -> i64 {
        if self.records.get(&session) != Some(found) {
            return super::super::ownership::CHANGED;
        }
        if !self.has_lease(by, now) {
            return -2;
        }
        let fence = found.fence + 1;
        if !found.is_free {
            if self.has_lease(found.owner, now) {
                return super::super::ownership::OWNED;
            }
            let claimed = self.claimed.entry(found.owner).or_default();
            claimed.insert(session, fence);
        }
        let record = Record {
            owner: by,
            fence,
            is_free: false,
        };
        self.records.insert(session, record);
        super::super::ownership::CLAIMED
    }
}
