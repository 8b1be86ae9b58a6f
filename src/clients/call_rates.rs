//! How fast each client asks one core: a table of that core's own, so that no request touches what cores share.
//!
//! A client is in it while it has used of its rate. Whoever asks no faster than it may is out of it again within the
//! second; what is there is looked through only when it has doubled.

use std::collections::HashMap;

use super::{Client, Millis, RetryAfter, TokenBucket};
use crate::limits::CALL_RATES_MAX;

/// Below this the table is not worth a look for entries that nobody needs.
const SWEEP_AT_MIN: usize = 64;

#[derive(Debug)]
pub struct CallRates {
    /// 0: everybody asks as fast as they like, and the table is empty.
    per_second: u32,
    buckets: HashMap<Client, TokenBucket>,
    sweep_at: usize,
    clients_max: usize,
}

impl CallRates {
    #[must_use]
    pub fn new(per_second: u32) -> Self {
        CallRates::with_room(per_second, CALL_RATES_MAX)
    }

    fn with_room(per_second: u32, clients_max: usize) -> Self {
        CallRates {
            per_second,
            buckets: HashMap::new(),
            sweep_at: SWEEP_AT_MIN.min(clients_max),
            clients_max,
        }
    }

    /// So many more requests of this client. Somebody of whom nothing is known has no rate.
    ///
    /// # Errors
    /// When it may ask again. Nothing was counted.
    pub fn take(&mut self, client: Option<Client>, now: Millis, n: u32) -> Result<(), RetryAfter> {
        let Some(client) = client.filter(|_| self.per_second > 0) else {
            return Ok(());
        };
        if let Some(bucket) = self.buckets.get_mut(&client) {
            return bucket.take(now, n);
        }
        if self.buckets.len() >= self.sweep_at {
            self.sweep(now);
        }
        let mut bucket = TokenBucket::new(self.per_second, self.per_second);
        bucket.take(now, n)?;
        self.buckets.insert(client, bucket);
        Ok(())
    }

    /// Whether [`take`](CallRates::take) would take so many.
    ///
    /// # Errors
    /// When it may ask again.
    pub fn check(&self, client: Option<Client>, now: Millis, n: u32) -> Result<(), RetryAfter> {
        let bucket = client.and_then(|client| self.buckets.get(&client));
        bucket.map_or(Ok(()), |bucket| bucket.check(now, n))
    }

    /// Whether this client has used of its rate lately. Somebody of whom nothing is known may have.
    #[must_use]
    pub fn has_used(&self, client: Option<Client>, now: Millis) -> bool {
        let Some(client) = client else {
            return true;
        };
        let bucket = self.buckets.get(&client);
        bucket.is_some_and(|bucket| !bucket.is_full(now))
    }

    /// Clients that have used of their rate, and some that had.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// Who has used of their rate, and when it is whole again, in nanoseconds: for whoever goes on in this one's place.
    #[must_use]
    pub fn used(&self, now: Millis) -> Vec<(Client, u64)> {
        let buckets = self.buckets.iter();
        let used = buckets.filter(|(_, bucket)| !bucket.is_full(now));
        let mut used: Vec<_> = used.map(|(&it, bucket)| (it, bucket.full_at())).collect();
        used.sort_unstable();
        used
    }

    /// What others had [used](CallRates::used) of their rates. Nobody waits longer than for a whole second's.
    pub fn take_in(&mut self, used: &[(Client, u64)], now: Millis) {
        if self.per_second == 0 {
            return;
        }
        for &(client, full_at) in used.iter().take(self.clients_max) {
            let bucket = TokenBucket::full_from(self.per_second, full_at, now);
            self.buckets.insert(client, bucket);
        }
        self.sweep_at = self.sweep_at.max(self.buckets.len()).min(self.clients_max);
    }

