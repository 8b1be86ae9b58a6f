//! What is found wrong again and again, in one log line: how often, and the first of it.
//!
//! A plain value. A hash that somebody else fills with ten thousand values is one line, and so is a bus that is
//! trimmed too early for an hour.

/// Between two lines of a kind.
const TELL_EVERY_MS: u64 = 60_000;

/// Characters that are shown of a name from Redis, where it may be as long as an answer.
const SHOWN_CHARS_MAX: usize = 200;

/// Of one kind.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Since it was logged last.
    count: u64,
    first: String,
    logged_ms: Option<u64>,
}

impl Tally {
    pub(super) fn note(&mut self, what: &str) {
        if self.count == 0 {
            self.first = what.chars().take(SHOWN_CHARS_MAX).collect();
        }
        self.count += 1;
    }

    /// How often and the first, if it is to be logged now: at once, and then once a minute.
    pub(super) fn take(&mut self, now_ms: u64) -> Option<(u64, String)> {
        let is_early = |logged_ms: u64| now_ms < logged_ms + TELL_EVERY_MS;
        if self.count == 0 || self.logged_ms.is_some_and(is_early) {
            return None;
        }
        self.logged_ms = Some(now_ms);
        let first = std::mem::take(&mut self.first);
        Some((std::mem::take(&mut self.count), first))
    }
}

/// Of all kinds that a bus knows.
#[derive(Debug, Default)]
pub(super) struct Tallies {
    /// Values of the hash that no node wrote, by URI.
    pub(super) foreign: Tally,
    /// Contents that this node's board does not take, by URI.
    pub(super) unfit: Tally,
    /// Losses of entries that nobody had read, by the entry before.
    pub(super) trimmed: Tally,
    /// Redis was another one.
    pub(super) emptied: Tally,
    /// Entries too large to be read.
    pub(super) unread: Tally,
}

impl Tallies {
    pub(super) fn log(&mut self, now_ms: u64) {
        if let Some((count, first)) = self.foreign.take(now_ms) {
            tracing::warn!(
                count,
                first,
                "what Redis keeps for the board at these URIs was not written by a node, and is not shown: publish it \
                 again"
            );
        }
        if let Some((count, first)) = self.unfit.take(now_ms) {
            tracing::warn!(
                count,
                first,
                "contents from the bus do not fit on this node's board and are not shown here: give all nodes the same \
                 --board-bytes-max and --board-entry-bytes-max"
            );
        }
        if let Some((count, since)) = self.trimmed.take(now_ms) {
            tracing::warn!(
                count,
                since,
                "entries of the bus were trimmed before this node read them: its subscribers are told that anything \
                 may have changed"
            );
        }
        if let Some((count, _)) = self.emptied.take(now_ms) {
            tracing::warn!(
                count,
                "Redis is not what it was, most likely emptied: this node puts its contents back, and its \
                 subscribers are told that anything may have changed"
            );
        }
        if let Some((count, first)) = self.unread.take(now_ms) {
            tracing::warn!(
                count,
                first,
                "entries of the bus were skipped: they have more bytes, or more fields, than anybody reads"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_of_a_kind() {
        let mut tally = Tally::default();
        assert_eq!(tally.take(0), None);
        (0..10_000).for_each(|number| tally.note(&format!("board://{number}")));
        assert_eq!(tally.take(5), Some((10_000, "board://0".to_owned())));
        tally.note(&"x".repeat(10_000));
        tally.note("board://b");
        assert_eq!(tally.take(4 + TELL_EVERY_MS), None);
        assert_eq!(tally.take(5 + TELL_EVERY_MS), Some((2, "x".repeat(200))));
        assert_eq!(tally.take(6 + 9 * TELL_EVERY_MS), None);
    }
}
