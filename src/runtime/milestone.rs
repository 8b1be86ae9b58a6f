//! Something that happens once to a node: threads wait for it, and so do tasks of whatever runtime.

use std::future::poll_fn;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

#[derive(Debug)]
pub(crate) struct Milestone<T> {
    inside: Mutex<MilestoneState<T>>,
    reached: Condvar,
}

#[derive(Debug)]
struct MilestoneState<T> {
    value: Option<T>,
    waiting: Vec<Waker>,
}

impl<T> Default for Milestone<T> {
    fn default() -> Self {
        Milestone {
            inside: Mutex::new(MilestoneState {
                value: None,
                waiting: Vec::new(),
            }),
            reached: Condvar::new(),
        }
    }
}

impl<T: Clone> Milestone<T> {
    /// It has happened. A second time changes nothing.
    pub(crate) fn reach(&self, value: T) {
        let mut inside = self.lock();
        if inside.value.is_some() {
            return;
        }
        inside.value = Some(value);
        let waiting = std::mem::take(&mut inside.waiting);
        drop(inside);
        self.reached.notify_all();
        waiting.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn is_reached(&self) -> bool {
        self.lock().value.is_some()
    }

    pub(crate) fn wait_blocking(&self) -> T {
        let mut inside = self.lock();
        loop {
            if let Some(value) = &inside.value {
                return value.clone();
            }
            let waited = self.reached.wait(inside);
            inside = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(crate) async fn wait(&self) -> T {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&self, context: &Context<'_>) -> Poll<T> {
        let mut inside = self.lock();
        if let Some(value) = &inside.value {
            return Poll::Ready(value.clone());
        }
        // Of a task that has given up a waker stays, and wakes nobody.
        let waker = context.waker();
        if !inside.waiting.iter().any(|it| it.will_wake(waker)) {
            inside.waiting.push(waker.clone());
        }
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, MilestoneState<T>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn one_who_waits_and_one_who_comes_late() {
        let milestone = Arc::new(Milestone::default());
        assert_eq!(milestone.wait().now_or_never(), None);
        let waits = milestone.clone();
        let thread = std::thread::spawn(move || waits.wait_blocking());
        milestone.reach(7);
        milestone.reach(8);
        assert_eq!(thread.join().expect("it waits"), 7);
        assert_eq!(milestone.wait().now_or_never(), Some(7));
    }
}
