//! What operators ask of a node beside publishing: who is there, how they fare, why somebody left; and what they do about
//! it. Each method answers for a node that has nothing of the kind, so that whoever has one thing implements that alone.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{LocalBoxFuture, ready};

use super::{ClusterReport, LogControl, PublishBackend};
use crate::runtime::{TraceFeed, TraceRefused};
use crate::shard::TraceTarget;

/// What the listener asks for operators of the server behind it. Nothing here may block.
pub trait OperatorBackend: PublishBackend {
    /// How this node sees the others, and what they share. None: there is nothing to be seen.
    fn cluster(&self) -> Option<ClusterReport> {
        None
    }

    /// What somebody asks and is sent from now on, with what messages say if that is wanted.
    fn trace(
        &self,
        _: TraceTarget,
        _with_contents: bool,
    ) -> LocalBoxFuture<'_, Result<TraceFeed, TraceRefused>> {
        Box::pin(ready(Err(TraceRefused::NotHere)))
    }

    /// The same goes to the log for so long. None: no longer.
    fn log_access(
        &self,
        _: TraceTarget,
        _lasts: Option<Duration>,
    ) -> LocalBoxFuture<'_, Result<(), TraceRefused>> {
        Box::pin(ready(Err(TraceRefused::NotHere)))
    }

    /// How much is logged. None: that is not this node's to say.
    fn log(&self) -> Option<Arc<dyn LogControl>> {
        None
    }
}
