//! One connection of a client on its way to another node: what the driver has to know of it, and what it does now.

use super::exchange::Exchange;
use super::relay::Relay;
use crate::clients::Ticket;
use crate::limits::Limits;
use crate::shard::Millis;
use crate::wire::session_id::SessionId;

/// A connection that is passed on. Stale when it has returned or is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PassageKey {
    pub index: u32,
    /// Tells it from earlier ones in its place.
    pub generation: u32,
}

/// Of its two sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    Client,
    Owner,
}

/// What the driver waits for at a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interest {
    #[default]
    Nothing,
    /// That the connection breaks: the peer sends nothing more.
    End,
    Read,
    Write,
    Both,
}

impl Interest {
    fn of(reads: bool, writes: bool) -> Interest {
        match (reads, writes) {
            (false, false) => Interest::Nothing,
            (true, false) => Interest::Read,
            (false, true) => Interest::Write,
            (true, true) => Interest::Both,
        }
    }

    #[must_use]
    pub fn reads(self) -> bool {
        matches!(self, Interest::Read | Interest::Both | Interest::End)
    }

    #[must_use]
    pub fn writes(self) -> bool {
        matches!(self, Interest::Write | Interest::Both)
    }
}

pub(super) struct Passage {
    pub(super) generation: u32,
    /// What the driver was told last.
    pub(super) client_watched: Interest,
    pub(super) owner_watched: Interest,
    /// The client sends nothing more, and so the owner was told.
    pub(super) ended: bool,
    pub(super) session: SessionId,
    /// Of both sockets.
    pub(super) ticket: Ticket,
    pub(super) state: State,
}

pub(super) enum State {
    Exchange(Box<Exchange>),
    Relay(Relay),
}

impl Passage {
    /// On its way to be a stream; any other request ends with its answer.
    pub(super) fn is_stream(&self) -> bool {
        match &self.state {
            State::Exchange(exchange) => exchange.is_stream(),
            State::Relay(_) => true,
        }
    }

    pub(super) fn wants(&self, side: Side, limits: &Limits) -> Interest {
        let ahead_max = limits.pipeline_bytes_max;
        let (reads, writes) = match (&self.state, side) {
            (State::Exchange(it), Side::Client) => {
                (it.reads_client(ahead_max), !it.to_client.is_empty())
            }
            (State::Exchange(it), Side::Owner) => (it.reads_owner(), it.writes_owner()),
            (State::Relay(it), Side::Client) => (it.reads_client(ahead_max), it.is_slow()),
            (State::Relay(it), Side::Owner) => (!it.is_slow(), false),
        };
        match (reads, writes) {
            (true, false) if side == Side::Client && self.ended => Interest::End,
            (true, true) if side == Side::Client && self.ended => Interest::Write,
            (reads, writes) => Interest::of(reads, writes),
        }
    }

    /// What was taken of one side and is not written to the other one yet.
    pub(super) fn unsent(&self, side: Side) -> &[u8] {
        match (&self.state, side) {
            (State::Exchange(it), Side::Client) => it.to_client.bytes(),
            (State::Exchange(it), Side::Owner) => it.to_owner.bytes(),
            (State::Relay(it), Side::Client) => it.unsent(),
            (State::Relay(_), Side::Owner) => &[],
        }
    }

    /// Bytes that the client sent after its request.
    pub(super) fn ahead(&self) -> usize {
        match &self.state {
            State::Exchange(exchange) => exchange.ahead(),
            State::Relay(relay) => relay.ahead(),
        }
    }

    pub(super) fn watched(&mut self, side: Side) -> &mut Interest {
        match side {
            Side::Client => &mut self.client_watched,
            Side::Owner => &mut self.owner_watched,
        }
    }

    /// When it has to be looked at. A relay whose client takes all has no time of its own.
    pub(super) fn due(&self, limits: &Limits) -> Option<Millis> {
        match &self.state {
            State::Exchange(exchange) => exchange.due(limits.write_stall_ms),
            State::Relay(relay) => relay.due(limits.write_stall_ms),
        }
    }
}
