//! The application's store of contents, behind a wall: it is called on the control thread, which no panic of an
//! application may end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::app::contents::{Change, ContentStore, Contents, StoreRefused};
use crate::runtime::Seldom;

pub(super) struct GuardedStore {
    store: Arc<dyn ContentStore>,
    complaint: Mutex<Seldom>,
}

impl GuardedStore {
    pub(super) fn new(store: Arc<dyn ContentStore>) -> Self {
        GuardedStore {
            store,
            complaint: Mutex::default(),
        }
    }

    fn ask<T>(&self, what: impl FnOnce(&dyn ContentStore) -> T) -> Option<T> {
        let asked = catch_unwind(AssertUnwindSafe(|| what(&*self.store))).ok();
        let mut complaint = self
            .complaint
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if asked.is_none() && complaint.may(Instant::now()) {
            tracing::error!(
                "the application's store of contents panicked; what it was asked for is not done"
            );
        }
        asked
    }
}

impl ContentStore for GuardedStore {
    fn put(&self, uri: &str, contents: Option<Contents>) -> Result<Change, StoreRefused> {
        let put = self.ask(|store| store.put(uri, contents));
        put.unwrap_or(Err(StoreRefused::Failed))
    }

    fn check(&self, uri: &str, contents: Option<&Contents>) -> Result<(), StoreRefused> {
        let checked = self.ask(|store| store.check(uri, contents));
        checked.unwrap_or(Err(StoreRefused::Failed))
    }

    fn get(&self, uri: &str) -> Option<Contents> {
        self.ask(|store| store.get(uri)).flatten()
    }

    fn uris_after(&self, uri: Option<&str>, count: usize) -> Vec<Box<str>> {
        self.ask(|store| store.uris_after(uri, count))
            .unwrap_or_default()
    }
}
