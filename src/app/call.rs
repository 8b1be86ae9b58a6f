//! The seam between the engine and an application: a [`Call`] goes out, an [`Outcome`] comes back, and what
//! happens in between goes through a [`Link`].
//!
//! The engine has checked the envelope of a call (version, headers, `_meta`) before it hands it over; what is in
//! `params` beyond `_meta` is the application's to check. The engine frames the outcome for the call's era.
//! Most applications see none of this: `Context` wraps a `Link`, the `App` trait wraps `Call` and `Outcome`.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

pub(crate) use super::caller::ReadFields;
pub use super::caller::{Caller, Headers};
use super::contents::{Change, Contents};
pub use super::lifecycle::{Lifecycle, OpenedSession, SessionEnd, Subscriber};
pub(crate) use super::notice::NoMessage;
pub use super::notice::Notice;
pub use super::topic::Topic;
pub(crate) use super::topic::{LIST_NAMES, LISTS, NO_LIST, RESOURCE, TopicKind};
use crate::limits::{LOOK_ON_CORE_BYTES_MAX, TREE_ON_CORE_BYTES_MAX};
use crate::mcp::{Era, ProtocolVersion, RpcError, RpcMethod};
use crate::principal::PrincipalId;
use crate::wire::trace_context::TraceContext;
use crate::wire::uri::{NotAUri, normal};

/// One request for the application: everything but ping, initialize, subscriptions and the like.
#[derive(Clone, Debug)]
pub struct Call {
    /// The revision that the client speaks.
    pub version: ProtocolVersion,
    /// `tools/call`, `resources/list`, …, or the method of an extension.
    pub method: Cow<'static, str>,
    /// The params object as it was sent, `_meta`, `inputResponses` and `requestState` included.
    pub params: Option<Box<RawValue>>,
    /// What the client declared: at `initialize` (legacy) or in this request's `_meta` (modern). An object: what MCP
    /// names, without anything further in it, and `extensions` and `experimental` with settings of 4 KiB at most.
    pub client_capabilities: Arc<Value>,
    /// `name`, `title` and `version` of `clientInfo`, 128 bytes of each, from the same places. An object, if it was
    /// sent.
    pub client_info: Option<Arc<Value>>,
    /// Bytes that a tree of the whole request would take, about.
    pub tree_bytes: usize,
    /// Who sent it.
    pub caller: Caller,
}

impl Call {
    /// The name of a method, without memory for one that MCP names.
    #[must_use]
    pub(crate) fn method_of(name: &str) -> Cow<'static, str> {
        Call::method_known(RpcMethod::of(name), name)
    }

    /// The same of one that was looked up.
    #[must_use]
    pub(crate) fn method_known(known: Option<RpcMethod>, name: &str) -> Cow<'static, str> {
        match known {
            Some(known) => known.name().into(),
            None => name.to_owned().into(),
        }
    }

    /// Whether the client has a session (legacy) or sends its metadata with every request (modern).
    #[must_use]
    pub fn era(&self) -> Era {
        self.version.era()
    }

    /// Whose it is.
    pub(super) fn principal(&self) -> Option<PrincipalId> {
        self.caller.identity.as_ref().map(|it| it.id())
    }

    /// Whether reading the params would stall the core.
    pub(super) fn is_large(&self) -> bool {
        let text_bytes = self.params.as_ref().map_or(0, |params| params.get().len());
        text_bytes > LOOK_ON_CORE_BYTES_MAX || self.tree_bytes > TREE_ON_CORE_BYTES_MAX
    }
}

/// How a call ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The result, an object in JSON, without `resultType` and caching hints unless they are not the default ones:
    /// the engine adds `"resultType":"complete"` and `serverInfo` in the modern era. `caching` hints are added in
    /// the modern era only.
    Result {
        /// The result, an object.
        json: String,
        /// How long clients may keep it. None: as the revision has it by default.
        caching: Option<Caching>,
    },
    /// A modern result that names its own `resultType` (`input_required`, `task`): an object in JSON, complete.
    Other {
        /// The result, an object with its `resultType`.
        json: String,
    },
    /// A JSON-RPC error in place of a result.
    Error(RpcError),
    /// The client's access token is not good for this, and one with these scopes is (spaces between them). The answer is
    /// 403 with a challenge that names them, and the JSON-RPC error alone where something was sent before.
    MissingScope {
        /// All that it takes.
        scopes: String,
    },
}

/// `ttlMs` and `cacheScope` of a modern list or read result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caching {
    /// For so many milliseconds it need not be asked for again.
    pub ttl_ms: u64,
    /// `true`: any client or proxy may share it.
    pub public: bool,
}

