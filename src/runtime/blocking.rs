//! A pool of threads for work that would stall a core.
//!
//! A job belongs to the call that waits for it. If the call has ended when the job's turn comes, the job is not run. Jobs of
//! applications are bounded ([`BLOCKING_JOBS_MAX`]). The engine's own are as many as the node's memory budget lets in, and are
//! always taken.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use futures_channel::oneshot;

use super::clock;
use crate::app::call::WorkLost;
use crate::limits::BLOCKING_JOBS_MAX;
use crate::log_throttle::LogThrottle;

type BlockingWork = Box<dyn FnOnce() + Send>;
type Done = Result<(), WorkLost>;

struct Job {
    work: BlockingWork,
    done: oneshot::Sender<Done>,
}

/// A handle; clones are of the same pool.
#[derive(Clone)]
pub(super) struct BlockingPool {
    shared: Arc<BlockingPoolInner>,
}

#[derive(Default)]
struct BlockingPoolInner {
    queue: Mutex<JobQueue>,
    /// There is a job, or there will be none.
    came: Condvar,
    /// A thread has ended.
    left: Condvar,
}

#[derive(Default)]
struct JobQueue {
    jobs: VecDeque<Job>,
    is_over: bool,
    threads: usize,
}

impl BlockingPool {
    /// # Errors
    /// Out of threads.
    pub(super) fn start(threads: usize) -> std::io::Result<(Self, Vec<JoinHandle<()>>)> {
        let pool = BlockingPool {
            shared: Arc::default(),
        };
        let mut handles = Vec::new();
        for number in 0..threads {
            let shared = pool.shared.clone();
            shared.lock().threads += 1;
            let thread = thread::Builder::new().name(format!("blocking-{number}"));
            match thread.spawn(move || shared.work_off()) {
                Ok(handle) => handles.push(handle),
                Err(fault) => {
                    pool.shared.lock().threads -= 1;
                    pool.end();
                    return Err(fault);
                }
            }
        }
        Ok((pool, handles))
    }

    /// Resolves when the application's work is done, or lost. Dropped before the work has begun, it never does.
    pub(super) fn run(&self, work: BlockingWork) -> impl Future<Output = Done> + use<> {
        self.push(work, BLOCKING_JOBS_MAX)
    }

    /// The same of the engine's own.
    pub(super) fn run_own(&self, work: BlockingWork) -> impl Future<Output = Done> + use<> {
        self.push(work, usize::MAX)
    }

    fn push(&self, work: BlockingWork, jobs_max: usize) -> impl Future<Output = Done> + use<> {
        let (done, finished) = oneshot::channel();
        let mut queue = self.shared.lock();
        let refused = if queue.jobs.len() >= jobs_max {
            // Those of calls that have ended make room.
            queue.jobs.retain(|job| !job.done.is_canceled());
            queue.jobs.len() >= jobs_max
        } else {
            queue.is_over
        };
        if !refused {
            queue.jobs.push_back(Job { work, done });
            self.shared.came.notify_one();
        }
        drop(queue);
        async move {
            match refused {
                true => Err(WorkLost::TooMuchWaits),
                false => finished.await.unwrap_or(Err(WorkLost::Panicked)),
            }
        }
    }

    /// The cores have ended, and nobody waits for anything: a thread ends with the job that it is at.
    pub(super) fn end(&self) {
        let mut queue = self.shared.lock();
        queue.is_over = true;
        let jobs = std::mem::take(&mut queue.jobs);
        drop(queue);
        self.shared.came.notify_all();
        jobs.into_iter().for_each(Job::forget);
    }

    /// Whether all of its threads have ended; waits for it, but no longer than that.
    pub(super) fn has_ended(&self, at_most: Duration) -> bool {
        let deadline = Instant::now() + at_most;
        let mut queue = self.shared.lock();
        while queue.threads > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.shared.left.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl Job {
    /// What it holds is the application's, and may do anything when it is dropped.
    fn forget(self) {
        let _ = catch_unwind(AssertUnwindSafe(|| drop(self.work)));
    }

    fn run(self) -> Result<(), Box<dyn Any + Send>> {
        if self.done.is_canceled() {
            self.forget();
            return Ok(());
        }
        let ran = catch_unwind(AssertUnwindSafe(self.work));
        let done = ran.as_ref().map_or(Err(WorkLost::Panicked), |()| Ok(()));
        // Whoever waited may be gone.
        let _ = self.done.send(done);
        ran
    }
}

impl BlockingPoolInner {
    fn lock(&self) -> MutexGuard<'_, JobQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work_off(&self) {
        let mut throttle = LogThrottle::default();
        while let Some(job) = self.next() {
            if job.run().is_err()
                && let Some(unlogged) = throttle.admit(clock::now())
            {
                tracing::error!(
                    unlogged,
                    "blocking work panicked; the call that started it goes on without its result"
                );
            }
        }
        self.lock().threads -= 1;
        self.left.notify_all();
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            if queue.is_over {
                return None;
            }
            let came = self.came.wait(queue);
            queue = came.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;

    use futures_util::FutureExt;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// A pool whose one thread is at work until the sender is dropped.
    fn busy() -> (BlockingPool, std::sync::mpsc::Sender<()>) {
        let (pool, _threads) = BlockingPool::start(1).expect("a thread");
        let (hold, held) = channel::<()>();
        let (begin, begun) = channel();
        let work = pool.run_own(Box::new(move || {
            begin.send(()).expect("the test waits");
            let _ = held.recv();
        }));
        begun.recv().expect("it begins");
        std::mem::forget(work);
        (pool, hold)
    }

    #[test]
    fn a_job_of_a_call_that_has_ended_before_its_turn() {
        let ran = Arc::new(AtomicUsize::new(0));
        let (pool, hold) = busy();
        let job = || {
            let ran = ran.clone();
            Box::new(move || {
                ran.fetch_add(1, Ordering::Relaxed);
            })
        };
        drop(pool.run(job()));
        let waited_for = pool.run(job());
        drop(hold);
        pool.shared.came.notify_all();
        let since = Instant::now();
        let mut waited_for = Box::pin(waited_for);
        while (&mut waited_for).now_or_never().is_none() {
            assert!(since.elapsed() < LONG);
            thread::yield_now();
        }
        assert_eq!(ran.load(Ordering::Relaxed), 1);
        pool.end();
        assert!(pool.has_ended(LONG));
    }

    #[test]
    fn more_jobs_than_anybody_will_ever_run() {
        let (pool, hold) = busy();
        let jobs: Vec<_> = (0..BLOCKING_JOBS_MAX)
            .map(|_| pool.run(Box::new(|| ())))
            .collect();
        let one_more = pool.run(Box::new(|| ()));
        assert_eq!(one_more.now_or_never(), Some(Err(WorkLost::TooMuchWaits)));
        let own = pool.run_own(Box::new(|| ()));
        assert_eq!(own.now_or_never(), None, "it waits like the others");
        drop(jobs);
        assert_eq!(pool.run(Box::new(|| ())).now_or_never(), None);
        pool.end();
        drop(hold);
        assert!(pool.has_ended(LONG));
    }
}
