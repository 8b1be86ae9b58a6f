//! What the kernel has not taken of writes to slow readers. It is the core's and not the task's that waits for room, so that it
//! can go with its connection to another process.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;

use crate::shard::ConnectionKey;
use crate::socket;

#[derive(Default)]
pub(super) struct UnsentWrites {
    all: RefCell<BTreeMap<ConnectionKey, UnsentWrite>>,
}

struct UnsentWrite {
    bytes: Vec<u8>,
    sent: usize,
}

/// What became of an attempt to go on.
pub(super) enum Sent {
    All,
    /// The kernel took some.
    Some,
    /// There is no such write any more.
    Gone,
}

impl UnsentWrites {
    pub(super) fn keep(&self, key: ConnectionKey, bytes: Vec<u8>) {
        let unsent = UnsentWrite { bytes, sent: 0 };
        self.all.borrow_mut().insert(key, unsent);
    }

    /// # Errors
    /// `WouldBlock` if the kernel takes nothing now, others if the connection is broken.
    pub(super) fn send(
        &self,
        key: ConnectionKey,
        stream: &impl std::os::fd::AsRawFd,
    ) -> io::Result<Sent> {
        let mut all = self.all.borrow_mut();
        let Some(unsent) = all.get_mut(&key) else {
            return Ok(Sent::Gone);
        };
        unsent.sent += socket::send(stream, &unsent.bytes[unsent.sent..])?;
        if unsent.sent < unsent.bytes.len() {
            return Ok(Sent::Some);
        }
        all.remove(&key);
        Ok(Sent::All)
    }

    pub(super) fn forget(&self, key: ConnectionKey) {
        self.all.borrow_mut().remove(&key);
    }

    /// What is left to be sent, by its connection.
    pub(super) fn rest(&self) -> Vec<(ConnectionKey, Vec<u8>)> {
        let all = self.all.borrow();
        let rest = all
            .iter()
            .map(|(&key, it)| (key, it.bytes[it.sent..].to_vec()));
        rest.collect()
    }
}
