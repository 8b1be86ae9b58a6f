//! What operators see of a node and do with it, a file for each matter: questions go to the cores, their answers are put
//! together here, on the control thread.

mod cluster;
mod view;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{LocalBoxFuture, ready};

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
        match self.knows_nobody(target) {
            true => Box::pin(ready(Err(TraceRefused::NobodyIsAsked))),
            false => self.watching.trace(target, with_contents),
        }
    }

    fn log_access(
        &self,
        target: TraceTarget,
        lasts: Option<Duration>,
    ) -> LocalBoxFuture<'_, Result<(), TraceRefused>> {
        match self.knows_nobody(target) {
            true => Box::pin(ready(Err(TraceRefused::NobodyIsAsked))),
            false => Box::pin(self.watching.log_access(target, lasts)),
        }
    }

    fn log(&self) -> Option<Arc<dyn LogControl>> {
        self.watching.log()
    }
}

impl NodeBackend {
    /// There are no principals, and this is meant to be one.
    #[cfg(feature = "auth")]
    fn knows_nobody(&self, target: TraceTarget) -> bool {
        self.credentials.is_none() && matches!(target, TraceTarget::Principal(_))
    }

    #[cfg(not(feature = "auth"))]
    fn knows_nobody(&self, target: TraceTarget) -> bool {
        matches!(target, TraceTarget::Principal(_))
    }
}
