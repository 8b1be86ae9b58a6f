//! The tasks that a connection has for a while: one writes what the kernel did not take at once, another waits until a
//! stream may begin.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use monoio::net::TcpStream;

use super::core::Core;
use super::{clock, socket};
use crate::shard::{ConnectionKey, Millis};
use crate::tasks;

/// Writes what the kernel did not take at once.
pub(super) async fn write(core: Rc<Core>, key: ConnectionKey, stream: TcpStream, bytes: Vec<u8>) {
    let mut written = 0;
    while written < bytes.len() {
        let ready = stream.writable(false).await;
        if !core.shard.borrow().is_open(key) {
            return;
        }
        match ready.and_then(|()| socket::send(&stream, &bytes[written..])) {
            Ok(count) => {
                written += count;
                core.shard.borrow_mut().handle_progress(clock::now(), key);
            }
            Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => {
                core.shard.borrow_mut().handle_disconnect(clock::now(), key);
                return core.pump();
            }
        }
    }
    core.shard.borrow_mut().handle_written(clock::now(), key, 0);
    core.pump();
}

/// See [`Effect::Hold`](crate::shard::Effect::Hold).
pub(super) fn hold(core: &Rc<Core>, key: ConnectionKey, ms: Millis) {
    let core = core.clone();
    tasks::spawn(async move {
        monoio::time::sleep(Duration::from_millis(ms)).await;
        core.shard.borrow_mut().handle_released(clock::now(), key);
        core.pump();
    });
}
