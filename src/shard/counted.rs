//! What can be counted of a shard beside its entries: for tests.

use super::Shard;
use crate::clients::Client;

impl Shard {
    /// What its clients hold here, as it is counted for the whole node: sessions and connections. For tests.
    pub fn holdings(&self) -> impl Iterator<Item = (Client, bool)> {
        let sessions = self.engine.session_clients().map(|client| (client, true));
        sessions.chain(self.http.holdings().map(|client| (client, false)))
    }

    /// What of subscriptions to resources is counted for its clients. For tests.
    pub fn subscriptions_paid(&self) -> impl Iterator<Item = (Client, usize)> {
        self.engine.subscriptions_paid()
    }

    /// Of subscriptions to resources. For tests.
    #[must_use]
    pub fn subscription_bytes(&self) -> usize {
        self.engine.subscription_bytes()
    }
}
