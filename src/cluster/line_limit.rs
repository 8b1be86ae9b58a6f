//! As many log lines of one kind as anybody reads. What is left out is counted, and the next line tells how much it was.

/// A node that was lost leaves as many lines as it had clients; forgers may send more.
const LINES_PER_SECOND: u32 = 20;

#[derive(Debug, Default)]
pub(super) struct LineLimit {
    second: u64,
    /// In this second.
    logged: u32,
    /// Since the last that was.
    unlogged: u64,
}

impl LineLimit {
    /// Some: it is to be logged, and so many before it were not. The clock may start anywhere.
    pub(super) fn admit(&mut self, now_ms: u64) -> Option<u64> {
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
}
