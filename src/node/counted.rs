//! What a node counts, in a registry of its user's. The feature `metrics`; without it `uncounted.rs` stands here.

use std::sync::Arc;

use super::exporting::SpanExport;
use super::stats::reader;
use super::{Node, NodeBuilder, NodeError};
use crate::app::call::Availability;
use crate::clients::Commons;
use crate::metrics::{Metrics, Registry};
use crate::runtime::StatsBoard;

/// Where it is counted; a registry of its own unless one is given.
#[derive(Default)]
pub(super) struct CounterParts(Registry);

/// What a builder takes for counters: the feature `metrics`, which `admin` and `redis` bring along.
impl NodeBuilder {
    /// Counts in this registry, under names that begin with `pinfold_`: what else is counted there stands on the page of
    /// `GET /metrics`, too. Each node has one of its own unless it is given.
    pub fn registry(mut self, registry: Registry) -> Self {
        self.counters = CounterParts(registry);
        self
    }
}

impl Node {
    /// The page of `GET /metrics`, in Prometheus's text format. The feature `metrics`.
    #[must_use]
    pub fn metrics(&self) -> String {
        self.shared.counters.0.text()
    }
}

/// The counters of a node.
#[derive(Clone)]
pub(super) struct Counters(Arc<Metrics>);

impl Counters {
    /// # Errors
    /// Another node counts there already.
    pub(super) fn of(parts: &CounterParts) -> Result<Self, NodeError> {
        let metrics = Metrics::new(&parts.0).map_err(|fault| {
            NodeError::Option(format!(
                "registry: {fault}; another node counts in this registry already, and each needs one of its own"
            ))
        });
        Ok(Counters(Arc::new(metrics?)))
    }

    /// What clients share is read when the page is.
    pub(super) fn show(&self, commons: &Commons) {
        self.0.show_memory(commons.memory.clone());
        self.0.show_sessions(commons.sessions.clone());
        self.0.show_ended(commons.ended.clone());
    }

    /// Of what its cores have counted as well.
    pub(super) fn show_node(
        &self,
        node: &Node,
        board: StatsBoard,
        (loaded, spans): (
            impl Fn() -> Option<Availability> + Send + Sync + 'static,
            &SpanExport,
        ),
    ) {
        let read = reader(node, board, (loaded, spans.reader()));
        self.0.show_node(read);
    }

    pub(super) fn metrics(&self) -> Arc<Metrics> {
        self.0.clone()
    }
}
