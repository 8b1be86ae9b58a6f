//! The listener while the node is handed over: requests that are under way are answered, and connections are closed between two
//! requests. A request to publish is either answered or was never begun.
//!
//! A connection that has just come is given a moment to send its first request: who sent it right after it was accepted would
//! otherwise have no answer. Whoever asks for the hand-over itself is not waited for.
//!
//! A plain table, but for the clock.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use slab::Slab;

/// A connection that has sent nothing after so long has nothing to say.
const FRESH_FOR: Duration = Duration::from_millis(500);

/// What a connection is at, as far as it can be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestStage {
    /// It has just come, and will most likely send a request.
    Fresh,
    /// Between two requests; or it is asked for the hand-over.
    Idle,
    /// Part of a request is here. Nothing came of it yet.
    Arriving,
    /// A whole request is here, or some of the items of one.
    Answering,
    /// The answer is on its way.
    Writing,
}

#[derive(Default)]
pub(super) struct AdminPause {
    is_closing: Cell<bool>,
    connections: RefCell<Slab<PausedConnection>>,
}

struct PausedConnection {
    stage: RequestStage,
    since: Instant,
    waiting: Option<Waker>,
}

impl PausedConnection {
    fn may_close(&self) -> bool {
        match self.stage {
            RequestStage::Idle => true,
            RequestStage::Fresh => self.since.elapsed() > FRESH_FOR,
            RequestStage::Arriving | RequestStage::Answering | RequestStage::Writing => false,
        }
    }

    /// `insists`: nobody is waited for but those whose requests were begun.
    fn holds_up(&self, insists: bool) -> bool {
        match self.stage {
            RequestStage::Answering => true,
            _ => !insists && !self.may_close(),
        }
    }
}

impl AdminPause {
    /// A connection is there.
    pub(super) fn enter(self: &Rc<Self>) -> RequestProgress {
        let number = self.connections.borrow_mut().insert(PausedConnection {
            stage: RequestStage::Fresh,
            since: Instant::now(),
            waiting: None,
        });
        RequestProgress {
            pause: self.clone(),
            number,
        }
    }

    /// No further requests are taken from now on.
    pub(super) fn begin(&self) {
        self.is_closing.set(true);
        self.wake_all();
    }

    pub(super) fn end(&self) {
        self.is_closing.set(false);
    }

    /// How many hold up the hand-over.
    pub(super) fn held_up(&self, insists: bool) -> usize {
        // Those who had their moment.
        self.wake_all();
        let connections = self.connections.borrow();
        let hold_up = connections.iter().filter(|it| it.1.holds_up(insists));
        hold_up.count()
    }

    fn wake_all(&self) {
        let mut connections = self.connections.borrow_mut();
        let waiting = connections
            .iter_mut()
            .filter_map(|it| it.1.waiting.take())
            .collect::<Vec<_>>();
        drop(connections);
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// A connection's.
pub(super) struct RequestProgress {
    pause: Rc<AdminPause>,
    number: usize,
}

impl RequestProgress {
    pub(super) fn set(&self, stage: RequestStage) {
        if let Some(own) = self.pause.connections.borrow_mut().get_mut(self.number) {
            (own.stage, own.since) = (stage, Instant::now());
        }
    }

    /// The next answer is the last one.
    pub(super) fn is_closing(&self) -> bool {
        self.pause.is_closing.get()
    }

    /// Resolves when the connection is to be closed before anything more is read.
    pub(super) async fn may_close(&self) {
        self.closing_if(PausedConnection::may_close).await;
    }

    /// Resolves when nothing more is to be begun, whatever it is at.
    pub(super) async fn closing(&self) {
        self.closing_if(|_| true).await;
    }

    async fn closing_if(&self, may: impl Fn(&PausedConnection) -> bool) {
        poll_fn(|context| {
            let mut connections = self.pause.connections.borrow_mut();
            match connections.get_mut(self.number) {
                Some(own) if !(self.is_closing() && may(own)) => {
                    own.waiting = Some(context.waker().clone());
                    Poll::Pending
                }
                _ => Poll::Ready(()),
            }
        })
        .await;
    }
}

impl Drop for RequestProgress {
    fn drop(&mut self) {
        self.pause.connections.borrow_mut().try_remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_request_that_was_begun_and_is_not_waited_for() {
        let pause = Rc::new(AdminPause::default());
        let connections: Vec<_> = (0..4).map(|_| pause.enter()).collect();
        let stages = [
            RequestStage::Idle,
            RequestStage::Arriving,
            RequestStage::Answering,
            RequestStage::Writing,
        ];
        for (connection, stage) in connections.iter().zip(stages) {
            connection.set(stage);
        }
        let fresh = pause.enter();
        assert!(connections[0].may_close().now_or_never().is_none());
        pause.begin();
        let closes = |it: &RequestProgress| it.may_close().now_or_never().is_some();
        assert_eq!(connections.iter().filter(|it| closes(it)).count(), 1);
        assert!(closes(&connections[0]) && !closes(&fresh), "it just came");
        assert_eq!((pause.held_up(false), pause.held_up(true)), (4, 1));
        connections[2].set(RequestStage::Writing);
        assert_eq!(pause.held_up(true), 0);
        drop(fresh);
        assert_eq!(pause.held_up(false), 3);
        pause.end();
        assert!(!closes(&connections[0]), "it came to nothing");
    }

    #[test]
    fn a_connection_that_says_nothing_and_holds_up_everything() {
        let pause = Rc::new(AdminPause::default());
        let silent = pause.enter();
        pause.begin();
        let come_before = |it: &mut PausedConnection| it.since -= 2 * FRESH_FOR;
        assert_eq!(pause.held_up(false), 1);
        pause
            .connections
            .borrow_mut()
            .iter_mut()
            .for_each(|it| come_before(it.1));
        assert_eq!(pause.held_up(false), 0);
        assert!(silent.may_close().now_or_never().is_some());
    }
}
