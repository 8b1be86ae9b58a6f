//! The wire of a shard: connections, and HTTP/1.1 on them. Bytes become requests here, answers become bytes.
//!
//! A plain value like the shard it is in, and useful by itself. `handle_*` and [`Http::next_request`] take what happens,
//! `poll_*` give what is to be done, and what the engine does with a request comes by [`Wire`]. What a request is about
//! is not known here. Each exchange has an owner of the engine's, which the wire keeps for it and gives back
//! ([`ExchangeEvent`]). Another wire would be a sibling of this one. Why the framing is our own:
//! `docs/decisions/0009-http-and-sse-by-hand.md`.

mod admit;
mod answer;
mod client;
mod connection;
mod documents;
mod gate;
mod half_close;
mod held;
mod hold;
mod http_sse;
#[cfg_attr(not(feature = "auth"), path = "unasked.rs")]
mod identify;
mod partial;
#[cfg(feature = "auth")]
mod proxied;
mod questions;
mod receive;
mod seen;
mod serve;
#[cfg(test)]
mod tests;
mod timers;
mod traced;
mod transmit;
mod travel;
mod unread;

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use self::connection::{Connection, ConnectionState};
use self::identify::IdentityGate;
use super::arena::Arena;
use super::exchange::{
    AnswerOwner, Closed, ConnectionKey, Destination, EndpointMethod, Exchange, ExchangeChange,
    ExchangeEvent, OfConnection, Request, SeenExchange, Unwritten, UpperLayer, Wire,
};
use super::fields::{AllFields, HttpSseRoute, MessagesAt, RequestFields};
use super::memory::Memory;
use super::questions::AskedByPeer;
use super::refused::Refused;
use super::stats::WireStats;
use super::trace::Traces;
use super::wheel::{Millis, Timer, Wheel};
use crate::app::call::Availability;
use crate::budget::Charge;
use crate::clients::{Client, Commons, Ticket};
use crate::limits::Limits;

pub use self::client::TooMany;
pub(super) use self::connection::travel::{Arrives, PackedConnection};
pub(super) use self::documents::PublicDocuments;
pub use self::gate::RequestPolicy;
pub use self::http_sse::HttpSsePaths;
#[cfg(feature = "auth")]
pub use self::identify::{IdentityAnswer, IdentityQuestion, UnknownSender};
pub(super) use self::questions::Neighbours;
pub(super) use self::receive::Input;
use self::unread::UnreadAnswers;

pub(super) struct Http<U: UpperLayer> {
    limits: Limits,
    memory: Rc<Memory>,
    /// Connections that hold something, in no order.
    holders: Vec<ConnectionKey>,
    commons: Arc<Commons>,
    gate: RequestPolicy,
    /// None: nobody is asked who they are.
    identity_gate: Option<Box<IdentityGate>>,
    documents: PublicDocuments,
    /// None: this node is alone.
    neighbours: Option<Neighbours>,
    now: Millis,
    connections: Arena<Connection<U>, OfConnection>,
    wheel: Wheel<ConnectionKey>,
    /// The node drains, and keeps nobody's connection.
    is_leaving: bool,
    /// A thread of this node hangs, or is gone.
    impaired: bool,
    /// But for a drain.
    availability: Availability,
    /// See [`Http::handle_late`].
    busy_until: Millis,
    outputs: VecDeque<HttpOutput>,
    events: VecDeque<ExchangeEvent<U::Owner>>,
    /// Connections with something in their outbox.
    dirty: VecDeque<ConnectionKey>,
    /// Connections that became free for what was read ahead on them.
    freed: VecDeque<ConnectionKey>,
    /// Whose request is being served: what was read ahead on it is looked at anyway.
    serving: Option<ConnectionKey>,
    /// None: nobody watches.
    traces: Option<Box<Traces>>,
    stats: WireStats,
    unread: UnreadAnswers,
}

/// What the driver is to do; see [`Effect`](super::Effect), which has these in the same words.
pub(super) enum HttpOutput {
    Move {
        connection: ConnectionKey,
        core: u16,
        bytes: Vec<u8>,
        ticket: Ticket,
    },
    /// A body is to be looked at elsewhere.
    Look {
        connection: ConnectionKey,
        body: Vec<u8>,
        tree_bytes: usize,
        charge: Charge,
    },
    Forward {
        connection: ConnectionKey,
        bytes: Vec<u8>,
        client: Option<Client>,
        ticket: Ticket,
    },
    /// Somebody has to be asked who sent a request.
    #[cfg(feature = "auth")]
    Identify(UnknownSender),
    /// Another node asks for an operator there.
    AskOperators(AskedByPeer),
    Hold {
        connection: ConnectionKey,
        ms: Millis,
    },
    Read(ConnectionKey),
    ShutdownWrite(ConnectionKey),
    Close {
        connection: ConnectionKey,
        reason: Closed,
    },
    /// Somebody claimed to be another node, and is not.
    Forged,
}

