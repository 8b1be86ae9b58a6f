//! One TCP connection as the wire sees it: what it expects next, bytes that are not understood yet, bytes that
//! are not written yet. An idle connection holds no buffer.
//!
//! ```text
//! ExpectHead ──head──▶ ExpectBody ──body──▶ (request) ──▶ ExpectAnswer, perhaps as a stream
//!     ▲                                         │              │
//!     └──────────── answer written ─────────────┴──────────────┘
//! ExpectBody ──a large body──▶ ExpectLook ──what is in it──▶ (request)
//! ExpectHead ──another node asks for an operator──▶ ExpectOperators ──▶ (answered)
//! ExpectHead ──somebody has to ask first──▶ ExpectWord ──▶ (forwarded with its connection, or a request)
//! any state ──fault──▶ Lingering (answer out, input dropped) ──▶ closed
//! ```
//!
//! A client may end its sending in any state: it has the answers to what it sent by then, and the connection closes.

pub(super) mod travel;

use std::cell::Cell;

use serde::{Deserialize, Serialize};

use super::partial::Partial;
use super::{AnswerOwner, Millis, Timer, UpperLayer};
use crate::budget::Charge;
use crate::clients::Client;

pub(super) struct Connection<U: UpperLayer> {
    pub(super) state: ConnectionState<U::Owner>,
    /// In `ExpectAnswer`: the answer is a stream, and has begun.
    pub(super) is_stream: bool,
    /// Bytes after the last request that was served. None while nothing is half received.
    #[expect(
        clippy::box_collection,
        reason = "8 bytes in each connection that waits, not 24"
    )]
    inbox: Option<Box<Vec<u8>>>,
    /// `0 <= scanned <= inbox.len()`: what of `inbox` was seen without finding the end of a head.
    pub(super) scanned: u32,
    /// Bytes for the client that no write was started for.
    pub(super) outbox: Vec<u8>,
    /// A write is under way in the runtime; nothing else may be written until it is done.
    pub(super) in_flight: bool,
    /// The driver was told not to read, and goes on only with `Effect::Read`.
    pub(super) paused: Cell<bool>,
    /// What it holds of the node's budget. None: nothing.
    pub(super) held: Option<Box<HeldBytes>>,
    /// In `Http::dirty`.
    pub(super) queued: bool,
    /// Ends when `outbox` is written.
    pub(super) close_when_written: bool,
    /// Accepted, and no whole head came yet.
    pub(super) is_new: bool,
    /// The client sends nothing more; see `half_close`.
    pub(super) input_ended: bool,
    /// The answer to the current request leaves the connection open.
    pub(super) keep_alive: bool,
    /// The client is HTTP/1.0: no chunks, a stream ends with the connection.
    pub(super) http10: bool,
    /// What somebody found out about the current request.
    pub(super) word: Option<U::Word>,
    pub(super) hold: Hold,
    /// The current request is HEAD: its answer has no content.
    pub(super) headers_only: bool,
    /// The request came with an `Origin` that is allowed; its answer says so.
    pub(super) origin: Option<Box<str>>,
    /// Since when `state`, or the write in flight, waits.
    pub(super) since: Millis,
    pub(super) timer: Timer,
    pub(super) peer: Option<Client>,
    /// Whose the current request is, or the last one was.
    pub(super) client: Option<Client>,
    pub(super) counts_for: CountsFor,
    /// The peer may name the client of a request.
    pub(super) is_proxy: bool,
    /// The peer may name who asks.
    pub(super) names_principals: bool,
}

/// Among whose connections one counts. It travels under these names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum CountsFor {
    Peer,
    /// Whose stream is open on it. It is a proxy's, and will be nobody's again.
    Client,
    /// The same, and it will be its peer's again.
    ClientOfPeer,
    /// A proxy's, which passes on requests of many.
    Nobody,
}

impl CountsFor {
    pub(super) fn is_of_stream(self) -> bool {
        matches!(self, CountsFor::Client | CountsFor::ClientOfPeer)
    }
}

