//! What was published for one principal alone: its subscribers are notified of it, and to everybody else it is as if it had
//! never been.
//!
//! A directed publication marks the subscriptions of those listeners whose grant is this principal's. Its place in the log is
//! kept for each of them, beside them since most have none, and goes when they go. It is never the topic's own place, by which
//! everybody else is resumed. The newest that a subscription is to be notified of is the later one of both. Only one that
//! says that it has a place of its own is looked up: what is published for all costs what it did.
//!
//! Of a topic that few are subscribed to, each subscriber is looked at. Beyond that it is known which listeners a principal has,
//! from the first time on that somebody wants to know: those are looked at, or the topic's subscribers if they are fewer.
//!
//! Invariant: a subscription is `directed` if and only if `places` has it; it is pending if that place is later than what its
//! listener was last notified of. `docs/decisions/0013-a-publication-for-one-principal.md` has the reasons.

use std::collections::{BTreeMap, BTreeSet};

use super::listener::{DIRECTED_BYTES, Subscription};
use super::{Fanout, Listener, ListenerKey};
use crate::app::call::Topic;
use crate::clients::Millis;
use crate::principal::PrincipalId;
use crate::shard::arena::Arena;

/// So many subscribers of a topic are looked at one by one: no more than a few thousand nanoseconds, for which nobody needs an
/// index of all listeners.
const LOOKED_THROUGH_MAX: usize = 64;

#[derive(Default)]
pub(super) struct Directed {
    /// Where in the log something was published last for the principal of a listener alone, by listener and topic.
    places: BTreeMap<(u32, u32), u64>,
    /// All listeners that are somebody's. None: nobody wanted to know.
    by_principal: Option<BTreeSet<(PrincipalId, u32)>>,
}

impl Directed {
    /// The newest place in the log of which a subscription is to be notified; `public` is the topic's.
    #[inline]
    pub(super) fn newest(&self, key: ListenerKey, subscription: &Subscription, public: u64) -> u64 {
        match subscription.directed {
            false => public,
            true => self.place(key, subscription).unwrap_or(0).max(public),
        }
    }

    pub(super) fn place(&self, key: ListenerKey, subscription: &Subscription) -> Option<u64> {
        let place = (key.index, subscription.topic);
        let has_one = subscription.directed;
        has_one.then(|| self.places.get(&place).copied()).flatten()
    }

    /// The subscription goes.
    pub(super) fn forget(&mut self, key: ListenerKey, subscription: &Subscription) {
        if subscription.directed {
            self.places.remove(&(key.index, subscription.topic));
        }
    }

    fn listeners_of(
        &mut self,
        principal: PrincipalId,
        listeners: &Arena<Listener>,
    ) -> impl Iterator<Item = u32> {
        let all = || {
            let named = listeners.iter();
            let named = named.filter_map(|(key, it)| Some((it.principal()?, key.index)));
            named.collect()
        };
        let by_principal = self.by_principal.get_or_insert_with(all);
        let own = by_principal.range((principal, 0)..=(principal, u32::MAX));
        own.map(|&(_, listener)| listener)
    }
}

impl Listener {
    pub(in crate::shard::engine) fn principal(&self) -> Option<PrincipalId> {
        self.grant.as_deref().map(|it| it.principal)
    }
}

impl Fanout {
    /// The topic changed, as far as this principal is concerned: its subscribers have it to be notified of.
    pub(in crate::shard::engine) fn publish_to(
        &mut self,
        principal: PrincipalId,
        topic: &Topic,
        offset: u64,
        now: Millis,
    ) {
        for topic in self.spelled_in_any_way(topic) {
            for listener in self.worth_a_look(principal, topic) {
                self.direct(principal, (listener, topic), offset, now);
            }
        }
        self.lease_missing();
    }

