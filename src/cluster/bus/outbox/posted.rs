//! An item on its way, with what is still to be done of it.

use serde::{Deserialize, Serialize};

use super::{Accepted, ContentSource, LocalDelivery, OutboxItem, ReceiptSender};
use crate::app::contents::Change;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stage {
    Queued,
    Sent,
    Added,
}

pub(super) struct PostedItem {
    pub(super) item: OutboxItem,
    pub(super) stage: Stage,
    pub(super) is_delivered: bool,
    pub(super) posted_ms: u64,
    pub(super) accepted: Accepted,
    pub(super) tickets: Vec<ReceiptSender>,
    /// The log may have it under its number already: its echo is no echo of what succeeds it.
    pub(super) uncertain: bool,
}

impl PostedItem {
    /// Marks it as delivered; the store has its contents afterwards.
    pub(super) fn deliver(&mut self) -> LocalDelivery {
        self.is_delivered = true;
        let item = self.item.clone();
        if let OutboxItem::Contents { carried, owed, .. } = &mut self.item {
            (*carried, *owed) = (ContentSource::Stored, Change::NONE);
        }
        LocalDelivery {
            item,
            tickets: std::mem::take(&mut self.tickets),
            accepted: self.accepted,
        }
    }

    /// Takes on what was still to be done of an older item with the same key.
    pub(super) fn succeed(&mut self, older: PostedItem) {
        self.tickets.extend(older.tickets);
        let one = Change {
            list: false,
            contents: true,
        };
        let (is_delivered, was_delivered) = (self.is_delivered, older.is_delivered);
        match (&mut self.item, older.item) {
            (
                OutboxItem::Contents { owed, changed, .. },
                OutboxItem::Changed(_) | OutboxItem::Look(_),
            ) => {
                *changed = true;
                *owed = owed.and(one.unless(is_delivered || was_delivered));
            }
            (
                OutboxItem::Contents { owed, changed, .. },
                OutboxItem::Contents {
                    owed: owed_before,
                    changed: changed_before,
                    ..
                },
            ) => {
                *changed |= changed_before;
                *owed = owed.and(owed_before.unless(is_delivered || was_delivered));
            }
            (
                OutboxItem::Changed(_) | OutboxItem::Look(_),
                OutboxItem::Contents {
                    uri, carried, owed, ..
                },
            ) => {
                let owed = owed.unless(was_delivered).and(one).unless(is_delivered);
                self.accepted = older.accepted;
                self.item = OutboxItem::Contents {
                    uri,
                    carried,
                    owed,
                    changed: true,
                };
            }
            (OutboxItem::Changed(_), look @ OutboxItem::Look(_)) => self.item = look,
            _ => {}
        }
    }
}
