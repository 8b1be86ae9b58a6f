//! The seam between the two halves of a shard: what the engine asks of a wire, what a wire asks of the engine, and
//! what a wire says of the exchanges that it carries. Neither half knows a field or a state of the other.
//!
//! An exchange is a request and its answer. The engine names it by a key that it cannot look into. With it the wire keeps
//! a value of the engine's, its owner, that the wire cannot look into, and gives it back with whatever happens. So a
//! wire knows nothing of sessions, streams and calls, and the engine does not know which wire it speaks on.
//!
//! ```text
//!           next_request                 Request                answer, open_stream, emit_events, …
//! bytes ──▶    wire      ──▶  shard  ──▶   engine   ──▶ Wire ──▶   wire   ──▶ bytes
//!                        ExchangeEvent (lost, writable, quiet, input ended)
//! ```

use std::net::IpAddr;
use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::arena::Key;
use super::fields::RequestFields;
use super::messages::{error_message, result_message};
use super::refused::Refused;
use super::trace::Traces;
use super::wheel::Millis;
use crate::clients::Client;
use crate::mcp::RpcError;
use crate::principal::{Identity, PrincipalId};

/// Of whose keys [`ConnectionKey`] is one.
pub enum OfConnection {}

pub type ConnectionKey = Key<OfConnection>;

/// One request and its answer. HTTP/1.1 has one at a time on a connection, so they share a name; once it is answered
/// and the connection has its next request, or is gone, nothing is owned by the exchange before.
pub(super) type Exchange = ConnectionKey;

/// Whose an answer was. Like an owner, and for longer: until the answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct AnswerOwner {
    index: u32,
    generation: u32,
}

impl<T> From<Key<T>> for AnswerOwner {
    fn from(key: Key<T>) -> AnswerOwner {
        AnswerOwner {
            index: key.index,
            generation: key.generation,
        }
    }
}

impl AnswerOwner {
    /// As it was taken apart before.
    pub(super) fn from_parts(index: u32, generation: u32) -> AnswerOwner {
        AnswerOwner { index, generation }
    }

    /// Index and generation.
    pub(super) fn parts(self) -> (u32, u32) {
        (self.index, self.generation)
    }

    /// For whoever made it of such a key.
    pub(super) fn key<T>(self) -> Key<T> {
        Key::from_parts(self.index, self.generation)
    }
}

/// Why the server ended a connection, for logs and counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The client closed, or its network did.
    PeerLeft,
    /// `Connection: close`, HTTP/1.0, or an answer that ends the conversation.
    Answered,
    /// No request for too long.
    Idle,
    /// Nothing was read of what was written.
    WriteStalled,
    /// More targeted messages than a stream may queue.
    SlowReader,
    /// The node drains.
    Draining,
    /// The node's budget is short, and this connection held most of it for longest.
    OutOfMemory,
    /// The token by which its stream was opened is over, and so is the grace after it.
    TokenExpired,
    /// It was taken back, by an operator or with the token file.
    TokenRevoked,
    /// Its client may not hear any more what its stream was opened for.
    NoLongerAllowed,
    /// An operator ended it.
    Operator,
}

impl Closed {
    /// As a label has it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Closed::PeerLeft => "peer_left",
            Closed::Answered => "answered",
            Closed::Idle => "idle",
            Closed::WriteStalled => "write_stalled",
            Closed::SlowReader => "slow_reader",
            Closed::Draining => "draining",
            Closed::OutOfMemory => "out_of_memory",
            Closed::TokenExpired => "token_expired",
            Closed::TokenRevoked => "token_revoked",
            Closed::NoLongerAllowed => "no_longer_allowed",
            Closed::Operator => "operator",
        }
    }
}

/// One request as the engine has it: admitted, and complete.
pub(super) struct Request<'a, W> {
    pub(super) exchange: Exchange,
    pub(super) method: EndpointMethod,
    /// Whose it is, for the limits of one client.
    pub(super) client: Option<Client>,
    /// Who asks. None: nobody is asked who they are.
    pub(super) identity: Option<Rc<Identity>>,
    /// Where it comes from, also if that is not its client.
    pub(super) address: Option<IpAddr>,
    /// What somebody found out about it, if it waited for that.
    pub(super) word: Option<W>,
    pub(super) fields: RequestFields<'a>,
    /// Empty if it was looked at elsewhere.
    pub(super) body: &'a [u8],
}

