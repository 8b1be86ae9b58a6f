//! What operators see of listeners: beside a look at one, nothing here is on the way of an event.

use std::rc::Rc;

use super::super::client_info::ClientInfo;
use super::{Fanout, Listener, ListenerKey};
use crate::app::call::{LISTS, Topic};

impl Fanout {
    /// A listen stream has opened now.
    pub(in crate::shard::engine) fn set_opened(&mut self, key: ListenerKey, at_s: u32) {
        if let Some(listener) = self.listeners.get_mut(key) {
            listener.opened_at_s = at_s;
        }
    }

    /// What the client of a listen stream says of itself. Gives what was there before.
    pub(in crate::shard::engine) fn set_client_info(
        &mut self,
        key: ListenerKey,
        client_info: Option<Rc<ClientInfo>>,
    ) -> Option<Rc<ClientInfo>> {
        let listener = self.listeners.get_mut(key)?;
        std::mem::replace(&mut listener.client_info, client_info)
    }

    /// What is in a slot, and how many slots there are.
    pub(in crate::shard::engine) fn in_slot(&self, slot: u32) -> Option<(ListenerKey, &Listener)> {
        self.listeners.in_slot(slot)
    }

    pub(in crate::shard::engine) fn slots(&self) -> usize {
        self.listeners.slot_count()
    }

    /// How many would be notified if this were published now.
    pub(in crate::shard::engine) fn subscriber_count(&self, topic: &Topic) -> usize {
        let topics = self.spelled_in_any_way(topic).into_iter();
        topics
            .map(|it| self.topics[it as usize].subscribers.len())
            .sum()
    }

    /// What a listener is subscribed to: a list by its name for publishers, a resource as it is published.
    pub(in crate::shard::engine) fn names_of(
        &self,
        key: ListenerKey,
        count: usize,
    ) -> Vec<Box<str>> {
        let listener = self.listeners.get(key).into_iter();
        let topics = listener.flat_map(|it| &it.subscriptions).take(count);
        let names = topics.filter_map(|it| {
            let uri = self.topics[it.topic as usize].published_uri();
            let list = LISTS.get(it.topic as usize);
            let name = uri.as_deref().or(list.map(|(_, list)| list.name));
            name.map(Box::from)
        });
        names.collect()
    }
}
