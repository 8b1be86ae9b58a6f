//! One resource by several names: a client is notified by the name that it knows, whichever was published.

use std::rc::Rc;

use super::{Fanout, ListenerKey};
use crate::app::call::Topic;
use crate::shard::portable::PORTABLE_BYTES_MAX;

/// What a client subscribes to.
pub(in crate::shard) struct WantedTopic {
    /// A resource as the client spells it.
    pub(super) topic: Topic,
    /// How it is published, if that is another spelling.
    pub(super) own: Option<Box<str>>,
}

impl WantedTopic {
    pub(in crate::shard) fn of(list: Topic) -> Self {
        WantedTopic {
            topic: list,
            own: None,
        }
    }

    pub(in crate::shard) fn of_resource(uri: &str, own: Box<str>) -> Self {
        WantedTopic {
            topic: Topic::Resource(uri.into()),
            own: (&*own != uri).then_some(own),
        }
    }
}

impl WantedTopic {
    /// How a resource is published; a list has no URI.
    pub(in crate::shard) fn own_uri(&self) -> &str {
        let uri = || self.topic.list().err().unwrap_or_default();
        self.own.as_deref().unwrap_or_else(uri)
    }
}

impl Fanout {
    /// The resources that a listener is subscribed to, as its client spells them. None: that is more than a record may have.
    pub(in crate::shard::engine) fn spellings_of(&self, key: ListenerKey) -> Option<Vec<Box<str>>> {
        let listener = self.listeners.get(key)?;
        let topics = listener.subscriptions.iter();
        let uris = topics.filter_map(|it| self.topics[it.topic as usize].uri.as_deref());
        let bytes: usize = uris.clone().map(str::len).sum();
        (bytes <= PORTABLE_BYTES_MAX).then(|| uris.map(Box::from).collect())
    }

    /// Whoever is not subscribed to it by this spelling means any other. How many subscriptions that were.
    pub(in crate::shard) fn unsubscribe(
        &mut self,
        key: ListenerKey,
        interest: &WantedTopic,
    ) -> usize {
        let Topic::Resource(uri) = &interest.topic else {
            return 0;
        };
        if let Some(slot) = self.slot_of(key, uri) {
            self.remove_subscription(key, slot);
            self.settle();
            return 1;
        }
        let own = interest.own_uri();
        let mut count = 0;
        while let Some(slot) = self.slot_of(key, own).or_else(|| {
            let other = self.others_heard(key, own).next()?;
            self.listeners.get(key)?.slot_of(other)
        }) {
            self.remove_subscription(key, slot);
            count += 1;
        }
        self.settle();
        count
    }

    fn slot_of(&self, key: ListenerKey, uri: &str) -> Option<usize> {
        self.listeners.get(key)?.slot_of(*self.by_uri.get(uri)?)
    }

    /// How a listener spells a resource that is published as `own`.
    pub(in crate::shard) fn spelled<'a>(&'a self, key: ListenerKey, own: &'a str) -> &'a str {
        if self.is_subscribed(key, own) {
            return own;
        }
        let others = self.others_heard(key, own).next();
        others
            .and_then(|it| self.topics[it as usize].uri.as_deref())
            .unwrap_or(own)
    }

    /// What this listener is subscribed to under other spellings of a resource.
    fn others_heard(&self, key: ListenerKey, own: &str) -> impl Iterator<Item = u32> {
        let others = self.spellings.get(own).map_or(&[][..], Vec::as_slice);
        let listener = self.listeners.get(key);
        let is_heard = move |&topic: &u32| listener.is_some_and(|it| it.slot_of(topic).is_some());
        others.iter().copied().filter(is_heard)
    }

    pub(super) fn add_spelling(&mut self, own: Rc<str>, topic: u32) {
        self.spellings.entry(own).or_default().push(topic);
    }

    pub(super) fn remove_spelling(&mut self, own: &str, topic: u32) {
        let Some(others) = self.spellings.get_mut(own) else {
            return;
        };
        others.retain(|&it| it != topic);
        if others.is_empty() {
            self.spellings.remove(own);
        }
    }
}
