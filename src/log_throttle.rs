//! As many log lines of one kind as anybody reads. What is left out is counted, and the next line says how much it was.
//!
//! Whatever a client, another node, or what stands in Redis can bring about again and again is logged through a
//! [`LogThrottle`]: [`LogThrottle::default`] where one line says it all, [`LogThrottle::of_each`] where each says
//! something of its own, and [`LogThrottles`] where one place logs several kinds.

use std::cell::RefCell;
use std::collections::HashMap;

/// Of lines that each tell something: a node that was lost leaves as many as it had clients; forgers may send more.
const LINES_PER_SECOND: u32 = 20;
const SECOND_MS: u64 = 1_000;
/// Between two lines that say the same.
const MINUTE_MS: u64 = 60_000;

/// Kinds that one place tells apart. Those that others name, such as error codes, may be more: the rest is not logged.
const KINDS_MAX: usize = 32;

/// Lets so many lines through in a while.
///
/// ```ignore
/// if let Some(unlogged) = throttle.admit(now_ms) {
///     tracing::warn!(unlogged, "a connection was dropped");
/// }
/// ```
#[derive(Debug)]
pub(crate) struct LogThrottle {
    lines_max: u32,
    per_ms: u64,
    /// When the first of `logged` was.
    since_ms: u64,
    /// Since then.
    logged: u32,
    /// Since the last that was logged.
    unlogged: u64,
}

impl Default for LogThrottle {
    /// The first at once, then one a minute.
    fn default() -> Self {
        Self::new(1, MINUTE_MS)
    }
}

impl LogThrottle {
    /// Twenty a second.
    pub(crate) fn of_each() -> Self {
        Self::new(LINES_PER_SECOND, SECOND_MS)
    }

    fn new(lines_max: u32, per_ms: u64) -> Self {
        LogThrottle {
            lines_max,
            per_ms,
            since_ms: 0,
            logged: 0,
            unlogged: 0,
        }
    }

    /// Some: it is to be logged, and so many before it were not. The clock, in milliseconds, may start anywhere.
    pub(crate) fn admit(&mut self, now_ms: u64) -> Option<u64> {
        if self.logged == 0 || now_ms.saturating_sub(self.since_ms) >= self.per_ms {
            (self.since_ms, self.logged) = (now_ms, 0);
        }
        if self.logged >= self.lines_max {
            self.unlogged += 1;
            return None;
        }
        self.logged += 1;
        Some(std::mem::take(&mut self.unlogged))
    }
}

/// A [`LogThrottle`] for each kind, so that a fault that goes on hides no other.
#[derive(Debug)]
pub(crate) struct LogThrottles {
    by_kind: RefCell<HashMap<Box<str>, LogThrottle>>,
    throttle: fn() -> LogThrottle,
}

impl Default for LogThrottles {
    /// Each kind at once, then once a minute.
    fn default() -> Self {
        Self::of(LogThrottle::default)
    }
}

impl LogThrottles {
    /// With such a throttle for each kind.
    pub(crate) fn of(throttle: fn() -> LogThrottle) -> Self {
        LogThrottles {
            by_kind: RefCell::default(),
            throttle,
        }
    }

    /// Some: it is to be logged, and so many of this kind before it were not.
    pub(crate) fn admit(&self, kind: &str, now_ms: u64) -> Option<u64> {
        let mut by_kind = self.by_kind.borrow_mut();
        if let Some(throttle) = by_kind.get_mut(kind) {
            return throttle.admit(now_ms);
        }
        if by_kind.len() >= KINDS_MAX {
            return None;
        }
        let throttle = by_kind.entry(kind.into()).or_insert_with(self.throttle);
        throttle.admit(now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_lines_that_each_tell_something() {
        let mut throttle = LogThrottle::of_each();
        for _ in 0..LINES_PER_SECOND {
            assert_eq!(throttle.admit(5_500), Some(0));
        }
        assert_eq!((throttle.admit(5_500), throttle.admit(6_499)), (None, None));
        assert_eq!(throttle.admit(6_500), Some(2));
        assert_eq!(throttle.admit(7_499), Some(0));
    }

    #[test]
    fn a_fault_that_goes_on_and_hides_another() {
        let throttles = LogThrottles::default();
        assert_eq!(throttles.admit("accept", 7), Some(0));
        for now_ms in 7..MINUTE_MS {
            assert_eq!(throttles.admit("accept", now_ms), None);
        }
        assert_eq!(throttles.admit("watch", 8), Some(0));
        let unlogged = MINUTE_MS - 7;
        assert_eq!(throttles.admit("accept", 7 + MINUTE_MS), Some(unlogged));
    }

    #[test]
    fn a_peer_that_makes_up_a_kind_for_each_line() {
        let throttles = LogThrottles::of(LogThrottle::of_each);
        let logged = (0..10_000).filter(|kind| throttles.admit(&kind.to_string(), 1).is_some());
        assert_eq!(logged.count(), KINDS_MAX);
    }
}
