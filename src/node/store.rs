//! The application's store of contents, behind a wall: it is called on the control thread, and on that which hands the node over
//! or takes it over. No panic of an application may end those.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::app::contents::{Change, ContentStore, Contents, StoreRefused};
use crate::log_throttle::LogThrottle;
use crate::runtime::ContentChanges;
use crate::wire::uri::{NotAUri, normal};

pub(super) struct GuardedStore {
    store: Arc<dyn ContentStore>,
    /// For a copy of all of them.
    changes: Arc<ContentChanges>,
    log: Mutex<LogThrottle>,
    started: Instant,
}

impl GuardedStore {
    pub(super) fn new(store: Arc<dyn ContentStore>, changes: Arc<ContentChanges>) -> Self {
        GuardedStore {
            store,
            changes,
            log: Mutex::default(),
            started: Instant::now(),
        }
    }

    fn ask<T>(&self, what: impl FnOnce(&dyn ContentStore) -> T) -> Option<T> {
        let asked = catch_unwind(AssertUnwindSafe(|| what(&*self.store))).ok();
        if asked.is_none()
            && let Some(unlogged) = self.may_log()
        {
            tracing::error!(
                unlogged,
                "the application's store of contents panicked; what it was asked for is not done"
            );
        }
        asked
    }

    fn may_log(&self) -> Option<u64> {
        let now_ms = self.started.elapsed().as_millis() as u64;
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.admit(now_ms)
    }
}

impl ContentStore for GuardedStore {
    fn own_uri(&self, uri: &str) -> Result<Box<str>, NotAUri> {
        // The normal form stands in for a spelling that is not to be had.
        self.ask(|store| store.own_uri(uri))
            .unwrap_or_else(|| Ok(normal(uri)?.into()))
    }

    fn put(&self, uri: &str, contents: Option<Contents>) -> Result<Change, StoreRefused> {
        let put = self.ask(|store| store.put(uri, contents));
        self.changes.note(uri);
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
