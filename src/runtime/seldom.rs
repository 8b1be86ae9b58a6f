//! What is done seldom, however often there is reason to: log lines that nobody wants a thousand of.

use std::time::{Duration, Instant};

/// Lets something through once in a while.
#[derive(Debug)]
pub(crate) struct Seldom {
    every: Duration,
    last: Option<Instant>,
}

const A_MINUTE: Duration = Duration::from_secs(60);

impl Default for Seldom {
    /// Once a minute.
    fn default() -> Self {
        Seldom::every(A_MINUTE)
    }
}

impl Seldom {
    pub(crate) fn every(every: Duration) -> Self {
        Seldom { every, last: None }
    }

    pub(crate) fn may(&mut self, now: Instant) -> bool {
        let may = self
            .last
            .is_none_or(|last| now.saturating_duration_since(last) >= self.every);
        if may {
            self.last = Some(now);
        }
        may
    }
}

/// Something to be done at most once a minute, and not forgotten if it was asked for meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Owed {
    seldom: Seldom,
    is_owed: bool,
}

impl Owed {
    pub(crate) fn ask(&mut self) {
        self.is_owed = true;
    }

    /// True: it was asked for, and is to be done now.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let due = self.is_owed && self.seldom.may(now);
        self.is_owed &= !due;
        due
    }

    /// When to look again. None: nothing is owed.
    pub(crate) fn wait(&self, now: Instant) -> Option<Duration> {
        let done = self.seldom.last.filter(|_| self.is_owed)?;
        Some(
            self.seldom
                .every
                .saturating_sub(now.saturating_duration_since(done)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_twice_within_a_minute_and_done_once() {
        let (mut owed, start) = (Owed::default(), Instant::now());
        assert!(!owed.is_due(start) && owed.wait(start).is_none());
        owed.ask();
        assert!(owed.is_due(start) && !owed.is_due(start));
        let soon = start + A_MINUTE / 3;
        owed.ask();
        assert!(!owed.is_due(soon));
        assert_eq!(owed.wait(soon), Some(A_MINUTE - A_MINUTE / 3));
        let later = start + A_MINUTE;
        assert!(owed.is_due(later) && owed.wait(later).is_none());
        assert!(!owed.is_due(later + A_MINUTE));
    }
}
