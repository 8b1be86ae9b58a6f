//! The sockets of a core's connections. Nothing of them is on the ring: a delivery is one send, and so are a read and an
//! answer.

use std::cell::RefCell;
use std::hint::black_box;
use std::net::TcpStream as StdStream;

use super::standstill_orders::{DESCRIPTORS_AT_ONCE, SocketCopies};
use crate::shard::ConnectionKey;

#[derive(Default)]
pub(super) struct Sockets {
    /// By the index of the connection's key.
    all: RefCell<Vec<Option<CoreSocket>>>,
}

struct CoreSocket {
    key: ConnectionKey,
    stream: StdStream,
}

/// User memory of one connection outside of the shard.
pub(crate) const SOCKET_BYTES: usize = size_of::<Option<CoreSocket>>();

impl Sockets {
    pub(super) fn keep(&self, key: ConnectionKey, stream: StdStream) {
        let mut all = self.all.borrow_mut();
        let index = key.index as usize;
        if all.len() <= index {
            all.resize_with(index + 1, || None);
        }
        all[index] = Some(CoreSocket { key, stream });
    }

    /// `None`: there is no such connection any more.
    pub(super) fn with<T>(
        &self,
        key: ConnectionKey,
        work: impl FnOnce(&StdStream) -> T,
    ) -> Option<T> {
        let all = self.all.borrow();
        let socket = all.get(key.index as usize)?.as_ref();
        let socket = socket.filter(|socket| socket.key == key)?;
        Some(work(&socket.stream))
    }

    pub(super) fn take(&self, key: ConnectionKey) -> Option<StdStream> {
        let mut all = self.all.borrow_mut();
        let slot = all.get_mut(key.index as usize)?;
        Some(slot.take_if(|socket| socket.key == key)?.stream)
    }

    /// Other descriptors of some sockets, from a place on. If no more may be open, there are none.
    pub(super) fn copy_some(&self, from: usize) -> SocketCopies {
        let all = self.all.borrow();
        let mut sockets = Vec::new();
        for (place, socket) in all.iter().enumerate().skip(from) {
            if sockets.len() == DESCRIPTORS_AT_ONCE {
                let next = Some(place);
                return SocketCopies { sockets, next };
            }
            let Some(socket) = socket else { continue };
            let Ok(copy) = socket.stream.try_clone() else {
                break;
            };
            sockets.push((socket.key, copy));
        }
        SocketCopies {
            sockets,
            next: None,
        }
    }

    /// Brings what is known of it near, before it is needed.
    pub(super) fn touch(&self, key: ConnectionKey) {
        let all = self.all.borrow();
        let socket = all.get(key.index as usize).and_then(Option::as_ref);
        black_box(socket.map(|socket| socket.key));
    }
}

#[cfg(test)]
mod tests {
    /// Paid for each connection of a node, as `tests/shard/sizes.rs` has it for what the shard keeps.
    #[test]
    fn a_connection_that_grew_unnoticed() {
        assert_eq!(super::SOCKET_BYTES, 12);
    }
}
