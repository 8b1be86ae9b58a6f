//! Fan-out: topics, their subscribers, and what each listener is still to be notified of.
//!
//! A listener is one subscriber of topics: a legacy session (on its GET stream) or a modern listen stream. What a
//! topic event says depends on the topic alone. So nothing is queued for a listener but one bit for each subscription,
//! and the notification log keeps one offset for each topic: the newest. Conflation is thereby exact and free, resuming
//! is a comparison of offsets, and what is held for a stalled reader does not grow with what is published. The reasons are in
//! `docs/decisions/0003-resource-updates-conflate.md` and `docs/decisions/0004-one-offset-for-each-topic.md`.
//!
//! Invariant: a subscription is pending whenever its topic was published after the listener was last notified of it.

mod directed;
mod due;
#[cfg(feature = "auth")]
mod granted;
mod invariants;
mod lease;
mod listener;
mod spelling;
mod topic;
pub(super) mod travel;
mod viewed;

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use slab::Slab;

use self::directed::Directed;
use self::listener::Subscription;
use self::topic::{TopicEntry, TopicListener};
use super::Exchange;
use super::arena::Arena;
use crate::app::call::{LISTS, Topic};
use crate::clients::Commons;

pub(super) use self::due::{Due, DueEvents};
pub(super) use self::lease::{Lease, NoRoom};
pub(super) use self::listener::{Listener, ListenerKey, ListenerKind, SubscriptionId};
pub(super) use self::spelling::WantedTopic;
pub(super) use self::topic::updated_params;

/// How many topics leave one listener in one write.
const TOPICS_PER_WRITE_MAX: usize = 256;

pub(super) const SUBSCRIPTION_BYTES: usize = size_of::<Subscription>() + size_of::<TopicListener>();

pub(super) struct Fanout {
    topics: Slab<TopicEntry>,
    by_uri: HashMap<Rc<str>, u32>,
    /// Topics that are published under another URI than theirs, by that one.
    spellings: HashMap<Rc<str>, Vec<u32>>,
    listeners: Arena<Listener>,
    /// So many slots had the core whose place this one takes.
    names_max: usize,
    ready: VecDeque<ListenerKey>,
    /// Of subscriptions to resources, and of those: lists cost no more than the listener itself.
    bytes: usize,
    /// What all cores take such bytes from, and how many of them are ours: `bytes <= leased`.
    commons: Arc<Commons>,
    leased: usize,
    /// What was published for the principals of some listeners alone.
    directed: Directed,
    /// Listeners that have a sink.
    sinks: usize,
    /// How often a listener was to be notified already of what was published.
    conflated: u64,
}

impl Fanout {
    pub(super) fn new(commons: Arc<Commons>) -> Self {
        let mut topics = Slab::new();
        // The lists are always there, in the order of the table.
        for (_, list) in &LISTS {
            topics.insert(TopicEntry::of_list(list));
        }
        Fanout {
            topics,
            by_uri: HashMap::new(),
            spellings: HashMap::new(),
            listeners: Arena::default(),
            names_max: 0,
            ready: VecDeque::new(),
            bytes: 0,
            commons,
            leased: 0,
            directed: Directed::default(),
            sinks: 0,
            conflated: 0,
        }
    }

    /// A new listener that knows everything up to `offset`.
    pub(super) fn open(&mut self, kind: ListenerKind, offset: u64) -> ListenerKey {
        let subscriptions = Vec::new();
        self.listeners.insert(Listener {
            kind,
            grant: None,
            payer: None,
            sink: None,
            delivered_through: offset,
            sequence: 0,
            subscriptions,
            slots: None,
            pending: 0,
            messages: false,
            is_named: false,
            queued: false,
            events: 0,
            opened_at_s: 0,
            client_info: None,
        })
    }

    pub(super) fn set_voice(&mut self, key: ListenerKey, kind: ListenerKind) {
        if let Some(listener) = self.listeners.get_mut(key) {
            listener.kind = kind;
        }
    }

    /// Whether its events are those of HTTP+SSE.
    pub(super) fn name_events(&mut self, key: ListenerKey, is_named: bool) {
        if let Some(listener) = self.listeners.get_mut(key) {
            listener.is_named = is_named;
        }
    }

