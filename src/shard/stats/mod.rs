//! What a core counts: plain numbers that only grow, and how many there are of everything now. Both halves of a shard count
//! for themselves; [`CoreStats`] is a copy of all of it, which others may read.
//!
//! Nothing here locks, waits or asks the clock: to count is to add to a number of one's own. Whatever can be named by
//! clients is bounded: tools, error codes and series ([`operations`]). Durations are differences of the shard's clock, which
//! counts milliseconds.

mod count_of_each;
mod histogram;
mod operations;
mod tools;

use std::mem::size_of;

use super::exchange::Closed;
use super::view::EndReason;
use super::wheel::Millis;
use crate::mcp::ProtocolVersion;

pub use self::count_of_each::CountOfEach;
pub use self::histogram::{BOUNDS_MS, Histogram};
pub(super) use self::operations::{Operation, Operations};
pub use self::operations::{OperationCounts, OperationEnd, OperationLabels};
pub(super) use self::tools::{name_in, text_in};

/// All that one core has counted, and has, at a moment.
#[derive(Clone, Debug, Default)]
pub struct CoreStats {
    /// Requests of clients by what they asked for and what came of it.
    pub operations: OperationCounts,
    /// How long sessions lived that have ended.
    pub sessions_ended: Vec<EndedSessions>,
    /// From being published to the last write of what was due here for it, once for all that was published meanwhile.
    pub publish_to_last_write: Histogram,
    pub publications: u64,
    /// Events of topics that were written to streams, by era: legacy, modern.
    pub deliveries: [u64; 2],
    /// Events that were not written since their listener was still to be notified of the same topic.
    pub conflated: u64,
    pub connections_closed: CountOfEach<Closed>,
    /// Answers of 400 and above.
    pub refusals: CountOfEach<u16>,
    /// Connections that went to another core.
    pub moves: u64,
    pub gauges: Gauges,
}

/// Sessions of one revision that ended for one reason, by how long they had lived.
#[derive(Clone, Debug)]
pub struct EndedSessions {
    pub reason: EndReason,
    pub version: ProtocolVersion,
    pub lived: Histogram,
}

/// How many of everything there are now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    pub connections: usize,
    pub sessions: usize,
    pub listeners: usize,
    pub streams: StreamCounts,
    pub calls: usize,
    /// Writes that the kernel has not taken whole.
    pub blocked: usize,
    /// Bytes of those writes.
    pub pending_bytes: usize,
    /// Bytes of the memory bill's lines, each with its name.
    pub memory_lines: [(&'static str, usize); MEMORY_LINES],
}

/// Lines of the memory bill that a core has.
const MEMORY_LINES: usize = 7;

/// Streams that are open, by what opened them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamCounts {
    /// A session's GET.
    pub get: usize,
    /// Answers to a POST.
    pub post: usize,
    /// `subscriptions/listen`.
    pub listen: usize,
}

/// What the engine counts.
#[derive(Default)]
pub(super) struct EngineStats {
    pub(super) operations: Operations,
    sessions_ended: Vec<EndedSessions>,
    publish_to_last_write: Histogram,
    publications: u64,
    deliveries: [u64; 2],
    wave: Option<Wave>,
}

/// Publications whose deliveries are not all written.
struct Wave {
    /// When the first of them was published.
    since: Millis,
    /// Deliveries before it.
    deliveries: u64,
}

/// What the wire counts.
#[derive(Default)]
pub(super) struct WireStats {
    pub(super) closed: CountOfEach<Closed>,
    pub(super) refusals: CountOfEach<u16>,
    pub(super) moves: u64,
    /// Exchanges whose answer is a stream, now.
    pub(super) streams: usize,
    /// Writes under way, now, and their bytes.
    pub(super) blocked: usize,
    pub(super) pending_bytes: usize,
}

impl EngineStats {
    /// Something was published at that time; if somebody here hears of it, a wave begins or goes on.
    pub(super) fn count_publication(&mut self, published: Millis, is_heard: bool) {
        self.publications += 1;
        if is_heard && self.wave.is_none() {
            self.wave = Some(Wave {
                since: published,
                deliveries: self.deliveries.iter().sum(),
            });
        }
    }

    #[inline]
    pub(super) fn count_deliveries(&mut self, is_legacy: bool, count: usize) {
        let [legacy, modern] = &mut self.deliveries;
        match is_legacy {
            true => *legacy += count as u64,
            false => *modern += count as u64,
        }
    }

    /// All that could be written was. A wave of which nothing was has not been seen by anybody.
    pub(super) fn count_last_write(&mut self, now: Millis) {
        if let Some(wave) = self.wave.take()
            && self.deliveries.iter().sum::<u64>() > wave.deliveries
        {
            let took = now.saturating_sub(wave.since);
            self.publish_to_last_write.observe(took);
        }
    }

    pub(super) fn count_session_end(
        &mut self,
        reason: EndReason,
        version: ProtocolVersion,
        lived: Millis,
    ) {
        let same = |it: &&mut EndedSessions| it.reason == reason && it.version == version;
        match self.sessions_ended.iter_mut().find(same) {
            Some(known) => known.lived.observe(lived),
            None => {
                let mut lived_for = Histogram::default();
                lived_for.observe(lived);
                self.sessions_ended.push(EndedSessions {
                    reason,
                    version,
                    lived: lived_for,
                });
            }
        }
    }

    pub(super) fn copy_into(&self, copy: &mut CoreStats) {
        self.operations.copy_into(&mut copy.operations);
        copy.sessions_ended.clone_from(&self.sessions_ended);
        copy.publish_to_last_write = self.publish_to_last_write;
        copy.publications = self.publications;
        copy.deliveries = self.deliveries;
    }
}

impl WireStats {
    /// Of a write so many bytes are under way.
    pub(super) fn count_write(&mut self, bytes: usize) {
        self.blocked += 1;
        self.pending_bytes += bytes;
    }

    /// One that was counted is no longer. None: none was.
    pub(super) fn forget_write(&mut self, bytes: Option<usize>) {
        if let Some(bytes) = bytes {
            self.blocked -= 1;
            self.pending_bytes -= bytes;
        }
    }

    pub(super) fn copy_into(&self, copy: &mut CoreStats) {
        copy.connections_closed.clone_from(&self.closed);
        copy.refusals.clone_from(&self.refusals);
        copy.moves = self.moves;
        copy.gauges.blocked = self.blocked;
        copy.gauges.pending_bytes = self.pending_bytes;
    }
}

// A core has its series for itself, its place on the board has them, and so has whoever reads.
const _: () = assert!(size_of::<Histogram>() * operations::SERIES_MAX < 128 * 1024);
