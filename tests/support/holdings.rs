//! Whether what is counted for a whole node is what its cores hold: checked after every step.

use std::collections::BTreeMap;

use pinfold::internals::budget::Pool;
use pinfold::internals::clients::{Client, Holds, Ticket};
use pinfold::internals::shard::ShardCounts;

use super::node::{Core, Node};

impl Node {
    /// Panics if anything of a client is left on a core; gives what each of them has besides.
    pub fn check_nobody_is_left(&self) -> Vec<ShardCounts> {
        let left = |core: &Core| {
            let left = core.shard.counts();
            let counts = [
                left.connections,
                left.sessions,
                left.streams,
                left.listeners,
                left.calls,
            ];
            assert_eq!(counts, [0; 5], "{left:?}");
            left
        };
        self.cores.iter().map(left).collect()
    }

    /// What is counted for the whole node is what its cores, and connections on their way, hold.
    pub(super) fn count_clients(&self) {
        let mut held: BTreeMap<Client, Holds> = BTreeMap::new();
        for (client, is_session) in self.cores.iter().flat_map(|it| it.shard.holdings()) {
            let holds = held.entry(client).or_default();
            holds.sessions += u32::from(is_session);
            holds.connections += u32::from(!is_session);
        }
        for (client, bytes) in self
            .cores
            .iter()
            .flat_map(|it| it.shard.subscriptions_paid())
        {
            held.entry(client).or_default().subscription_bytes += bytes;
        }
        held.retain(|_, holds| *holds != Holds::default());
        let tickets = self.messages.iter().map(|message| &message.ticket);
        let tickets = tickets.chain(self.forwarded_for.iter().map(|(_, ticket)| ticket));
        for client in tickets.clone().filter_map(Ticket::client) {
            held.entry(client).or_default().connections += 1;
        }
        assert_eq!(
            self.commons.clients.holders(),
            held.into_iter().collect::<Vec<_>>()
        );
        let counts = self.cores.iter().map(|core| core.shard.counts());
        let sessions: usize = counts.clone().map(|it| it.sessions).sum();
        let connections = counts.map(|it| it.connections).sum::<usize>() + tickets.count();
        let taken = |pool: &Pool| pool.total() - pool.free();
        assert_eq!(taken(&self.commons.sessions), sessions);
        assert_eq!(taken(&self.commons.connections), connections);
        let bytes = self
            .cores
            .iter()
            .map(|core| core.shard.subscription_bytes());
        assert_eq!(
            taken(&self.commons.subscription_bytes),
            bytes.sum::<usize>()
        );
    }
}
