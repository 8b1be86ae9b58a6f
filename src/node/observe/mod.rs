//! What operators see of a node and do with it, a file for each matter: questions go to the cores, their answers are put
//! together here, on the control thread.

mod cluster;
mod connections;
mod handover;
mod subscribers;
mod view;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{LocalBoxFuture, ready};

use super::backend::NodeBackend;
#[cfg(feature = "redis")]
use crate::admin::NodeAnswer;
use crate::admin::{
    ClusterReport, ConnectionsPage, ConnectionsPageQuestion, HandoverOutlook, HandoverReport,
    LogControl, NotViewed, OperatorBackend, SessionsPage, SessionsQuestion, Viewed,
};
use crate::app::call::Topic;
use crate::metrics::NodeReading;
use crate::principal::PrincipalId;
use crate::runtime::{TraceFeed, TraceRefused};
use crate::shard::TraceTarget;
use crate::shard::view::{EndedRow, SessionDetail};
#[cfg(feature = "redis")]
use crate::wire::http1::Method;
use crate::wire::operator_name::{ConnectionName, OperatorName};
#[cfg(feature = "redis")]
use crate::wire::session_id::NodeName;

impl OperatorBackend for NodeBackend {
    fn node(&self) -> Option<NodeReading> {
        self.metrics.node()
    }

    fn cluster(&self) -> Option<ClusterReport> {
        Some(self.cluster_report())
    }

    fn hand_over(&self) -> LocalBoxFuture<'_, Result<HandoverReport, String>> {
        handover::hand_over(self.node.clone())
    }

    fn handover_outlook(&self) -> HandoverOutlook {
        handover::outlook(&self.node)
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
            false => Box::pin(self.log_access_of(target, lasts)),
        }
    }

    fn log(&self) -> Option<Arc<dyn LogControl>> {
        self.watching.log()
    }

    fn subscribers(&self, topic: Topic) -> Viewed<'_, usize> {
        Box::pin(self.count_subscribers(topic))
    }

    fn name(&self) -> String {
        self.node.name().to_string()
    }

    #[cfg(feature = "redis")]
    fn other_nodes(&self) -> Vec<NodeName> {
        self.other_node_names()
    }

    #[cfg(feature = "redis")]
    fn ask_node(
        &self,
        node: NodeName,
        method: Method,
        target: String,
    ) -> LocalBoxFuture<'_, Result<NodeAnswer, String>> {
        self.ask_other_node(node, method, target)
    }

    fn sessions(&self, asked: SessionsQuestion) -> Viewed<'_, SessionsPage> {
        Box::pin(self.list_sessions(asked))
    }

    fn session(&self, name: OperatorName) -> Viewed<'_, Box<SessionDetail>> {
        Box::pin(self.show_session(name))
    }

    fn end_session(&self, name: OperatorName) -> Viewed<'_, ()> {
        Box::pin(self.end_session_named(name))
    }

    fn end_sessions_of(&self, principal: PrincipalId) -> Viewed<'_, usize> {
        Box::pin(self.end_all_of(principal))
    }

    fn drain_session(&self, name: OperatorName) -> Viewed<'_, ()> {
        Box::pin(self.drain_session_named(name))
    }

    fn connections(&self, asked: ConnectionsPageQuestion) -> Viewed<'_, ConnectionsPage> {
        Box::pin(self.list_connections(asked))
    }

    fn end_connection(&self, name: ConnectionName) -> Viewed<'_, ()> {
        Box::pin(self.end_connection_named(name))
    }

    fn ended_sessions(&self, limit: usize) -> Viewed<'_, Vec<EndedRow>> {
        Box::pin(self.last_ended(limit))
    }
}

impl NodeBackend {
    /// Of one who is gone nothing is logged, although that was wanted before and may not have ended yet.
    async fn log_access_of(
        &self,
        target: TraceTarget,
        lasts: Option<Duration>,
    ) -> Result<(), TraceRefused> {
        if let (TraceTarget::Named(name), Some(_)) = (target, lasts)
            && let Err(NotViewed::Missing(_)) = self.show_session(name).await
        {
            self.watching.log_access(target, None).await?;
            return Err(TraceRefused::NotHere);
        }
        self.watching.log_access(target, lasts).await
    }

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
