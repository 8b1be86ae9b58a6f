//! Something that may be asked for at any time and is done at most once a minute. Unlike a log line it is not forgotten if
//! it is asked for meanwhile.

use std::time::{Duration, Instant};

const A_MINUTE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct OnceAMinute {
    done: Option<Instant>,
    is_asked: bool,
}

impl OnceAMinute {
    pub(super) fn ask(&mut self) {
        self.is_asked = true;
    }

    /// True: it was asked for, and is to be done now.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.wait(now).is_none() && self.is_asked;
        if is_due {
            (self.done, self.is_asked) = (Some(now), false);
        }
        is_due
    }

    /// How long what was asked for has to wait. None: it is due, or nothing was asked for.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let done = self.done.filter(|_| self.is_asked)?;
        let left = A_MINUTE.saturating_sub(now.saturating_duration_since(done));
        (!left.is_zero()).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_twice_within_a_minute_and_done_once() {
        let (mut work, start) = (OnceAMinute::default(), Instant::now());
        assert!(!work.is_due(start) && work.wait(start).is_none());
        work.ask();
        assert!(work.is_due(start) && !work.is_due(start));
        let soon = start + A_MINUTE / 3;
        work.ask();
        assert!(!work.is_due(soon));
        assert_eq!(work.wait(soon), Some(A_MINUTE - A_MINUTE / 3));
        let later = start + A_MINUTE;
        assert!(work.is_due(later) && work.wait(later).is_none());
        assert!(!work.is_due(later + A_MINUTE));
    }
}