    /// Targeted messages up to this one have left.
    pub(super) fn set_sequence(&mut self, key: ListenerKey, sequence: u32) {
        if let Some(listener) = self.listeners.get_mut(key) {
            listener.sequence = sequence;
        }
    }

    pub(super) fn close(&mut self, key: ListenerKey) {
        self.pay_back_all(key);
        while let Some(slot) = self
            .listeners
            .get(key)
            .and_then(|listener| listener.subscriptions.len().checked_sub(1))
        {
            self.remove_subscription(key, slot);
        }
        self.leaves_principal(key);
        self.detach(key);
        self.listeners.remove(key);
        self.settle();
    }

    pub(super) fn listener(&self, key: ListenerKey) -> Option<&Listener> {
        self.listeners.get(key)
    }

    /// Subscriptions to resources; the lists do not count.
    pub(super) fn resource_count(&self, key: ListenerKey) -> usize {
        self.listeners.get(key).map_or(0, |listener| {
            let lists = (0..LISTS.len() as u32).filter(|&list| listener.slot_of(list).is_some());
            listener.subscriptions.len() - lists.count()
        })
    }

    pub(super) fn is_subscribed(&self, key: ListenerKey, uri: &str) -> bool {
        let topic = self.by_uri.get(uri).copied();
        let slot = |topic| self.listeners.get(key)?.slot_of(topic);
        topic.and_then(slot).is_some()
    }

    /// How a resource is published that somebody subscribed to by this spelling.
    pub(super) fn published_uri(&self, spelling: &str) -> Option<Rc<str>> {
        self.topics[*self.by_uri.get(spelling)? as usize].published_uri()
    }

    /// The resources that a listener is subscribed to, as they are published.
    pub(super) fn uris_of(&self, key: ListenerKey) -> impl Iterator<Item = Rc<str>> {
        let listener = self.listeners.get(key).into_iter();
        let topics = listener.flat_map(|it| &it.subscriptions);
        topics.filter_map(|it| self.topics[it.topic as usize].published_uri())
    }

    /// Subscribes from now on; a second time is the same as once.
    pub(super) fn subscribe(&mut self, key: ListenerKey, interest: &WantedTopic) {
        if self.listeners.get(key).is_none() {
            return;
        }
        let index = self.topic_index(interest);
        self.subscribe_to(key, index);
    }

    /// The same to a topic that is known by its number.
    fn subscribe_to(&mut self, key: ListenerKey, index: u32) {
        let Some(listener) = self.listeners.get_mut(key) else {
            return;
        };
        if listener.slot_of(index).is_some() {
            return;
        }
        let TopicEntry {
            uri, subscribers, ..
        } = &mut self.topics[index as usize];
        let position = subscribers.len() as u32;
        subscribers.push(TopicListener {
            listener: key.index,
            slot: listener.subscriptions.len() as u32,
        });
        listener.add(Subscription {
            topic: index,
            position,
            pending: false,
            directed: false,
        });
        if uri.is_some() {
            self.bytes += SUBSCRIPTION_BYTES;
        }
    }

    /// Makes room for exactly so many subscriptions.
    pub(super) fn reserve(&mut self, key: ListenerKey, count: usize) {
        if let Some(listener) = self.listeners.get_mut(key) {
            listener.subscriptions.reserve_exact(count);
        }
    }

    /// The topic changed: every subscriber has it to be notified of.
    pub(super) fn publish(&mut self, topic: &Topic, offset: u64) {
        let others = match topic {
            Topic::Resource(uri) if !self.spellings.is_empty() => self.spellings.get(&**uri),
            _ => None,
        };
        // Whoever hears of one thing by several names may take the first event for all: they share the offset.
        for index in self
            .find(topic)
            .into_iter()
            .chain(others.into_iter().flatten().copied())
        {
            let entry = &mut self.topics[index as usize];
            debug_assert!(entry.last_offset < offset, "offsets only grow");
            entry.last_offset = offset;
            let mut conflated = 0;
            for subscriber in &entry.subscribers {
                let (key, listener) = self.listeners.at_mut(subscriber.listener);
                conflated += u64::from(listener.mark(subscriber.slot as usize));
                listener.enqueue(key, &mut self.ready);
            }
            self.conflated += conflated;
        }
    }

