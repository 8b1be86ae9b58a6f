//! Monotonic milliseconds since the process started: the shard's time.

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::shard::Millis;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Starts at 1,000, so that "so many ms ago" never falls below zero for anything short.
pub(super) fn now() -> Millis {
    START.elapsed().as_millis() as Millis + 1_000
}

pub(crate) fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

/// When that was for everybody else.
pub(crate) fn unix_ms_of(then: Millis) -> u64 {
    (unix_ms() + then).saturating_sub(now())
}
