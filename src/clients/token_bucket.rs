//! So many a second, and so many at once: in integers, so that it counts the same on every machine and loses nothing.
//!
//! It is kept as the time at which it would be full again (the generic cell rate algorithm): nobody has to fill it.

use std::fmt;

use super::Millis;

const NS_PER_MS: u64 = 1_000_000;
const NS_PER_S: u64 = 1_000_000_000;

/// 16 bytes. It begins full.
///
/// ```
/// use pinfold::internals::clients::TokenBucket;
///
/// let mut calls = TokenBucket::new(10, 2);
/// assert!(calls.take(0, 2).is_ok());
/// assert_eq!(calls.take(0, 1).unwrap_err().ms, 100);
/// assert!(calls.take(100, 1).is_ok());
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenBucket {
    per_second: u32,
    burst: u32,
    /// When it is full, in nanoseconds.
    full_at: u64,
}

/// When to ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter {
    pub ms: u64,
}

impl RetryAfter {
    /// For `Retry-After`: whole seconds, at least one.
    #[must_use]
    pub fn seconds(self) -> u32 {
        let seconds = self.ms.div_ceil(1_000).max(1);
        u32::try_from(seconds).unwrap_or(u32::MAX)
    }
}

impl TokenBucket {
    /// A rate or a burst of 0 is one of 1: nobody means never.
    #[must_use]
    pub const fn new(per_second: u32, burst: u32) -> TokenBucket {
        let (per_second, burst) = (max(per_second, 1), max(burst, 1));
        TokenBucket {
            per_second,
            burst,
            full_at: 0,
        }
    }

    /// Takes `n`, or nothing. More than a burst at once is taken as a burst.
    ///
    /// # Errors
    /// When there is enough.
    pub fn take(&mut self, now: Millis, n: u32) -> Result<(), RetryAfter> {
        self.full_at = self.after(now, n)?;
        Ok(())
    }

    /// Whether [`take`](TokenBucket::take) would take so many.
    ///
    /// # Errors
    /// When there is enough.
    pub fn check(&self, now: Millis, n: u32) -> Result<(), RetryAfter> {
        self.after(now, n).map(|_| ())
    }

    /// When it is full again once `n` are taken.
    fn after(&self, now: Millis, n: u32) -> Result<u64, RetryAfter> {
        let now = now.saturating_mul(NS_PER_MS);
        let full_at = self
            .full_at
            .max(now)
            .saturating_add(self.time_of(n.min(self.burst)));
        let earliest = full_at.saturating_sub(self.time_of(self.burst));
        if earliest > now {
            let ms = (earliest - now).div_ceil(NS_PER_MS);
            return Err(RetryAfter { ms });
        }
        Ok(full_at)
    }

    /// At once.
    #[must_use]
    pub const fn burst(&self) -> u32 {
        self.burst
    }

    /// Nothing of it is used: it may be forgotten, and another one be made in its place.
    #[must_use]
    pub fn is_full(&self, now: Millis) -> bool {
        self.full_at <= now.saturating_mul(NS_PER_MS)
    }

    /// One that is full again at this time, or in the time that the whole of it takes.
    pub(super) fn full_from(per_second: u32, full_at: u64, now: Millis) -> TokenBucket {
        let bucket = TokenBucket::new(per_second, per_second);
        let latest = now.saturating_mul(NS_PER_MS);
        let latest = latest.saturating_add(bucket.time_of(bucket.burst));
        TokenBucket {
            full_at: full_at.min(latest),
            ..bucket
        }
    }

    /// Of two alike, the one that was used more is the greater.
    #[must_use]
    pub(super) const fn full_at(&self) -> u64 {
        self.full_at
    }

    /// In which so many come: of each a part of a nanosecond is forgiven, so that all of a second come within it.
    fn time_of(&self, n: u32) -> u64 {
        u64::from(n) * (NS_PER_S / u64::from(self.per_second)).max(1)
    }
}

const fn max(one: u32, other: u32) -> u32 {
    if one > other { one } else { other }
}

impl fmt::Debug for TokenBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "TokenBucket({}/s, {} at once)",
            self.per_second, self.burst
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_that_takes_more_than_its_place() {
        assert_eq!(size_of::<TokenBucket>(), 16);
    }

    #[test]
    fn somebody_who_takes_more_than_the_rate_however_they_ask() {
        for (per_second, burst) in [(1, 1), (3, 10), (7, 1), (999, 1_000), (20_000, 20_000)] {
            for every_ms in [1, 7, 100, 1_000] {
                let mut bucket = TokenBucket::new(per_second, burst);
                let mut taken = 0_u64;
                let until = 20_000;
                for now in (0..=until).step_by(every_ms) {
                    while bucket.take(now, 1).is_ok() {
                        taken += 1;
                    }
                }
                let most = u64::from(burst) + u64::from(per_second) * until / 1_000;
                let told = format!("{per_second}/s, {burst} at once, asked every {every_ms} ms");
                assert!(taken <= most, "{told}: {taken} of {most}");
                // Whoever looks all the time gets all of it.
                assert!(
                    every_ms > 1 || taken >= most - most / 10,
                    "{told}: {taken} of {most}"
                );
            }
        }
    }

    #[test]
    fn a_time_to_ask_again_that_is_too_early() {
        let mut bucket = TokenBucket::new(3, 2);
        let mut now = 5_000;
        for _ in 0..100 {
            if let Err(retry) = bucket.take(now, 2) {
                assert!(retry.ms > 0);
                assert!(bucket.clone().take(now + retry.ms - 1, 2).is_err());
                assert!(bucket.clone().take(now + retry.ms, 2).is_ok());
                now += retry.ms;
            }
        }
    }

    #[test]
    fn a_clock_that_stands_at_either_end() {
        let mut bucket = TokenBucket::new(0, 0);
        assert!(bucket.take(0, 0).is_ok() && bucket.take(0, u32::MAX).is_ok());
        assert_eq!(bucket.take(0, 1), Err(RetryAfter { ms: 1_000 }));
        assert_eq!(RetryAfter { ms: 1 }.seconds(), 1);
        assert!(bucket.take(u64::MAX, 1).is_ok() || bucket.full_at == u64::MAX);
        assert!(TokenBucket::new(1, 1).is_full(0));
    }
}
