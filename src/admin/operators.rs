//! What operators ask of a node beside publishing: who is there, how they fare, why somebody left; and what they do about
//! it. Each method answers for a node that has nothing of the kind, so that whoever has one thing implements that alone.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{LocalBoxFuture, ready};

use super::{
    ClusterReport, HandoverOutlook, HandoverReport, LogControl, NodeAnswer, PublishBackend,
};
use crate::app::call::Topic;
use crate::metrics::NodeReading;
use crate::principal::PrincipalId;
use crate::runtime::{TraceFeed, TraceRefused};
use crate::shard::TraceTarget;
use crate::shard::view::{
    ConnectionRow, EndedRow, RowPosition, SessionDetail, SessionFilter, SessionRow, ViewOrder,
};
use crate::wire::http1::Method;
use crate::wire::operator_name::{ConnectionName, OperatorName};
use crate::wire::session_id::NodeName;

/// What the listener asks for operators of the server behind it. Nothing here may block.
pub trait OperatorBackend: PublishBackend {
    /// As the node calls itself.
    fn name(&self) -> String {
        String::new()
    }

    /// How the node fares, as its threads said last.
    fn node(&self) -> Option<NodeReading> {
        None
    }

    /// How this node sees the others, and what they share. None: there is nothing to be seen.
    fn cluster(&self) -> Option<ClusterReport> {
        None
    }

    /// The other nodes, those that are silent among them.
    fn other_nodes(&self) -> Vec<NodeName> {
        Vec::new()
    }

    /// What another node answers to this, or a sentence on why it does not. It takes a few seconds at most.
    fn ask_node(
        &self,
        _: NodeName,
        _: Method,
        _target: String,
    ) -> LocalBoxFuture<'_, Result<NodeAnswer, String>> {
        Box::pin(ready(Err("this node knows no others".to_owned())))
    }

    /// Some of the sessions and listen streams, in an order.
    fn sessions(&self, _: SessionsQuestion) -> Viewed<'_, SessionsPage> {
        nothing_here()
    }

    fn session(&self, _: OperatorName) -> Viewed<'_, Box<SessionDetail>> {
        nothing_here()
    }

    fn end_session(&self, _: OperatorName) -> Viewed<'_, ()> {
        nothing_here()
    }

    /// How many there were.
    fn end_sessions_of(&self, _: PrincipalId) -> Viewed<'_, usize> {
        nothing_here()
    }

    /// Its client comes back for what it has open.
    fn drain_session(&self, _: OperatorName) -> Viewed<'_, ()> {
        nothing_here()
    }

    /// So many of those that ended last, the newest first.
    fn ended_sessions(&self, _limit: usize) -> Viewed<'_, Vec<EndedRow>> {
        nothing_here()
    }

    /// Some of those who are connected, those first for whom most waits.
    fn connections(&self, _: ConnectionsPageQuestion) -> Viewed<'_, ConnectionsPage> {
        nothing_here()
    }

    fn end_connection(&self, _: ConnectionName) -> Viewed<'_, ()> {
        nothing_here()
    }

    /// How many sessions and listen streams of this node subscribe to it.
    fn subscribers(&self, _: Topic) -> Viewed<'_, usize> {
        nothing_here()
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

    /// Goes on in a new process of the program; this one ends when the report of it is dropped.
    fn hand_over(&self) -> LocalBoxFuture<'_, Result<HandoverReport, String>> {
        let sentence = "there is nothing here to be handed over";
        Box::pin(ready(Err(sentence.to_owned())))
    }

    /// Whether that would be tried now.
    fn handover_outlook(&self) -> HandoverOutlook {
        HandoverOutlook::Refused("there is nothing here to be handed over".to_owned())
    }

    /// How much is logged. None: that is not this node's to say.
    fn log(&self) -> Option<Arc<dyn LogControl>> {
        None
    }
}

/// What a core or several answer.
pub type Viewed<'a, T> = LocalBoxFuture<'a, Result<T, NotViewed>>;

/// Why nobody can say.
#[derive(Clone, Debug)]
pub enum NotViewed {
    /// There is nothing of that name; and how it ended, if that is known.
    Missing(Option<Box<EndedRow>>),
    /// A core did not answer in time, or takes no questions.
    Busy,
}

fn nothing_here<'a, T: 'a>() -> Viewed<'a, T> {
    Box::pin(ready(Err(NotViewed::Missing(None))))
}

/// Which sessions, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionsQuestion {
    pub filter: SessionFilter,
    /// None: of all.
    pub core: Option<u16>,
    pub order: ViewOrder,
    pub limit: usize,
    /// The last one of the page before.
    pub after: Option<RowPosition>,
}

/// A page of them.
#[derive(Clone, Debug, Default)]
pub struct SessionsPage {
    /// And where each stands.
    pub rows: Vec<(RowPosition, SessionRow)>,
    /// How many there are on all pages.
    pub total: usize,
    /// What the next page is after. None: this is the last.
    pub next: Option<RowPosition>,
}

/// Which connections, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionsPageQuestion {
    /// Those alone whose clients do not read what is written to them.
    pub only_slow: bool,
    pub limit: usize,
}

/// The first of them.
#[derive(Clone, Debug, Default)]
pub struct ConnectionsPage {
    pub rows: Vec<ConnectionRow>,
    /// How many there are.
    pub total: usize,
}
