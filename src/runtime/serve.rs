//! The task a connection has while the kernel does not take everything at once: it writes the rest.

use std::io;
use std::rc::Rc;

use monoio::net::TcpStream;

use super::core::Core;
use super::{clock, socket};
use crate::shard::ConnectionKey;

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
