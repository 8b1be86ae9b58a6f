//! What a driver asks of a shard for those who watch, and for the log.

use super::{TraceId, TraceWish, Traced};
use crate::shard::Shard;
use crate::shard::view::{EndReason, EndedRow};

impl Shard {
    /// Somebody watches from now on. Every core is told: who is watched may come. False: nobody who is called so is here now.
    pub fn handle_trace(&mut self, wish: TraceWish) -> bool {
        let traces = self.http.begin_traces();
        traces.begin(wish) && self.engine.begin_trace(traces, &wish)
    }

    /// And no longer.
    pub fn handle_trace_end(&mut self, id: TraceId) {
        self.http.end_trace(id);
    }

    /// What those who watch are to be told, one after the other.
    pub fn poll_trace(&mut self) -> Option<Traced> {
        self.http.poll_trace()
    }

    /// The next session or listen stream that ended and was not told of, the oldest first.
    pub fn poll_ended(&mut self) -> Option<EndedRow> {
        self.engine.poll_ended()
    }

    /// How many ended that are not told of, since too many did at once.
    pub fn take_untold(&mut self) -> Vec<(EndReason, u64)> {
        self.engine.take_untold()
    }
}
