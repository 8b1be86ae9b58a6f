//! What operators see of a node and do with it, a file for each matter: questions go to the cores, their answers are put
//! together here, on the control thread.

mod cluster;
mod view;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;

pub(super) use self::cluster::OwnProcess;
use super::backend::NodeBackend;
use crate::admin::{ClusterReport, LogControl, OperatorBackend};
use crate::runtime::{TraceFeed, TraceRefused};
use crate::shard::TraceTarget;

impl OperatorBackend for NodeBackend {
    fn cluster(&self) -> Option<ClusterReport> {
        Some(self.cluster_report())
    }

    fn trace(
        &self,
        target: TraceTarget,
        with_contents: bool,
    ) -> LocalBoxFuture<'_, Result<TraceFeed, TraceRefused>> {
        self.watching.trace(target, with_contents)
    }

    fn log_access(
        &self,
        target: TraceTarget,
        lasts: Option<Duration>,
    ) -> LocalBoxFuture<'_, Result<(), TraceRefused>> {
        Box::pin(self.watching.log_access(target, lasts))
    }

    fn log(&self) -> Option<Arc<dyn LogControl>> {
        self.watching.log()
    }
}
