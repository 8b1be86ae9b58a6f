//! Letters between threads: a queue for each core, one wake for each batch.
//!
//! The queue itself has no bound. Publishers wait, or are refused, while it has [`LETTERS_MAX`]. Beyond that it takes
//! connections that move, which have a limit of their own, and what a node says to its cores now and then.
//!
//! The lock is held for a push or a swap of two vectors, and only when something crosses cores: a connection that
//! moves or a publication. No request and no delivery touches it.

use std::net::{IpAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use futures_channel::oneshot;

use crate::app::call::{Availability, Notice, TellRefused};
use crate::clients::Ticket;
use crate::shard::Publication;

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
    Tell {
        session: Box<str>,
        notice: Notice,
        answer: oneshot::Sender<Result<(), TellRefused>>,
    },
    /// Something for all sessions, with its place in the log.
    TellAll { offset: u64, notice: Arc<Notice> },
    /// Something was lost: anything may have changed.
    Gap { first: u64 },
    /// Tell the other nodes of every session again.
    Announce,
    /// Tell them of some, so that whoever lost their records notices.
    Verify,
    /// Say in the log how much there is of everything.
    Report,
    /// Whether new clients should come, as far as others know.
    Available(Availability),
    /// Take leave of who is here, and go on.
    Drain,
    /// Finish what is under way and end.
    Stop,
}

#[derive(Default)]
pub(super) struct Mailbox {
    inside: Mutex<MailboxState>,
}

#[derive(Default)]
struct MailboxState {
    messages: Vec<CoreMessage>,
    /// Its core has ended: what is posted is dropped.
    is_closed: bool,
    /// Set while the reader sleeps.
    reader: Option<Waker>,
}

/// Letters in one mailbox before publishers have to wait. Connections are bounded by their own limit.
pub(super) const LETTERS_MAX: usize = 16 * 1024;

impl Mailbox {
    pub(super) fn post(&self, messages: CoreMessage) {
        let reader = {
            let mut inside = self.lock();
            if inside.is_closed {
                return;
            }
            inside.messages.push(messages);
            inside.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.lock().messages.len() >= LETTERS_MAX
    }

    /// Nobody will read any more. Connections that were on their way here close.
    pub(super) fn close(&self) {
        let mut inside = self.lock();
        inside.is_closed = true;
        let left = (std::mem::take(&mut inside.messages), inside.reader.take());
        drop(inside);
        drop(left);
    }

    fn lock(&self) -> MutexGuard<'_, MailboxState> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for letters and takes all there are.
    pub(super) async fn collect(&self) -> Vec<CoreMessage> {
        std::future::poll_fn(|context| {
            let mut inside = self.lock();
            if inside.messages.is_empty() {
                inside.reader = Some(context.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(std::mem::take(&mut inside.messages))
        })
        .await
    }
}
