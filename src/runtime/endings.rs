//! What an operator hears of streams that a core ended for what their clients are no longer. The metrics tell how many.

use super::core_loop::Core;
use super::engine::CoreDriver as _;
use crate::shard::Closed;

pub(super) fn note(core: &Core, why: Closed) {
    if let Some(unlogged) = core.may_log("ended") {
        tracing::info!(reason = ?why, core = core.number, unlogged, "a stream of notifications was ended");
    }
}
