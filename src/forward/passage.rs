//! One connection of a client on its way to another node: what the driver has to know of it, and what it does now.

use super::exchange::ForwardedExchange;
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
pub enum SocketInterest {
    #[default]
    Nothing,
    /// That the connection breaks: the peer sends nothing more.
    End,
    Read,
    Write,
    Both,
}

impl SocketInterest {
    fn of(reads: bool, writes: bool) -> SocketInterest {
        match (reads, writes) {
            (false, false) => SocketInterest::Nothing,
            (true, false) => SocketInterest::Read,
            (false, true) => SocketInterest::Write,
            (true, true) => SocketInterest::Both,
        }
    }

    #[must_use]
    pub fn reads(self) -> bool {
        matches!(
            self,
            SocketInterest::Read | SocketInterest::Both | SocketInterest::End
        )
    }

    #[must_use]
    pub fn writes(self) -> bool {
        matches!(self, SocketInterest::Write | SocketInterest::Both)
    }
}

pub(super) struct Passage {
    pub(super) generation: u32,
    /// What the driver was told last.
    pub(super) client_watched: SocketInterest,
    pub(super) owner_watched: SocketInterest,
    /// The client sends nothing more, and so the owner was told.
    pub(super) ended: bool,
    pub(super) session: SessionId,
    /// Of both sockets.
    pub(super) ticket: Ticket,
    pub(super) state: PassageState,
}

pub(super) enum PassageState {
    Exchange(Box<ForwardedExchange>),
    Relay(Relay),
}

impl Passage {
    pub(super) fn wants(&self, side: Side, limits: &Limits) -> SocketInterest {
        let ahead_max = limits.pipeline_bytes_max;
        let (reads, writes) = match (&self.state, side) {
            (PassageState::Exchange(it), Side::Client) => {
                (it.reads_client(ahead_max), !it.to_client.is_empty())
            }
            (PassageState::Exchange(it), Side::Owner) => (it.reads_owner(), it.writes_owner()),
            (PassageState::Relay(it), Side::Client) => (it.reads_client(ahead_max), it.is_slow()),
            (PassageState::Relay(it), Side::Owner) => (!it.is_slow(), false),
        };
        match (reads, writes) {
            (true, false) if side == Side::Client && self.ended => SocketInterest::End,
            (true, true) if side == Side::Client && self.ended => SocketInterest::Write,
            (reads, writes) => SocketInterest::of(reads, writes),
        }
    }

    /// What was taken of one side and is not written to the other one yet.
    pub(super) fn unsent(&self, side: Side) -> &[u8] {
        match (&self.state, side) {
            (PassageState::Exchange(it), Side::Client) => it.to_client.bytes(),
            (PassageState::Exchange(it), Side::Owner) => it.to_owner.bytes(),
            (PassageState::Relay(it), Side::Client) => it.unsent(),
            (PassageState::Relay(_), Side::Owner) => &[],
        }
    }

    /// Bytes that the client sent after its request.
    pub(super) fn ahead(&self) -> usize {
        match &self.state {
            PassageState::Exchange(exchange) => exchange.ahead(),
            PassageState::Relay(relay) => relay.ahead(),
        }
    }

    pub(super) fn watched(&mut self, side: Side) -> &mut SocketInterest {
        match side {
            Side::Client => &mut self.client_watched,
            Side::Owner => &mut self.owner_watched,
        }
    }

    /// When it has to be looked at. A relay whose client takes all has no time of its own.
    pub(super) fn due(&self, limits: &Limits) -> Option<Millis> {
        match &self.state {
            PassageState::Exchange(exchange) => exchange.due(limits.write_stall_ms),
            PassageState::Relay(relay) => relay.due(limits.write_stall_ms),
        }
    }
}
