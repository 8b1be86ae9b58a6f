//! A door that tasks of one thread go through before each piece of work: while it is shut they wait.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};

#[derive(Default)]
pub(crate) struct Gate {
    is_shut: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

impl Gate {
    pub(crate) fn is_shut(&self) -> bool {
        self.is_shut.get()
    }

    pub(crate) fn shut(&self) {
        self.is_shut.set(true);
    }

    pub(crate) fn open(&self) {
        self.is_shut.set(false);
        self.waiting.take().into_iter().for_each(Waker::wake);
    }

    /// Resolves while it is open.
    pub(crate) async fn pass(&self) {
        poll_fn(|context| {
            if !self.is_shut.get() {
                return Poll::Ready(());
            }
            self.waiting.borrow_mut().push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn work_that_goes_on_behind_a_shut_door() {
        let gate = Gate::default();
        assert!(gate.pass().now_or_never().is_some());
        gate.shut();
        assert!(gate.pass().now_or_never().is_none());
        gate.open();
        assert!(gate.pass().now_or_never().is_some() && !gate.is_shut());
    }
}