impl<W> Request<'_, W> {
    /// What all that it opens is bound to.
    pub(super) fn principal(&self) -> Option<PrincipalId> {
        self.identity.as_ref().map(|it| it.id())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndpointMethod {
    Post,
    Get,
    Delete,
}

/// What the engine asks of the wire that a request came by. `O` owns exchanges. An exchange that is over takes
/// everything and does nothing, so nobody has to ask before.
pub(super) trait Wire<O> {
    /// How events are framed on a stream.
    type Frame: Copy;

    /// Answers with a body of JSON, or nothing if it is empty, unless `fields` have another type. The exchange is over.
    fn answer(&mut self, exchange: Exchange, status: u16, fields: &[(&str, &str)], body: &[u8]);

    /// The answer comes later; until then the exchange is this owner's.
    fn expect_answer(&mut self, exchange: Exchange, owner: O);

    /// Begins an answer of `text/event-stream`.
    fn open_stream(&mut self, exchange: Exchange);

    /// The stream on this exchange is another owner's from now on.
    fn set_owner(&mut self, exchange: Exchange, owner: O);

    /// Whole events, or comments, for the stream of this exchange.
    fn emit_events(&mut self, exchange: Exchange, events: &[u8]);

    /// The stream is whole. The exchange is over.
    fn end_stream(&mut self, exchange: Exchange);

    /// Ends the exchange at once, and what it came by. Its owner is not notified: whoever calls this knows.
    fn abort(&mut self, exchange: Exchange, reason: Closed);

    /// What this exchange came by ends with it.
    fn end_after_answer(&mut self, exchange: Exchange);

    /// From here on to its end the exchange counts among the streams of its client.
    ///
    /// # Errors
    /// 429: the client has as many as it may.
    fn count_stream(&mut self, exchange: Exchange) -> Result<(), Refused>;

    /// What is emitted now leaves at once.
    fn may_write(&self, exchange: Exchange) -> bool;

    /// The wire lets the answer wait for a moment before it begins.
    fn is_held(&self, exchange: Exchange) -> bool;

    /// Such a moment is over now.
    fn begin_held(&mut self, exchange: Exchange);

    /// Starts a write of its own for this exchange's stream, with what waited for it before. None: not now, and its
    /// owner is notified when. If the driver writes not all of it, [`Shard::handle_written`](super::Shard::handle_written)
    /// says so.
    fn begin_write(&mut self, exchange: Exchange, bytes: &mut Vec<u8>) -> Option<Self::Frame>;

    /// Whole events, for such a write.
    fn emit_frame(frame: Self::Frame, events: &[u8], bytes: &mut Vec<u8>);

    /// Ends exchanges that have held something of the node's memory for long, until so much is free. True: it is.
    fn end_slow(&mut self, bytes: usize) -> bool;

    /// Those who watch somebody. None: nobody does, as nearly always.
    fn traces(&mut self) -> Option<&mut Traces> {
        None
    }

    /// What was emitted on the stream of this exchange and has not left.
    fn unwritten(&self, exchange: Exchange) -> Unwritten;

    /// The exchange that was just answered as a whole was this one's.
    fn answered_for(&mut self, _exchange: Exchange, _asker: AnswerOwner) {}

    /// What the kernel has not taken of such answers.
    fn unread_by(&self, _asker: AnswerOwner) -> Unwritten {
        Unwritten::default()
    }

    /// Answers `{"jsonrpc":"2.0","id":…,"result":…}`.
    fn answer_result(
        &mut self,
        exchange: Exchange,
        id: &str,
        result: &str,
        fields: &[(&str, &str)],
    ) {
        self.answer(exchange, 200, fields, &result_message(id, result));
    }

    fn answer_error(
        &mut self,
        exchange: Exchange,
        status: u16,
        id: Option<&str>,
        error: &RpcError,
    ) {
        self.answer(exchange, status, &[], &error_message(id, error));
    }

    fn refuse(&mut self, exchange: Exchange, id: Option<&str>, refused: &Refused) {
        refused.with_fields(|fields| {
            self.answer(
                exchange,
                refused.status,
                fields,
                &error_message(id, &refused.error),
            );
        });
    }
}

/// What is on its way to a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unwritten {
    pub(super) bytes: usize,
    /// Since when the kernel has not taken all of a write.
    pub(super) blocked_since: Option<Millis>,
}

/// A connection as operators see it, before the engine says whose it is.
pub(super) struct SeenExchange<O> {
    pub(super) key: Exchange,
    pub(super) peer: Option<Client>,
    pub(super) client: Option<Client>,
    pub(super) unwritten: Unwritten,
    /// Of the request that is served.
    pub(super) owner: Option<O>,
    /// Of the answer before.
    pub(super) asker: Option<AnswerOwner>,
    pub(super) is_stream: bool,
}

/// What a wire asks of the engine while a request arrives.
pub(super) trait UpperLayer {
    /// Owns exchanges.
    type Owner: Copy;
    /// What is known of a request that waited ([`Destination::Elsewhere`]). It can be written down.
    type Word: Copy + Serialize + DeserializeOwned;

    /// What such a request is served with if nobody says a word in time.
    const NO_WORD: Self::Word;

    /// Where a request is to be served.
    fn place(&self, fields: &RequestFields<'_>) -> Destination;

    /// Somebody is to find out about the request; it waits until the wire is told a word.
    fn ask(&mut self, exchange: Exchange, fields: &RequestFields<'_>);

    /// Whether there is any sense in the large body of a POST, as far as its head says.
    ///
    /// # Errors
    /// What it would be answered.
    fn foresee(
        &mut self,
        word: Option<Self::Word>,
        principal: Option<PrincipalId>,
        client: Option<Client>,
        fields: &RequestFields<'_>,
    ) -> Result<(), Refused>;

    /// Lets go of what is kept only for clients that may come back, until so much is free. True: it is.
    fn drop_kept(&mut self, bytes: usize) -> bool;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Destination {
    Here,
    /// On this core: its connection moves there.
    Core(u16),
    /// Perhaps on another node: somebody has to ask first.
    Elsewhere,
}

/// What became of an exchange, for its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ExchangeEvent<O> {
    pub(super) exchange: Exchange,
    pub(super) owner: O,
    pub(super) what: ExchangeChange,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExchangeChange {
    /// It is over, and its client has not got all of the answer.
    Lost(Closed),
    /// All that was emitted on its stream is with the kernel.
    Writable,
    /// Nothing was written for so long that a proxy might give up on it.
    Quiet,
    /// The client sends nothing more: it may read on, or be gone. The next bytes will tell.
    InputEnded,
}
