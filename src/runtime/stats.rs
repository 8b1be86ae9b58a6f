//! What the cores have counted, where other threads read it: each core writes a copy over its place a few times a second, and
//! never waits for a reader. A place that is being read stays as it is until the next time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::core_loop::Core;
use super::engine::CoreDriver;
use crate::forward::ForwardCounts;
use crate::shard::CoreStats;

/// Ticks of a core to its next copy: some four a second.
pub(super) const TICKS_TO_COPY: u32 = 4;

/// A place for each core. Clones are the same one.
#[derive(Clone)]
pub(crate) struct StatsBoard {
    places: Arc<[Mutex<CoreReport>]>,
}

/// One core, as it was a moment ago.
#[derive(Clone, Debug, Default)]
pub(crate) struct CoreReport {
    pub(crate) stats: CoreStats,
    pub(crate) forwards: ForwardCounts,
    /// Requests and streams of other nodes' sessions, now.
    pub(crate) forwarded: usize,
    /// For how long its thread has had a CPU. What the kernel does for it counts as well.
    pub(crate) busy: Duration,
}

impl StatsBoard {
    pub(crate) fn new(cores: usize) -> Self {
        let places = (0..cores).map(|_| Mutex::default());
        StatsBoard {
            places: places.collect(),
        }
    }

    /// Copies of all, in the order of the cores. For threads that may wait for a core's copy.
    pub(crate) fn read(&self) -> Vec<CoreReport> {
        let read = |place: &Mutex<CoreReport>| -> CoreReport {
            let place: MutexGuard<'_, _> = place.lock().unwrap_or_else(PoisonError::into_inner);
            place.clone()
        };
        self.places.iter().map(read).collect()
    }

    /// For the thread of this core.
    pub(super) fn write(&self, core: &Core) {
        let place = self.places.get(usize::from(core.number));
        let Some(Ok(mut report)) = place.map(Mutex::try_lock) else {
            return;
        };
        core.shard().borrow().stats_into(&mut report.stats);
        if let Some(forwarding) = &core.forwarding {
            report.forwards = forwarding.counts();
            report.forwarded = forwarding.count();
        }
        report.busy = busy();
    }
}

/// One instruction of the kernel's for the thread, however much it has done since.
fn busy() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanoseconds) = (time.tv_sec, time.tv_nsec);
    Duration::new(
        seconds.try_into().unwrap_or(0),
        nanoseconds.try_into().unwrap_or(0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_did_something() {
        let before = busy();
        let mut sum = 0_u64;
        while busy() == before {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(busy() > before);
    }

    #[test]
    fn a_place_for_each_core() {
        assert_eq!(StatsBoard::new(3).read().len(), 3);
    }
}
