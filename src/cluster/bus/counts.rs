//! What happened on the bus, for the metrics and the log.

use super::Bus;
use super::id::EntryId;
use crate::metrics::Metrics;

/// Where a node is in the log that all share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BusSeen {
    /// Everything up to here was delivered.
    pub position: EntryId,
    /// Entries that are known to be there beyond it. None: that cannot be told.
    pub behind_entries: Option<u64>,
    /// Since there were none.
    pub behind_ms: u64,
    /// What this node published and the log does not have yet.
    pub queued: usize,
    /// Losses that subscribers were notified of.
    pub gaps: u64,
}

/// Things that happened, for the metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BusCounts {
    /// Entries of the stream that were read.
    pub heard: u64,
    /// Entries, or values of the hash, that nobody can make sense of.
    pub malformed: u64,
    /// Values of the hash among those.
    pub foreign: u64,
    /// Losses that subscribers were notified of.
    pub gaps: u64,
    /// Items that were delivered here before they had their place in the stream.
    pub delivered_ahead: u64,
    /// Messages that other nodes will never get.
    pub dropped: u64,
    /// Items that Redis refused.
    pub refused: u64,
    /// Writes of this node that a newer one was there before.
    pub overtaken: u64,
    /// Resources that Redis had forgotten, or had an older state of.
    pub put_back: u64,
    /// What was delivered here before all nodes had it.
    pub delivered_behind: u64,
    /// What was delivered to all once more, since this node had it late.
    pub delivered_again: u64,
}

impl Bus {
    /// For operators: where this node is in the log.
    #[must_use]
    pub fn seen(&self, now_ms: u64) -> BusSeen {
        let (behind_entries, behind_ms) = self.tail.lag(now_ms);
        BusSeen {
            position: self.tail.position,
            behind_entries,
            behind_ms,
            queued: self.queued_count(),
            gaps: self.counts.gaps,
        }
    }
}

impl BusCounts {
    /// Counts what has happened since `before`.
    pub(super) fn add_to(&self, metrics: &Metrics, before: &BusCounts) {
        for ((kind, now), (_, before)) in self.by_kind().into_iter().zip(before.by_kind()) {
            // Of each kind from the first moment on: to Prometheus a counter that appears with 1 has not grown.
            let counter = metrics.bus_events.with_label_values(&[kind]);
            counter.inc_by(now - before);
        }
        let foreign = metrics.foreign_records.with_label_values(&["contents"]);
        foreign.inc_by(self.foreign - before.foreign);
    }

    /// By kind, as the metrics name it.
    #[must_use]
    pub fn by_kind(&self) -> [(&'static str, u64); 10] {
        [
            ("heard", self.heard),
            ("malformed", self.malformed),
            ("gap", self.gaps),
            ("told_ahead", self.delivered_ahead),
            ("refused", self.refused),
            ("dropped", self.dropped),
            ("overtaken", self.overtaken),
            ("put_back", self.put_back),
            ("told_behind", self.delivered_behind),
            ("told_again", self.delivered_again),
        ]
    }
}
