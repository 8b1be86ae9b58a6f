//! How far each node has applied the log, as the stream `{prefix}bus:applied` says. A node waits for the others before it
//! notifies clients of a change, so that a client that is notified at one node reads it at any.
//!
//! A node adds a record after what it read, and one a second if there was nothing. It *counts* for an entry if its
//! newest record is not much older: by Redis's clock alone, so that it knows itself whether it counts. Records that a
//! node cannot make sense of, and nodes of a version that adds none, do not count.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::id::EntryId;

/// How often an idle node says that it still follows.
const BEAT_MS: u64 = 1_000;
/// A node counts for so long after a record: two may be late.
const COUNTS_MS: u64 = 3_000;
/// Nodes that are remembered; a cluster has some ten, and their earlier processes are forgotten with time.
const NODES_MAX: usize = 256;

const _: () = assert!(COUNTS_MS >= 2 * BEAT_MS);

/// What one record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Everything up to there.
    pub up_to: EntryId,
    /// It is the last one of this process.
    pub leaves: bool,
}

/// Whose process wrote it, and what it says.
pub type ProgressRecord = (Box<str>, Applied);

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct NodeProgress {
    up_to: EntryId,
    heard: EntryId,
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct NodesProgress {
    others: BTreeMap<Box<str>, NodeProgress>,
    /// Up to here the records were read.
    read: EntryId,
    /// Before that there may be nodes whose record was not read yet.
    complete_from_ms: u64,
    /// Of this node's own records: what the last one said, when that was there, and here.
    said: EntryId,
    confirmed: EntryId,
    beat_from_ms: u64,
    is_under_way: bool,
    /// It counts for entries after this moment there.
    counts_since_ms: Option<u64>,
    is_leaving: bool,
}

impl NodesProgress {
    /// Records may have been missed.
    pub(super) fn interrupted(&mut self, now_ms: u64) {
        self.complete_from_ms = now_ms + BEAT_MS + BEAT_MS / 2;
    }

    /// In another process: whether the record under way is there is not known.
    pub(super) fn resumed(self) -> Self {
        let was_under_way = self.is_under_way;
        let mut resumed = NodesProgress {
            is_under_way: false,
            is_leaving: false,
            ..self
        };
        if was_under_way {
            resumed.added(None);
        }
        resumed
    }

    /// Redis forgot the records.
    pub(super) fn forgotten(&mut self, now_ms: u64) {
        let is_under_way = self.is_under_way;
        *self = NodesProgress {
            is_under_way,
            is_leaving: self.is_leaving,
            ..NodesProgress::default()
        };
        self.interrupted(now_ms);
    }

    pub(super) fn read(&self) -> EntryId {
        self.read
    }

    /// Somebody's record; `None`: it makes no sense.
    pub(super) fn hear(&mut self, id: EntryId, own: &str, record: Option<(&str, Applied)>) {
        self.read = id;
        let Some((process, applied)) = record.filter(|(process, _)| *process != own) else {
            return;
        };
        if applied.leaves {
            self.others.remove(process);
            return;
        }
        let peer = NodeProgress {
            up_to: applied.up_to,
            heard: id,
        };
        self.others.insert(process.into(), peer);
        if self.others.len() > NODES_MAX {
            let newest = id.ms;
            self.others
                .retain(|_, peer| peer.heard.ms + COUNTS_MS >= newest);
        }
    }

    /// Whether every node that counts has applied this entry.
    pub(super) fn all_have(&self, now_ms: u64, id: EntryId) -> bool {
        let has = |peer: &NodeProgress| peer.up_to >= id || peer.heard.ms + COUNTS_MS < id.ms;
        now_ms >= self.complete_from_ms && self.others.values().all(has)
    }

    /// Whether the others wait for this node before they tell of this entry.
    pub(super) fn counts_for(&self, id: EntryId) -> bool {
        let since = self.counts_since_ms;
        since.is_some_and(|since| since < id.ms) && id.ms <= self.confirmed.ms + COUNTS_MS
    }

    /// The record to be added now, if one is due. Until [`added`](Peers::added) there is none.
    pub(super) fn poll(&mut self, now_ms: u64, up_to: EntryId) -> Option<Applied> {
        let is_due = self.said != up_to || now_ms >= self.beat_from_ms;
        if self.is_under_way || !is_due {
            return None;
        }
        self.is_under_way = true;
        self.said = up_to;
        self.beat_from_ms = match self.is_leaving {
            false => now_ms + BEAT_MS,
            true => u64::MAX,
        };
        Some(Applied {
            up_to,
            leaves: self.is_leaving,
        })
    }

    /// The record has its place; `None`: nobody knows.
    pub(super) fn added(&mut self, id: Option<EntryId>) {
        self.is_under_way = false;
        let Some(id) = id else {
            (self.said, self.beat_from_ms) = (EntryId::ZERO, 0);
            return;
        };
        let is_new = id.ms > self.confirmed.ms + COUNTS_MS || self.counts_since_ms.is_none();
        if is_new {
            self.counts_since_ms = Some(id.ms);
        }
        self.confirmed = id;
    }

    /// The next record is this process's last.
    pub(super) fn leave(&mut self) {
        self.is_leaving = true;
        (self.said, self.beat_from_ms) = (EntryId::ZERO, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> EntryId {
        EntryId { ms, seq: 0 }
    }

    fn applied(ms: u64) -> Applied {
        Applied {
            up_to: at(ms),
            leaves: false,
        }
    }

    #[test]
    fn an_entry_that_one_of_the_others_does_not_have() {
        let mut peers = NodesProgress::default();
        peers.hear(at(1_000), "a.1", Some(("b.1", applied(900))));
        peers.hear(at(1_010), "a.1", Some(("c.1", applied(990))));
        peers.hear(at(1_020), "a.1", Some(("a.1", applied(0))));
        assert!(peers.all_have(0, at(900)) && !peers.all_have(0, at(950)));
        assert!(!peers.all_have(0, at(1_000 + COUNTS_MS)));
        assert!(peers.all_have(0, at(1_011 + COUNTS_MS)), "they are gone");
        peers.hear(at(1_030), "a.1", Some(("b.1", applied(990))));
        assert!(peers.all_have(0, at(990)));
        let leaves = Applied {
            leaves: true,
            ..applied(990)
        };
        peers.hear(at(1_040), "a.1", Some(("b.1", leaves)));
        peers.hear(at(1_050), "a.1", Some(("c.1", applied(1_040))));
        assert!(peers.all_have(0, at(1_040)), "it left");
        peers.interrupted(7);
        assert!(!peers.all_have(7, at(1_040)), "who knows who came");
        assert!(peers.all_have(7 + 2 * BEAT_MS, at(1_040)));
    }

    #[test]
    fn a_node_that_takes_itself_for_one_that_counts() {
        let mut peers = NodesProgress::default();
        assert_eq!(peers.poll(0, at(5)), Some(applied(5)));
        assert_eq!(peers.poll(0, at(6)), None, "one at a time");
        assert!(!peers.counts_for(at(2_000)), "nobody has heard of it");
        peers.added(Some(at(2_000)));
        assert!(!peers.counts_for(at(2_000)), "others may have told that");
        assert!(peers.counts_for(at(2_001)));
        assert!(!peers.counts_for(at(2_001 + COUNTS_MS)));
        assert_eq!(peers.poll(1, at(5)), None, "nothing new");
        assert_eq!(peers.poll(BEAT_MS, at(5)), Some(applied(5)));
        peers.added(None);
        assert_eq!(peers.poll(BEAT_MS, at(5)), Some(applied(5)), "again");
        peers.added(Some(at(2_001 + COUNTS_MS)));
        assert!(!peers.counts_for(at(2_001 + COUNTS_MS)), "it was away");
        assert!(peers.counts_for(at(2_002 + COUNTS_MS)));
    }
}
