//! The two tasks a connection can have: one that reads, and, while the kernel does not take everything at once,
//! one that writes the rest. Neither holds a buffer while it waits for the client to send.

use std::io;
use std::rc::Rc;

use monoio::net::TcpStream;

use super::core::Core;
use super::{clock, socket};
use crate::shard::ConnectionKey;

/// Reads until the connection is over or reading pauses.
pub(super) async fn read(core: Rc<Core>, key: ConnectionKey, stream: Rc<TcpStream>) {
    loop {
        let ready = stream.readable(false).await;
        if !core.shard.borrow().is_open(key) {
            // Closed, or moved to another core: what arrives is not for us.
            return;
        }
        if ready.is_err() {
            core.shard.borrow_mut().handle_disconnect(clock::now(), key);
            return core.pump();
        }
        if !core.read_once(key, &stream) {
            return;
        }
    }
}

/// Writes what the kernel did not take at once.
pub(super) async fn write(
    core: Rc<Core>,
    key: ConnectionKey,
    stream: Rc<TcpStream>,
    bytes: Vec<u8>,
) {
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
    core.shard
        .borrow_mut()
        .handle_written(clock::now(), key, true);
    core.pump();
}

/// User memory of one connection outside of the shard, as far as this crate sees it: the reading task's future, the
/// shared socket, and its place in the table.
pub(super) fn connection_bytes() -> usize {
    fn size_of_output<A, B, C, F>(_: impl Fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }
    size_of_output(read)
        + size_of::<TcpStream>()
        + 2 * size_of::<usize>()
        + size_of::<Option<super::core::Socket>>()
}
