//! Connections to other nodes that wait for their next request: which of them, and for how long. The driver has them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::shard::Millis;

/// Far below the time after which a node closes an idle connection.
const IDLE_MAX_MS: Millis = 10_000;
/// For one node.
const KEPT_MAX: usize = 64;

/// An idle connection. No two have the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdleKey(u64);

#[derive(Default)]
pub(super) struct IdlePool {
    next: u64,
    /// Of each node the one that was used last comes last; no list is empty.
    idle: BTreeMap<SocketAddr, Vec<Idle>>,
}

struct Idle {
    key: IdleKey,
    since: Millis,
}

impl Idle {
    fn is_stale(&self, now: Millis) -> bool {
        now >= self.since + IDLE_MAX_MS
    }
}

impl IdlePool {
    /// The one that was used last: if that is stale, all are.
    pub(super) fn take(&mut self, now: Millis, address: SocketAddr) -> Option<IdleKey> {
        let idle = self.idle.get_mut(&address)?;
        let taken = idle.pop_if(|it| !it.is_stale(now))?;
        if idle.is_empty() {
            self.idle.remove(&address);
        }
        Some(taken.key)
    }

    /// None: there are enough.
    pub(super) fn put(&mut self, now: Millis, address: SocketAddr) -> Option<IdleKey> {
        let idle = self.idle.entry(address).or_default();
        if idle.len() >= KEPT_MAX {
            return None;
        }
        self.next += 1;
        let key = IdleKey(self.next);
        idle.push(Idle { key, since: now });
        Some(key)
    }

    /// Those that have waited for too long, and do no more.
    pub(super) fn take_stale(&mut self, now: Millis) -> Vec<IdleKey> {
        let mut stale = Vec::new();
        self.idle.retain(|_, idle| {
            let taken = idle.extract_if(.., |it| it.is_stale(now));
            stale.extend(taken.map(|it| it.key));
            !idle.is_empty()
        });
        stale
    }

    pub(super) fn due(&self) -> Option<Millis> {
        let oldest = self.idle.values().filter_map(|idle| idle.first());
        oldest.map(|it| it.since + IDLE_MAX_MS).min()
    }

    pub(super) fn count(&self) -> usize {
        self.idle.values().map(Vec::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_its_owner_may_have_closed() {
        let (mut pool, node) = (IdlePool::default(), SocketAddr::from(([127, 0, 0, 1], 1)));
        let first = pool.put(0, node);
        let second = pool.put(1, node);
        assert_eq!(pool.due(), Some(IDLE_MAX_MS));
        assert_eq!(pool.take(IDLE_MAX_MS, node), second);
        assert_eq!(pool.take(IDLE_MAX_MS, node), None, "the first is stale");
        assert_eq!(pool.take_stale(IDLE_MAX_MS), Vec::from_iter(first));
        assert_eq!((pool.count(), pool.due()), (0, None));
    }

    #[test]
    fn more_idle_connections_than_anybody_needs() {
        let (mut pool, node) = (IdlePool::default(), SocketAddr::from(([127, 0, 0, 1], 1)));
        let put = (0..2 * KEPT_MAX).filter_map(|_| pool.put(0, node)).count();
        assert_eq!((put, pool.count()), (KEPT_MAX, KEPT_MAX));
    }
}
