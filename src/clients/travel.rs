//! What all cores of a node count together, and what becomes of it when another process goes on with the node: it does not compile
//! before somebody has decided on a new field.

use serde::{Deserialize, Serialize};

use super::table::ClientEntry;
use super::{Client, Clients, Commons, Millis, TokenBucket};

/// How fast clients have opened sessions lately. Times at which somebody has all of a rate again are in nanoseconds of the node's
/// clock.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct UsedRates {
    /// Of the whole node.
    of_node: u64,
    /// Of those who have not all of it. Nobody has for longer than a second: there are no more than the node lets in within one.
    of_clients: Vec<UsedRate>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct UsedRate {
    client: Client,
    full_at: u64,
    /// Of what it gets also when others want more than there is.
    #[serde(default)]
    modest_full_at: u64,
}

impl Commons {
    /// How fast clients have opened sessions, for the process that goes on in this one's place.
    pub(crate) fn used_rates(&self, now: Millis) -> UsedRates {
        let Commons {
            // Taken there by all that arrives.
            connections: _,
            sessions: _,
            subscription_bytes: _,
            memory: _,
            // What each holds likewise, and how fast each has opened sessions as follows. How fast each asks a core writes down.
            clients,
            // Counted since the process began, as all that is read by `/metrics`.
            ended: _,
            // A setting.
            proxies: _,
        } = self;
        let Clients {
            // Settings.
            limits: _,
            hasher: _,
            parts: _,
            rate: _,
            // Counted anew with the sessions that arrive.
            magnitudes: _,
        } = clients;
        let mut of_clients = Vec::new();
        for part in clients.locked() {
            let used = part.entries.iter().filter_map(|(&client, entry)| {
                let ClientEntry {
                    holds: _,
                    rate,
                    modest,
                } = entry;
                let is_used = !rate.is_full(now) || !modest.is_full(now);
                is_used.then(|| UsedRate {
                    client,
                    full_at: rate.full_at(),
                    modest_full_at: modest.full_at(),
                })
            });
            of_clients.extend(used);
        }
        of_clients.sort_unstable_by_key(|it| it.client);
        UsedRates {
            of_node: clients.node_rate().full_at(),
            of_clients,
        }
    }

    /// What clients had [used](Commons::used_rates) before another process went on. Nobody waits longer than for a whole second's.
    pub(crate) fn take_in_rates(&self, used: UsedRates, now: Millis) {
        let UsedRates {
            of_node,
            of_clients,
        } = used;
        let clients = &self.clients;
        clients.node_rate().take_in(of_node, now);
        for UsedRate {
            client,
            full_at,
            modest_full_at,
        } in of_clients
        {
            clients.with_entry(client, now, |entry| {
                entry.rate.take_in(full_at, now);
                entry.modest.take_in(modest_full_at, now);
            });
        }
    }
}

impl TokenBucket {
    /// It is full again at this time, if that is later than it was, and in the time that the whole of it takes at most.
    fn take_in(&mut self, full_at: u64, now: Millis) {
        let taken_in = TokenBucket::full_from(self.burst(), full_at.max(self.full_at()), now);
        *self = taken_in;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::{Excess, Networks};
    use crate::limits::Limits;

    fn client(last: u8) -> Option<Client> {
        Some(Client::of([192, 0, 2, last].into()))
    }

    fn commons(of_node: u32, of_client: u32) -> std::sync::Arc<Commons> {
        let limits = Limits {
            initialize_per_second_max: of_node,
            initialize_per_second_per_client_max: Some(of_client),
            ..Limits::default()
        };
        Commons::new(&limits, Networks::default())
    }

    fn opened(commons: &Commons, last: u8, now: Millis) -> usize {
        let opens = |_: &u32| commons.clients.open_session(client(last), now).is_ok();
        (0..50).filter(opens).count()
    }

    /// As it is after the way from one process to the next.
    fn travelled(used: &UsedRates) -> UsedRates {
        let bytes = rmp_serde::to_vec_named(used).expect("it can be written");
        rmp_serde::from_slice(&bytes).expect("it can be read")
    }

    #[test]
    fn a_client_that_has_its_rate_again_because_another_process_goes_on() {
        let before = commons(1_000, 10);
        assert_eq!(
            (opened(&before, 2, 4_000), opened(&before, 1, 5_000)),
            (10, 10)
        );
        let used = before.used_rates(5_500);
        assert_eq!(
            used.of_clients.len(),
            1,
            "the other one has all of it again"
        );
        let after = commons(1_000, 10);
        after.take_in_rates(travelled(&used), 5_500);
        assert_eq!(after.used_rates(5_500), used);
        assert_eq!(opened(&after, 1, 5_500), 5);
        assert_eq!(opened(&after, 2, 5_500), 10);
        assert_eq!(opened(&after, 3, 5_500), 10);
    }

    #[test]
    fn a_node_that_lets_in_more_because_another_process_goes_on() {
        let before = commons(20, 20);
        let all: usize = (1..9).map(|it| opened(&before, it, 5_000)).sum();
        assert!(all >= 10, "{all}");
        let after = commons(20, 20);
        after.take_in_rates(travelled(&before.used_rates(5_000)), 5_000);
        let refused = |commons: &Commons| {
            let refused = commons.clients.open_session(client(20), 5_000);
            refused.expect_err("all of it is used")
        };
        assert!(matches!(refused(&before), Excess::NodeRate(_)));
        assert_eq!(refused(&after), refused(&before));
    }

    #[test]
    fn a_state_of_a_neighbour_or_of_nobody_that_shuts_a_client_out() {
        let after = commons(1_000, 10);
        after.take_in_rates(UsedRates::default(), 5_000);
        assert_eq!(opened(&after, 1, 5_000), 10);
        let used = UsedRates {
            of_node: u64::MAX,
            of_clients: vec![UsedRate {
                client: client(2).expect("a client"),
                full_at: u64::MAX,
                modest_full_at: u64::MAX,
            }],
        };
        after.take_in_rates(used, 5_000);
        assert_eq!(opened(&after, 2, 6_000), 10);
    }
}
