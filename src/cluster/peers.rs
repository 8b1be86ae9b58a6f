//! The processes of the other nodes, as far as is known: who should be there, who has written no heartbeat, and for how
//! long. A plain value.
//!
//! A heartbeat lives for some seconds, and anybody may delete it. The index (`{prefix}processes`) says that a process has
//! begun. Its field stays until the process has left in good order or another node has marked its sessions as ended. So if a key is missing, the
//! index tells these apart: a node whose key was deleted, one that is dead, and one that never was.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use super::nodes::{BEAT_EVERY, NODE_LIFE};
use super::record::{FoundRecord, NodeRecord};
use super::seen::{PeerSeen, PeerState};
use crate::wire::session_id::{NodeName, Process, SessionId};

/// Other processes that are remembered: clusters have tens of nodes, and the dead are forgotten.
const PEERS_MAX: usize = 1024;
/// A node that lives writes its key again within that time, a beat that is late included; until then its last address is
/// good enough.
const WRITTEN_AGAIN_WITHIN: Duration = BEAT_EVERY.saturating_mul(2);
/// A heartbeat that is not there by then is late: it is looked for each time one is due, and once more after a moment.
const LATE_AFTER: Duration = Duration::from_millis(2_000);
/// After so much silence the sessions of a process are marked as ended. One that hung for that long announces its sessions again when it goes on.
pub(super) const BURIED_AFTER: Duration = Duration::from_secs(30);

/// How long one is remembered that Redis forgot: as long as a session that ended with its process.
const REMEMBERED_FOR: Duration = Duration::from_secs(300);

#[derive(Debug, Default)]
pub(super) struct Peers {
    known: HashMap<Process, Peer>,
    /// The index was read.
    is_read: bool,
    /// Processes that took no connection then, and of which nothing else is known yet: the index is read now and then.
    strangers: HashMap<Process, Instant>,
}

#[derive(Debug)]
struct Peer {
    record: NodeRecord,
    /// Its node's key was not there, or was another process's, since then.
    missing_since: Option<Instant>,
    /// Its last heartbeat that was found, and when it was found first.
    beats: u64,
    seen_at: Option<Instant>,
    /// It took no connection at that time, and this was its last heartbeat then.
    suspected: Option<(Instant, u64)>,
    /// It drains, or its sessions have ended and its process will.
    is_leaving: bool,
    /// The key is another process's.
    is_replaced: bool,
    in_index: bool,
    /// It is not there because Redis forgot it, and not because it took itself out.
    forgotten: bool,
    /// Somebody began to mark its sessions, and takes it out of the index when that is done.
    marked_at: Option<Instant>,
}

/// What is known of a process whose node's key is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// It should be there, and will say so in a moment if it lives.
    Expected(NodeRecord),
    Down,
}

impl Peers {
    /// What the whole index says. `lost`: it may be new, and those who live have not all written themselves again.
    pub(super) fn read_index(&mut self, found: Vec<(Process, NodeRecord)>, lost: bool) {
        self.is_read = true;
        let there: HashSet<Process> = found.iter().map(|(process, _)| *process).collect();
        for (process, record) in found {
            if self.known.len() >= PEERS_MAX && !self.known.contains_key(&process) {
                continue;
            }
            let peer = self.known.entry(process).or_insert(Peer {
                record: record.clone(),
                missing_since: None,
                beats: 0,
                seen_at: None,
                suspected: None,
                is_leaving: false,
                is_replaced: false,
                in_index: true,
                forgotten: false,
                marked_at: None,
            });
            peer.record = record;
        }
        self.known.retain(|process, peer| {
            peer.in_index = there.contains(process);
            peer.forgotten = !peer.in_index && (peer.forgotten || lost);
            // Else it has left in good order.
            peer.in_index || peer.forgotten || peer.missing_since.is_none()
        });
    }

