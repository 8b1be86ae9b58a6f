//! The tasks that a connection has for a while: one writes what the kernel did not take at once, another waits until a
//! stream may begin, a third one until its body was looked at.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use futures_channel::oneshot;
use monoio::net::TcpStream;

use super::clock;
use super::engine::CoreDriver;
use super::unsent::Sent;
use crate::budget::Charge;
use crate::shard::{ConnectionKey, Look, Millis};
use crate::tasks;

/// Writes what the kernel did not take at once.
pub(super) async fn write(core: Rc<impl CoreDriver>, key: ConnectionKey, stream: TcpStream) {
    loop {
        let ready = stream.writable(false).await;
        match ready.and_then(|()| core.unsent().send(key, &stream)) {
            Ok(Sent::All) => break,
            Ok(Sent::Some) => core.shard().borrow_mut().handle_progress(clock::now(), key),
            Ok(Sent::Gone) => return,
            Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => {
                return core.with_shard(|shard| shard.handle_disconnect(clock::now(), key));
            }
        }
    }
    core.with_shard(|shard| shard.handle_written(clock::now(), key, 0));
}

/// See [`Effect::Hold`](crate::shard::Effect::Hold).
pub(super) fn hold(core: &Rc<impl CoreDriver>, key: ConnectionKey, ms: Millis) {
    let core = core.clone();
    tasks::spawn(async move {
        monoio::time::sleep(Duration::from_millis(ms)).await;
        core.with_shard(|shard| shard.handle_released(clock::now(), key));
    });
}

/// A body that takes long to look at: another thread does.
pub(super) fn look(core: &Rc<impl CoreDriver>, key: ConnectionKey, look: Look, charge: Charge) {
    let core = core.clone();
    let (sender, looked) = oneshot::channel();
    let work = core.blocking().run_own(Box::new(move || {
        // Nobody waits for it if the core is gone.
        let _ = sender.send(look.run());
    }));
    tasks::spawn(async move {
        let _ = work.await;
        if let Ok(looked) = looked.await {
            let mut shard = core.shard().borrow_mut();
            shard.handle_looked(clock::now(), key, &looked);
        }
        drop(charge);
        core.pump();
    });
}
