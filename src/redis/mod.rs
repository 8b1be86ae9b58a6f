//! A small pipelined client of Redis, for one thread with a monoio runtime and a timer.
//!
//! [`RedisUrl`] says where, [`Command`] and [`Reply`] are what goes there and comes back, [`RedisConnection`] pipelines them,
//! and [`RedisLink`] keeps one connection alive for as long as it lives itself. `frame` finds where a reply ends; the crate
//! `redis-protocol` reads what is in it. The client speaks RESP3 with servers that know it, and RESP2 with the others.
//!
//! Nobody ever waits for a Redis that is not there. A call without a connection fails at once, and one on a connection
//! that says nothing for too long fails with it.

mod advice;
mod backoff;
mod command;
mod connection;
mod fault;
mod frame;
mod handshake;
mod link;
#[cfg(any(test, feature = "internals"))]
pub mod properties;
mod reply;
mod socket;
mod tls;
mod transport;
mod url;

pub(crate) use self::backoff::{Backoff, random};
pub use self::command::Command;
pub use self::connection::{REPLY_BYTES_MAX, RedisConnection};
pub use self::fault::RedisFault;
pub use self::link::RedisLink;
pub use self::reply::{RedisError, Reply};
pub use self::tls::Authorities;
pub use self::url::{BadRedisUrl, RedisUrl};

use std::time::Duration;

/// How to reach a Redis, and how long to wait for it.
#[derive(Clone, Debug)]
pub struct Settings {
    pub url: RedisUrl,
    /// What `CLIENT LIST` shows; no spaces.
    pub client_name: String,
    pub timeouts: Timeouts,
    /// For `rediss://`.
    pub authorities: Authorities,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From looking up the name to the end of the handshake.
    pub connect: Duration,
    /// For an answer. A Redis that takes longer counts as dead, and the connection with it.
    pub command: Duration,
}

impl Default for Timeouts {
    /// A Redis forks in some hundred milliseconds when it is large, and answers nobody meanwhile.
    fn default() -> Self {
        Timeouts {
            connect: Duration::from_secs(2),
            command: Duration::from_secs(2),
        }
    }
}

impl Settings {
    #[must_use]
    pub fn new(url: RedisUrl, client_name: impl Into<String>) -> Self {
        Settings {
            url,
            client_name: client_name.into(),
            timeouts: Timeouts::default(),
            authorities: Authorities::default(),
        }
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
