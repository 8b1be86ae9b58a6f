//! Threads of a tokio runtime for the crates that want one. They watch those crates' sockets and timers, and the handlers
//! that wait for them go on where they are.
//!
//! On a thread that has [entered](TokioThreads::enter) it, `tokio::spawn`, `reqwest` and `sqlx` find the runtime.
//! It ends with the last one who has it, without waiting for what is spawned on it.

use std::io;
use std::sync::Arc;

use tokio::runtime::{Builder, EnterGuard, Handle, Runtime};

use crate::limits::TOKIO_BLOCKING_THREADS_MAX;

#[derive(Clone, Debug)]
pub(crate) struct TokioThreads {
    handle: Handle,
    _runtime: Arc<Owned>,
}

impl TokioThreads {
    /// # Errors
    /// The system has no threads or descriptors left.
    pub(crate) fn start(workers: usize) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(workers)
            .max_blocking_threads(TOKIO_BLOCKING_THREADS_MAX)
            .thread_name("tokio")
            .enable_all()
            .build()?;
        Ok(TokioThreads {
            handle: runtime.handle().clone(),
            _runtime: Arc::new(Owned(Some(runtime))),
        })
    }

    /// From now on, until the guard is dropped, this thread is one that tokio's crates work on.
    pub(crate) fn enter(&self) -> EnterGuard<'_> {
        self.handle.enter()
    }
}

#[derive(Debug)]
struct Owned(Option<Runtime>);

impl Drop for Owned {
    /// A runtime that is dropped waits for its threads, which must not be where others wait for this one.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
