//! By what a listener hears, and what it loses if it may hear less.

use std::rc::Rc;

use super::super::grant::Grant;
use super::{Fanout, ListenerKey};

impl Fanout {
    /// By what whoever reads on the listener's connection hears. The timer that runs for it goes on.
    pub(in crate::shard::engine) fn set_grant(&mut self, key: ListenerKey, mut grant: Box<Grant>) {
        let before = self.grant(key).map(|it| (it.principal, it.timer));
        // Whoever hears already what is for this principal alone goes on doing so.
        let is_other = before.is_none_or(|(principal, _)| principal != grant.principal);
        if is_other {
            self.leaves_principal(key);
        }
        if let Some(listener) = self.listeners.get_mut(key) {
            grant.timer = before.map_or(grant.timer, |(_, timer)| timer);
            listener.grant = Some(grant);
        }
        if is_other {
            self.joins_principal(key);
        }
    }

    pub(in crate::shard::engine) fn grant(&self, key: ListenerKey) -> Option<&Grant> {
        self.listeners.get(key)?.grant.as_deref()
    }

    pub(in crate::shard::engine) fn grant_mut(&mut self, key: ListenerKey) -> Option<&mut Grant> {
        self.listeners.get_mut(key)?.grant.as_deref_mut()
    }

    /// Takes out the subscriptions that are not to be kept, and gives the resources among them as they are published, a list as
    /// none. `keeps` is asked of a list by its index ([`Topic::list`](crate::app::call::Topic::list)), of a resource by its
    /// published URI.
    pub(in crate::shard::engine) fn retain(
        &mut self,
        key: ListenerKey,
        mut keeps: impl FnMut(&Grant, Result<usize, &str>) -> bool,
    ) -> Vec<Option<Rc<str>>> {
        let mut lost = Vec::new();
        let count = self
            .listeners
            .get(key)
            .map_or(0, |it| it.subscriptions.len());
        // From the last on: what moves into a gap was looked at.
        for slot in (0..count).rev() {
            let Some(listener) = self.listeners.get(key) else {
                break;
            };
            let (Some(grant), Some(subscription)) =
                (&listener.grant, listener.subscriptions.get(slot))
            else {
                break;
            };
            let published = self.topics[subscription.topic as usize].published_uri();
            let heard = match published.as_deref() {
                Some(uri) => Err(uri),
                None => Ok(subscription.topic as usize),
            };
            if !keeps(grant, heard) {
                self.remove_subscription(key, slot);
                lost.push(published);
            }
        }
        if !lost.is_empty() {
            self.settle();
        }
        lost
    }

    /// How much it is to look at all that a listener is subscribed to.
    pub(in crate::shard::engine) fn subscription_count(&self, key: ListenerKey) -> usize {
        let listener = self.listeners.get(key);
        listener.map_or(0, |listener| listener.subscriptions.len())
    }

    /// Those that are somebody's.
    pub(in crate::shard::engine) fn granted(&self) -> impl Iterator<Item = ListenerKey> + '_ {
        self.granted_in(0, self.listeners.slot_count())
    }

    /// Those among `count` slots from the `start`-th on.
    pub(in crate::shard::engine) fn granted_in(
        &self,
        start: usize,
        count: usize,
    ) -> impl Iterator<Item = ListenerKey> + '_ {
        let listeners = self.listeners.range(start, count);
        listeners.filter_map(|(key, it)| it.grant.is_some().then_some(key))
    }

    pub(in crate::shard::engine) fn slot_count(&self) -> usize {
        self.listeners.slot_count()
    }
}
