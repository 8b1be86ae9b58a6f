//! What happens to sessions and subscriptions, for an application that keeps something for them.
//!
//! Events of one core come in their order: a session opens before its first call, and a subscription of it ends
//! before the session does. URIs are in the application's own spelling. A client that subscribed by two spellings of one URI
//! causes two events. Whatever ends has begun: each `subscribed` has its `unsubscribed`, each opening its end.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value;

use crate::mcp::ProtocolVersion;
use crate::wire::session_id::SessionId;

/// A session that `initialize` has opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OpenedSession {
    /// Its id, the same in every [`Caller`](super::Caller) of it.
    pub id: SessionId,
    /// The revision that `initialize` settled on.
    pub version: ProtocolVersion,
    /// As [`Context::client_info`](super::Context::client_info) has it.
    pub client_info: Option<Arc<Value>>,
    /// As [`Context::client_capabilities`](super::Context::client_capabilities) has them.
    pub client_capabilities: Arc<Value>,
    /// As [`Caller::address`](super::Caller::address).
    pub address: Option<IpAddr>,
}

impl OpenedSession {
    /// For tests of an application, and for engines other than ours.
    #[must_use]
    pub fn new(
        id: SessionId,
        version: ProtocolVersion,
        client_info: Option<Arc<Value>>,
        client_capabilities: Arc<Value>,
        address: Option<IpAddr>,
    ) -> Self {
        OpenedSession {
            id,
            version,
            client_info,
            client_capabilities,
            address,
        }
    }
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SessionEnd {
    /// Its client deleted it.
    Deleted,
    /// Nothing came from its client for too long.
    Idle,
    /// It was idle, and another session needed its place.
    MadeRoom,
    /// Its stream is over, for whatever reason: a session of 2024-11-05 is no longer than that.
    Left,
    /// An operator ended it.
    Operator,
    /// The node ends, or drains. The client opens a new one, here or elsewhere.
    NodeEnds,
    /// It goes on at another node: nothing is over for its client.
    TakenOver,
}

impl SessionEnd {
    /// In a word, as metrics have it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            SessionEnd::Deleted => "deleted",
            SessionEnd::Idle => "idle",
            SessionEnd::MadeRoom => "evicted",
            SessionEnd::Left => "peer_left",
            SessionEnd::Operator => "operator",
            SessionEnd::NodeEnds => "node_ends",
            SessionEnd::TakenOver => "taken_over",
        }
    }
}

/// Who is subscribed to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Subscriber {
    /// All streams of a session (2025-11-25 and earlier).
    Session(SessionId),
    /// The stream of a `subscriptions/listen` (2026-07-28), by a number that this core gives to no other.
    Stream(u64),
}

/// One of these, as the engine gives it to a [`Handler`](super::call::Handler).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Lifecycle {
    /// `initialize` was answered.
    Opened(OpenedSession),
    /// The session is over: no call of it comes any more.
    Ended(SessionId, SessionEnd),
    /// Somebody subscribed to the resource at this URI.
    Subscribed(Rc<str>, Subscriber),
    /// It is over: by `resources/unsubscribe`, or since the session or the stream has ended.
    Unsubscribed(Rc<str>, Subscriber),
}
