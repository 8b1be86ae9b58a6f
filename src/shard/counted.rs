//! What can be counted of a shard beside its entries: what it has counted itself, and what tests compare.

use super::stats::{CoreStats, text_in};
use super::{CallKey, Engine, Http, Shard};
use crate::clients::Client;

impl Shard {
    /// Writes what was counted, and what there is, over an older copy: what did not change since is not copied again.
    pub fn stats_into(&self, copy: &mut CoreStats) {
        self.engine.stats_into(self.http.stats().streams, copy);
        self.http.stats().copy_into(copy);
        let connections = self.http.connection_count();
        copy.gauges.connections = connections;
        let bytes = connections * Http::<Engine>::ENTRY_BYTES;
        copy.gauges.memory_lines[0] = ("connections", bytes);
    }

    /// The JSON-RPC id of a call's request, as JSON. None: it is over.
    #[must_use]
    pub fn request_id(&self, call: CallKey) -> Option<&str> {
        self.engine.request_id(call)
    }

    /// A member of a request's params that is a string without escapes.
    #[must_use]
    pub fn text_in<'a>(params: &'a str, member: &str) -> Option<&'a str> {
        text_in(params, member)
    }

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
