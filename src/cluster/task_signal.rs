//! How the tasks of a cluster, all of one thread, wake each other.

use std::cell::Cell;
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// From task to task of one thread: something happened.
#[derive(Default)]
pub(super) struct TaskSignal {
    given: Cell<bool>,
    waiting: Cell<Option<Waker>>,
}

impl TaskSignal {
    pub(super) fn give(&self) {
        self.given.set(true);
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
    }

    pub(super) async fn wait(&self) {
        poll_fn(|context| {
            if self.given.replace(false) {
                return Poll::Ready(());
            }
            self.waiting.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}
