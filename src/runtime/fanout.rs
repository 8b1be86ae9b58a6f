//! The fan-out task: writes due events to ready streams, a chunk at a time.
//!
//! monoio runs a task that wakes itself before all others, so yielding needs a second task to do the waking: its
//! wake puts this one at the back of the queue, behind every request that became ready meanwhile.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::clock;
use super::core_loop::Core;
use super::engine::CoreDriver;
use crate::limits::FANOUT_CHUNK;
use crate::tasks;

pub(super) async fn run(core: Rc<Core>) {
    let relay = Rc::new(WakeRelay::default());
    tasks::spawn(relay.clone().run());
    let mut bytes = Vec::new();
    loop {
        wait_for_work(&core).await;
        loop {
            if !deliver_chunk(&core, &mut bytes) {
                break;
            }
            relay.to_the_back().await;
        }
    }
}

/// True if there may be more.
fn deliver_chunk(core: &Rc<Core>, bytes: &mut Vec<u8>) -> bool {
    let now = clock::now();
    core.touch_fanout(FANOUT_CHUNK);
    for _ in 0..FANOUT_CHUNK {
        let next = core.shard.borrow_mut().poll_fanout(now, bytes);
        match next {
            Some(key) => {
                core.write_some(key, bytes);
            }
            None => {
                core.pump();
                return false;
            }
        }
    }
    core.pump();
    true
}

async fn wait_for_work(core: &Core) {
    poll_fn(|context| {
        if core.shard.borrow().has_fanout() {
            return Poll::Ready(());
        }
        core.fanout.set(Some(context.waker().clone()));
        Poll::Pending
    })
    .await;
}

/// A task whose only work is to wake another one.
#[derive(Default)]
struct WakeRelay {
    own: Cell<Option<Waker>>,
    other: Cell<Option<Waker>>,
}

impl WakeRelay {
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

    async fn to_the_back(&self) {
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
