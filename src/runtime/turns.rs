//! How a task that has much to do lets the others have their turn.
//!
//! monoio runs a task that wakes itself before all others, so yielding needs a second task to do the waking: its
//! wake puts this one at the back of the queue, behind every request that became ready meanwhile.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use crate::tasks;

/// A task whose only work is to wake another one.
#[derive(Default)]
pub(super) struct WakeRelay {
    own: Cell<Option<Waker>>,
    other: Cell<Option<Waker>>,
}

impl WakeRelay {
    /// For one task that yields.
    pub(super) fn start() -> Rc<Self> {
        let relay = Rc::new(WakeRelay::default());
        tasks::spawn(relay.clone().run());
        relay
    }

    async fn run(self: Rc<Self>) {
        poll_fn::<(), _>(|context| {
            self.own.set(Some(context.waker().clone()));
            if let Some(other) = self.other.take() {
                other.wake();
            }
            Poll::Pending
        })
        .await;
    }

    /// Whatever is ready by now gets its turn first.
    pub(super) async fn to_the_back(&self) {
        let mut asked = false;
        poll_fn(|context| {
            if asked {
                return Poll::Ready(());
            }
            asked = true;
            self.other.set(Some(context.waker().clone()));
            // A relay that has not run yet wakes whoever waits when it does.
            if let Some(relay) = self.own.take() {
                relay.wake();
            }
            Poll::Pending
        })
        .await;
    }
}
