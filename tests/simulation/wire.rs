//! A connection of a simulated client, and what it waits for there.

use std::collections::VecDeque;

use pinfold::internals::shard::Closed;

use crate::peer::Expected;
use crate::support::node::SocketId;

/// A connection as its client sees it.
pub(crate) struct Wire {
    pub(crate) socket: SocketId,
    pub(crate) expected: VecDeque<Expected>,
    pub(crate) streaming: Option<Expected>,
    /// Topic events read from this socket so far.
    pub(crate) events: usize,
    /// The last message that was told on this stream, or before it was asked for.
    pub(crate) delivered: u64,
    pub(crate) stalled: bool,
    /// The client sends nothing more on it, and reads on.
    pub(crate) ended: bool,
    /// Something was sent or answered after which the server need not answer what follows.
    pub(crate) excused: bool,
}

impl Wire {
    pub(crate) fn new(socket: SocketId) -> Self {
        Wire {
            socket,
            expected: VecDeque::new(),
            streaming: None,
            events: 0,
            delivered: 0,
            stalled: false,
            ended: false,
            excused: false,
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.expected.is_empty() && self.streaming.is_none()
    }

    /// What was asked was asked whole, by a client that sends nothing more, and the server had no reason to give it up.
    pub(crate) fn is_owed(&self, closed: Option<Closed>) -> bool {
        let served = matches!(closed, None | Some(Closed::Answered | Closed::PeerLeft));
        self.ended && served && !self.excused && !self.expected.is_empty()
    }
}
