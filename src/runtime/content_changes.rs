//! Which contents have changed since somebody began to copy all of them for another process.
//!
//! Noted after a write, so that whoever takes the notes and reads then has the write or finds it in the next notes. While nobody
//! copies a note is one look at a flag.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::limits::CONTENT_CHANGES_MAX;

#[derive(Debug, Default)]
pub(crate) struct ContentChanges {
    is_noting: AtomicBool,
    notes: Mutex<ChangedUris>,
}

/// What has changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ChangedUris {
    pub(crate) uris: BTreeSet<Box<str>>,
    /// More than could be noted: anything may have.
    pub(crate) is_everything: bool,
}

impl ContentChanges {
    pub(crate) fn begin(&self) {
        *self.lock() = ChangedUris::default();
        self.is_noting.store(true, Ordering::SeqCst);
    }

    pub(crate) fn end(&self) {
        self.is_noting.store(false, Ordering::SeqCst);
        *self.lock() = ChangedUris::default();
    }

    pub(crate) fn note(&self, uri: &str) {
        if !self.is_noting.load(Ordering::SeqCst) {
            return;
        }
        let mut notes = self.lock();
        if notes.uris.len() >= CONTENT_CHANGES_MAX {
            *notes = ChangedUris {
                uris: BTreeSet::new(),
                is_everything: true,
            };
        }
        if !notes.is_everything {
            notes.uris.insert(uri.into());
        }
    }

    /// Since the last time.
    pub(crate) fn take(&self) -> ChangedUris {
        std::mem::take(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, ChangedUris> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_nobody_notes_and_more_than_have_room() {
        let changes = ContentChanges::default();
        changes.note("a:before");
        changes.begin();
        changes.note("a:b");
        changes.note("a:b");
        let noted = changes.take();
        assert_eq!(noted.uris.len(), 1);
        assert_eq!(changes.take(), ChangedUris::default());
        (0..=CONTENT_CHANGES_MAX).for_each(|it| changes.note(&format!("a:{it}")));
        let noted = changes.take();
        assert!(noted.is_everything && noted.uris.is_empty());
        changes.end();
        changes.note("a:after");
        assert_eq!(changes.take(), ChangedUris::default());
    }
}
