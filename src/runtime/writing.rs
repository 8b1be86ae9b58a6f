//! How bytes of a core go out: what the kernel takes at once, and what a task writes when there is room.

use std::io;
use std::rc::Rc;

use super::core_loop::Core;
use super::engine::CoreDriver;
use super::{clock, serve};
use crate::shard::ConnectionKey;
use crate::socket;
use crate::tasks;

impl Core {
    /// Writes what the kernel takes now; a task writes the rest.
    pub(super) fn write(self: &Rc<Self>, key: ConnectionKey, bytes: &mut Vec<u8>) {
        if self.write_some(key, bytes) {
            self.shard.borrow_mut().handle_written(clock::now(), key, 0);
        }
    }

    /// True if all was written. If not, the shard knows already.
    pub(super) fn write_some(self: &Rc<Self>, key: ConnectionKey, bytes: &mut Vec<u8>) -> bool {
        let Some(sent) = self.sockets.with(key, |stream| socket::send(stream, bytes)) else {
            return false;
        };
        let count = match sent {
            Ok(count) if count == bytes.len() => return true,
            Ok(count) => count,
            Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => {
                self.shard.borrow_mut().handle_disconnect(clock::now(), key);
                return false;
            }
        };
        self.shard
            .borrow_mut()
            .handle_written(clock::now(), key, bytes.len() - count);
        if !self.shard.borrow().is_open(key) {
            // There was no room for the rest.
            return false;
        }
        self.unsent.keep(key, bytes.split_off(count));
        self.write_rest(key);
        false
    }

    /// A task writes what is unsent.
    pub(super) fn write_rest(self: &Rc<Self>, key: ConnectionKey) {
        match self.sockets.with(key, |stream| {
            socket::on_the_ring(socket::duplicate(stream)?)
        }) {
            Some(Ok(stream)) => tasks::spawn(serve::write(self.clone(), key, stream)),
            Some(Err(fault)) => {
                if let Some(unlogged) = self.may_log("wait") {
                    tracing::warn!(%fault, unlogged, "a slow reader was dropped: its connection could not be waited for");
                }
                self.shard.borrow_mut().handle_disconnect(clock::now(), key);
            }
            None => {}
        }
    }
}
