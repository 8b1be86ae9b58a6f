//! What one listener is notified of in one write.

use slab::Slab;

use super::topic::TopicEntry;
use super::{Listener, ListenerKind};

/// One event that is due, as [`Fanout::take_pending`](super::Fanout::take_pending) lists them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::shard::engine) struct Due {
    pub(in crate::shard::engine) offset: u64,
    pub(super) topic: u32,
}

/// What was taken for one listener, to be written: it was looked up once for all of it.
pub(in crate::shard::engine) struct DueEvents<'a> {
    pub(in crate::shard::engine) listener: &'a Listener,
    pub(super) topics: &'a Slab<TopicEntry>,
    /// Targeted messages were waiting too.
    pub(in crate::shard::engine) messages: bool,
}

impl DueEvents<'_> {
    /// One event's data lines in the words of the listener's era, blank line included.
    pub(in crate::shard::engine) fn emit(&self, due: Due, out: &mut Vec<u8>) {
        let entry = &self.topics[due.topic as usize];
        out.extend_from_slice(&entry.head);
        match (&self.listener.kind, entry.uri.is_some()) {
            (ListenerKind::Session(_), true) => out.extend_from_slice(b"}}\n\n"),
            (ListenerKind::Session(_), false) => out.extend_from_slice(b"}\n\n"),
            (ListenerKind::Listen(id), has_params) => {
                let open: &[u8] = if has_params {
                    b",\"_meta\":{"
                } else {
                    b",\"params\":{\"_meta\":{"
                };
                out.extend_from_slice(open);
                out.extend_from_slice(b"\"io.modelcontextprotocol/subscriptionId\":");
                id.emit(out);
                out.extend_from_slice(b"}}}\n\n");
            }
        }
    }
}
