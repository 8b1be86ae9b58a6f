//! What all cores of a node share: so many bytes, sessions, connections, and no more.
//!
//! A [`Pool`] is taken from and given back to by any thread, without a lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// There is not so much left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Short;

/// `0 <= taken <= total`
#[derive(Debug)]
pub struct Pool {
    total: usize,
    taken: AtomicUsize,
    /// The most that was asked for in vain since somebody last looked.
    wanted: AtomicUsize,
}

impl Pool {
    /// ```
    /// use pinfold::budget::{Pool, Short};
    ///
    /// let pool = Pool::new(10);
    /// assert_eq!(pool.take(8), Ok(()));
    /// assert_eq!(pool.take(3), Err(Short));
    /// pool.give_back(8);
    /// assert_eq!(pool.free(), 10);
    /// ```
    #[must_use]
    pub fn new(total: usize) -> Arc<Self> {
        Arc::new(Pool {
            total,
            taken: AtomicUsize::new(0),
            wanted: AtomicUsize::new(0),
        })
    }

    /// # Errors
    /// [`Short`], and nothing was taken.
    pub fn take(&self, count: usize) -> Result<(), Short> {
        let more = |taken: usize| taken.checked_add(count).filter(|&sum| sum <= self.total);
        let took = self
            .taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        took.map(drop).map_err(|_| {
            self.wanted.fetch_max(count, Ordering::Relaxed);
            Short
        })
    }

    /// What was taken before.
    pub fn give_back(&self, count: usize) {
        let before = self.taken.fetch_sub(count, Ordering::Relaxed);
        debug_assert!(count <= before, "more came back than was taken");
    }

    #[must_use]
    pub fn total(&self) -> usize {
        self.total
    }

    #[must_use]
    pub fn free(&self) -> usize {
        self.total - self.taken.load(Ordering::Relaxed).min(self.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_that_gives_more_than_it_has() {
        let pool = Pool::new(3);
        assert_eq!(pool.take(usize::MAX), Err(Short));
        assert_eq!(pool.take(3), Ok(()));
        assert_eq!(pool.take(1), Err(Short));
        pool.give_back(1);
        assert_eq!((pool.take(1), pool.take(1)), (Ok(()), Err(Short)));
    }
}