    /// What the key of a node was found to be.
    pub(super) fn look(&mut self, node: NodeName, found: &FoundRecord<NodeRecord>, now: Instant) {
        let record = match found {
            FoundRecord::Record(record) => Some(record),
            FoundRecord::Nothing | FoundRecord::Foreign => None,
        };
        for (process, peer) in &mut self.known {
            if process.0 != node {
                continue;
            }
            match record.filter(|it| it.incarnation == process.1) {
                Some(record) => {
                    peer.missing_since = None;
                    peer.take_beat(record.beats, now);
                    peer.is_leaving = record.leaving || record.draining;
                    peer.is_replaced = false;
                }
                None => {
                    peer.missing_since = peer.missing_since.or(Some(now));
                    peer.is_replaced = peer.is_replaced || record.is_some();
                }
            }
        }
    }

    /// It took no connection. True: that is news.
    pub(super) fn suspect(&mut self, process: Process, now: Instant) -> bool {
        let Some(peer) = self.known.get_mut(&process) else {
            self.strangers
                .retain(|_, &mut at| silent(at, now) < NODE_LIFE);
            if self.strangers.len() < PEERS_MAX {
                self.strangers.insert(process, now);
            }
            return false;
        };
        let is_news = !peer.is_suspect(now);
        peer.suspected = Some((now, peer.beats));
        is_news
    }

    /// It took no connection, and has not been seen to live since.
    pub(super) fn is_suspect(&self, process: Process, now: Instant) -> bool {
        let known = self.known.get(&process);
        let stranger = self.strangers.get(&process);
        known.is_some_and(|peer| peer.is_suspect(now))
            || stranger.is_some_and(|&at| silent(at, now) < NODE_LIFE)
    }

    /// Who takes over a session that nobody has, if this node does not: the same one for all who ask at this moment.
    pub(super) fn adopter(
        &self,
        session: &SessionId,
        owner: Process,
        now: Instant,
    ) -> Option<NodeRecord> {
        let lives = |peer: &Peer| matches!(peer.state(now), PeerState::Alive | PeerState::Late);
        let peers = self.known.iter();
        let able = peers.filter(|(process, peer)| {
            let reaches = peer.record.adopts && peer.record.address.is_some();
            **process != owner && lives(peer) && reaches
        });
        let name = session.redacted().to_string();
        let rank = |(node, _): &Process| Sha256::digest(format!("{name} {node}"));
        let first = able.max_by_key(|(process, _)| rank(process));
        first.map(|(_, peer)| peer.record.clone())
    }

    /// Nodes that could claim what is at `own`, and where they are.
    pub(super) fn adopters(&self, own: NodeName) -> Vec<(NodeName, SocketAddr)> {
        let others = self.known.iter().filter(|((node, _), peer)| {
            // An earlier process claims nothing any more.
            *node != own && peer.record.adopts && !peer.is_replaced
        });
        let reached = others.filter_map(|((node, _), peer)| Some((*node, peer.record.address?)));
        let mut reached: Vec<_> = reached.collect();
        reached.sort_unstable();
        reached.dedup();
        reached
    }

    /// Whether there are any. None: nobody has looked yet.
    pub(super) fn knows_adopters(&self, own: NodeName) -> Option<bool> {
        self.is_read.then(|| !self.adopters(own).is_empty())
    }

    /// It has said so itself, at that time.
    pub(super) fn lives(&mut self, process: Process, now: Instant) {
        if let Some(peer) = self.known.get_mut(&process) {
            peer.missing_since = peer.missing_since.and(Some(now));
            peer.suspected = None;
        }
    }

    /// For the process that goes on for this one. None: nobody has looked yet.
    pub(super) fn records(&self) -> Option<Vec<NodeRecord>> {
        let known = self.known.values().filter(|it| !it.is_replaced);
        let records = || known.map(|it| it.record.clone()).collect();
        self.is_read.then(records)
    }

    /// Goes on with those of the process before.
    pub(super) fn resume(&mut self, records: Option<Vec<NodeRecord>>) {
        if let Some(records) = records {
            let named = |it: NodeRecord| Some((it.process()?, it));
            self.read_index(records.into_iter().filter_map(named).collect(), false);
        }
    }

