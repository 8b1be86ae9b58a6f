//! The processes of the other nodes, as far as is known: who should be there, who has written no heartbeat, and for how
//! long. A plain value.
//!
//! A heartbeat lives for some seconds, and anybody may delete it. The index (`{prefix}processes`) says that a process has
//! begun. Its field stays until the process has left in good order or another node has marked its sessions as ended. So if a key is missing, the
//! index tells these apart: a node whose key was deleted, one that is dead, and one that never was.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use super::nodes::BEAT_EVERY;
use super::record::{FoundRecord, NodeRecord};
use super::seen::{PeerSeen, PeerState};
use crate::wire::session_id::{NodeName, Process};

/// Other processes that are remembered: clusters have tens of nodes, and the dead are forgotten.
const PEERS_MAX: usize = 1024;
/// A node that lives writes its key again within that time, a beat that is late included; until then its last address is
/// good enough.
const WRITTEN_AGAIN_WITHIN: Duration = BEAT_EVERY.saturating_mul(2);
/// After so much silence the sessions of a process are marked as ended. One that hung for that long announces its sessions again when it goes on.
pub(super) const BURIED_AFTER: Duration = Duration::from_secs(30);

/// How long one is remembered that Redis forgot: as long as a session that ended with its process.
const REMEMBERED_FOR: Duration = Duration::from_secs(300);

#[derive(Debug, Default)]
pub(super) struct Peers {
    known: HashMap<Process, Peer>,
}

#[derive(Debug)]
struct Peer {
    record: NodeRecord,
    /// Its node's key was not there, or was another process's, since then.
    missing_since: Option<Instant>,
    /// When that key was its own for the last time, as far as was looked.
    seen_at: Option<Instant>,
    /// Its sessions have ended, and its process will.
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
        let there: HashSet<Process> = found.iter().map(|(process, _)| *process).collect();
        for (process, record) in found {
            if self.known.len() >= PEERS_MAX && !self.known.contains_key(&process) {
                continue;
            }
            let peer = self.known.entry(process).or_insert(Peer {
                record: record.clone(),
                missing_since: None,
                seen_at: None,
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
                    peer.seen_at = Some(now);
                    peer.is_leaving = record.leaving;
                    peer.is_replaced = false;
                }
                None => {
                    peer.missing_since = peer.missing_since.or(Some(now));
                    peer.is_replaced = peer.is_replaced || record.is_some();
                }
            }
        }
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
            _ => PeerState::Alive,
        }
    }
}

fn silent(since: Instant, now: Instant) -> Duration {
    now.saturating_duration_since(since)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(incarnation: u64) -> Process {
        (NodeName::new("b").unwrap(), incarnation)
    }

    fn record(incarnation: u64) -> NodeRecord {
        NodeRecord {
            node: "b".into(),
            incarnation,
            url: None,
            address: None,
            version: String::new(),
            leaving: false,
        }
    }

    fn indexed(incarnations: &[u64]) -> Vec<(Process, NodeRecord)> {
        let entry = |incarnation: &u64| (process(*incarnation), record(*incarnation));
        incarnations.iter().map(entry).collect()
    }

    #[test]
    fn a_node_whose_key_was_deleted_while_it_lives() {
        let (mut peers, now) = (Peers::default(), Instant::now());
        peers.read_index(indexed(&[1]), false);
        peers.look(process(1).0, &FoundRecord::Record(record(1)), now);
        assert_eq!(peers.missing(process(1), now), None);
        peers.look(process(1).0, &FoundRecord::Nothing, now);
        let expected = Some(Missing::Expected(record(1)));
        assert_eq!(peers.missing(process(1), now + BEAT_EVERY), expected);
        let later = now + WRITTEN_AGAIN_WITHIN;
        peers.look(process(1).0, &FoundRecord::Nothing, later);
        assert_eq!(peers.missing(process(1), later), Some(Missing::Down));
        peers.look(process(1).0, &FoundRecord::Record(record(1)), later);
        assert_eq!(peers.missing(process(1), later), None);
        assert_eq!(peers.take_dead(now + BURIED_AFTER), None);
    }

    #[test]
    fn a_process_that_died_is_marked_once_and_one_that_left_is_not() {
        let (mut peers, now) = (Peers::default(), Instant::now());
        peers.read_index(indexed(&[1, 2, 3]), false);
        peers.look(process(1).0, &FoundRecord::Record(record(3)), now);
        // The first one has taken itself out of the index.
        peers.read_index(indexed(&[2, 3]), false);
        let later = now + BURIED_AFTER;
        assert_eq!(peers.missing(process(1), later), None);
        assert_eq!(peers.take_dead(later), Some(process(2)));
        assert_eq!(peers.take_dead(later), None);
        assert_eq!(peers.missing(process(2), later), Some(Missing::Down));
        let much_later = later + BURIED_AFTER;
        assert_eq!(peers.take_dead(much_later), Some(process(2)), "not done");
        peers.read_index(indexed(&[3]), false);
        assert_eq!(peers.missing(process(2), later), None);
    }

    /// A hung node is still known to have been there when Redis has forgotten it.
    #[test]
    fn a_redis_that_forgot_a_process_that_hangs() {
        let (mut peers, now) = (Peers::default(), Instant::now());
        peers.read_index(indexed(&[1]), false);
        peers.look(process(1).0, &FoundRecord::Nothing, now);
        peers.read_index(Vec::new(), true);
        peers.read_index(Vec::new(), false);
        let later = now + BURIED_AFTER;
        assert_eq!(peers.take_dead(later), None, "nothing is left");
        assert_eq!(peers.missing(process(1), later), Some(Missing::Down));
        assert_eq!(peers.take_dead(now + REMEMBERED_FOR), None);
        assert_eq!(peers.missing(process(1), later), None);
    }

    #[test]
    fn a_state_that_an_operator_would_take_for_another() {
        let (mut peers, now) = (Peers::default(), Instant::now());
        peers.read_index(indexed(&[1]), false);
        let state = |peers: &Peers, now| peers.seen(now)[0].state;
        let leaving = NodeRecord {
            leaving: true,
            ..record(1)
        };
        peers.look(process(1).0, &FoundRecord::Record(record(1)), now);
        assert_eq!(state(&peers, now), PeerState::Alive);
        peers.look(process(1).0, &FoundRecord::Nothing, now);
        assert_eq!(state(&peers, now + BEAT_EVERY), PeerState::Alive, "late");
        let later = now + WRITTEN_AGAIN_WITHIN;
        assert_eq!(state(&peers, later), PeerState::Gone);
        assert_eq!(peers.seen(later)[0].seen_at, Some(now));
        peers.look(process(1).0, &FoundRecord::Record(leaving), later);
        assert_eq!(state(&peers, later), PeerState::Draining);
        peers.look(process(1).0, &FoundRecord::Record(record(2)), later);
        assert_eq!(state(&peers, later), PeerState::Restarted);
    }

    #[test]
    fn more_processes_than_anybody_has() {
        let mut peers = Peers::default();
        let many: Vec<u64> = (0..2 * PEERS_MAX as u64).collect();
        peers.read_index(indexed(&many), false);
        assert_eq!(peers.known.len(), PEERS_MAX);
    }
}
