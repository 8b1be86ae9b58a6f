//! Watching one, and the log: on whom an operator looks, and whose access log is on until when.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use monoio::time::sleep;

use crate::admin::LogControl;
use crate::runtime::{Publisher, TraceDesk, TraceEnd, TraceFeed, TraceHold, TraceRefused};
use crate::shard::TraceTarget;
use crate::tasks;

/// Who is watched on this node.
pub(super) struct Watching {
    desk: TraceDesk,
    logged: Arc<Mutex<AccessLogs>>,
    /// None: it is somebody else's.
    log: Option<Arc<dyn LogControl>>,
}

/// Those that are on.
#[derive(Default)]
struct AccessLogs {
    holds: HashMap<TraceTarget, (u64, TraceHold)>,
    /// Counts those that were ever on: of two for the same one the newer says when it ends.
    count: u64,
}

impl Watching {
    pub(super) fn new(publisher: Publisher, log: Option<Arc<dyn LogControl>>) -> Watching {
        Watching {
            desk: TraceDesk::new(publisher),
            logged: Arc::default(),
            log,
        }
    }

    pub(super) fn log(&self) -> Option<Arc<dyn LogControl>> {
        self.log.clone()
    }

    pub(super) fn trace(
        &self,
        target: TraceTarget,
        with_contents: bool,
    ) -> LocalBoxFuture<'_, Result<TraceFeed, TraceRefused>> {
        Box::pin(self.desk.watch(target, with_contents))
    }

    /// `lasts` None: it is off from now on.
    pub(super) async fn log_access(
        &self,
        target: TraceTarget,
        lasts: Option<Duration>,
    ) -> Result<(), TraceRefused> {
        let before = self.with(|logs| logs.holds.remove(&target));
        let Some(lasts) = lasts else {
            if before.is_some() {
                tracing::info!(whose = %target, "the access log is off");
            }
            return Ok(());
        };
        let hold = match before {
            Some((_, hold)) => hold,
            None => {
                let (hold, end) = self.desk.log(target).await?;
                tasks::spawn(until_ended(self.logged.clone(), target, end));
                hold
            }
        };
        let number = self.with(|logs| {
            logs.count += 1;
            logs.holds.insert(target, (logs.count, hold));
            logs.count
        });
        tracing::info!(whose = %target, seconds = lasts.as_secs(), "the access log is on");
        let logged = self.logged.clone();
        tasks::spawn(async move {
            sleep(lasts).await;
            let mut logs = logged.lock().unwrap_or_else(PoisonError::into_inner);
            if logs.holds.get(&target).is_some_and(|it| it.0 == number) {
                logs.holds.remove(&target);
                tracing::info!(whose = %target, "the access log is off: its time is over");
            }
        });
        Ok(())
    }

    fn with<T>(&self, what: impl FnOnce(&mut AccessLogs) -> T) -> T {
        what(&mut self.logged.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whoever is gone is not logged any more, and their place is free.
async fn until_ended(logged: Arc<Mutex<AccessLogs>>, target: TraceTarget, mut end: TraceEnd) {
    if !end.comes().await {
        return;
    }
    let mut logs = logged.lock().unwrap_or_else(PoisonError::into_inner);
    let is_it = |(_, hold): &(u64, TraceHold)| end.is_of(hold);
    if logs.holds.get(&target).is_some_and(is_it) {
        logs.holds.remove(&target);
        tracing::info!(whose = %target, "the access log is off: they are gone");
    }
}
