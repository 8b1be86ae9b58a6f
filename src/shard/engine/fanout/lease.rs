//! Memory of subscriptions, which all cores of a node take from one pool: to the byte, so that none of them keeps what
//! another one needs.

use super::topic::TopicEntry;
use super::{Fanout, SUBSCRIPTION_BYTES};
use crate::budget::Short;

impl Fanout {
    /// Takes what subscriptions to these need at most. Once they are made, [`settle`](Fanout::settle) gives back the rest.
    pub(in crate::shard) fn lease<'a>(
        &mut self,
        uris: impl Iterator<Item = &'a str>,
    ) -> Result<(), Short> {
        let new = uris.map(|uri| match self.by_uri.contains_key(uri) {
            true => SUBSCRIPTION_BYTES,
            false => SUBSCRIPTION_BYTES + TopicEntry::bytes_of(uri),
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
