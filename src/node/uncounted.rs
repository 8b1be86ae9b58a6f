//! In place of `counted.rs` in a build without the feature `metrics`: nothing is counted.

use super::exporting::SpanExport;
use super::{Node, NodeError};
use crate::app::call::Availability;
use crate::clients::Commons;
use crate::runtime::StatsBoard;

#[derive(Default)]
pub(super) struct CounterParts {}

#[derive(Clone)]
pub(super) struct Counters;

impl Counters {
    pub(super) fn of(_: &CounterParts) -> Result<Self, NodeError> {
        Ok(Counters)
    }

    pub(super) fn show(&self, _: &Commons) {}

    pub(super) fn show_node(
        &self,
        _: &Node,
        _: StatsBoard,
        _: (
            impl Fn() -> Option<Availability> + Send + Sync + 'static,
            &SpanExport,
        ),
    ) {
    }
}
