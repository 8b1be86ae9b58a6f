//! A node as it is found at a moment: what its cores have counted a moment ago, and what there is. For the page of `GET
//! /metrics` and for `GET /node`, which say the same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::forward::ForwardCounts;
use crate::shard::{CoreStats, CountOfEach, Histogram, OperationLabels, StreamCounts};

/// Reads it. For any thread that may wait for a core's copy: some microseconds.
pub type ReadNode = Arc<dyn Fn() -> NodeReading + Send + Sync>;

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct NodeReading {
    pub node: String,
    pub version: &'static str,
    pub incarnation: u64,
    /// Milliseconds of Unix time.
    pub started_at: u64,
    pub now: u64,
    /// A word of [`STATES`](NodeReading::STATES).
    pub state: &'static str,
    pub driver: &'static str,
    pub connections: usize,
    pub connections_max: usize,
    pub sessions: usize,
    pub sessions_max: usize,
    pub memory: MemoryReading,
    /// How many spans the collector took, and how many were lost. None: no spans are sent.
    pub spans: Option<[u64; 2]>,
    /// In their order.
    pub cores: Vec<CoreReading>,
    pub threads: Vec<ThreadReading>,
}

/// What clients make the node hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryReading {
    pub held_bytes: usize,
    pub budget_bytes: usize,
    pub short_total: u64,
}

/// One core.
#[derive(Clone, Debug, Default)]
pub struct CoreReading {
    pub stats: CoreStats,
    pub forwards: ForwardCounts,
    /// Requests that other nodes are to answer, and have not.
    pub passed_on: usize,
    /// For how long its thread has had a CPU.
    pub busy: Duration,
    /// For how long it had something to do and no CPU.
    pub waited: Duration,
    /// Messages that wait for it.
    pub mailbox: usize,
    /// Since its thread was last heard of.
    pub silent: Duration,
}

/// One thread without which the node is of no use.
#[derive(Clone, Debug)]
pub struct ThreadReading {
    pub name: String,
    /// Since it was last heard of.
    pub silent: Duration,
}

impl NodeReading {
    /// What a node can be like.
    pub const STATES: [&str; 5] = ["ready", "loading", "without_board", "impaired", "draining"];

    /// Of all cores.
    pub fn sum<T: std::iter::Sum>(&self, of: impl Fn(&CoreReading) -> T) -> T {
        self.cores.iter().map(of).sum()
    }

    /// Every core is told of each.
    #[must_use]
    pub fn publications(&self) -> u64 {
        let counts = self.cores.iter().map(|core| core.stats.publications);
        counts.max().unwrap_or(0)
    }

    #[must_use]
    pub fn streams(&self) -> StreamCounts {
        let each = |of: fn(&StreamCounts) -> usize| self.sum(|it| of(&it.stats.gauges.streams));
        StreamCounts {
            get: each(|it| it.get),
            post: each(|it| it.post),
            listen: each(|it| it.listen),
        }
    }

    /// Each series once, however many cores have it.
    #[must_use]
    pub fn operations(&self) -> BTreeMap<OperationLabels<'_>, Histogram> {
        let mut merged: BTreeMap<_, Histogram> = BTreeMap::new();
        let cores = self.cores.iter();
        for (labels, durations) in cores.flat_map(|core| core.stats.operations.series()) {
            merged.entry(labels).or_default().add(durations);
        }
        merged
    }

    /// Of sessions that ended, by reason and revision.
    #[must_use]
    pub fn sessions_ended(&self) -> BTreeMap<(&'static str, &'static str), Histogram> {
        let mut merged: BTreeMap<_, Histogram> = BTreeMap::new();
        for ended in self
            .cores
            .iter()
            .flat_map(|core| &core.stats.sessions_ended)
        {
            let labels = (ended.reason.word(), ended.version.as_str());
            merged.entry(labels).or_default().add(&ended.lived);
        }
        merged
    }

    #[must_use]
    pub fn publish_to_last_write(&self) -> Histogram {
        let mut all = Histogram::default();
        let cores = self.cores.iter();
        cores.for_each(|core| all.add(&core.stats.publish_to_last_write));
        all
    }

    /// The same of all cores.
    pub fn count_of_each<K: Copy + PartialEq>(
        &self,
        of: impl Fn(&CoreStats) -> &CountOfEach<K>,
    ) -> impl Iterator<Item = (K, u64)> {
        let mut all = CountOfEach::default();
        for (what, count) in self.cores.iter().flat_map(|core| of(&core.stats).iter()) {
            all.add(what, count);
        }
        all.into_counts()
    }

    /// Bytes of each line of the memory bill.
    #[must_use]
    pub fn memory_lines(&self) -> Vec<(&'static str, usize)> {
        let mut all: Vec<(&'static str, usize)> = Vec::new();
        let cores = self.cores.iter();
        for (line, bytes) in cores.flat_map(|core| core.stats.gauges.memory_lines) {
            match all.iter_mut().find(|(known, _)| *known == line) {
                Some((_, sum)) => *sum += bytes,
                None => all.push((line, bytes)),
            }
        }
        // A core that has not said anything yet has no lines.
        all.retain(|(line, _)| !line.is_empty());
        all
    }
}
