//! Bytes that one side of a passage is to take, and since when it has not.

use crate::shard::Millis;

/// Bytes that one side is to take.
#[derive(Default)]
pub(super) struct UnsentBytes {
    bytes: Vec<u8>,
    /// `at < bytes.len()`, or both are 0
    at: usize,
    /// When it last took some.
    since: Millis,
}

impl UnsentBytes {
    pub(super) fn of(bytes: Vec<u8>) -> UnsentBytes {
        UnsentBytes {
            bytes,
            at: 0,
            since: 0,
        }
    }

    /// From now on there is somebody to take it.
    pub(super) fn start(&mut self, now: Millis) {
        self.since = now;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    pub(super) fn since(&self) -> Millis {
        self.since
    }

    pub(super) fn push(&mut self, now: Millis, bytes: &[u8]) {
        self.begin(now).extend_from_slice(bytes);
    }

    /// For what comes behind it.
    pub(super) fn begin(&mut self, now: Millis) -> &mut Vec<u8> {
        if self.is_empty() {
            self.since = now;
        }
        &mut self.bytes
    }

    pub(super) fn sent(&mut self, now: Millis, count: usize) {
        if count > 0 {
            (self.at, self.since) = (self.at + count, now);
        }
        if self.at >= self.bytes.len() {
            self.clear();
        }
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.at = 0;
    }

    pub(super) fn stalls_at(&self, stall_max: Millis) -> Option<Millis> {
        (!self.is_empty()).then_some(self.since + stall_max)
    }
}
