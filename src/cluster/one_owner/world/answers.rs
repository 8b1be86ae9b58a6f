//! What nodes are told by Redis and by each other, and what they make of it.

use super::{Mutant, OnTheWay, PlayedCluster};
use crate::cluster::one_owner::redis::{Ask, Record, RedisSaid, SentAsk, SessionNumber};
use crate::cluster::ownership::CLAIMED;
use crate::cluster::pledges::{ClaimEnd, PledgeAsker};
use crate::cluster::record::{FoundRecord, NodeRecord};
use crate::wire::session_id::Process;

/// After it what Redis says of a session comes too late.
const READ_MS: u64 = 700;

impl PlayedCluster {
    pub(super) fn be_asked(
        &mut self,
        node: usize,
        (from, asker, sent_at): (usize, PledgeAsker, u64),
    ) {
        if self.apart[node][from] {
            return;
        }
        let pledged = if !self.nodes[node].lives {
            None
        } else if !self.runs(node) {
            let due = self.nodes[node].hangs_until;
            self.number += 1;
            let late = OnTheWay::Question {
                from,
                asker,
                sent_at,
            };
            self.on_the_way.insert((due, self.number), (node, late));
            return;
        } else {
            let now = self.at(self.now);
            let it = &mut self.nodes[node];
            let pledged = it.pledges.pledge(asker, it.heartbeat.forgot_at(), now);
            Some(pledged.is_ok())
        };
        self.post(
            from,
            OnTheWay::Answer {
                from: node,
                sent_at,
                pledged,
            },
        );
    }

    pub(super) fn count_pledge(
        &mut self,
        node: usize,
        from: usize,
        sent_at: u64,
        pledged: Option<bool>,
    ) {
        let is_lapsed = self.nodes[node]
            .until
            .is_none_or(|it| self.at(sent_at) >= it)
            && !self.is(Mutant::LapsedIsNot);
        if !self.runs(node) {
            return;
        }
        let Some(round) = self.nodes[node]
            .round
            .as_mut()
            .filter(|it| it.sent_at == sent_at)
        else {
            return;
        };
        match pledged {
            Some(true) => round.waits_for.retain(|&it| it != from),
            None if !is_lapsed => round.waits_for.retain(|&it| it != from),
            // It waits in vain.
            Some(false) | None => {}
        }
    }

    pub(super) fn hear(&mut self, node: usize, (_, _, sent_at, ask): SentAsk, said: RedisSaid) {
        let own = self.process(node);
        match (ask, said) {
            (Ask::Beat { beats, .. }, RedisSaid::Beat { found, claimed }) => {
                self.hear_beat(node, (sent_at, beats), found, &claimed);
            }
            (Ask::Write { session, record }, RedisSaid::Write(false)) => {
                let sessions = &mut self.nodes[node].sessions;
                if sessions.get(&session).is_some_and(|&it| it <= record.fence) {
                    sessions.remove(&session);
                }
            }
            (Ask::Read { session }, RedisSaid::Read(Some(found))) => {
                let is_late = self.now - sent_at > READ_MS;
                let has_it = self.nodes[node].sessions.contains_key(&session);
                if is_late || has_it {
                    return;
                }
                let it = &self.nodes[node];
                let is_believed = it.heartbeat.is_of(it.connection)
                    && it.heartbeat.trusts_absence(self.at(self.now));
                if !is_believed && !self.is(Mutant::MemoryTrusted) {
                    return;
                }
                if found.owner == own && !found.is_free {
                    self.nodes[node].sessions.insert(session, found.fence);
                    return;
                }
                self.try_to_claim(node, session, found);
            }
            (Ask::Claim { session, found, .. }, RedisSaid::Claim(outcome)) => {
                if !found.is_free {
                    let end = match outcome {
                        CLAIMED => ClaimEnd::Got,
                        _ => ClaimEnd::Nothing,
                    };
                    self.end_claim(node, found.owner, end);
                }
                if outcome == CLAIMED {
                    self.claims += 1;
                    self.nodes[node].sessions.insert(session, found.fence + 1);
                }
            }
            _ => {}
        }
    }

    pub(super) fn end_claim(&mut self, node: usize, from: Process, end: ClaimEnd) {
        let now = self.at(self.now);
        let it = &mut self.nodes[node];
        if let Some(place) = it.claims.iter().position(|&it| it == from) {
            it.claims.remove(place);
        }
        if self.mutant != Some(Mutant::ClaimsForgotten) {
            self.nodes[node].pledges.end_claim(from, end, now);
        }
    }

    pub(super) fn try_to_claim(&mut self, node: usize, session: SessionNumber, found: Record) {
        let (now, by) = (self.at(self.now), self.process(node));
        if !found.is_free {
            let pledges = &mut self.nodes[node].pledges;
            let may = match self.mutant {
                Some(Mutant::NotKept) => true,
                Some(Mutant::ClaimsForgotten) => pledges.allow_claim(found.owner, now),
                _ => pledges.begin_claim(found.owner, now),
            };
            if !may {
                return;
            }
            self.nodes[node].claims.push(found.owner);
        }
        self.ask(node, Ask::Claim { session, found, by });
    }

    pub(super) fn hear_beat(
        &mut self,
        node: usize,
        (sent_at, beats): (u64, u64),
        found: Option<(Process, u64)>,
        claimed: &[(SessionNumber, u64)],
    ) {
        let (now, own) = (self.at(self.now), self.process(node));
        let sent_at = match self.is(Mutant::CountsFromAnswer) {
            true => now,
            false => self.at(sent_at),
        };
        let record = |(process, beats): (Process, u64)| NodeRecord {
            beats,
            ..NodeRecord::of(process, None)
        };
        let found = found.map_or(FoundRecord::Nothing, |it| FoundRecord::Record(record(it)));
        let not_let_go = self.is(Mutant::NotLetGo);
        let it = &mut self.nodes[node];
        it.pledges.redis_answers(now);
        let outcome = it
            .heartbeat
            .beat(now, it.connection, (own.1, beats), &found);
        for &(session, fence) in claimed {
            if !not_let_go && it.sessions.get(&session).is_some_and(|&had| had < fence) {
                it.sessions.remove(&session);
            }
        }
        let is_first = !std::mem::replace(&mut it.knows_others, true);
        it.lease.renew(sent_at);
        it.lease.know_others(Some(true));
        it.until = it.lease.until();
        for &(session, _) in claimed {
            self.ask(node, Ask::Forget { by: own, session });
        }
        if outcome.announce || is_first {
            self.announce(node);
        }
    }
}
