//! Monotonic milliseconds since the process started: the shard's time.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::shard::Millis;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Starts at 1,000, so that "so many ms ago" never falls below zero for anything short.
pub(crate) fn now() -> Millis {
    START.elapsed().as_millis() as Millis + 1_000
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
    let start = unix.unwrap_or_default().saturating_sub(START.elapsed());
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
    fn a_moment_that_has_another_name_each_time() {
        let names: std::collections::BTreeSet<u64> =
            (0..10_000).map(|_| unix_ms_of(5_000)).collect();
        // Somebody may set the clock meanwhile, though hardly ten times.
        assert!(names.len() < 10, "{names:?}");
        let now_is_now = unix_ms_of(now()).abs_diff(unix_ms());
        assert!(now_is_now < 60_000, "{now_is_now}");
    }
}
