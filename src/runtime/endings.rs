//! What an operator hears of streams that a core ended for what their clients are no longer. The metrics tell how many.

use super::clock;
use crate::log_throttle::LogThrottles;
use crate::shard::Closed;

pub(super) fn note(core: u16, why: Closed, throttles: &LogThrottles) {
    if let Some(unlogged) = throttles.admit("ended", clock::now()) {
        tracing::info!(reason = ?why, core, unlogged, "a stream of notifications was ended");
    }
}
