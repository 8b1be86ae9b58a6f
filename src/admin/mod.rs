//! The admin listener: publish, revoke, health, readiness. Not for clients, and off every hot path.
//!
//! - `access` and `roles` say who may ask what, and `connection_limit` who leaves for whom.
//! - `http` and `long_body` cut requests out of bytes and hold their bounds. `lines` cuts NDJSON.
//! - `routes` answers a whole request. `publish` turns a body into [`PublishItem`]s and answers into a body, with `item`,
//!   `item_contents` and `message` for the parts of an item.
//! - `revoke` reads whose tokens are taken back. `cluster` is how a node sees the others. `operators` says what else is asked of the node: [`OperatorBackend`].
//! - `idempotent` hands items to the [`PublishBackend`], which is whatever publishes. `idempotency_cache` knows idempotency
//!   keys, and by its `digest` what each stood for.
//! - `trace` shows what one asks and is sent, `log` says how much is logged.
//! - `sessions` answers what operators ask of sessions and do with them; `sessions_json` has the words. `connections` does the same of connections.
//! - `all_nodes` asks other nodes the same, and `peers` is what a node answers another one, lists in the form of `node_rows`.
//! - `serve` and `stream` are the loops around it all, for a monoio runtime of its own.

mod access;
mod all_nodes;
mod cluster;
mod connection;
mod connection_limit;
mod connections;
mod console;
mod digest;
mod framing;
mod handover;
mod http;
mod idempotency_cache;
mod idempotent;
mod item;
mod item_contents;
mod item_principal;
mod leaving;
mod lines;
mod log;
mod long_body;
mod message;
mod node;
mod node_rows;
mod operators;
mod pause;
mod peers;
mod policy;
mod publish;
mod response;
mod revoke;
mod roles;
mod routes;
mod serve;
mod sessions;
mod sessions_json;
mod stream;
mod trace;

use std::fmt;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;

pub use access::Token;
pub use cluster::{BusReport, ClusterReport, NodeReport, NodeState, RedisReport};
pub use handover::{HandoverOutlook, HandoverReport};
pub(crate) use item::no_uri;
pub use leaving::Leaving;
pub use log::LogControl;
pub use operators::{
    ConnectionsPage, ConnectionsPageQuestion, NotViewed, OperatorBackend, SessionsPage,
    SessionsQuestion, Viewed,
};
pub use peers::NodeAnswer;
#[cfg(feature = "redis")]
pub(crate) use peers::answer_peer;
pub use policy::AdminPolicy;
pub use publish::ITEMS_MAX;
pub use revoke::{Revocation, RevokeOutcome};
pub use roles::{AdminRole, AdminTokens};
pub(crate) use serve::AdminServer;

use crate::app::call::{Availability, KeptBy, Notice, Topic};
use crate::app::contents::Contents;
use crate::limits::MESSAGE_BYTES_MAX;
use crate::principal::PrincipalId;

/// Bytes of a request's body (413): a thousand items of a thousand bytes. Lines (NDJSON) may be as many as they like.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of an idempotency key: a UUID and a long name.
pub const KEY_BYTES_MAX: usize = 128;

/// What the listener asks of the server behind it. Nothing here may block: the listener's thread has one loop for
/// all that it does.
pub trait PublishBackend {
    /// Whether new clients should be sent here.
    fn availability(&self) -> Availability;

    /// The node drains: new clients go elsewhere, and its streams close spread over a window. It does not end.
    fn drain(&self);

    /// What a principal was given is worth nothing any more. None: nobody is asked who they are.
    fn revoke(&self, whose: Revocation) -> LocalBoxFuture<'_, Option<RevokeOutcome>>;

    /// So much is under way that nothing more should be published now.
    fn is_saturated(&self) -> bool;

    /// The page of what is counted, as text for Prometheus.
    fn metrics(&self) -> String;

    /// Takes an item or says why not. Two items are delivered in the order in which their futures are first polled.
    fn publish(&self, item: PublishItem) -> LocalBoxFuture<'_, PublishOutcome>;
}

/// One thing to publish.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PublishItem {
    pub target: Target,
    /// `None`: only notify. `Some(None)`: take the resource away. `Some(Some(_))`: put it.
    /// Only ever present when all subscribers of a resource are notified.
    pub contents: Option<Option<Contents>>,
    /// Under which this is published once, and nothing else; 1 to [`KEY_BYTES_MAX`] bytes.
    pub key: Option<Arc<str>>,
}

/// Whom an item is for. Clients of the modern era have no session: they get topics only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// Everyone who subscribed to it.
    Topic(Topic),
    /// Those of them that are this principal's.
    Directed(PrincipalId, Topic),
    /// One session.
    Session(SessionName, Notice),
    /// Every session.
    All(Notice),
}

/// What a publisher sent as `Mcp-Session-Id`. Whoever knows it can use the session, so it never shows whole.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SessionName(Box<str>);

impl SessionName {
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for SessionName {
    fn from(name: String) -> Self {
        SessionName(name.into())
    }
}

impl fmt::Debug for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionName(…)")
    }
}

/// What became of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishOutcome {
    Accepted {
        /// Its place in the log; what goes to one session has none.
        offset: Option<u64>,
        /// `None` on a node that is alone, and of what only that node has to know.
        kept: Option<KeptBy>,
    },
    Refused {
        /// One word for programs: `full`, `too_large`, `bad_uri`, ….
        reason: &'static str,
        /// A sentence for people.
        sentence: String,
    },
}

/// Characters of a refusal's sentence: a parser's may quote what was sent.
const SENTENCE_CHARS_MAX: usize = 300;

pub(crate) fn refused(reason: &'static str, sentence: impl Into<String>) -> PublishOutcome {
    let mut sentence: String = sentence.into();
    if let Some((end, _)) = sentence.char_indices().nth(SENTENCE_CHARS_MAX) {
        sentence.truncate(end);
        sentence.push('…');
    }
    PublishOutcome::Refused { reason, sentence }
}