/// `O` owns the request that is served.
pub(super) enum ConnectionState<O> {
    /// With whose the answer before it was, if anybody said so: it may not be written yet.
    ExpectHead(Option<AnswerOwner>),
    ExpectBody(Box<Partial>),
    /// A whole request, with a large body that the driver looks at on another thread.
    ExpectLook(Box<Partial>),
    /// A whole head is in the inbox, and somebody finds out what is to become of it.
    ExpectWord,
    /// The request is being served. Its answer is whole at once or a stream.
    ExpectAnswer(O),
    /// Another node asked for an operator there, and whoever drives the shard finds the answer.
    ExpectOperators,
    Lingering(Option<AnswerOwner>),
}

impl<O> ConnectionState<O> {
    pub(super) fn asker(&self) -> Option<AnswerOwner> {
        match self {
            ConnectionState::ExpectHead(asker) | ConnectionState::Lingering(asker) => *asker,
            _ => None,
        }
    }

    /// False: no answer is whole.
    pub(super) fn set_asker(&mut self, asker: AnswerOwner) -> bool {
        let (ConnectionState::ExpectHead(it) | ConnectionState::Lingering(it)) = self else {
            return false;
        };
        *it = Some(asker);
        true
    }
}

/// Whether the answer waits a moment before it begins; see `hold`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    No,
    /// It will if it turns out to be a stream, or large.
    IfLong,
    /// It does, and nothing is written until [`Shard::handle_released`](crate::shard::Shard::handle_released).
    Now,
}

/// What a connection holds: bytes received and not served, bytes not written.
pub(super) struct HeldBytes {
    pub(super) charge: Charge,
    /// Of them in the driver's hands, on their way out, if any are.
    pub(super) unwritten: usize,
    pub(super) since: Millis,
    /// In `Http::holders`.
    pub(super) place: usize,
}

impl<U: UpperLayer> Connection<U> {
    pub(super) fn new(now: Millis, peer: Option<Client>, counts_for: CountsFor) -> Self {
        Connection {
            state: ConnectionState::ExpectHead(None),
            is_stream: false,
            inbox: None,
            scanned: 0,
            outbox: Vec::new(),
            in_flight: false,
            paused: Cell::new(false),
            held: None,
            queued: false,
            close_when_written: false,
            is_new: false,
            input_ended: false,
            keep_alive: true,
            http10: false,
            word: None,
            hold: Hold::No,
            headers_only: false,
            origin: None,
            since: now,
            timer: Timer::default(),
            peer,
            client: peer,
            counts_for,
            is_proxy: false,
            names_principals: false,
        }
    }

    pub(super) fn inbox(&self) -> &[u8] {
        self.inbox.as_ref().map_or(&[], |inbox| inbox)
    }

    pub(super) fn take_inbox(&mut self) -> Vec<u8> {
        self.inbox.take().map_or_else(Vec::new, |inbox| *inbox)
    }

    pub(super) fn set_inbox(&mut self, bytes: Vec<u8>) {
        self.inbox = (!bytes.is_empty()).then(|| Box::new(bytes));
    }

    /// Whether bytes may be written now; else they wait for the write before, or for their moment.
    pub(super) fn may_write(&self) -> bool {
        !self.in_flight && self.hold != Hold::Now
    }

    /// Something written is not yet with the kernel.
    pub(super) fn is_writing(&self) -> bool {
        self.in_flight || !self.outbox.is_empty()
    }

    /// Whether more bytes should be read now. While a request is answered, only a bounded amount is read ahead.
    pub(super) fn wants_bytes(&self, pipeline_bytes_max: usize) -> bool {
        match self.state {
            _ if self.input_ended => false,
            ConnectionState::ExpectBody(_) | ConnectionState::Lingering(_) => true,
            ConnectionState::ExpectHead(_) if !self.is_writing() => true,
            // Whoever goes on with it reads on.
            ConnectionState::ExpectWord => false,
            _ => self.inbox().len() < pipeline_bytes_max,
        }
    }

    /// A whole request may be waiting here until the answers before it have left.
    pub(super) fn has_read_ahead(&self) -> bool {
        matches!(self.state, ConnectionState::ExpectHead(_)) && !self.inbox().is_empty()
    }

    pub(super) fn invariants(&self) {
        assert!(self.scanned as usize <= self.inbox().len());
        assert!(
            self.hold != Hold::Now || !self.outbox.is_empty(),
            "nothing is held"
        );
        assert!(
            !self.is_stream || matches!(self.state, ConnectionState::ExpectAnswer(_)),
            "a stream that nobody owns"
        );
    }
}
