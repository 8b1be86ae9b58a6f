//! What is told.

use serde_json::Value;

use super::super::Millis;
use super::connection::ConnectionsPortion;
use super::place::{RowPosition, ViewPlace};
use crate::mcp::ProtocolVersion;
use crate::principal::PrincipalId;
use crate::wire::operator_name::OperatorName;

/// One core's answer. Times are by the shard's clock.
#[derive(Clone, Debug)]
pub enum ViewAnswer {
    Rows(RowsPortion),
    Detail(Box<SessionDetail>),
    /// So many ended, and where there may be more.
    Ended {
        count: usize,
        next: Option<ViewPlace>,
    },
    Draining,
    /// The oldest first.
    LastEnded(Vec<EndedRow>),
    Connections(ConnectionsPortion),
    /// So many.
    Subscribers(usize),
    Missing(MissingRow),
}

/// Why nothing was found or done.
#[derive(Clone, Debug)]
pub enum MissingRow {
    /// Ask this core.
    OnCore(u16),
    /// It has ended, so lately that it is known how.
    Ended(Box<EndedRow>),
    /// Nothing is known of it.
    Unknown,
}

/// What a portion gives.
#[derive(Clone, Debug, Default)]
pub struct RowsPortion {
    pub rows: Vec<(RowPosition, SessionRow)>,
    /// How many passed the filter, wherever in the list.
    pub matching: usize,
    pub next: Option<ViewPlace>,
}

/// What a client says of itself. Neither is long: a longer one is cut when it is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientName {
    pub name: Box<str>,
    pub version: Box<str>,
}

impl ClientName {
    /// Of `clientInfo`.
    pub(in crate::shard) fn of(info: &Value) -> ClientName {
        let said = |member: &str| info.get(member).and_then(Value::as_str).unwrap_or_default();
        ClientName {
            name: said("name").into(),
            version: said("version").into(),
        }
    }
}

/// A session, or a listen stream.
#[derive(Clone, Debug)]
pub struct SessionRow {
    pub name: OperatorName,
    pub version: ProtocolVersion,
    /// None: it did not say.
    pub client: Option<ClientName>,
    /// None: nobody is asked who they are.
    pub principal: Option<PrincipalId>,
    pub core: u16,
    pub created_at: Millis,
    pub last_active: Millis,
    /// Streams that are open.
    pub streams: u32,
    /// A stream is open for it, or a call under way.
    pub is_open: bool,
    pub calls: u32,
    /// Lists and resources.
    pub subscriptions: u32,
    /// What it is to be notified of and was not given to the kernel, each topic once.
    pub pending_events: u32,
    /// Of messages that were not written, and of what the kernel has not taken.
    pub pending_bytes: u64,
    /// Since when the kernel has not taken all that is written to it.
    pub blocked_since: Option<Millis>,
    /// Of its client, the one that opened it included. Notifications and answers are none, nor are GET and DELETE.
    pub requests: u32,
    /// Events that were written to it.
    pub events: u32,
    /// Whether another node could go on with it. None: it is no session.
    pub portable: Option<Portability>,
    /// Of a session that was taken over. None: it was opened here.
    pub adopted: Option<AdoptedRow>,
}

/// Whether another node could go on with a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Portability {
    Portable,
    /// Sessions of this node, or of its application, are not taken over.
    Off,
    /// It is one of HTTP+SSE, and ends with its stream.
    HttpSse,
    /// It has more subscriptions than a record may have.
    TooLarge,
}

impl Portability {
    /// Why not, in a word for programs.
    #[must_use]
    pub const fn obstacle(self) -> Option<&'static str> {
        match self {
            Portability::Portable => None,
            Portability::Off => Some("off"),
            Portability::HttpSse => Some("http_sse"),
            Portability::TooLarge => Some("too_large"),
        }
    }
}

/// What is known of a session's time at other nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdoptedRow {
    /// How often it was taken over.
    pub fence: u64,
    /// When it was opened, in Unix milliseconds. 0: nobody knows.
    pub created_at: u64,
}

/// One of them, with what is open for it.
#[derive(Clone, Debug)]
pub struct SessionDetail {
    pub row: SessionRow,
    /// Lists by name, and resources as they are published; the first of them.
    pub subscriptions: Vec<Box<str>>,
    pub streams: Vec<StreamDetail>,
    /// Of the client's `logging/setLevel`, 0 debug … 7 emergency. None: it has no such thing.
    pub log_level: Option<u8>,
    /// The last ones, the oldest first.
    pub last_errors: Vec<LastError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    Get,
    Post,
    Listen,
}

