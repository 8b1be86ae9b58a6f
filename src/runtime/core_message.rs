//! What crosses cores, or comes to them from other threads: a connection that moves, a batch of publications, what a node
//! says to its cores now and then.

use std::net::{IpAddr, TcpStream};
use std::sync::Arc;

use futures_channel::oneshot;

use super::standstill_orders::{CopyOrder, FreezeOrder, QuiesceOrder};
use super::trace_sink::TraceSink;
use crate::app::call::{Availability, Notice, NotifyRefused};
#[cfg(feature = "auth")]
use crate::auth::Rules;
use crate::clients::Ticket;
use crate::mailbox::Mailbox;
use crate::shard::view::{ViewAnswer, ViewQuestion};
#[cfg(feature = "auth")]
use crate::shard::{ConnectionKey, IdentityAnswer};
use crate::shard::{Millis, NotTaken, PortableSession, Publication, TraceId, TraceWish};
use crate::wire::session_id::SessionId;

pub(super) enum CoreMessage {
    /// A connection that belongs to this core from now on, and what was read of it.
    Connection {
        stream: TcpStream,
        peer: Option<IpAddr>,
        bytes: Vec<u8>,
        ticket: Ticket,
    },
    /// A connection that another core accepted for this one.
    Accepted {
        stream: TcpStream,
        peer: Option<IpAddr>,
    },
    /// The node is full: end an idle session of somebody who holds more than this.
    MakeRoom { holds: u32 },
    /// Notifications, in log order.
    Published(Arc<[Publication]>),
    /// Something for one session of this core. Nobody may wait for the answer any more.
    NotifySession {
        session: Box<str>,
        notice: Notice,
        answer: oneshot::Sender<Result<(), NotifyRefused>>,
    },
    /// Something for all sessions, with its place in the log.
    NotifyAll { offset: u64, notice: Arc<Notice> },
    /// Something was lost: anything may have changed.
    Gap { first: u64 },
    /// Other rules hold, on who is let in.
    #[cfg(feature = "auth")]
    Rules(Arc<Rules>),
    /// Who sent a request that waits.
    #[cfg(feature = "auth")]
    Identified {
        connection: ConnectionKey,
        number: u64,
        answer: IdentityAnswer,
    },
    /// What an operator asks of the sessions here. Nobody may wait for the answer any more.
    View {
        question: Box<ViewQuestion>,
        answer: oneshot::Sender<ViewAnswer>,
    },
    /// Somebody watches, wherever they are who are watched. Nobody may wait for the answer any more.
    Trace {
        wish: TraceWish,
        sink: TraceSink,
        answer: oneshot::Sender<bool>,
    },
    /// There is more to be looked at for that: this core says so to itself, and others have their turn before.
    SearchForTrace {
        id: TraceId,
        answer: oneshot::Sender<bool>,
    },
    /// And no longer.
    EndTrace(TraceId),
    /// Tell the other nodes of every session again.
    Announce,
    /// Tell them of some, so that whoever lost their records notices.
    Verify,
    /// A session that this node claimed under this number goes on here. Nobody may wait for the answer any more.
    Adopt {
        session: SessionId,
        fence: u64,
        state: Box<PortableSession>,
        answer: oneshot::Sender<Result<(), NotTaken>>,
    },
    /// Other nodes have these sessions now, each under this number.
    LetGo(Arc<[(SessionId, u64)]>),
    /// Until when no other node takes over what is here.
    Lease(Option<Millis>),
    /// Say in the log how much there is of everything.
    Report,
    /// Whether new clients should come, as far as others know.
    Available(Availability),
    /// Read and accept nothing for now.
    Quiesce(QuiesceOrder),
    /// It lends some of its sockets to another process, and serves on.
    CopySockets(CopyOrder),
    /// And again.
    GoOn,
    /// Stand still, for another process to take this core's place.
    Freeze(FreezeOrder),
    /// Take leave of who is here, and go on.
    Drain,
    /// Finish what is under way and end.
    Stop,
}

/// Letters in one mailbox before whoever publishes from outside has to wait, or is refused: some seconds of what a core
/// can tell.
const LETTERS_MAX: usize = 16 * 1024;

/// A core's mailbox. None of its messages is ever dropped, so it is bounded only as far as those are who post: publishers
/// outside of calls stop at [`LETTERS_MAX`]; connections have a limit of their own; what the node itself says it says once,
/// or once a second. Nothing bounds what handlers publish, and what comes from a log that nodes share, but how fast they
/// do: a core that hangs takes none of it until it goes on, or the watchdog's finding has the node replaced.
pub(super) type CoreMailbox = Mailbox<CoreMessage>;

pub(super) fn core_mailbox() -> CoreMailbox {
    Mailbox::new(LETTERS_MAX)
}
