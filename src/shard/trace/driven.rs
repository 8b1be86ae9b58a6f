//! What a driver asks of a shard for those who watch, and for the log.

use super::{TraceBegun, TraceId, TraceWish, Traced};
use crate::shard::Shard;
use crate::shard::exchange::Wire;
use crate::shard::view::{EndReason, EndedRow};

impl Shard {
    /// Somebody watches from now on. Every core is told: who is watched may come.
    pub fn handle_trace(&mut self, wish: TraceWish) -> TraceBegun {
        let traces = self.http.begin_traces();
        match traces.begin(wish) {
            true => self.engine.begin_trace(traces, &wish),
            false => TraceBegun::NotHere,
        }
    }

    /// Looks at some more of what a principal may have had before it was watched. Takes less than a millisecond, whatever there is.
    pub fn search_for_trace(&mut self, id: TraceId) -> TraceBegun {
        match self.http.traces() {
            Some(traces) => self.engine.search_for_trace(traces, id),
            None => TraceBegun::Here,
        }
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
