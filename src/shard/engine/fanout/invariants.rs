//! What the fan-out promises itself. For tests.

use std::collections::HashSet;
use std::rc::Rc;

use super::Fanout;
use crate::app::call::LISTS;

impl Fanout {
    /// Panics if the two sides of the index disagree.
    pub(in crate::shard::engine) fn invariants(&self) {
        let sinks = self.listeners.iter().filter(|(_, it)| it.sink.is_some());
        assert_eq!(self.sinks, sinks.count(), "listeners that are connected");
        for (index, entry) in &self.topics {
            for (position, subscriber) in entry.subscribers.iter().enumerate() {
                let (_, listener) = self.listeners.at(subscriber.listener);
                let subscription = &listener.subscriptions[subscriber.slot as usize];
                assert_eq!(
                    (subscription.topic as usize, subscription.position as usize),
                    (index, position)
                );
            }
            if let Some(uri) = &entry.uri {
                assert_eq!(self.by_uri.get(uri), Some(&(index as u32)));
                let others = |own: &Rc<str>| self.spellings[own].contains(&(index as u32));
                assert!(entry.own.as_ref().is_none_or(others));
                assert!(
                    !entry.subscribers.is_empty(),
                    "a topic nobody hears is kept"
                );
            }
        }
        assert_eq!(self.by_uri.len() + LISTS.len(), self.topics.len());
        let owns = self.topics.iter().filter_map(|(_, it)| it.own.as_ref());
        assert_eq!(self.spellings.len(), owns.collect::<HashSet<_>>().len());
        let resources = || self.topics.iter().filter(|(_, it)| it.uri.is_some());
        let subscribers = resources().flat_map(|(_, it)| &it.subscribers);
        let subscribers = subscribers.map(|it| {
            let (_, listener) = self.listeners.at(it.listener);
            listener.subscriptions[it.slot as usize].bytes()
        });
        let topics: usize = resources().map(|(_, it)| it.bytes()).sum();
        assert_eq!(self.bytes, subscribers.sum::<usize>() + topics);
        self.lease_invariants();
        self.directed_invariants();
        for (key, listener) in self.listeners.iter() {
            let pending = listener
                .subscriptions
                .iter()
                .filter(|it| it.pending)
                .count();
            assert_eq!(pending, listener.pending as usize);
            for (slot, subscription) in listener.subscriptions.iter().enumerate() {
                assert_eq!(listener.slot_of(subscription.topic), Some(slot));
                let subscriber = &self.topics[subscription.topic as usize].subscribers
                    [subscription.position as usize];
                assert_eq!(
                    (subscriber.listener, subscriber.slot as usize),
                    (key.index, slot)
                );
            }
        }
    }
}
