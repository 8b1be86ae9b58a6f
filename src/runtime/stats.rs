//! What the cores have counted, where other threads read it: each core writes a copy over its place a few times a second, and
//! never waits for a reader. A place that is being read stays as it is until the next time.

use std::fs::File;
use std::os::unix::fs::FileExt;
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
    /// Those of them that wait for their answers.
    pub(crate) passed_on: usize,
    /// For how long its thread has had a CPU. What the kernel does for it counts as well.
    pub(crate) busy: Duration,
    /// For how long it had something to do and no CPU, which others had. Zero where the kernel does not count it.
    pub(crate) waited: Duration,
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
            report.passed_on = forwarding.held_up();
        }
        report.busy = busy();
        report.waited = waited();
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

thread_local! {
    /// What the scheduler has counted of this thread: nanoseconds with a CPU, and nanoseconds in wait for one.
    static SCHEDULED: Option<File> = File::open("/proc/thread-self/schedstat").ok();
}

fn waited() -> Duration {
    let mut text = [0; 64];
    let count = SCHEDULED.with(|file| file.as_ref()?.read_at(&mut text, 0).ok());
    let text = text.get(..count.unwrap_or(0)).unwrap_or_default();
    let second = text.split(|byte| *byte == b' ').nth(1);
    let second = second.and_then(|field| std::str::from_utf8(field).ok()?.parse().ok());
    Duration::from_nanos(second.unwrap_or(0))
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
    fn a_thread_that_others_keep_from_a_cpu() {
        if std::fs::read("/proc/thread-self/schedstat").is_err() {
            return;
        }
        let before = waited();
        // From being woken to running is a wait, however short it is.
        while waited() == before {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(waited() > before);
    }

    #[test]
    fn a_place_for_each_core() {
        assert_eq!(StatsBoard::new(3).read().len(), 3);
    }
}
