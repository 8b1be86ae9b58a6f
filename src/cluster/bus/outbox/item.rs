//! What is published, as it waits for its place in the log, and what whoever published it is answered.

use futures_channel::oneshot;
use serde::{Deserialize, Serialize};

use crate::app::call::{KeptBy, Notice, Topic};
use crate::app::contents::{Change, Contents};
use crate::cluster::bus::id::EntryId;
use crate::principal::PrincipalId;

/// Answered when the item has been delivered here.
pub type ReceiptSender = oneshot::Sender<Receipt>;

/// What a publisher is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its offset, if it has one.
    pub offset: Option<u64>,
    pub kept: KeptBy,
}

/// When something was accepted, for what is written there at the same time elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// By the clock of Redis.
    pub at: EntryId,
    /// It is later than what this node knew to be there.
    pub after: EntryId,
}

/// What waits, when nobody will wait for it any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnsentItems {
    pub count: usize,
    /// Of the resources among it, some.
    pub uris: Vec<Box<str>>,
}

/// What is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutboxItem {
    Changed(Topic),
    /// As far as this principal is concerned: nobody else is notified.
    Directed(PrincipalId, Topic),
    /// New contents of a resource.
    Contents {
        uri: Box<str>,
        carried: ContentSource,
        /// What is to be delivered here besides what writing them changes here.
        owed: Change,
        /// It is to be delivered everywhere, also where writing them changes nothing.
        changed: bool,
    },
    /// This node had news of a resource so late that all are to look again at what there is.
    Look(Box<str>),
    /// For a session of another node.
    Session(Box<str>, Notice),
    All(Notice),
    Everything,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContentSource {
    /// Not known to be in this node's store; `None` takes the resource away.
    Given(Option<Contents>),
    /// Whatever this node's store has.
    Stored,
}

/// Something to be delivered on this node, and who waits for that.
#[derive(Debug)]
pub struct LocalDelivery {
    pub item: OutboxItem,
    pub tickets: Vec<ReceiptSender>,
    pub accepted: Accepted,
}

/// What one item adds to the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adding {
    pub number: u64,
    pub item: OutboxItem,
    pub accepted: Accepted,
    /// Here.
    pub is_delivered: bool,
}

/// Queued items with the same key are one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum ItemKey {
    Topic(Topic),
    Directed(PrincipalId, Topic),
    Everything,
}

impl OutboxItem {
    /// It says that something changed, and not what it is now.
    pub(super) fn brings_nothing(&self) -> bool {
        matches!(self, OutboxItem::Changed(_) | OutboxItem::Directed(..))
    }

    pub(super) fn key(&self) -> Option<ItemKey> {
        match self {
            OutboxItem::Changed(topic) => Some(ItemKey::Topic(topic.clone())),
            OutboxItem::Directed(principal, topic) => {
                Some(ItemKey::Directed(*principal, topic.clone()))
            }
            OutboxItem::Contents { uri, .. } | OutboxItem::Look(uri) => {
                Some(ItemKey::Topic(Topic::Resource(uri.clone())))
            }
            OutboxItem::Session(..) | OutboxItem::All(_) => None,
            OutboxItem::Everything => Some(ItemKey::Everything),
        }
    }
}
