//! Memory of subscriptions, which all cores of a node take from one pool: to the byte, so that none of them keeps what
//! another one needs.
//!
//! What one client has of it is counted for the node as well. A resource that many hear of is there once, but each of them
//! has it counted as if it were the only one: who comes first must not pay for all, and who goes last not for those before.

use super::listener::Subscription;
use super::topic::TopicEntry;
use super::{Fanout, ListenerKey, SUBSCRIPTION_BYTES, WantedTopic};
use crate::budget::BudgetExceeded;
use crate::clients::{Client, Millis};

/// Who has no room for more subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) enum NoRoom {
    OfNode,
    OfClient,
}

/// Taken for subscriptions that are about to be made.
#[must_use]
pub(in crate::shard) struct Lease {
    /// Who has so much of it counted as its own. None: there is nothing to count, or nobody.
    payer: Option<(Client, usize)>,
}

impl Fanout {
    /// Takes what subscriptions to these need at most. Once they are made, [`settle_all`](Fanout::settle_all) gives back
    /// the rest.
    pub(in crate::shard) fn lease(
        &mut self,
        client: Option<Client>,
        interests: &[WantedTopic],
        now: Millis,
    ) -> Result<Lease, NoRoom> {
        let (mut count, mut paid) = (0, 0);
        for interest in interests {
            let Err(uri) = interest.topic.list() else {
                continue;
            };
            let known = self
                .by_uri
                .get(uri)
                .map(|&topic| &self.topics[topic as usize]);
            let own = interest.own.as_deref();
            let alone = known.map_or_else(|| TopicEntry::bytes_of(uri, own), TopicEntry::bytes);
            count += SUBSCRIPTION_BYTES + if known.is_some() { 0 } else { alone };
            paid += SUBSCRIPTION_BYTES + alone;
        }
        let payer = client.filter(|_| paid > 0).map(|client| (client, paid));
        let clients = &self.commons.clients;
        if let Some((client, paid)) = payer {
            let taken = clients.take_subscription_bytes(client, paid, now);
            taken.map_err(|_| NoRoom::OfClient)?;
        }
        if let Err(BudgetExceeded) = self.commons.subscription_bytes.take(count) {
            if let Some((client, paid)) = payer {
                clients.give_back_subscription_bytes(client, paid);
            }
            return Err(NoRoom::OfNode);
        }
        self.leased += count;
        Ok(Lease { payer })
    }

    /// All subscriptions of a new listener are made: what was asked for twice is there once.
    pub(in crate::shard) fn settle_all(&mut self, key: ListenerKey, lease: &Lease) {
        if let Some((client, paid)) = lease.payer {
            let twice = paid.saturating_sub(self.bytes_alone(key));
            self.commons
                .clients
                .give_back_subscription_bytes(client, twice);
        }
        self.settle_one(key, lease);
    }

    /// One that was not there before is made.
    pub(in crate::shard) fn settle_one(&mut self, key: ListenerKey, lease: &Lease) {
        if let Some((client, _)) = lease.payer {
            self.set_payer(key, client);
        }
        self.settle();
    }

    /// What the listener's subscriptions would take if nobody else had them.
    pub(in crate::shard) fn bytes_alone(&self, key: ListenerKey) -> usize {
        let listener = self.listeners.get(key).into_iter();
        let subscriptions = listener.flat_map(|it| &it.subscriptions);
        subscriptions.map(|it| self.alone(it)).sum()
    }

    fn alone(&self, subscription: &Subscription) -> usize {
        match self.topics[subscription.topic as usize].bytes() {
            0 => 0,
            resource => subscription.bytes() + resource,
        }
    }

    /// The subscription in this slot goes.
    pub(super) fn pay_back(&self, key: ListenerKey, slot: usize) {
        let subscription = self
            .listeners
            .get(key)
            .and_then(|it| it.subscriptions.get(slot));
        if let (Some(it), Some(client)) = (subscription, self.payer(key)) {
            let count = self.alone(it);
            self.commons
                .clients
                .give_back_subscription_bytes(client, count);
        }
    }

    /// All of them go.
    pub(super) fn pay_back_all(&mut self, key: ListenerKey) {
        if self.listeners.get(key).is_some()
            && let Some(client) = self.payer(key)
        {
            let count = self.bytes_alone(key);
            self.commons
                .clients
                .give_back_subscription_bytes(client, count);
            if let Some(listener) = self.listeners.get_mut(key) {
                listener.payer = None;
            }
        }
    }

    fn set_payer(&mut self, key: ListenerKey, client: Client) {
        if let Some(listener) = self.listeners.get_mut(key) {
            listener.payer = Some(client);
        }
    }

    /// Whose the listener's subscriptions are, if they are counted.
    pub(super) fn payer(&self, key: ListenerKey) -> Option<Client> {
        self.listeners.get(key)?.payer
    }

    /// The listener had its subscriptions before.
    pub(super) fn take_in(&mut self, key: ListenerKey, client: Option<Client>, now: Millis) {
        self.lease_missing();
        if let Some(client) = client {
            let count = self.bytes_alone(key);
            self.commons
                .clients
                .take_in_subscription_bytes(client, count, now);
            self.set_payer(key, client);
        }
    }

    /// Takes what is there already, even if that is more than there may be.
    pub(super) fn lease_missing(&mut self) {
        let missing = self.bytes.saturating_sub(self.leased);
        if missing > 0 {
            self.commons.subscription_bytes.take_beyond(missing);
            self.leased += missing;
        }
    }

    /// What is counted for whom. For tests.
    pub(in crate::shard) fn paid(&self) -> impl Iterator<Item = (Client, usize)> {
        let payers = self
            .listeners
            .iter()
            .filter_map(|(key, _)| Some((key, self.payer(key)?)));
        payers.map(|(key, client)| (client, self.bytes_alone(key)))
    }

    /// Gives back what no subscription needs.
    pub(in crate::shard) fn settle(&mut self) {
        debug_assert!(self.bytes <= self.leased, "taken before it was leased");
        let spare = self.leased - self.bytes.min(self.leased);
        if spare > 0 {
            self.commons.subscription_bytes.give_back(spare);
            self.leased -= spare;
        }
    }

    pub(in crate::shard) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Panics if anything is taken for nothing.
    pub(super) fn lease_invariants(&self) {
        assert_eq!(self.bytes, self.leased, "leased for nothing");
    }
}
