//! Monotonic milliseconds since the node started: the shard's time. A process that takes the place of another one goes on with
//! its clock.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::shard::Millis;

static START: OnceLock<Instant> = OnceLock::new();

fn start() -> Instant {
    *START.get_or_init(Instant::now)
}

/// When this began, by the monotonic clock of the machine, in nanoseconds.
pub(crate) fn began_ns() -> u64 {
    let age = u64::try_from(start().elapsed().as_nanos()).unwrap_or(u64::MAX);
    machine_ns().saturating_sub(age)
}

/// Goes on with the clock of another process, whose [`began_ns`] this is. False: it is too late for that, since this one has
/// begun.
pub(crate) fn continue_from(began_ns: u64) -> bool {
    let age = Duration::from_nanos(machine_ns().saturating_sub(began_ns));
    let began = Instant::now().checked_sub(age);
    began.is_some_and(|it| START.set(it).is_ok())
}

/// The monotonic clock of the machine, which is the same for all processes.
pub(crate) fn machine_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or_default()
}

/// Starts at 1,000, so that "so many ms ago" never falls below zero for anything short.
pub(crate) fn now() -> Millis {
    start().elapsed().as_millis() as Millis + 1_000
}

pub(crate) fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

/// When that was for everybody else. The same moment has the same name each time, unless the clock of the others was set
/// meanwhile: what the two clocks differ by because they are read one after the other is not seen.
pub(crate) fn unix_ms_of(then: Millis) -> u64 {
    static START_UNIX_MS: AtomicU64 = AtomicU64::new(0);
    let unix = SystemTime::now().duration_since(UNIX_EPOCH);
    let start = unix.unwrap_or_default().saturating_sub(start().elapsed());
    let (start, known) = (start.as_millis() as u64, START_UNIX_MS.load(Relaxed));
    let start = match start.abs_diff(known) {
        ..=1 => known,
        _ => {
            START_UNIX_MS.store(start, Relaxed);
            start
        }
    };
    (start + then).saturating_sub(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_starts_anew_in_the_next_process() {
        let (began, then) = (began_ns(), now());
        assert!(!continue_from(began), "this one runs");
        let again = (machine_ns() - began) / 1_000_000 + 1_000;
        assert!(again.abs_diff(then) < 60_000, "{again} {then}");
        assert!(began_ns().abs_diff(began) < 1_000_000_000);
    }

    #[test]
    fn a_moment_that_has_another_name_each_time() {
        let names: std::collections::BTreeSet<u64> =
            (0..10_000).map(|_| unix_ms_of(5_000)).collect();
        // Somebody may set the clock meanwhile, though hardly ten times.
        assert!(names.len() < 10, "{names:?}");
        let now_is_now = unix_ms_of(now()).abs_diff(unix_ms());
        assert!(now_is_now < 60_000, "{now_is_now}");
    }
}