    /// Anything may have changed: every listener has all to be notified of that it subscribed to. Each topic has an
    /// offset of its own, since event ids name one event; if there are ever more topics than offsets, some share the last.
    pub(super) fn publish_everything(&mut self, offsets: std::ops::RangeInclusive<u64>) {
        let (mut offset, last) = offsets.into_inner();
        for (_, entry) in &mut self.topics {
            debug_assert!(entry.last_offset < offset, "offsets only grow");
            entry.last_offset = offset;
            let mut conflated = 0;
            for subscriber in &entry.subscribers {
                let (key, listener) = self.listeners.at_mut(subscriber.listener);
                conflated += u64::from(listener.mark(subscriber.slot as usize));
                listener.enqueue(key, &mut self.ready);
            }
            self.conflated += conflated;
            offset = last.min(offset + 1);
        }
    }

    /// Events go to this connection from now on.
    pub(super) fn attach(&mut self, key: ListenerKey, sink: Exchange) {
        if let Some(listener) = self.listeners.get_mut(key) {
            self.sinks += usize::from(listener.sink.is_none());
            listener.sink = Some(sink);
            listener.enqueue(key, &mut self.ready);
        }
    }

    pub(super) fn detach(&mut self, key: ListenerKey) {
        if let Some(listener) = self.listeners.get_mut(key) {
            self.sinks -= usize::from(listener.sink.is_some());
            listener.sink = None;
        }
    }

    /// A targeted message waits for this listener's session.
    pub(super) fn has_messages(&mut self, key: ListenerKey) {
        if let Some(listener) = self.listeners.get_mut(key) {
            listener.messages = true;
            listener.enqueue(key, &mut self.ready);
        }
    }

    /// The sink can take bytes again.
    pub(super) fn resume(&mut self, key: ListenerKey) {
        if let Some(listener) = self.listeners.get_mut(key) {
            listener.enqueue(key, &mut self.ready);
        }
    }

    /// The reader says that it knows everything up to `offset` and nothing after it.
    pub(super) fn rewind(&mut self, key: ListenerKey, offset: u64) {
        let Some(listener) = self.listeners.get_mut(key) else {
            return;
        };
        listener.delivered_through = offset;
        for slot in 0..listener.subscriptions.len() {
            let subscription = &listener.subscriptions[slot];
            let public = self.topics[subscription.topic as usize].last_offset;
            if self.directed.newest(key, subscription, public) > offset {
                listener.mark(slot);
            }
        }
    }

    /// What the reader knows cannot be told (another epoch): all that it is subscribed to is to be delivered once.
    pub(super) fn rewind_unknown(&mut self, key: ListenerKey) {
        let Some(listener) = self.listeners.get_mut(key) else {
            return;
        };
        listener.delivered_through = 0;
        for slot in 0..listener.subscriptions.len() {
            listener.mark(slot);
        }
    }

    /// The next listener with something to be delivered, and its sink.
    pub(super) fn poll_ready(&mut self) -> Option<(ListenerKey, Exchange)> {
        while let Some(key) = self.ready.pop_front() {
            let Some(listener) = self.listeners.get_mut(key) else {
                continue;
            };
            listener.queued = false;
            if let Some(sink) = listener.sink.filter(|_| listener.has_news()) {
                return Some((key, sink));
            }
        }
        None
    }

