//! Sockets of a core on their way to another process while the core serves them, so that it need not stand still for that.
//!
//! The new process watches them already, in a set that nobody waits for. It reads nothing. What closes meanwhile is shut down by
//! the core that has it, and its client sees that at once; the other descriptor of it is closed when the core's state comes, or with the
//! new process.

use std::collections::HashMap;
use std::net::TcpStream as StdStream;
use std::sync::mpsc::channel;

use super::core_loop::Core;
use super::core_message::CoreMessage;
use super::publisher::Publisher;
use super::readiness::data_of;
use super::standstill_orders::{CORE_ANSWERS_WITHIN, CopyOrder, SocketCopies};
use crate::shard::ConnectionKey;

/// The next ones of a core, from a place on. None: it does not come to it, and goes without.
pub(crate) fn copy_sockets(
    publisher: &Publisher,
    core: usize,
    from: usize,
) -> Option<SocketCopies> {
    let (answer, answers) = channel();
    let order = CoreMessage::CopySockets(CopyOrder { from, answer });
    publisher.mailboxes().get(core)?.post_beyond(order);
    answers.recv_timeout(CORE_ANSWERS_WITHIN).ok()
}

pub(super) fn copy(core: &Core, order: &CopyOrder) {
    // Whoever asked may have given up.
    let _ = order.answer.send(core.sockets.copy_some(order.from));
}

/// Those that are here before their core's state is.
#[derive(Default)]
pub(super) struct AheadSockets {
    all: HashMap<ConnectionKey, AheadSocket>,
}

struct AheadSocket {
    stream: StdStream,
    is_watched: bool,
}

impl AheadSockets {
    pub(super) fn take_in(&mut self, core: &Core, sockets: Vec<((u32, u32), StdStream)>) {
        for ((index, generation), stream) in sockets {
            let key = ConnectionKey::from_parts(index, generation);
            // If it cannot be, it is tried again later, and said then.
            let is_watched = core.readiness.watch(data_of(key), &stream).is_ok();
            self.all.insert(key, AheadSocket { stream, is_watched });
        }
    }

    pub(super) fn count_of(&self, keys: &[ConnectionKey]) -> usize {
        let known = keys.iter().filter(|&key| self.all.contains_key(key));
        known.count()
    }

    /// And whether it is watched.
    pub(super) fn take(&mut self, key: ConnectionKey) -> Option<(StdStream, bool)> {
        let AheadSocket { stream, is_watched } = self.all.remove(&key)?;
        Some((stream, is_watched))
    }

    /// The others closed on the way, or are another core's by now.
    pub(super) fn let_go(self, core: &Core) {
        for socket in self.all.into_values() {
            // Not left to closing: it may live on elsewhere.
            core.readiness.unwatch(&socket.stream);
        }
    }
}
