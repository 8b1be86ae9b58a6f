//! The connections of a fleet's members to Redis, one step at a time; and what a broken bus makes of what goes over them.

use std::collections::BTreeMap;

use pinfold::internals::cluster::bus::id::EntryId;
use pinfold::internals::cluster::bus::{Add, BusRequest, BusResponse, FoundValue, Loaded, Placed};

use crate::fleet::Fleet;
use crate::member::{BusBreakage, Wire};

impl Fleet {
    pub(crate) fn write(&mut self, number: usize) {
        let available = self.reachable && !self.hangs;
        let member = &mut self.members[number];
        let now_ms = member.now_ms(self.redis.now_ms);
        let writer = std::mem::replace(&mut member.writer, Wire::Idle);
        let (bus, hands) = member.hands();
        let next = match writer {
            Wire::Down if available => {
                bus.handle_writer_up(now_ms);
                member.progress = Wire::Idle;
                Wire::Idle
            }
            Wire::Idle => {
                let mut adds = bus.poll_add(now_ms);
                if self.broken == Some(BusBreakage::ForgetsOutages) && bus.is_alone() {
                    let placed: Vec<_> = adds.iter().map(|_| Some(nowhere())).collect();
                    bus.handle_added(now_ms, &placed, &hands);
                    adds.clear();
                }
                if adds.is_empty() {
                    Wire::Idle
                } else {
                    Wire::Sent(adds)
                }
            }
            Wire::Sent(adds) if available => {
                let refuses = self.refuses;
                let taken = |add: &Add| !refuses || add.fields.len().is_multiple_of(2);
                let placed = adds.iter().map(|add| taken(add).then(|| self.add(add)));
                Wire::Answered(placed.collect())
            }
            Wire::Answered(placed) => {
                if placed.contains(&None) {
                    self.met.insert("refused");
                }
                if placed.iter().flatten().any(|placed| placed.is_overtaken) {
                    self.met.insert("overtaken");
                }
                bus.handle_added(now_ms, &placed, &hands);
                Wire::Idle
            }
            waiting => waiting,
        };
        self.members[number].writer = next;
    }

    pub(crate) fn tells_once(&self) -> bool {
        self.broken == Some(BusBreakage::TellsOnce)
    }

    fn add(&mut self, add: &Add) -> Placed {
        let is_bare = add.contents.is_none() && add.fields.iter().any(|(name, _)| *name == "uri");
        if is_bare && self.tells_once() {
            return nowhere();
        }
        let add = self.tampered(add);
        self.redis.add(&add)
    }

    /// As a broken bus would add it.
    fn tampered(&self, add: &Add) -> Add {
        let mut add = add.clone();
        if let Some(write) = &mut add.contents
            && self.broken == Some(BusBreakage::OrdersByArrival)
        {
            write.kept.stamp = EntryId {
                ms: self.redis.now_ms,
                seq: 0,
            };
        }
        add
    }

    /// How far it is, for the others.
    pub(crate) fn say(&mut self, number: usize) {
        let available = self.reachable && !self.hangs;
        let member = &mut self.members[number];
        let now_ms = member.now_ms(self.redis.now_ms);
        let progress = std::mem::replace(&mut member.progress, Wire::Idle);
        member.progress = match progress {
            Wire::Idle => member
                .bus
                .poll_applied(now_ms)
                .map_or(Wire::Idle, Wire::Sent),
            Wire::Sent(applied) if available => {
                Wire::Answered(self.redis.add_applied(&member.process, &applied))
            }
            Wire::Answered(id) => {
                member.bus.handle_applied(now_ms, Some(id));
                Wire::Idle
            }
            waiting => waiting,
        };
    }

    pub(crate) fn read(&mut self, number: usize) {
        let available = self.reachable && !self.hangs;
        let member = &mut self.members[number];
        let now_ms = member.now_ms(self.redis.now_ms);
        let reader = std::mem::replace(&mut member.reader, Wire::Idle);
        let next = match reader {
            Wire::Down if available => {
                member.bus.handle_reader_up(now_ms);
                Wire::Idle
            }
            Wire::Idle => member.bus.poll_ask().map_or(Wire::Idle, Wire::Sent),
            Wire::Sent(ask) if available => {
                let heard = self.redis.ask(&ask);
                Wire::Answered(self.tamper(number, &ask, heard))
            }
            Wire::Answered(heard) => {
                let (gaps, again) = (
                    member.bus.counts().gaps,
                    member.bus.counts().delivered_again,
                );
                let (bus, hands) = member.hands();
                bus.handle_heard(now_ms, heard, &hands);
                if bus.counts().gaps > gaps {
                    self.met.insert("gap");
                }
                if bus.counts().delivered_again > again {
                    self.met.insert("told again");
                }
                Wire::Idle
            }
            waiting => waiting,
        };
        self.members[number].reader = next;
    }

    /// As a broken bus would hear it.
    fn tamper(&mut self, number: usize, ask: &BusRequest, mut heard: BusResponse) -> BusResponse {
        let broken = self.broken;
        let member = &mut self.members[number];
        let gone = |found: &mut FoundValue| {
            if found.value.is_none() && found.gone.is_none() {
                let ms = self.redis.now_ms;
                found.gone = Some(EntryId { ms, seq: 1 << 20 });
            }
        };
        match &mut heard {
            BusResponse::StreamInfo(standing) => member.token = Some(standing.token.clone()),
            BusResponse::Entries { entries, .. } if member.came_back && !entries.is_empty() => {
                member.came_back = false;
                if broken == Some(BusBreakage::ResumesTooLate) && entries.len() > 1 {
                    entries.remove(0);
                }
            }
            BusResponse::Entries { applied, .. } if broken == Some(BusBreakage::TellsAtOnce) => {
                applied.clear();
            }
            BusResponse::Fetched(found, token) => {
                let is_scan = matches!(ask, BusRequest::Fetch { keep, .. } if keep.is_empty())
                    && member.bus.loaded() == Loaded::Yes;
                let believes = match broken {
                    Some(BusBreakage::DeletesFromAbsence) => true,
                    Some(BusBreakage::BelievesScans) => is_scan,
                    _ => false,
                };
                if believes {
                    token.clone_from(&member.token);
                    found.iter_mut().for_each(gone);
                }
            }
            BusResponse::Scanned(_, _, token) if broken == Some(BusBreakage::BelievesScans) => {
                token.clone_from(&member.token);
            }
            BusResponse::Refilled(_) => {
                self.met.insert("refilled");
                if broken == Some(BusBreakage::LeavesTheBoardEmpty) {
                    self.redis.board = BTreeMap::new();
                }
            }
            _ => {}
        }
        heard
    }
}

/// For what a broken bus takes for added.
pub(crate) fn nowhere() -> Placed {
    Placed {
        id: EntryId::ZERO,
        stamp: EntryId::ZERO,
        is_overtaken: false,
    }
}