    /// Forgets those that are full, and if that is not enough, those that lack least: half of them, so that not every newcomer
    /// of a crowd has to look.
    fn sweep(&mut self, now: Millis) {
        self.buckets.retain(|_, bucket| !bucket.is_full(now));
        if self.buckets.len() >= self.clients_max {
            let mut full_at: Vec<u64> = self.buckets.values().map(TokenBucket::full_at).collect();
            let middle = full_at.len() / 2;
            let (_, &mut middle, _) = full_at.select_nth_unstable(middle);
            self.buckets.retain(|_, bucket| bucket.full_at() > middle);
        }
        let twice = SWEEP_AT_MIN.max(2 * self.buckets.len());
        self.sweep_at = twice.min(self.clients_max);
        self.buckets.shrink_to(self.sweep_at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: u32) -> Option<Client> {
        Some(Client::of(
            [203, (number >> 16) as u8, (number >> 8) as u8, number as u8].into(),
        ))
    }

    #[test]
    fn a_client_that_asks_faster_than_it_may() {
        let mut rates = CallRates::new(10);
        let mut taken = |who, now| {
            (0..50)
                .filter(|_| rates.take(client(who), now, 1).is_ok())
                .count()
        };
        assert_eq!((taken(1, 0), taken(1, 500), taken(1, 1_500)), (10, 5, 10));
        assert_eq!(taken(2, 1_500), 10, "another one has its own");
        assert_eq!(rates.take(client(1), 1_500, 1), Err(RetryAfter { ms: 100 }));
        assert_eq!(
            rates.take(client(1), 1_500, 30),
            Err(RetryAfter { ms: 1_000 })
        );
    }

    #[test]
    fn a_client_that_has_its_rate_again_because_another_table_goes_on() {
        let mut before = CallRates::new(10);
        assert!(
            before.take(client(1), 1_000, 10).is_ok() && before.take(client(2), 1_000, 1).is_ok()
        );
        let used = before.used(1_500);
        assert_eq!(used.len(), 1, "the other one has all of its rate again");
        let mut after = CallRates::new(10);
        after.take_in(&used, 1_500);
        assert_eq!(after.used(1_500), used);
        let mut taken = |who| {
            (0..50)
                .filter(|_| after.take(client(who), 1_500, 1).is_ok())
                .count()
        };
        assert_eq!((taken(1), taken(2)), (5, 10));
        // Whatever somebody has written there.
        after.take_in(&[(client(3).expect("a client"), u64::MAX)], 1_500);
        assert!(after.take(client(3), 2_500, 1).is_ok());
        let mut off = CallRates::new(0);
        off.take_in(&used, 1_500);
        assert!(off.is_empty());
    }

    #[test]
    fn a_rate_that_nobody_asked_for() {
        let mut off = CallRates::new(0);
        assert!((0..10_000).all(|_| off.take(client(1), 0, 1).is_ok()));
        assert!(off.is_empty());
        let mut on = CallRates::new(1);
        assert!((0..10_000).all(|_| on.take(None, 0, 1).is_ok()));
        assert!(on.is_empty());
    }

    #[test]
    fn a_crowd_that_fills_the_table() {
        let mut rates = CallRates::with_room(1, 1_000);
        // The one that the table is for: it has used all, and is not forgotten for those who used less.
        let mut greedy = CallRates::with_room(1_000, 1_000);
        assert!(greedy.take(client(0), 0, 1_000).is_ok());
        for number in 1..50_000 {
            assert!(rates.take(client(number), 0, 1).is_ok());
            assert!(greedy.take(client(number), 0, 1).is_ok());
            assert!(rates.len() <= 1_000 && greedy.len() <= 1_000);
        }
        assert!(greedy.take(client(0), 0, 1).is_err(), "forgotten");
        // And once they are all full again, nobody is kept.
        for number in 0..1_000 {
            assert!(rates.take(client(number), 3_600_000, 1).is_ok());
        }
        assert!(rates.take(client(0), 7_200_000, 1).is_ok());
        assert!(rates.len() <= 1_000);
    }
}
