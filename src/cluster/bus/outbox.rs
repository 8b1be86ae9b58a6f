//! What this node publishes, from the moment it is posted until it comes back with its place in the log.
//!
//! ```text
//! post ─▶ Queued ─take_batch─▶ Sent ─added─▶ Added ─heard─▶ gone
//!            ▲────── lost, refused ──┘
//! ```
//!
//! Usually the node's own cores get an item when it comes back, in the order of the log. But nobody waits for Redis.
//! While it is out of reach (`alone`) the cores get items at once, and they get what does not come back in
//! time. Each of these is added all the same as soon as it can be.
//!
//! The queue is bounded. Of one topic it has only the newest, of too many topics only that anything may have changed,
//! of messages only the newest.
//!
//! Invariants: `keys` has each queued item that has a key; while `alone` every item was delivered here.

mod item;
mod posted;
mod travel;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use self::item::ItemKey;
pub use self::item::{
    Accepted, Adding, ContentSource, LocalDelivery, OutboxItem, Receipt, ReceiptSender, UnsentItems,
};
use self::posted::{PostedItem, Stage};
pub use self::travel::OutboxState;
use super::id::EntryId;
use crate::app::call::Topic;

/// How long an item may take to come back before it is delivered here. Far above what a Redis nearby needs, and short
/// enough that nobody sees a pause.
pub const PATIENCE_MS: u64 = 250;

/// What comes back as an entry after so long is delivered again.
const REMEMBERED_MS: u64 = 60_000;

/// Queued items that are kept by topic: more than a board holds. Of more topics it is only said that anything may
/// have changed.
const KEYS_MAX: usize = 131_072;
/// Queued messages.
const NOTICES_MAX: usize = 4_096;

/// URIs of unsent items that a line of the log has room for.
const UNSENT_SHOWN_MAX: usize = 50;

/// Items of one round trip.
const BATCH_MAX: usize = 256;
/// As many of them may have contents: up to a megabyte each.
const BATCH_CONTENTS_MAX: usize = 16;

pub struct Outbox {
    items: BTreeMap<u64, PostedItem>,
    queued: BTreeSet<u64>,
    keys: HashMap<ItemKey, u64>,
    /// Queued items that have no key.
    notices: BTreeSet<u64>,
    /// In the order of the batch; some may have come back already.
    in_flight: Vec<u64>,
    next_number: u64,
    /// The log can be written to.
    up: bool,
    /// What is added comes back.
    following: bool,
    alone: bool,
    dropped: u64,
    /// Contents that found no room in the queue: this node has them, the log does not, and nobody was notified of that.
    left_out: Vec<(Box<str>, EntryId)>,
}

impl Default for Outbox {
    fn default() -> Self {
        Outbox {
            items: BTreeMap::new(),
            queued: BTreeSet::new(),
            keys: HashMap::new(),
            notices: BTreeSet::new(),
            in_flight: Vec::new(),
            next_number: 1,
            up: false,
            following: false,
            alone: true,
            dropped: 0,
            left_out: Vec::new(),
        }
    }
}

impl Outbox {
    /// Takes an item; what it gives back is to be delivered here at once.
    pub fn post(
        &mut self,
        now_ms: u64,
        item: OutboxItem,
        accepted: Accepted,
        ticket: Option<ReceiptSender>,
    ) -> Option<LocalDelivery> {
        let mut posted = PostedItem {
            item,
            stage: Stage::Queued,
            is_delivered: false,
            posted_ms: now_ms,
            accepted,
            tickets: ticket.into_iter().collect(),
            uncertain: false,
        };
        let delivery = self.alone.then(|| posted.deliver());
        self.enqueue(None, posted);
        self.bound(now_ms);
        delivery
    }

    /// The next items for the log, if it can be written to and nothing is under way. Say [`added`](Outbox::added) or
    /// [`lost`](Outbox::lost) of them.
    pub fn take_batch(&mut self) -> Vec<Adding> {
        let mut batch = Vec::new();
        if !self.up || !self.in_flight.is_empty() {
            return batch;
        }
        let mut contents = 0;
        while batch.len() < BATCH_MAX
            && contents < BATCH_CONTENTS_MAX
            && let Some(number) = self.queued.pop_first()
        {
            let posted = self
                .items
                .get_mut(&number)
                .expect("what is queued is there");
            posted.stage = Stage::Sent;
            let (item, accepted) = (posted.item.clone(), posted.accepted);
            let is_delivered = posted.is_delivered;
            contents += usize::from(matches!(item, OutboxItem::Contents { .. }));
            self.unlist(number, &item);
            self.in_flight.push(number);
            batch.push(Adding {
                number,
                item,
                accepted,
                is_delivered,
            });
        }
        batch
    }

