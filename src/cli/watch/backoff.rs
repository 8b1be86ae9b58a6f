//! How long to wait before trying again: twice as long each time, and never all clients at once. Pure.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const MOST: Duration = Duration::from_secs(30);

/// Counts failures since the last success.
#[derive(Clone, Debug, Default)]
pub(super) struct WatchBackoff {
    failures: u32,
}

impl WatchBackoff {
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The next wait, between half and the whole of what is due; a server that said `retry` gets at least that.
    pub(super) fn next(&mut self, retry: Option<Duration>, random: u32) -> Duration {
        let due = FIRST.saturating_mul(1 << self.failures.min(10)).min(MOST);
        self.failures += 1;
        let part = f64::from(random) / f64::from(u32::MAX);
        let jittered = due.mul_f64(0.5 + part / 2.0);
        retry.map_or(jittered, |retry| {
            retry.min(MOST).mul_f64(1.0 + part / 4.0).max(jittered)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_stays_away() {
        let mut backoff = WatchBackoff::default();
        let longest: Vec<u128> = (0..40)
            .map(|_| backoff.next(None, u32::MAX).as_millis())
            .collect();
        assert_eq!(longest[..4], [500, 1000, 2000, 4000]);
        assert_eq!(longest[39], 30_000);
        assert_eq!(backoff.next(None, 0).as_millis(), 15_000);
        backoff.reset();
        assert_eq!(backoff.next(None, 0).as_millis(), 250);
    }

    #[test]
    fn a_server_that_says_when() {
        let mut backoff = WatchBackoff::default();
        assert_eq!(backoff.next(Some(Duration::from_secs(3)), 0).as_secs(), 3);
        assert_eq!(
            backoff.next(Some(Duration::from_secs(9999)), 0).as_secs(),
            30
        );
    }
}
