//! Log lines that nobody wants a thousand of.

use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(60);

/// Lets something through once a minute.
#[derive(Debug, Default)]
pub(super) struct Seldom {
    last: Option<Instant>,
}

impl Seldom {
    pub(super) fn may(&mut self, now: Instant) -> bool {
        let may = self
            .last
            .is_none_or(|last| now.saturating_duration_since(last) >= EVERY);
        if may {
            self.last = Some(now);
        }
        may
    }
}

/// Something to be done at most once a minute, and not forgotten if it was asked for meanwhile.
#[derive(Debug, Default)]
pub(super) struct Owed {
    seldom: Seldom,
    is_owed: bool,
}

impl Owed {
    pub(super) fn ask(&mut self) {
        self.is_owed = true;
    }

    /// True: it was asked for, and is to be done now.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let due = self.is_owed && self.seldom.may(now);
        self.is_owed &= !due;
        due
    }

    /// When to look again. None: nothing is owed.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let done = self.seldom.last.filter(|_| self.is_owed)?;
        Some(EVERY.saturating_sub(now.saturating_duration_since(done)))
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
        let soon = start + EVERY / 3;
        owed.ask();
        assert!(!owed.is_due(soon));
        assert_eq!(owed.wait(soon), Some(EVERY - EVERY / 3));
        let later = start + EVERY;
        assert!(owed.is_due(later) && owed.wait(later).is_none());
        assert!(!owed.is_due(later + EVERY));
    }
}
