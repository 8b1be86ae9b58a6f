//! Memory of subscriptions, which all cores of a node take from one pool: to the byte, so that none of them keeps what
//! another one needs.

use super::topic::TopicEntry;
use super::{Fanout, SUBSCRIPTION_BYTES, WantedTopic};
use crate::budget::BudgetExceeded;

impl Fanout {
    /// Takes what subscriptions to these need at most. Once they are made, [`settle`](Fanout::settle) gives back the rest.
    pub(in crate::shard) fn lease(
        &mut self,
        interests: &[WantedTopic],
    ) -> Result<(), BudgetExceeded> {
        let new = interests
            .iter()
            .map(|interest| match interest.topic.list() {
                Ok(_) => 0,
                Err(uri) if self.by_uri.contains_key(uri) => SUBSCRIPTION_BYTES,
                Err(uri) => SUBSCRIPTION_BYTES + TopicEntry::bytes_of(uri, interest.own.as_deref()),
            });
        let count = new.sum();
        self.pool.take(count)?;
        self.leased += count;
        Ok(())
    }

    /// Gives back what no subscription needs.
    pub(in crate::shard) fn settle(&mut self) {
        debug_assert!(self.bytes <= self.leased, "taken before it was leased");
        let spare = self.leased - self.bytes.min(self.leased);
        if spare > 0 {
            self.pool.give_back(spare);
            self.leased -= spare;
        }
    }

    pub(in crate::shard) fn bytes(&self) -> usize {
        self.bytes
    }
}