    /// The listeners that [`poll_ready`](Fanout::poll_ready) gives next.
    pub(super) fn upcoming(&self, count: usize) -> impl Iterator<Item = &Listener> {
        let keys = self.ready.iter().take(count);
        keys.filter_map(|&key| self.listeners.get(key))
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Takes what `key` is to be notified of now, oldest offset first, so that an event's id covers all before it. Its
    /// messages are the caller's to take.
    pub(super) fn take_pending(
        &mut self,
        key: ListenerKey,
        due: &mut Vec<Due>,
    ) -> Option<DueEvents<'_>> {
        due.clear();
        let listener = self.listeners.get_mut(key)?;
        let messages = std::mem::take(&mut listener.messages);
        let (topics, directed) = (&self.topics, &self.directed);
        let offset_of =
            |it: &Subscription| directed.newest(key, it, topics[it.topic as usize].last_offset);
        let all = listener.pending as usize <= TOPICS_PER_WRITE_MAX;
        for subscription in &mut listener.subscriptions {
            if subscription.pending {
                due.push(Due {
                    offset: offset_of(subscription),
                    topic: subscription.topic,
                });
                subscription.pending = !all;
            }
        }
        due.sort_unstable();
        due.truncate(TOPICS_PER_WRITE_MAX);
        if let Some(last) = due.last().copied() {
            listener.delivered_through = listener.delivered_through.max(last.offset);
            listener.events = listener.events.wrapping_add(due.len() as u32);
            if all {
                listener.pending = 0;
            } else {
                // Everything up to `last` in the order just sorted is taken.
                for subscription in &mut listener.subscriptions {
                    let entry = Due {
                        offset: offset_of(subscription),
                        topic: subscription.topic,
                    };
                    if subscription.pending && entry <= last {
                        subscription.pending = false;
                        listener.pending -= 1;
                    }
                }
                listener.enqueue(key, &mut self.ready);
            }
        }
        Some(DueEvents {
            listener,
            topics,
            messages,
        })
    }

    pub(super) fn sink_count(&self) -> usize {
        self.sinks
    }

    pub(super) fn conflated(&self) -> u64 {
        self.conflated
    }

    pub(super) fn topic_count(&self) -> usize {
        self.topics.len()
    }

    pub(super) fn listeners(&self) -> impl Iterator<Item = (ListenerKey, &Listener)> {
        self.listeners.iter()
    }

    pub(super) fn listener_count(&self) -> usize {
        self.listeners.len()
    }

    /// The index of a topic that somebody is subscribed to, or that is a list.
    fn find(&self, topic: &Topic) -> Option<u32> {
        match topic.list() {
            Ok(list) => Some(list as u32),
            Err(uri) => self.by_uri.get(uri).copied(),
        }
    }

    fn topic_index(&mut self, interest: &WantedTopic) -> u32 {
        let uri = match interest.topic.list() {
            Ok(list) => return list as u32,
            Err(uri) => uri,
        };
        if let Some(&index) = self.by_uri.get(uri) {
            return index;
        }
        let shared: Rc<str> = uri.into();
        let own: Option<Rc<str>> = interest.own.as_deref().map(Rc::from);
        let entry = TopicEntry::of_resource(shared.clone(), own.clone());
        self.bytes += entry.bytes();
        let index = self.topics.insert(entry) as u32;
        if let Some(own) = own {
            self.add_spelling(own, index);
        }
        self.by_uri.insert(shared, index);
        index
    }

    /// Takes one subscription out on both sides; the last of each list moves into the gap.
    fn remove_subscription(&mut self, key: ListenerKey, slot: usize) {
        self.pay_back(key, slot);
        let Some(listener) = self.listeners.get_mut(key) else {
            return;
        };
        let removed = listener.remove(slot);
        if let Some(moved) = listener.subscriptions.get(slot) {
            self.topics[moved.topic as usize].subscribers[moved.position as usize].slot =
                slot as u32;
        }
        let entry = &mut self.topics[removed.topic as usize];
        if entry.uri.is_some() {
            self.bytes -= removed.bytes();
        }
        self.directed.forget(key, &removed);
        entry.subscribers.swap_remove(removed.position as usize);
        // A crowd that has left does not leave its memory behind.
        if entry.subscribers.capacity() > 4 * entry.subscribers.len().max(16) {
            entry.subscribers.shrink_to(2 * entry.subscribers.len());
        }
        if let Some(moved) = entry.subscribers.get(removed.position as usize) {
            let (_, other) = self.listeners.at_mut(moved.listener);
            other.subscriptions[moved.slot as usize].position = removed.position;
        }
        if entry.subscribers.is_empty()
            && let Some(uri) = entry.uri.take()
        {
            let own = entry.own.take();
            self.bytes -= TopicEntry::bytes_of(&uri, own.as_deref());
            self.by_uri.remove(&uri);
            self.topics.remove(removed.topic as usize);
            if let Some(own) = own {
                self.remove_spelling(&own, removed.topic);
            }
        }
    }
}
