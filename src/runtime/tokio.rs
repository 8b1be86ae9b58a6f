//! The tokio runtime that handlers find on every core, if the server is to have one: the cargo feature `tokio`, and
//! [`Server::tokio`]. Without them this is nothing.

#[cfg(feature = "tokio")]
use super::server::Server;
use super::server::{Options, StartError};
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
    pub(super) fn start(options: &Options) -> Result<Self, StartError> {
        let workers = options.tokio_workers;
        let threads = (workers > 0).then(|| TokioThreads::start(workers));
        let threads = threads.transpose();
        Ok(Tokio {
            threads: threads
                .map_err(|fault| StartError::System("cannot start a tokio runtime", fault))?,
        })
    }

    /// Until the guard is dropped, this thread has it.
    pub(super) fn enter(&self) -> Option<tokio::runtime::EnterGuard<'_>> {
        self.threads.as_ref().map(TokioThreads::enter)
    }
}

#[cfg(not(feature = "tokio"))]
impl Tokio {
    pub(super) fn start(_: &Options) -> Result<Self, StartError> {
        Ok(Tokio {})
    }

    pub(super) fn enter(&self) {}
}

#[cfg(feature = "tokio")]
impl Server {
    /// Handlers may use crates that need a tokio runtime (reqwest, sqlx, tonic): one of so many worker threads is there on
    /// every core's thread, and ends with the server. Those threads watch sockets and timers and run what is spawned on
    /// them; handlers run on their cores as ever. One or two are enough for what handlers wait for. None by default, and
    /// with 0: such crates panic then ("there is no reactor running"). Needs the cargo feature `tokio`.
    ///
    /// ```no_run
    /// use pinfold::app::{Error, NoArguments, Toolkit};
    ///
    /// async fn status(_: NoArguments) -> Result<String, Error> {
    ///     Ok(reqwest::get("http://127.0.0.1:9464/readyz").await?.text().await?)
    /// }
    ///
    /// pinfold::Server::new(|| Toolkit::new("s", "1").tool("status", "Is it well?", |it, _| status(it)))
    ///     .tokio(1)
    ///     .run()?;
    /// # Ok::<(), pinfold::StartError>(())
    /// ```
    #[must_use]
    pub fn tokio(mut self, workers: usize) -> Self {
        self.options.tokio_workers = workers;
        self
    }
}
