//! One subscriber of topics, and what it is still to be notified of.

use std::collections::{HashMap, VecDeque};
use std::hint::black_box;
use std::rc::Rc;

use super::super::arena::Key;
use super::super::client_info::ClientInfo;
use super::super::grant::Grant;
use super::super::{Exchange, SessionKey};
use super::SUBSCRIPTION_BYTES;
use crate::clients::Client;

pub(in crate::shard) type ListenerKey = Key<Listener>;

/// Subscriptions of one listener up to which looking along them is as fast as a map, and takes less memory.
const SLOTS_WORTH_A_MAP: usize = 32;

/// User memory of a place that is kept for a subscription: 16 bytes in a B-tree, whose nodes are half full at worst.
pub(super) const DIRECTED_BYTES: usize = 32;

/// Whose ear this is, and so how an event is spelled for it.
pub(in crate::shard) enum ListenerKind {
    Session(SessionKey),
    Listen(SubscriptionId),
}

/// The JSON-RPC id of a listen request, as JSON.
pub(in crate::shard) enum SubscriptionId {
    /// Most clients count, and a number takes no block of its own.
    Number(i64),
    Text(Box<str>),
}

pub(in crate::shard) struct Listener {
    pub(in crate::shard) kind: ListenerKind,
    /// By what whoever reads there hears. None: nobody is asked who they are.
    pub(in crate::shard::engine) grant: Option<Box<Grant>>,
    /// For whom its subscriptions to resources are counted.
    pub(super) payer: Option<Client>,
    /// The connection that takes events now. None: what is pending waits.
    pub(in crate::shard) sink: Option<Exchange>,
    /// Everything up to here was delivered or was never to be.
    pub(in crate::shard) delivered_through: u64,
    /// The session's last targeted message that left on its standalone stream. Kept here too, so that a topic event
    /// is made without a look at session and stream: that would be four cache misses for each of ten thousand.
    pub(in crate::shard) sequence: u32,
    pub(super) subscriptions: Vec<Subscription>,
    /// Where `subscriptions` has which topic, once there are more than a look along them is worth.
    #[expect(
        clippy::box_collection,
        reason = "8 bytes in each listener that has none, not 48"
    )]
    pub(super) slots: Option<Box<HashMap<u32, u32>>>,
    /// How many of `subscriptions` are pending.
    pub(super) pending: u32,
    /// Targeted messages may be waiting on the session's standalone stream, and leave together with topics.
    pub(in crate::shard) messages: bool,
    /// Of HTTP+SSE: its events are called `message` and have no ids, since nobody comes back for them.
    pub(in crate::shard::engine) is_named: bool,
    /// In `Fanout::ready`.
    pub(super) queued: bool,
    /// Topic events that were written so far. For operators, as the next two.
    pub(in crate::shard::engine) events: u32,
    /// Of a listen stream, in seconds by the shard's clock. A session knows that of itself.
    pub(in crate::shard::engine) opened_at_s: u32,
    /// Of a listen stream, if its client said something.
    pub(in crate::shard::engine) client_info: Option<Rc<ClientInfo>>,
}

pub(super) struct Subscription {
    pub(super) topic: u32,
    /// Where the topic's `subscribers` has this subscription.
    pub(super) position: u32,
    pub(super) pending: bool,
    /// `Fanout::directed` has the place of something that was for its principal alone.
    pub(super) directed: bool,
}

impl Subscription {
    /// Of a resource, with its place among the topic's subscribers.
    pub(super) fn bytes(&self) -> usize {
        SUBSCRIPTION_BYTES + if self.directed { DIRECTED_BYTES } else { 0 }
    }
}

impl SubscriptionId {
    pub(in crate::shard) fn new(json: &str) -> Self {
        // What reads back as it came: not `1.0`, and no number beyond the type.
        let number = json.parse().ok();
        let number = number.filter(|&it| itoa::Buffer::new().format(it) == json);
        number.map_or_else(|| SubscriptionId::Text(json.into()), SubscriptionId::Number)
    }

    #[inline]
    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        match self {
            SubscriptionId::Number(number) => {
                out.extend_from_slice(itoa::Buffer::new().format(*number).as_bytes());
            }
            SubscriptionId::Text(text) => out.extend_from_slice(text.as_bytes()),
        }
    }
}

impl Listener {
    /// Topics that it is to be notified of.
    pub(in crate::shard::engine) fn pending_count(&self) -> u32 {
        self.pending
    }

    pub(in crate::shard::engine) fn subscription_count(&self) -> usize {
        self.subscriptions.len()
    }

    pub(in crate::shard) fn has_news(&self) -> bool {
        self.pending > 0 || self.messages
    }

    /// Brings what a delivery reads of this listener into the cache.
    pub(in crate::shard) fn touch(&self) {
        black_box(self.subscriptions.first().map(|it| it.pending));
        if let ListenerKind::Listen(SubscriptionId::Text(text)) = &self.kind {
            black_box(text.as_bytes().first());
        }
    }

    /// Where the subscription to a topic is.
    pub(super) fn slot_of(&self, topic: u32) -> Option<usize> {
        match &self.slots {
            Some(slots) => slots.get(&topic).map(|&slot| slot as usize),
            None => self.subscriptions.iter().position(|it| it.topic == topic),
        }
    }

    pub(super) fn add(&mut self, subscription: Subscription) {
        let slot = self.subscriptions.len() as u32;
        if let Some(slots) = &mut self.slots {
            slots.insert(subscription.topic, slot);
        }
        self.subscriptions.push(subscription);
        if self.slots.is_none() && self.subscriptions.len() > SLOTS_WORTH_A_MAP {
            let slots = (0..)
                .zip(&self.subscriptions)
                .map(|(slot, it)| (it.topic, slot));
            self.slots = Some(Box::new(slots.collect()));
        }
    }

    /// The last subscription moves into the slot.
    pub(super) fn remove(&mut self, slot: usize) -> Subscription {
        let removed = self.subscriptions.swap_remove(slot);
        self.pending -= u32::from(removed.pending);
        if let Some(slots) = &mut self.slots {
            slots.remove(&removed.topic);
            if let Some(moved) = self.subscriptions.get(slot) {
                slots.insert(moved.topic, slot as u32);
            }
        }
        removed
    }

    /// There is something to be notified of. Whether there was before, which is conflated with it.
    pub(super) fn mark(&mut self, slot: usize) -> bool {
        let subscription = &mut self.subscriptions[slot];
        self.pending += u32::from(!subscription.pending);
        std::mem::replace(&mut subscription.pending, true)
    }

    pub(super) fn enqueue(&mut self, key: ListenerKey, ready: &mut VecDeque<ListenerKey>) {
        if !self.queued && self.has_news() && self.sink.is_some() {
            self.queued = true;
            ready.push_back(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_is_named_as_its_client_named_it() {
        for (json, is_number) in [
            ("0", true),
            ("-7", true),
            ("9223372036854775807", true),
            ("9223372036854775808", false),
            ("-0", false),
            ("1.0", false),
            ("1e2", false),
            ("\"7\"", false),
        ] {
            let id = SubscriptionId::new(json);
            let mut out = Vec::new();
            id.emit(&mut out);
            assert_eq!(out, json.as_bytes());
            assert_eq!(matches!(id, SubscriptionId::Number(_)), is_number, "{json}");
        }
    }
}