/// What an asked client answered, or why there is no answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum AskFailed {
    /// The client answered with a JSON-RPC error.
    Error(RpcError),
    /// No answer within the time limit.
    TimedOut,
    /// Too much is waiting for the client already: it was not asked.
    NotSent,
    /// The session ended meanwhile.
    SessionClosed,
}

/// Why a session was not notified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotifyRefused {
    /// Not a session id that this server gave out.
    Unknown,
    /// It was deleted, or idle for too long.
    Expired,
    /// It belonged to an earlier process of this node.
    OwnerRestarted,
    /// It is another node's.
    OtherNode,
    /// More is waiting for this session than may wait.
    Full,
    /// The node is ending, or too busy.
    Busy,
}

/// Why work on the blocking pool has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WorkLost {
    /// It panicked.
    Panicked,
    /// It was not begun: as much waits for a thread as may wait.
    TooMuchWaits,
}

/// The engine as one running call sees it. Nothing here blocks.
///
/// An application meets it as its [`Context`](super::Context), and has no reason to implement it:
/// [`testing`](crate::testing) has one without a network. A [`Handler`] of one's own speaks to it directly:
///
/// ```
/// use pinfold::app::call::Link;
///
/// fn half_done(link: &dyn Link, token: &str) {
///     link.notify("notifications/progress", &format!(r#"{{"progressToken":{token},"progress":0.5}}"#));
/// }
/// ```
pub trait Link {
    /// Sends a notification that belongs to this call (`notifications/progress`), `params` an object in JSON.
    fn notify(&self, method: &str, params: &str);

    /// Sends `notifications/message` if the client wants messages of this level (0 debug … 7 emergency).
    fn log(&self, level: u8, params: &str);

    /// Legacy only: sends a request to the client on this call's stream and resolves with the `result` it
    /// answers. The engine chooses the id and keeps the time limit.
    fn ask(
        &self,
        method: &str,
        params: &str,
    ) -> LocalBoxFuture<'static, Result<Box<RawValue>, AskFailed>>;

    /// The other end of the connection on which the call's client waits. `None`: it is gone, or there is no network.
    fn peer(&self) -> Option<SocketAddr> {
        None
    }

    /// The trace that the call goes on with, where its request is of this one: its own span, if the engine records spans.
    /// Asked once, before anything is done.
    fn trace_context(&self, sent: Option<TraceContext>) -> Option<TraceContext> {
        sent
    }

    /// Legacy since 2025-11-25: ends the response stream before the result; the client comes back for it with
    /// `Last-Event-ID`. Without effect in other revisions.
    fn close_stream(&self);

    /// Tells every subscriber of a topic, on all cores, that it changed.
    fn publish(&self, topic: Topic);

    /// Tells one principal's subscribers of a topic, and nobody else.
    fn publish_to(&self, principal: PrincipalId, topic: Topic);

    /// Tells what a write to this process's [`ContentStore`](super::contents::ContentStore) changed. An engine
    /// with other nodes carries the contents there too; `None` is a resource taken away.
    fn publish_contents(&self, uri: &str, contents: Option<&Contents>, change: Change) {
        let _ = contents;
        if change.contents {
            self.publish(Topic::Resource(uri.into()));
        }
        if change.list {
            self.publish(Topic::Resources);
        }
    }

    /// Seals (encrypts and signs) what a modern client is to bring back as `requestState`.
    fn seal(&self, plain: &[u8]) -> String;

    /// Opens a `requestState` from [`seal`](Link::seal); `None` if it was not sealed by this server.
    fn unseal(&self, sealed: &str) -> Option<Vec<u8>>;

    /// Milliseconds since the Unix epoch.
    fn unix_ms(&self) -> u64;

    /// Sleeps; the only clock an application gets from the engine.
    fn sleep_ms(&self, ms: u64) -> LocalBoxFuture<'static, ()>;

    /// Runs work that would stall the core on the blocking pool; resolves when it is done, or why it is not. Work that
    /// has not begun when the future is dropped is not run.
    fn run_blocking(
        &self,
        work: Box<dyn FnOnce() + Send>,
    ) -> LocalBoxFuture<'static, Result<(), WorkLost>>;