    /// What became of the items of the batch, in their order: true if the log has them. The others are queued
    /// again. What it gives back is to be delivered here at once.
    #[must_use]
    pub fn added(&mut self, taken: &[bool]) -> Vec<LocalDelivery> {
        let mut refused = false;
        for (index, number) in std::mem::take(&mut self.in_flight).into_iter().enumerate() {
            if taken.get(index) == Some(&true) {
                if let Some(posted) = self.items.get_mut(&number) {
                    posted.stage = Stage::Added;
                }
            } else {
                refused = true;
                // The log surely does not have it under its number: others would take it for an old one.
                self.requeue(number, true);
            }
        }
        if refused {
            self.deliver_all()
        } else {
            Vec::new()
        }
    }

    /// The log can be written to.
    pub fn connected(&mut self, now_ms: u64) {
        self.up = true;
        self.settle(now_ms);
    }

    /// The log cannot be written to; whether it has what was under way is not known.
    #[must_use]
    pub fn lost(&mut self) -> Vec<LocalDelivery> {
        self.up = false;
        for number in std::mem::take(&mut self.in_flight) {
            self.requeue(number, false);
        }
        self.deliver_all()
    }

    /// What is added comes back from now on.
    pub fn followed(&mut self, now_ms: u64) {
        self.following = true;
        self.settle(now_ms);
    }

    /// What is added does not come back for now.
    #[must_use]
    pub fn unfollowed(&mut self) -> Vec<LocalDelivery> {
        self.following = false;
        self.deliver_all()
    }

    /// What was added came back: what is to be delivered of it here. `None`: nothing is known of it; and nothing to
    /// be delivered if it was before.
    pub fn heard(&mut self, now_ms: u64, number: u64) -> Option<Option<LocalDelivery>> {
        let mut posted = self.items.remove(&number)?;
        if self.queued.remove(&number) {
            self.unlist(number, &posted.item);
        }
        self.settle(now_ms);
        Some((!posted.is_delivered).then(|| posted.deliver()))
    }

    /// Entries were lost that might have been ours: what was added may never come back.
    #[must_use]
    pub fn gap(&mut self) -> Vec<LocalDelivery> {
        let mut deliveries = Vec::new();
        self.items.retain(|_, posted| {
            if posted.stage == Stage::Added && !posted.is_delivered {
                deliveries.push(posted.deliver());
            }
            posted.stage != Stage::Added
        });
        deliveries
    }

    /// What took too long is to be delivered here.
    #[must_use]
    pub fn overdue(&mut self, now_ms: u64) -> Vec<LocalDelivery> {
        self.items.retain(|_, posted| {
            let forgettable = posted.stage == Stage::Added && posted.is_delivered;
            !forgettable || posted.posted_ms + REMEMBERED_MS > now_ms
        });
        let late =
            |posted: &PostedItem| !posted.is_delivered && posted.posted_ms + PATIENCE_MS <= now_ms;
        if self.items.values().any(late) {
            return self.deliver_all();
        }
        self.settle(now_ms);
        Vec::new()
    }