    /// A topic, and what is subscribed to as another name of it.
    pub(super) fn spelled_in_any_way(&self, topic: &Topic) -> Vec<u32> {
        let others = match topic {
            Topic::Resource(uri) => self.spellings.get(&**uri),
            _ => None,
        };
        let others = others.into_iter().flatten().copied();
        self.find(topic).into_iter().chain(others).collect()
    }

    /// Listeners among which are all that this principal has of the topic.
    fn worth_a_look(&mut self, principal: PrincipalId, topic: u32) -> Vec<u32> {
        let subscribers = &self.topics[topic as usize].subscribers;
        let count = subscribers.len();
        if count > LOOKED_THROUGH_MAX {
            let own = self.directed.listeners_of(principal, &self.listeners);
            let own: Vec<u32> = own.take(count + 1).collect();
            if own.len() <= count {
                return own;
            }
        }
        subscribers.iter().map(|it| it.listener).collect()
    }

    fn direct(
        &mut self,
        principal: PrincipalId,
        (index, topic): (u32, u32),
        offset: u64,
        now: Millis,
    ) {
        let (key, listener) = self.listeners.at_mut(index);
        if listener.principal() != Some(principal) {
            return;
        }
        let Some(slot) = listener.slot_of(topic) else {
            return;
        };
        self.conflated += u64::from(listener.mark(slot));
        listener.enqueue(key, &mut self.ready);
        let more = self.note_directed(key, (slot, topic), offset);
        if let Some(client) = self.payer(key).filter(|_| more > 0) {
            let clients = &self.commons.clients;
            clients.take_in_subscription_bytes(client, more, now);
        }
    }

    /// Keeps the place for a subscription. How many bytes more those take that are counted.
    pub(super) fn note_directed(
        &mut self,
        key: ListenerKey,
        (slot, topic): (usize, u32),
        offset: u64,
    ) -> usize {
        let Some(listener) = self.listeners.get_mut(key) else {
            return 0;
        };
        let subscription = &mut listener.subscriptions[slot];
        let is_first = !std::mem::replace(&mut subscription.directed, true);
        let before = self.directed.places.insert((key.index, topic), offset);
        debug_assert!(before.is_none_or(|it| it < offset), "offsets only grow");
        let is_resource = self.topics[topic as usize].uri.is_some();
        let more = if is_first && is_resource {
            DIRECTED_BYTES
        } else {
            0
        };
        self.bytes += more;
        more
    }

    /// The listener has a principal from now on.
    pub(super) fn joins_principal(&mut self, key: ListenerKey) {
        if let Some(by_principal) = &mut self.directed.by_principal
            && let Some(principal) = self.listeners.get(key).and_then(Listener::principal)
        {
            by_principal.insert((principal, key.index));
        }
    }

    /// It goes, or has another one.
    pub(super) fn leaves_principal(&mut self, key: ListenerKey) {
        if let Some(by_principal) = &mut self.directed.by_principal
            && let Some(principal) = self.listeners.get(key).and_then(Listener::principal)
        {
            by_principal.remove(&(principal, key.index));
        }
    }

    /// Panics if a place is kept for no subscription, or a listener is not found by its principal.
    pub(super) fn directed_invariants(&self) {
        let mut count = 0;
        for (key, listener) in self.listeners.iter() {
            for subscription in listener.subscriptions.iter().filter(|it| it.directed) {
                assert!(self.directed.place(key, subscription).is_some());
                count += 1;
            }
        }
        let Directed {
            places,
            by_principal,
        } = &self.directed;
        assert_eq!(count, places.len(), "kept for a subscription that is gone");
        if let Some(by_principal) = by_principal {
            let all = self.listeners.iter();
            let all = all.filter_map(|(key, it)| Some((it.principal()?, key.index)));
            assert_eq!(*by_principal, all.collect::<BTreeSet<_>>());
        }
    }
}

#[cfg(all(test, feature = "auth"))]
mod tests {
    use super::super::{ListenerKind, SubscriptionId, WantedTopic};
    use super::*;
    use crate::clients::{Commons, Networks};
    use crate::limits::Limits;
    use crate::shard::engine::grant::Grant;

