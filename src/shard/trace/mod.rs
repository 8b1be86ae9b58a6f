//! Watching one: what a session or a principal asks and is sent, as it happens, for an operator who looks on.
//!
//! The wire has the table ([`Traces`]), since all that is asked and sent crosses it there. While nobody watches there is none,
//! and each place that would tell something looks at one pointer. What is watched is known by exchange: the engine says with a
//! request whose it is, the wire then notes what becomes of the exchange by itself.
//!
//! **All cores know every watch.** So nothing of it has to travel: a session that goes on in another core is watched there from
//! the moment it arrives, and a principal's sessions wherever they open.
//!
//! Whoever watches is never waited for: what finds no room is counted, and told as missed.

mod driven;
mod mask;
mod messages;
mod search;
mod table;

use std::fmt;

use super::view::StreamKind;
use super::wheel::Millis;
use crate::principal::PrincipalId;
use crate::wire::operator_name::OperatorName;

pub(super) use self::mask::TraceMask;
pub(super) use self::messages::AskedMessage;
pub(super) use self::search::{SearchedPart, TraceSearch};
pub(super) use self::table::{DELETE, GET, Traces};

/// One who watches, of all that ever did on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId(pub u64);

/// Whether whoever is to be watched is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceBegun {
    /// And found.
    Here,
    /// Nobody here is called so.
    NotHere,
    /// It is not known yet what a principal has open: [`Shard::search_for_trace`](super::Shard::search_for_trace) goes on with that.
    Searching,
}

/// Who is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TraceTarget {
    /// A session, or a listen stream.
    Named(OperatorName),
    Principal(PrincipalId),
}

/// Somebody wants to watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceWish {
    pub id: TraceId,
    pub target: TraceTarget,
    /// What messages say, too.
    pub with_contents: bool,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceKind {
    /// The client sent a message, or asked for something without one (GET, DELETE).
    Request,
    /// A request was answered, or never will be.
    Answer,
    /// The client was sent something that answers nothing: a notification, or a question.
    Event,
    /// A stream opened or closed.
    Stream,
    /// The session is over, or the listen stream that was watched.
    End,
}

/// One thing that happened, with what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceEvent {
    pub kind: TraceKind,
    /// By the shard's clock.
    pub at: Millis,
    /// The session's name for operators, or the listen stream's. None: a request that stands alone.
    pub name: Option<Box<str>>,
    pub method: Option<Box<str>>,
    /// As JSON.
    pub id: Option<Box<str>>,
    /// Of HTTP.
    pub status: Option<u16>,
    /// Of JSON-RPC: the answer is an error.
    pub code: Option<i64>,
    /// From the request, or the opening, to this.
    pub duration_ms: Option<Millis>,
    /// Of the message.
    pub bytes: Option<usize>,
    /// A list's name, or a resource's URI.
    pub topic: Option<Box<str>>,
    pub stream: Option<StreamKind>,
    /// Of a stream: it has opened.
    pub is_open: bool,
    /// Why it closed, ended, or is not answered.
    pub reason: Option<&'static str>,
    /// What the message says, cut after [`TRACE_CONTENTS_BYTES_MAX`](crate::limits::TRACE_CONTENTS_BYTES_MAX).
    pub contents: Option<Box<str>>,
}

/// What whoever watches is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Traced {
    Event {
        to: Vec<TraceId>,
        event: TraceEvent,
    },
    /// So many events found no room on this core.
    Missed {
        to: TraceId,
        count: u64,
    },
}

/// What an event takes beside its texts.
const EVENT_BYTES: usize = size_of::<TraceEvent>() + 64;

/// As the log has it, and whoever reads it asks for it.
impl fmt::Display for TraceTarget {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TraceTarget::Named(name) => name.fmt(out),
            TraceTarget::Principal(id) => id.fmt(out),
        }
    }
}

impl TraceKind {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            TraceKind::Request => "request",
            TraceKind::Answer => "answer",
            TraceKind::Event => "event",
            TraceKind::Stream => "stream",
            TraceKind::End => "end",
        }
    }
}

impl TraceEvent {
    pub(crate) fn new(kind: TraceKind, at: Millis) -> TraceEvent {
        TraceEvent {
            kind,
            at,
            name: None,
            method: None,
            id: None,
            status: None,
            code: None,
            duration_ms: None,
            bytes: None,
            topic: None,
            stream: None,
            is_open: false,
            reason: None,
            contents: None,
        }
    }

    /// What it takes while it waits.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let texts = [
            &self.name,
            &self.method,
            &self.id,
            &self.topic,
            &self.contents,
        ];
        let texts = texts.into_iter().flatten().map(|it| it.len());
        EVENT_BYTES + texts.sum::<usize>()
    }
}