    /// So much waits that a publisher had better wait too.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.keys.len() >= KEYS_MAX || self.notices.len() >= NOTICES_MAX
    }

    /// Items are delivered here at once.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.alone
    }

    #[must_use]
    pub fn queued_count(&self) -> usize {
        self.queued.len()
    }

    /// A batch is under way.
    #[must_use]
    pub fn is_adding(&self) -> bool {
        !self.in_flight.is_empty()
    }

    /// What the log does not have, or perhaps not.
    #[must_use]
    pub fn unsent(&self) -> UnsentItems {
        let is_published = |item: &OutboxItem| !matches!(item, OutboxItem::Look(_));
        let waits =
            |posted: &&PostedItem| posted.stage != Stage::Added && is_published(&posted.item);
        let waiting = || self.items.values().filter(waits);
        let uris = waiting().filter_map(|posted| match &posted.item {
            OutboxItem::Contents { uri, .. }
            | OutboxItem::Changed(Topic::Resource(uri))
            | OutboxItem::Directed(_, Topic::Resource(uri)) => Some(uri.clone()),
            _ => None,
        });
        UnsentItems {
            count: waiting().count(),
            uris: uris.take(UNSENT_SHOWN_MAX).collect(),
        }
    }

    /// Whether a later write of this URI waits. It is later than this stamp, too, which the one before it has got.
    pub fn succeeds(&mut self, uri: &str, stamp: EntryId) -> bool {
        let number = self.keys.get(&ItemKey::Topic(Topic::Resource(uri.into())));
        let posted = number.and_then(|number| self.items.get_mut(number));
        let Some(posted) =
            posted.filter(|posted| matches!(posted.item, OutboxItem::Contents { .. }))
        else {
            return false;
        };
        posted.accepted.after = posted.accepted.after.max(stamp.next());
        true
    }

    /// Whether contents for this URI are on their way.
    #[must_use]
    pub fn is_pending(&self, uri: &str) -> bool {
        let carries = |number: &u64| {
            let item = self.items.get(number).map(|posted| &posted.item);
            matches!(item, Some(OutboxItem::Contents { uri: own, .. }) if **own == *uri)
        };
        let queued = self.keys.get(&ItemKey::Topic(Topic::Resource(uri.into())));
        queued.is_some_and(carries) || self.in_flight.iter().any(carries)
    }

    /// Messages that no other node will get, since this was asked last.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// Resources whose contents are to reach Redis in another way, and when those were accepted.
    pub fn take_left_out(&mut self) -> Vec<(Box<str>, EntryId)> {
        std::mem::take(&mut self.left_out)
    }

    /// Everything that was not delivered here is to be delivered now, and so is what comes.
    fn deliver_all(&mut self) -> Vec<LocalDelivery> {
        self.alone = true;
        let undelivered = self
            .items
            .values_mut()
            .filter(|posted| !posted.is_delivered);
        undelivered.map(PostedItem::deliver).collect()
    }

    /// Items wait for their place in the log again, once it works and nothing old waits for it.
    fn settle(&mut self, now_ms: u64) {
        let oldest = self.items.values().next().map(|it| it.posted_ms);
        let fresh = oldest.is_none_or(|oldest| oldest + PATIENCE_MS > now_ms);
        if self.up && self.following && fresh {
            self.alone = false;
        }
    }

    fn requeue(&mut self, number: u64, renumber: bool) {
        // Otherwise it came back already.
        if let Some(mut posted) = self.items.remove(&number) {
            (posted.stage, posted.uncertain) = (Stage::Queued, !renumber);
            let newer = posted
                .item
                .key()
                .and_then(|key| self.keys.get(&key).copied());
            match newer.and_then(|newer| self.items.get_mut(&newer)) {
                Some(newer) => newer.succeed(posted),
                None => self.enqueue((!renumber).then_some(number), posted),
            }
        }
    }

    fn enqueue(&mut self, mut number: Option<u64>, mut posted: PostedItem) {
        let key = posted.item.key();
        let older_number = key.as_ref().and_then(|key| self.keys.get(key).copied());
        if let Some(older_number) = older_number
            && let Some(older) = self.items.remove(&older_number)
        {
            self.queued.remove(&older_number);
            // Its place, unless somebody may know that under another item.
            number = (!older.uncertain).then_some(older_number);
            posted.succeed(older);
        }
        let number = number.unwrap_or_else(|| {
            self.next_number += 1;
            self.next_number - 1
        });
        match key {
            Some(key) => drop(self.keys.insert(key, number)),
            None => drop(self.notices.insert(number)),
        }
        self.queued.insert(number);
        self.items.insert(number, posted);
    }

    fn unlist(&mut self, number: u64, item: &OutboxItem) {
        match item.key() {
            Some(key) => drop(self.keys.remove(&key)),
            None => drop(self.notices.remove(&number)),
        }
    }

    fn bound(&mut self, now_ms: u64) {
        if self.notices.len() > NOTICES_MAX
            && let Some(oldest) = self.notices.pop_first()
        {
            self.queued.remove(&oldest);
            self.items.remove(&oldest);
            self.dropped += 1;
        }
        if self.keys.len() > KEYS_MAX {
            self.forget(now_ms, OutboxItem::brings_nothing);
            if self.keys.len() > KEYS_MAX / 8 * 7 {
                self.forget(now_ms, |item| matches!(item, OutboxItem::Contents { .. }));
            }
        }
    }

    /// Instead of so many items: anything may have changed.
    fn forget(&mut self, now_ms: u64, which: impl Fn(&OutboxItem) -> bool) {
        let mut forgotten = false;
        for number in self.queued.clone() {
            let posted = &self.items[&number];
            // What was not delivered here yet will be in a moment.
            if posted.is_delivered && which(&posted.item) {
                let (item, accepted) = (posted.item.clone(), posted.accepted);
                if let OutboxItem::Contents { uri, .. } = &item {
                    self.left_out.push((uri.clone(), accepted.at));
                }
                self.unlist(number, &item);
                self.queued.remove(&number);
                self.items.remove(&number);
                forgotten = true;
            }
        }
        if forgotten {
            let everything = PostedItem {
                item: OutboxItem::Everything,
                stage: Stage::Queued,
                // Each of them was.
                is_delivered: true,
                posted_ms: now_ms,
                accepted: Accepted::default(),
                tickets: Vec::new(),
                uncertain: false,
            };
            self.enqueue(None, everything);
        }
    }
}

#[cfg(test)]
mod tests;
