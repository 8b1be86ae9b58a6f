//! Where any thread posts what is for all nodes. Nobody waits at this door for Redis.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

use futures_channel::oneshot;

use super::outbox::{ContentSource, OutboxItem, Receipt, ReceiptSender, UnsentItems};
use super::{BusSeen, Loaded};
use crate::app::call::{Notice, Topic};
use crate::app::contents::{Change, Contents};
use crate::mailbox::Mailbox;
use crate::principal::PrincipalId;
use crate::runtime::SharedLog;

/// Items between two looks of the control thread: a second of a very busy node.
const ITEMS_MAX: usize = 262_144;

pub(super) enum BusMessage {
    Item(OutboxItem, Option<ReceiptSender>),
    /// Nothing more will be: who wants to know what the log does not have when it has all, or then.
    Leave(mpsc::Sender<UnsentItems>, Duration),
}

/// The door of a [`Bus`](super::Bus) that runs elsewhere.
pub struct BusHandle {
    pub(super) mailbox: Mailbox<BusMessage>,
    pub(super) full: AtomicBool,
    /// [`Loaded`]
    pub(super) loaded: AtomicU8,
    /// Only operators look.
    seen: Mutex<BusSeen>,
}

/// Resolves when it was delivered on this node, within a moment whatever Redis does. Cancelled: the node is ending.
pub type ReceiptReceiver = oneshot::Receiver<Receipt>;

/// What the bus needs to say what it lost, when its time to send it is over.
const SAYING_TAKES: Duration = Duration::from_secs(1);

impl Default for BusHandle {
    fn default() -> Self {
        BusHandle {
            mailbox: Mailbox::new(ITEMS_MAX),
            full: AtomicBool::new(false),
            loaded: AtomicU8::new(Loaded::NotYet as u8),
            seen: Mutex::default(),
        }
    }
}

impl BusHandle {
    /// So much waits that a publisher had better wait too.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Where this node is in the log, as of a moment ago.
    #[must_use]
    pub fn seen(&self) -> BusSeen {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note_seen(&self, seen: BusSeen) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
    }

    /// As another process had it.
    pub(crate) fn set_loaded(&self, loaded: Loaded) {
        self.loaded.store(loaded as u8, Ordering::Relaxed);
    }

    /// Whether this node's board has what the others have.
    #[must_use]
    pub fn loaded(&self) -> Loaded {
        let loaded = self.loaded.load(Ordering::Relaxed);
        let all = [Loaded::Yes, Loaded::NotYet, Loaded::GivenUp];
        let found = all.into_iter().find(|it| *it as u8 == loaded);
        found.unwrap_or(Loaded::NotYet)
    }

    pub fn changed(&self, topic: Topic) -> ReceiptReceiver {
        self.send(OutboxItem::Changed(topic))
    }

    /// For this principal's subscribers alone.
    pub fn directed(&self, principal: PrincipalId, topic: Topic) -> ReceiptReceiver {
        self.send(OutboxItem::Directed(principal, topic))
    }

    /// New contents, or none, for every node's store; not yet in this one's.
    pub fn put(&self, uri: Box<str>, contents: Option<Contents>) -> ReceiptReceiver {
        self.send(OutboxItem::Contents {
            uri,
            carried: ContentSource::Given(contents),
            owed: Change::NONE,
            changed: false,
        })
    }

    pub fn notify_every_session(&self, notice: Notice) -> ReceiptReceiver {
        self.send(OutboxItem::All(notice))
    }

    /// For a session of another node.
    pub fn notify_elsewhere(&self, session: &str, notice: Notice) -> ReceiptReceiver {
        self.send(OutboxItem::Session(session.into(), notice))
    }

    fn send(&self, item: OutboxItem) -> ReceiptReceiver {
        let (ticket, receipt) = oneshot::channel();
        self.mailbox.post([BusMessage::Item(item, Some(ticket))]);
        receipt
    }

    fn post(&self, items: impl IntoIterator<Item = OutboxItem>) {
        let posted = |item| BusMessage::Item(item, None);
        self.mailbox.post(items.into_iter().map(posted));
    }
}

impl SharedLog for BusHandle {
    fn publish(&self, topics: Vec<Topic>) {
        self.post(topics.into_iter().map(OutboxItem::Changed));
    }

    fn publish_to(&self, principal: PrincipalId, topic: Topic) {
        self.post([OutboxItem::Directed(principal, topic)]);
    }

    fn publish_contents(&self, uri: &str, contents: Option<Contents>, change: Change) {
        self.post([OutboxItem::Contents {
            uri: uri.into(),
            carried: ContentSource::Given(contents),
            owed: change,
            changed: false,
        }]);
    }

    fn notify_all(&self, notice: Notice) {
        self.post([OutboxItem::All(notice)]);
    }

    fn leave(&self, at_most: Duration) {
        let (answer, left) = mpsc::channel();
        // Once.
        self.mailbox.post_beyond(BusMessage::Leave(answer, at_most));
        match left.recv_timeout(at_most + SAYING_TAKES) {
            Ok(unsent) if unsent.count == 0 => {}
            Ok(UnsentItems { count, uris }) => tracing::error!(
                count,
                ?uris,
                "this node ends, and with it what Redis did not take of what was published here: other nodes never heard \
                 of it, publish it again"
            ),
            Err(_) => tracing::error!(
                "the bus did not say what Redis does not have of what was published here"
            ),
        }
    }
}
