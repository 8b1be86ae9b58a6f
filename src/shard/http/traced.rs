//! The table of those who watch somebody, which is there only while anybody does.

use super::{Http, UpperLayer};
use crate::shard::trace::{TraceId, Traced, Traces};

impl<U: UpperLayer> Http<U> {
    pub(in crate::shard) fn begin_traces(&mut self) -> &mut Traces {
        self.traces.get_or_insert_default()
    }

    pub(in crate::shard) fn end_trace(&mut self, id: TraceId) {
        let traces = self.traces.as_deref_mut();
        if traces.is_some_and(|traces| traces.end(id)) {
            self.traces = None;
        }
    }

    pub(in crate::shard) fn poll_trace(&mut self) -> Option<Traced> {
        self.traces.as_deref_mut()?.poll()
    }
}