    /// A heartbeat is due that was not found at `looked_at`, when all were looked for: it is worth while to look again
    /// soon.
    pub(super) fn may_be_late(&self, looked_at: Instant) -> bool {
        let mut peers = self.known.values();
        peers.any(|peer| {
            let is_due = peer.age(looked_at) > Duration::ZERO && !peer.is_late(looked_at);
            is_due && peer.missing_since.is_none()
        })
    }

    /// All of them, as an operator may see them.
    pub(super) fn seen(&self, now: Instant) -> Vec<PeerSeen> {
        let seen = self.known.iter().map(|(process, peer)| PeerSeen {
            node: process.0,
            incarnation: process.1,
            url: peer.record.url.clone(),
            address: peer.record.address,
            version: peer.record.version.clone(),
            state: peer.state(now),
            seen_at: peer.seen_at,
        });
        seen.collect()
    }

    pub(super) fn names(&self) -> HashSet<NodeName> {
        self.known.keys().map(|(name, _)| *name).collect()
    }

    pub(super) fn processes_of(&self, node: NodeName) -> Vec<Process> {
        let known = self.known.keys().copied();
        known.filter(|(name, _)| *name == node).collect()
    }

    /// None: nobody has heard of that process, or its key is there.
    pub(super) fn missing(&self, process: Process, now: Instant) -> Option<Missing> {
        let peer = self.known.get(&process)?;
        let since = peer.missing_since?;
        Some(match silent(since, now) < WRITTEN_AGAIN_WITHIN {
            true => Missing::Expected(peer.record.clone()),
            false => Missing::Down,
        })
    }

    /// One that is dead. It is told again after a while if it is still in the index then.
    pub(super) fn take_dead(&mut self, now: Instant) -> Option<Process> {
        let since = |since: Option<Instant>, than| since.is_some_and(|it| silent(it, now) >= than);
        // Of those that are in no index nothing is left to be marked.
        self.known.retain(|_, peer| {
            let is_over = peer.forgotten && since(peer.missing_since, REMEMBERED_FOR);
            !is_over
        });
        let long_ago = |at| since(at, BURIED_AFTER);
        let (process, peer) = self.known.iter_mut().find(|(_, peer)| {
            let begun = peer.marked_at.is_some() && !long_ago(peer.marked_at);
            peer.in_index && long_ago(peer.missing_since) && !begun
        })?;
        peer.marked_at = Some(now);
        Some(*process)
    }
}

impl Peer {
    fn state(&self, now: Instant) -> PeerState {
        let is_silent = |since| silent(since, now) >= WRITTEN_AGAIN_WITHIN;
        match self.missing_since {
            _ if self.is_replaced => PeerState::Restarted,
            Some(since) if is_silent(since) => PeerState::Gone,
            _ if self.is_leaving => PeerState::Draining,
            _ if self.is_suspect(now) => PeerState::Suspect,
            Some(_) => PeerState::Late,
            None if self.is_late(now) => PeerState::Late,
            None => PeerState::Alive,
        }
    }

    /// A process that does not count its heartbeats has a new one whenever its key is there.
    fn take_beat(&mut self, beats: u64, now: Instant) {
        if beats == 0 || beats != self.beats {
            (self.beats, self.seen_at) = (beats, Some(now));
        }
    }

    /// Of its last heartbeat, when it was looked at.
    fn age(&self, now: Instant) -> Duration {
        self.seen_at.map_or(Duration::ZERO, |at| silent(at, now))
    }

    fn is_late(&self, now: Instant) -> bool {
        self.age(now) >= LATE_AFTER
    }

    /// The heartbeat that is found next may be older than the suspicion, the one after it is not.
    fn is_suspect(&self, now: Instant) -> bool {
        self.suspected.is_some_and(|(at, beats)| {
            silent(at, now) < NODE_LIFE && self.beats <= beats.saturating_add(1)
        })
    }
}

fn silent(since: Instant, now: Instant) -> Duration {
    now.saturating_duration_since(since)
}

#[cfg(test)]
mod tests;
