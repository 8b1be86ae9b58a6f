//! The fan-out task: writes due events to ready streams, a chunk at a time.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use super::clock;
use super::core_loop::Core;
use super::engine::CoreDriver;
use super::turns::WakeRelay;
use crate::limits::FANOUT_CHUNK;
use crate::shard::ConnectionKey;

/// For a word from another thread that is there.
const HEARING: Duration = Duration::from_millis(1);

pub(super) async fn run(core: Rc<Core>) {
    let relay = WakeRelay::start();
    let mailbox = core.publisher.mailbox(core.number.into());
    let mut bytes = Vec::new();
    loop {
        wait_for_work(&core).await;
        loop {
            if mailbox.is_urgent() {
                // On the ring nothing of other threads is heard while a task has work.
                monoio::time::sleep(HEARING).await;
            }
            // A core that is to stand still takes along what is due.
            core.quiet.pass().await;
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
    let touch = |key: ConnectionKey| core.sockets.touch(key);
    core.shard.borrow().touch_fanout(FANOUT_CHUNK, touch);
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
