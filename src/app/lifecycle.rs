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
    pub id: SessionId,
    pub version: ProtocolVersion,
    /// As [`Context::client_info`](super::Context::client_info) has it.
    pub client_info: Option<Arc<Value>>,
    /// As [`Context::client_capabilities`](super::Context::client_capabilities) has them.
    pub client_capabilities: Arc<Value>,
    /// As [`Caller::address`](super::Caller::address).
    pub address: Option<IpAddr>,
}

impl OpenedSession {
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
    /// The node ends, or drains. The client opens a new one, here or elsewhere.
    NodeEnds,
}

/// Who is subscribed to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Subscriber {
    Session(SessionId),
    /// The stream of a `subscriptions/listen` (2026-07-28), by a number that this core gives to no other.
    Stream(u64),
}

/// One of these, as the engine tells it to a [`Handler`](super::call::Handler).
#[derive(Clone, Debug)]
pub enum Lifecycle {
    Opened(OpenedSession),
    Ended(SessionId, SessionEnd),
    Subscribed(Rc<str>, Subscriber),
    Unsubscribed(Rc<str>, Subscriber),
}
