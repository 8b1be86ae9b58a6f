//! How much of the stream is read at once. An answer has a limit, and nobody knows how large the next entries are.

use crate::redis::REPLY_BYTES_MAX;

/// Entries of one read; fewer after an answer that was too large, down to one.
const PAGE_MAX: usize = 256;
/// A full page below this many bytes may be doubled: even entries that are four times as large can be answered then.
const SMALL_PAGE_BYTES: usize = REPLY_BYTES_MAX / 8;

/// How many entries are read at once: as many as were answered without trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Page(usize);

impl Default for Page {
    fn default() -> Self {
        Page(PAGE_MAX)
    }
}

impl Page {
    pub(super) fn count(self) -> usize {
        self.0
    }

    /// After one of so many entries and bytes. One that was full and large says nothing about the next one.
    pub(super) fn grow(&mut self, entries: usize, bytes: usize) {
        if entries < self.0 {
            self.0 = PAGE_MAX;
        } else if bytes <= SMALL_PAGE_BYTES {
            self.0 = (2 * self.0).min(PAGE_MAX);
        }
    }

    /// After one that was more than one answer may hold. False: it was of one entry.
    pub(super) fn halve(&mut self) -> bool {
        let was_one = self.0 == 1;
        self.0 = (self.0 / 2).max(1);
        !was_one
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_that_is_read_entry_by_entry() {
        let mut page = Page::default();
        assert!(page.halve() && page.halve());
        page.grow(64, SMALL_PAGE_BYTES + 1);
        assert_eq!(page.count(), 64, "the next one may be as large");
        page.grow(64, SMALL_PAGE_BYTES);
        assert_eq!(page.count(), 128);
        assert!(page.halve());
        page.grow(63, SMALL_PAGE_BYTES + 1);
        assert_eq!(page.count(), PAGE_MAX, "that was all there is");
        page.grow(PAGE_MAX, 0);
        assert_eq!(page.count(), PAGE_MAX);
    }

    #[test]
    fn a_page_of_nothing() {
        let mut page = Page::default();
        while page.halve() {}
        assert_eq!(page.count(), 1);
    }
}