    fn principal(number: u32) -> PrincipalId {
        PrincipalId::of("issuer", &number.to_string())
    }

    fn fanout() -> Fanout {
        Fanout::new(Commons::new(&Limits::default(), Networks::private()))
    }

    /// Somebody's, subscribed to the list of tools, and to prompts if it is of the first hundred.
    fn listener(fanout: &mut Fanout, number: u32, principal: PrincipalId) -> ListenerKey {
        let kind = ListenerKind::Listen(SubscriptionId::Number(i64::from(number)));
        let key = fanout.open(kind, 0);
        let grant = Grant {
            principal,
            rights: Default::default(),
            valid_until: u32::MAX,
            issued_at: u32::MAX,
            timer: Default::default(),
            looked: 0,
        };
        fanout.set_grant(key, Box::new(grant));
        fanout.subscribe(key, &WantedTopic::of(Topic::Tools));
        if number < 100 {
            fanout.subscribe(key, &WantedTopic::of(Topic::Prompts));
        }
        key
    }

    fn pending(fanout: &Fanout) -> usize {
        let listeners = fanout.listeners();
        listeners.filter(|(_, it)| it.pending > 0).count()
    }

    const TOOLS: u32 = 0;
    const PROMPTS: u32 = 1;

    /// Ten thousand principals, and one more that has a hundred listeners: as many are looked at as are theirs.
    #[test]
    fn a_publication_for_one_of_ten_thousand_that_looks_at_all() {
        let mut fanout = fanout();
        let listeners: Vec<ListenerKey> = (0..10_000)
            .map(|number| listener(&mut fanout, number, principal(number)))
            .collect();
        for number in 10_000..10_100 {
            listener(&mut fanout, number, principal(10_000));
        }
        assert!(
            fanout.directed.by_principal.is_none(),
            "for whom it is nothing"
        );
        for (whose, count) in [(17, 1), (10_000, 100), (20_000, 0)] {
            assert_eq!(fanout.worth_a_look(principal(whose), TOOLS).len(), count);
        }
        fanout.publish_to(principal(17), &Topic::Tools, 1, 0);
        fanout.publish_to(principal(10_000), &Topic::Tools, 2, 0);
        assert_eq!(pending(&fanout), 101);
        // Known from now on: one that goes, and one that comes.
        fanout.close(listeners[17]);
        listener(&mut fanout, 10_101, principal(17));
        listener(&mut fanout, 10_102, principal(17));
        assert_eq!(fanout.worth_a_look(principal(17), TOOLS).len(), 2);
        fanout.invariants();
    }

    /// Ten thousand listeners of one principal, and a topic that a hundred are subscribed to.
    #[test]
    fn a_publication_for_the_only_one_that_looks_at_more_than_the_subscribers() {
        let mut fanout = fanout();
        for number in 0..10_000 {
            listener(&mut fanout, number, principal(1));
        }
        assert_eq!(fanout.worth_a_look(principal(1), PROMPTS).len(), 100);
        fanout.publish_to(principal(1), &Topic::Prompts, 1, 0);
        assert_eq!(pending(&fanout), 100);
        fanout.invariants();
    }

    #[test]
    fn an_index_of_all_listeners_for_a_topic_that_few_hear_of() {
        let mut fanout = fanout();
        for number in 0..LOOKED_THROUGH_MAX as u32 {
            listener(&mut fanout, number, principal(number));
        }
        fanout.publish_to(principal(7), &Topic::Tools, 1, 0);
        assert_eq!(pending(&fanout), 1);
        assert!(fanout.directed.by_principal.is_none());
    }

    #[test]
    fn a_subscription_that_weighs_more_for_what_most_do_not_have() {
        assert_eq!(size_of::<Subscription>(), 12);
    }
}
