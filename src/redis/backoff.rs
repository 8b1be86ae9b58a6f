//! How long to wait before trying again: longer each time, and by chance, so that many nodes do not come at once.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(50);
const LAST: Duration = Duration::from_secs(2);

/// Exponential, with full jitter.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The next wait, from a random number.
    pub(crate) fn next(&mut self, random: u64) -> Duration {
        let most = FIRST.saturating_mul(1 << self.failures.min(16)).min(LAST);
        self.failures += 1;
        let share = (random >> 32) as f64 / f64::from(u32::MAX);
        FIRST / 2 + most.mul_f64(share)
    }

    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// From the kernel; none of it is secret.
pub(crate) fn random() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("Linux has random bytes once it has booted");
    u64::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_end_and_spread() {
        let mut backoff = Backoff::default();
        let longest: Vec<_> = (0..8).map(|_| backoff.next(u64::MAX).as_millis()).collect();
        assert_eq!(longest, [75, 125, 225, 425, 825, 1625, 2025, 2025]);
        backoff.reset();
        assert_eq!(backoff.next(0), FIRST / 2);
        for _ in 0..100 {
            backoff.next(u64::MAX);
        }
        assert!(backoff.next(u64::MAX / 2) < LAST);
    }
}
