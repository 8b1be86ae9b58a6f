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
