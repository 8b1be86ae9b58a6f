//! What the bus is doing with Redis.

use std::collections::{BTreeSet, HashSet};

use super::id::EntryId;
use super::spelling::WantedValues;

#[derive(Debug, Default)]
pub(super) enum TailState {
    #[default]
    Down,
    /// Nothing after this entry may be missing.
    Checking {
        since: EntryId,
    },
    /// These are put back.
    Refilling {
        uris: Vec<Box<str>>,
    },
    Loading {
        cursor: u64,
        seen: HashScan,
    },
    /// The hash was read, and does not have these, or by several names: was any of them taken away?
    Comparing {
        wanted: WantedValues,
        seen: HashScan,
    },
    Reading,
    /// The next entry alone is more than one answer may hold.
    Skipping,
    /// The contents of so many of the unread entries are asked for.
    Fetching {
        entries: usize,
        wanted: WantedValues,
    },
}

/// What a reading of the hash has come to.
#[derive(Debug, Default)]
pub(super) struct HashScan {
    pub(super) uris: HashSet<Box<str>>,
    /// They have another name there than this node's: which of their writes is the last one is asked for.
    pub(super) unsettled: BTreeSet<Box<str>>,
    /// Up to this one this node's resources were compared with it.
    pub(super) after: Option<Box<str>>,
}