impl StreamKind {
    /// One word for programs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            StreamKind::Get => "get",
            StreamKind::Post => "post",
            StreamKind::Listen => "listen",
        }
    }
}

#[derive(Clone, Debug)]
pub struct StreamDetail {
    pub kind: StreamKind,
    /// A connection takes what is written to it.
    pub is_open: bool,
    pub queued_events: u32,
    pub queued_bytes: u64,
    /// Since when its client has not had it, if it had it before.
    pub closed_at: Option<Millis>,
}

/// A request of it that was answered with an error.
#[derive(Clone, Debug)]
pub struct LastError {
    pub at: Millis,
    /// None: that of the answer to a call.
    pub method: Option<Box<str>>,
    pub code: i32,
    /// Its beginning.
    pub message: Box<str>,
}

/// A session or listen stream that is over.
#[derive(Clone, Debug)]
pub struct EndedRow {
    pub name: OperatorName,
    pub version: ProtocolVersion,
    pub client: Option<ClientName>,
    pub principal: Option<PrincipalId>,
    pub created_at: Millis,
    pub ended_at: Millis,
    pub reason: EndReason,
    pub requests: u32,
    pub events: u32,
}

/// Why a session or listen stream is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// Its client deleted it.
    Deleted,
    /// Nothing came from its client for too long.
    Idle,
    /// It was idle, and another session needed its place.
    Evicted,
    /// An operator ended it.
    Operator,
    /// The node ends.
    NodeEnds,
    /// An operator sent its client elsewhere, or the whole node does.
    Draining,
    /// The client closed, or its network did.
    PeerLeft,
    /// Its client did not read what was written.
    SlowReader,
    TokenExpired,
    TokenRevoked,
    NoLongerAllowed,
    /// The node's budget was short, and it held most of it.
    OutOfMemory,
    /// Another node has it now: nothing ended for its client.
    TakenOver,
}

impl EndReason {
    /// A test sees to it that none is missing.
    pub(in crate::shard) const ALL: [EndReason; 13] = [
        EndReason::Deleted,
        EndReason::Idle,
        EndReason::Evicted,
        EndReason::Operator,
        EndReason::NodeEnds,
        EndReason::Draining,
        EndReason::PeerLeft,
        EndReason::SlowReader,
        EndReason::TokenExpired,
        EndReason::TokenRevoked,
        EndReason::NoLongerAllowed,
        EndReason::OutOfMemory,
        EndReason::TakenOver,
    ];

    /// By its [`word`](EndReason::word).
    pub(in crate::shard) fn of_word(word: &str) -> Option<EndReason> {
        EndReason::ALL.into_iter().find(|it| it.word() == word)
    }

    /// One word for programs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            EndReason::Deleted => "deleted",
            EndReason::Idle => "idle",
            EndReason::Evicted => "evicted",
            EndReason::Operator => "operator",
            EndReason::NodeEnds => "node_ends",
            EndReason::Draining => "draining",
            EndReason::PeerLeft => "peer_left",
            EndReason::SlowReader => "slow_reader",
            EndReason::TokenExpired => "token_expired",
            EndReason::TokenRevoked => "token_revoked",
            EndReason::NoLongerAllowed => "no_longer_allowed",
            EndReason::OutOfMemory => "out_of_memory",
            EndReason::TakenOver => "taken_over",
        }
    }

    /// A sentence for people, of what it was.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            EndReason::Deleted => "its client deleted it",
            EndReason::Idle => "nothing came from its client for too long",
            EndReason::Evicted => "it was idle, and another session needed its place",
            EndReason::Operator => "an operator ended it",
            EndReason::NodeEnds => "the node ends",
            EndReason::Draining => "its client was sent to come back elsewhere",
            EndReason::PeerLeft => "its client left, or the network between broke",
            EndReason::SlowReader => "its client did not read what was written to it",
            EndReason::TokenExpired => "the token by which it was opened is over",
            EndReason::TokenRevoked => "the token by which it was opened was taken back",
            EndReason::NoLongerAllowed => "its client may not hear any more what it was for",
            EndReason::OutOfMemory => {
                "the node's memory was short, and it held most of it for longest"
            }
            EndReason::TakenOver => "it goes on at another node",
        }
    }
}
