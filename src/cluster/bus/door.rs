//! Where any thread posts what is for all nodes. Nobody waits at this door for Redis.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_channel::oneshot;

use super::outbox::{Carried, Item, Ticket};
use crate::app::call::{Notice, Topic};
use crate::app::contents::{Change, Contents};
use crate::cluster::inbox::Inbox;
use crate::runtime::SharedLog;

/// Items between two looks of the control thread: a second of a very busy node.
const ITEMS_MAX: usize = 262_144;

pub(super) struct Posted {
    pub(super) item: Item,
    pub(super) ticket: Option<Ticket>,
}

/// The door of a [`Bus`](super::Bus) that runs elsewhere.
pub struct BusDoor {
    pub(super) inbox: Inbox<Posted>,
    pub(super) full: AtomicBool,
}

/// Resolves when this node was told, within a moment whatever Redis does: the offset, if it has one. Cancelled:
/// the node is ending.
pub type BusTold = oneshot::Receiver<Option<u64>>;

impl Default for BusDoor {
    fn default() -> Self {
        BusDoor {
            inbox: Inbox::new(ITEMS_MAX),
            full: AtomicBool::new(false),
        }
    }
}

impl BusDoor {
    /// So much waits that a publisher had better wait too.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    pub fn changed(&self, topic: Topic) -> BusTold {
        self.send(Item::Changed(topic))
    }

    /// New contents, or none, for every node's store; not yet in this one's.
    pub fn put(&self, uri: Box<str>, contents: Option<Contents>) -> BusTold {
        self.send(Item::Contents {
            uri,
            carried: Carried::Given(contents),
            owed: Change::NONE,
            changed: false,
        })
    }

    pub fn tell_every_session(&self, notice: Notice) -> BusTold {
        self.send(Item::All(notice))
    }

    /// For a session of another node.
    pub fn tell_elsewhere(&self, session: &str, notice: Notice) -> BusTold {
        self.send(Item::Session(session.into(), notice))
    }

    fn send(&self, item: Item) -> BusTold {
        let (ticket, told) = oneshot::channel();
        self.inbox.post([Posted {
            item,
            ticket: Some(ticket),
        }]);
        told
    }

    fn post(&self, items: impl IntoIterator<Item = Item>) {
        let posted = |item| Posted { item, ticket: None };
        self.inbox.post(items.into_iter().map(posted));
    }
}

impl SharedLog for BusDoor {
    fn publish(&self, topics: Vec<Topic>) {
        self.post(topics.into_iter().map(Item::Changed));
    }

    fn publish_contents(&self, uri: &str, change: Change) {
        self.post([Item::Contents {
            uri: uri.into(),
            carried: Carried::Stored,
            owed: change,
            changed: false,
        }]);
    }

    fn tell_all(&self, notice: Notice) {
        self.post([Item::All(notice)]);
    }
}
