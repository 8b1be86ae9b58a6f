//! Some of those who watch.

use crate::limits::TRACES_MAX;

/// A bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::shard) struct TraceMask(pub(super) u16);

const _: () = assert!(TRACES_MAX <= u16::BITS as usize);

impl TraceMask {
    pub(in crate::shard) const fn is_nobody(self) -> bool {
        self.0 == 0
    }

    pub(super) const fn has(self, number: usize) -> bool {
        self.0 & 1 << number != 0
    }

    pub(super) const fn of(number: usize) -> TraceMask {
        TraceMask(1 << number)
    }
}
