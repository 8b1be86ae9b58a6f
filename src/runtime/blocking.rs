//! A pool of threads for work that would stall a core.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use futures_channel::oneshot;

use super::clock;
use crate::log_throttle::LogThrottle;

type Work = Box<dyn FnOnce() + Send>;

#[derive(Clone)]
pub(super) struct BlockingPool {
    queue: Sender<Work>,
}

impl BlockingPool {
    pub(super) fn start(threads: usize) -> std::io::Result<Self> {
        let (queue, works) = channel();
        let works = Arc::new(Mutex::new(works));
        for number in 0..threads {
            let works = works.clone();
            thread::Builder::new()
                .name(format!("blocking-{number}"))
                .spawn(move || work_off(&works))?;
        }
        Ok(BlockingPool { queue })
    }

    /// Resolves when the work is done, also if it panicked.
    pub(super) fn run(&self, work: Work) -> impl Future<Output = ()> + use<> {
        let (done, finished) = oneshot::channel::<()>();
        let work: Work = Box::new(move || {
            work();
            let _ = done.send(());
        });
        let sent = self.queue.send(work);
        async move {
            if sent.is_ok() {
                let _ = finished.await;
            }
        }
    }
}

fn work_off(works: &Mutex<Receiver<Work>>) {
    let mut throttle = LogThrottle::default();
    loop {
        // The guard is dropped before the work starts, so that the other threads can take theirs.
        let work = works.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(work) = work else { return };
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err()
            && let Some(unlogged) = throttle.admit(clock::now())
        {
            tracing::error!(
                unlogged,
                "blocking work panicked; the call that started it goes on without its result"
            );
        }
    }
}
