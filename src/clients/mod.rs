//! Who the clients are, as far as limits for one of them go, and what each of them holds on this node.
//!
//! A client ([`Client`]) is a principal, if somebody has found out which, or else an address: its connection's, or the one
//! that a proxy in [`Networks`] names. It says how much somebody may take, and never who somebody is. What a client holds
//! is counted for the whole node in [`Clients`]. Only what opens or closes touches that, and no other request. How fast a
//! client asks each core knows by itself ([`CallRates`]).

mod call_rates;
mod client;
mod ended;
mod networks;
mod table;
mod token_bucket;
mod travel;

use std::sync::Arc;

use crate::budget::{BudgetExceeded, Pool};
use crate::limits::Limits;

pub use self::call_rates::CallRates;
pub use self::client::Client;
pub use self::ended::{EndedStreams, WhyEnded};
pub use self::networks::{Networks, NotANetwork, PRIVATE};
pub use self::table::{Clients, Excess, Holds, Millis};
pub use self::token_bucket::{RetryAfter, TokenBucket};
pub(crate) use self::travel::UsedRates;

/// What all cores of a node take from: none of them refuses anything while there is some of it.
#[derive(Debug)]
pub struct Commons {
    pub connections: Arc<Pool>,
    pub sessions: Arc<Pool>,
    /// Of subscriptions to resources, the URIs included.
    pub subscription_bytes: Arc<Pool>,
    /// What clients make the node hold: bodies that arrive, unread and kept answers, calls under way.
    pub memory: Arc<Pool>,
    pub clients: Clients,
    pub ended: Arc<EndedStreams>,
    /// Who may name the client of a request.
    pub proxies: Networks,
}

impl Commons {
    #[must_use]
    pub fn new(limits: &Limits, proxies: Networks) -> Arc<Commons> {
        Arc::new(Commons {
            connections: Pool::new(limits.connections_max),
            sessions: Pool::new(limits.sessions_max),
            subscription_bytes: Pool::new(limits.subscription_bytes_max),
            memory: Pool::new(limits.memory_bytes_max),
            clients: Clients::new(limits),
            ended: Arc::default(),
            proxies,
        })
    }
}

/// What a connection keeps of the node's and of its client's while no shard has it: it is on its way to another core, or
/// passed on to another node. Whoever drops it gives back the place.
#[derive(Debug)]
pub struct Ticket {
    commons: Arc<Commons>,
    /// For whom it counts among the connections of one client.
    client: Option<Client>,
    places: usize,
}

impl Ticket {
    /// Of a connection that has its place already.
    pub(crate) fn of(commons: Arc<Commons>, client: Option<Client>) -> Ticket {
        Ticket {
            commons,
            client,
            places: 1,
        }
    }

    /// Of a request that another node answers, and did before this process began: it has both places in any case.
    pub(crate) fn again(commons: &Arc<Commons>, client: Option<Client>, now: Millis) -> Ticket {
        commons.connections.take_beyond(2);
        commons.clients.take_in_connection(client, now);
        Ticket {
            commons: commons.clone(),
            client,
            places: 2,
        }
    }

    /// A request that another node answers takes two connections.
    ///
    /// # Errors
    /// The node has no other place.
    pub fn widen(&mut self) -> Result<(), BudgetExceeded> {
        self.commons.connections.take(1)?;
        self.places += 1;
        Ok(())
    }

    /// For whom the connection counts.
    #[must_use]
    pub fn client(&self) -> Option<Client> {
        self.client
    }

    /// For whom the connection counts. Its place is the caller's to give back from now on.
    pub(crate) fn take_over(mut self) -> Option<Client> {
        self.commons
            .connections
            .give_back(std::mem::take(&mut self.places).saturating_sub(1));
        self.client.take()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.commons.connections.give_back(self.places);
        self.commons.clients.close_connection(self.client);
    }
}
