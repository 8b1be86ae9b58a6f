//! As many log lines of one kind as anybody reads. What is left out is counted, and the next line tells how much it was.
//!
//! Whatever a client, another node, or what stands in Redis can bring about again and again is logged through one of
//! these: [`LineLimit`] where each line tells something of its own, [`Complaints`] where one says it all.

use std::cell::RefCell;
use std::collections::HashMap;

/// A node that was lost leaves as many lines as it had clients; forgers may send more.
const LINES_PER_SECOND: u32 = 20;

/// Between two complaints of a kind.
const COMPLAIN_EVERY_MS: u64 = 60_000;

#[derive(Debug, Default)]
pub(crate) struct LineLimit {
    second: u64,
    /// In this second.
    logged: u32,
    /// Since the last that was.
    unlogged: u64,
}

impl LineLimit {
    /// Some: it is to be logged, and so many before it were not. The clock may start anywhere.
    pub(crate) fn admit(&mut self, now_ms: u64) -> Option<u64> {
        let second = now_ms / 1_000;
        if self.second != second {
            (self.second, self.logged) = (second, 0);
        }
        if self.logged >= LINES_PER_SECOND {
            self.unlogged += 1;
            return None;
        }
        self.logged += 1;
        Some(std::mem::take(&mut self.unlogged))
    }
}

/// What goes wrong in the same way for one after the other: each kind is told of at once, and then once a minute.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    /// When the last line was, and how many were left out since. As many kinds as the program has.
    by_kind: RefCell<HashMap<&'static str, (u64, u64)>>,
}

impl Complaints {
    /// Some: it is to be logged, and so many of this kind before it were not. The clock may start anywhere.
    pub(crate) fn admit(&self, kind: &'static str, now_ms: u64) -> Option<u64> {
        let mut by_kind = self.by_kind.borrow_mut();
        let Some((told_ms, unlogged)) = by_kind.get_mut(kind) else {
            by_kind.insert(kind, (now_ms, 0));
            return Some(0);
        };
        if now_ms < *told_ms + COMPLAIN_EVERY_MS {
            *unlogged += 1;
            return None;
        }
        *told_ms = now_ms;
        Some(std::mem::take(unlogged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_that_is_logged() {
        let mut lines = LineLimit::default();
        for _ in 0..LINES_PER_SECOND {
            assert_eq!(lines.admit(5_999), Some(0));
        }
        assert_eq!((lines.admit(5_999), lines.admit(5_999)), (None, None));
        assert_eq!(lines.admit(6_000), Some(2));
        assert_eq!(lines.admit(6_999), Some(0));
    }

    #[test]
    fn a_fault_that_goes_on_and_hides_another() {
        let complaints = Complaints::default();
        assert_eq!(complaints.admit("accept", 7), Some(0));
        for now_ms in 7..COMPLAIN_EVERY_MS {
            assert_eq!(complaints.admit("accept", now_ms), None);
        }
        assert_eq!(complaints.admit("watch", 8), Some(0));
        let unlogged = COMPLAIN_EVERY_MS - 7;
        assert_eq!(
            complaints.admit("accept", 7 + COMPLAIN_EVERY_MS),
            Some(unlogged)
        );
    }
}
