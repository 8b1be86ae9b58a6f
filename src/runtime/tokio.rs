//! The tokio runtime that handlers find on every core, if the server is to have one: the cargo feature `tokio`, and
//! [`NodeBuilder::tokio`](crate::NodeBuilder::tokio). Without them this is nothing.

use super::not_started::NotStarted;
#[cfg(feature = "tokio")]
use crate::tokio_threads::TokioThreads;

/// What each core has of it.
#[derive(Clone)]
pub(super) struct Tokio {
    #[cfg(feature = "tokio")]
    threads: Option<TokioThreads>,
}

#[cfg(feature = "tokio")]
impl Tokio {
    /// # Errors
    /// The system has no threads left.
    pub(super) fn start(workers: usize) -> Result<Self, NotStarted> {
        let threads = (workers > 0).then(|| TokioThreads::start(workers));
        let threads = threads.transpose();
        Ok(Tokio {
            threads: threads
                .map_err(|fault| NotStarted::System("cannot start a tokio runtime", fault))?,
        })
    }

    /// Until the guard is dropped, this thread has it.
    pub(super) fn enter(&self) -> Option<tokio::runtime::EnterGuard<'_>> {
        self.threads.as_ref().map(TokioThreads::enter)
    }
}

/// Of a runtime that is not there.
#[cfg(not(feature = "tokio"))]
pub(super) struct NoRuntime;

#[cfg(not(feature = "tokio"))]
impl Tokio {
    pub(super) fn start(_: usize) -> Result<Self, NotStarted> {
        Ok(Tokio {})
    }

    pub(super) fn enter(&self) -> NoRuntime {
        NoRuntime
    }
}
