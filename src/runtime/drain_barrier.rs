//! When a node's cores may end: all at once, when none of them holds anything. And how far they are with that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::milestone::Milestone;

/// What the cores of a node that drains know of each other.
#[derive(Debug)]
pub(super) struct DrainBarrier {
    /// Cores that still hold a stream or a request.
    staying: AtomicUsize,
    /// There was a moment in which none did. A core that is asked something since has the time of the notice for it.
    over: AtomicBool,
    /// The node never came to serve: nobody is here to be taken leave of.
    abandoned: AtomicBool,
    /// Cores that have not been without a stream and a request since they began to take their leave.
    undrained: AtomicUsize,
    /// There is none.
    drained: Arc<Milestone<()>>,
}

impl DrainBarrier {
    pub(super) fn of(cores: usize) -> Self {
        DrainBarrier {
            staying: AtomicUsize::new(cores),
            over: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
            undrained: AtomicUsize::new(cores),
            drained: Arc::default(),
        }
    }

    /// All of them end at once, whatever they hold.
    pub(super) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }

    /// Nothing was left on one of the cores; each says so once.
    pub(super) fn note_drained(&self) {
        if self.undrained.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.drained.reach(());
        }
    }

    pub(super) fn drained(&self) -> &Arc<Milestone<()>> {
        &self.drained
    }

    /// One core's word; `said` is what it said before, false at first.
    pub(super) fn note(&self, said: &mut bool, has_left: bool) {
        let staying = match (*said, has_left) {
            (false, true) => self.staying.fetch_sub(1, Ordering::AcqRel) - 1,
            (true, false) => self.staying.fetch_add(1, Ordering::AcqRel) + 1,
            _ => return,
        };
        *said = has_left;
        if staying == 0 {
            self.over.store(true, Ordering::Release);
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire) || self.is_abandoned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_that_ends_while_another_one_is_asked_for_its_sessions() {
        let departure = DrainBarrier::of(2);
        let (mut first, mut second) = (false, false);
        departure.note(&mut first, true);
        departure.note(&mut first, true);
        assert!(!departure.is_over(), "the second one still holds something");
        departure.note(&mut first, false);
        departure.note(&mut second, true);
        assert!(!departure.is_over(), "the first one was asked again");
        departure.note(&mut first, true);
        assert!(departure.is_over());
        departure.note(&mut second, false);
        assert!(departure.is_over(), "the others have gone");
    }
}