    /// Runs work on this core that outlives the call. What it does with this link afterwards still has its
    /// effect, except on the call's stream, which is gone.
    fn spawn(&self, work: LocalBoxFuture<'static, ()>);
}

/// An application with its types erased: what one core of the engine holds. [`handler`](super::handler) makes one of an
/// [`App`](super::App); implement it for what is no application in that sense, such as a proxy:
///
/// ```
/// use std::rc::Rc;
///
/// use futures_util::future::{LocalBoxFuture, ready};
/// use pinfold::app::call::{Call, Handler, Link, Outcome, ServerInfoJson};
/// use pinfold::mcp::RpcError;
/// use pinfold::testing::TestServer;
/// use serde_json::json;
///
/// /// Says which method it was asked for.
/// struct Echo;
///
/// impl Handler for Echo {
///     fn server_info(&self) -> ServerInfoJson {
///         ServerInfoJson {
///             implementation: json!({"name": "echo", "version": "1.0.0"}),
///             instructions: None,
///             legacy_capabilities: json!({"tools": {}}),
///             modern_capabilities: json!({"tools": {}}),
///             sees_credentials: false,
///             portable_sessions: false,
///         }
///     }
///
///     fn call(self: Rc<Self>, call: Call, _: Rc<dyn Link>) -> LocalBoxFuture<'static, Outcome> {
///         let outcome = match &*call.method {
///             "tools/list" => Outcome::Result { json: r#"{"tools":[]}"#.into(), caching: None },
///             other => Outcome::Error(RpcError::method_not_found(other)),
///         };
///         Box::pin(ready(outcome))
///     }
/// }
///
/// let server = TestServer::of(Rc::new(Echo));
/// assert!(server.modern().list_tools().unwrap().is_empty());
/// assert!(server.legacy().call_tool("any", json!({})).is_err());
/// ```
pub trait Handler {
    /// What the server says of itself, fixed at start.
    fn server_info(&self) -> ServerInfoJson;

    /// The spelling by which the application calls this URI.
    ///
    /// # Errors
    /// [`NotAUri`]
    fn own_uri(&self, uri: &str) -> Result<Box<str>, NotAUri> {
        Ok(normal(uri)?.into())
    }

    /// Whether a client may subscribe to this URI, which need not exist yet, and is in the application's own spelling.
    fn accepts_subscription(&self, uri: &str) -> bool {
        let _ = uri;
        true
    }

    /// What happened to a session or a subscription of this core. Called on the core's thread, which waits for it.
    fn on_lifecycle(&self, event: &Lifecycle) {
        let _ = event;
    }

    /// Serves one call. A legacy `notifications/cancelled` or a modern client's disconnect drops the future.
    fn call(self: Rc<Self>, call: Call, link: Rc<dyn Link>) -> LocalBoxFuture<'static, Outcome>;
}

/// [`ServerInfo`](super::ServerInfo) as JSON: `initialize` and `server/discover` answer with this.
#[derive(Clone, Debug)]
pub struct ServerInfoJson {
    /// `serverInfo`: name, version, title …; an object.
    pub implementation: Value,
    /// How a model should use this server.
    pub instructions: Option<String>,
    /// `capabilities` as declared to legacy clients; an object.
    pub legacy_capabilities: Value,
    /// `capabilities` as declared to modern clients, extensions included; an object.
    pub modern_capabilities: Value,
    /// Whether handlers see `Authorization` and the like among a request's [`Headers`].
    pub sees_credentials: bool,
    /// Whether a session may go on in another process than the one that opened it.
    pub portable_sessions: bool,
}

/// Whether new clients should come to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Availability {
    /// They are welcome.
    Ready,
    /// They may, and find a board without what other nodes have: it was waited for long enough.
    WithoutBoard,
    /// The board that it shares with other nodes is not read yet.
    Loading,
    /// A thread of it hangs, or is gone.
    Impaired,
    /// It drains.
    Leaving,
}

impl Availability {
    /// Whether a proxy should send clients here (`GET /readyz` answers 200).
    #[must_use]
    pub const fn takes_clients(self) -> bool {
        matches!(self, Availability::Ready | Availability::WithoutBoard)
    }

    /// For whoever asks `/readyz`.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Availability::Ready => "ready",
            Availability::WithoutBoard => {
                "ready, without what other nodes have on their boards: Redis has not shown it yet"
            }
            Availability::Loading => "not ready: reading the board from Redis",
            Availability::Impaired => {
                "not ready: a thread of the node hangs or is gone (its log says which)"
            }
            Availability::Leaving => "not ready: shutting down or draining",
        }
    }
}

/// Who has what was published, and has to live for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeptBy {
    /// The log and the board that all nodes share.
    Cluster,
    /// This node alone, until it reaches the others.
    Node,
}