impl<U: UpperLayer> Http<U> {
    pub(super) const ENTRY_BYTES: usize = Arena::<Connection<U>>::entry_size();

    pub(super) fn new(
        limits: Limits,
        memory: Rc<Memory>,
        commons: Arc<Commons>,
        (gate, documents): (RequestPolicy, PublicDocuments),
        neighbours: Option<Neighbours>,
        now: Millis,
    ) -> Self {
        Http {
            limits,
            memory,
            holders: Vec::new(),
            commons,
            gate,
            identity_gate: None,
            documents,
            neighbours,
            now,
            connections: Arena::default(),
            wheel: Wheel::new(now),
            is_leaving: false,
            impaired: false,
            availability: Availability::Ready,
            busy_until: now,
            outputs: VecDeque::new(),
            events: VecDeque::new(),
            dirty: VecDeque::new(),
            freed: VecDeque::new(),
            serving: None,
            traces: None,
            stats: WireStats::default(),
            unread: UnreadAnswers::default(),
        }
    }

    /// The time at which whatever comes next happens.
    pub(super) fn at(&mut self, now: Millis) {
        self.now = now;
    }

    pub(super) fn now(&self) -> Millis {
        self.now
    }

    pub(super) fn handle_disconnect(&mut self, key: ConnectionKey) {
        self.close_connection(key, Closed::PeerLeft);
    }

    /// Another part of a write under way was taken by the kernel.
    pub(super) fn handle_progress(&mut self, now: Millis, key: ConnectionKey) {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.since = now;
        }
    }

    pub(super) fn handle_impaired(&mut self, impaired: bool) {
        self.impaired = impaired;
    }

    pub(super) fn handle_availability(&mut self, availability: Availability) {
        self.availability = availability;
    }

    /// From now on every answer ends its connection.
    pub(super) fn handle_leaving(&mut self) {
        self.is_leaving = true;
    }

    pub(super) fn poll_output(&mut self) -> Option<HttpOutput> {
        self.outputs.pop_front()
    }

    /// What became of an exchange. To be drained before anything else is handled.
    pub(super) fn poll_event(&mut self) -> Option<ExchangeEvent<U::Owner>> {
        self.events.pop_front()
    }

    /// The next connection that is free for what was read ahead on it. Not served where it became free: what is served
    /// may free the next connection, and a chain of them would nest without bound.
    pub(super) fn poll_freed(&mut self) -> Option<ConnectionKey> {
        self.freed.pop_front()
    }

    pub(super) fn next_deadline(&self) -> Option<Millis> {
        self.wheel.next_deadline()
    }

    /// Whether the driver should read from this connection now; if not, [`HttpOutput::Read`] will say when.
    pub(super) fn wants_bytes(&self, key: ConnectionKey) -> bool {
        self.connections.get(key).is_some_and(|connection| {
            let wants = connection.wants_bytes(self.limits.pipeline_bytes_max);
            connection.paused.set(!wants);
            wants
        })
    }

    pub(super) fn is_open(&self, key: ConnectionKey) -> bool {
        self.connections.get(key).is_some()
    }

    pub(super) fn stats(&self) -> &WireStats {
        &self.stats
    }

    pub(super) fn connection_count(&self) -> usize {
        self.connections.len()
    }

    /// Who owns which exchange: for whoever checks that owners know of it.
    pub(super) fn owners(&self) -> impl Iterator<Item = (Exchange, U::Owner)> {
        self.connections
            .iter()
            .filter_map(|(key, connection)| match connection.state {
                ConnectionState::ExpectAnswer(owner) => Some((key, owner)),
                _ => None,
            })
    }

    /// Panics if anything that this promises itself does not hold. For tests.
    pub(super) fn invariants(&self) {
        self.held_invariants();
        self.stats_invariants();
        self.unread_invariants();
        for (_, connection) in self.connections.iter() {
            connection.invariants();
        }
        assert!(self.serving.is_none(), "a request is being served for ever");
        assert!(
            self.events.is_empty(),
            "nobody was told what became of an exchange"
        );
    }

    /// Panics if what is counted as it comes and goes is not what there is.
    fn stats_invariants(&self) {
        let connections = || self.connections.iter().map(|(_, it)| it);
        let streams = connections().filter(|it| it.is_stream).count();
        let writes = || connections().filter_map(Connection::write_under_way);
        assert_eq!(self.stats.streams, streams);
        assert_eq!(self.stats.blocked, writes().count());
        assert_eq!(self.stats.pending_bytes, writes().sum::<usize>());
    }

    fn tell_owner(&mut self, exchange: Exchange, owner: U::Owner, what: ExchangeChange) {
        self.events.push_back(ExchangeEvent {
            exchange,
            owner,
            what,
        });
    }
}
