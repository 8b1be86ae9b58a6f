//! What the bus adds and asks, on its two connections, and what Redis answers.

use super::id::EntryId;
use super::peers::ProgressRecord;
use super::stored;
use super::stream_info::StreamInfo;

/// Resources whose contents are asked for at once: up to a megabyte each, and a little more on the wire.
pub(super) const CONTENTS_AT_ONCE: usize = 16;

/// An entry to be added, and what goes into the hash with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Add {
    pub fields: Vec<(&'static str, Vec<u8>)>,
    pub contents: Option<Write>,
}

/// A write of this node: when it was accepted, and what is later than what the node knew then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    pub kept: StoredValue,
    pub after: EntryId,
}

/// What the hash is to have at a URI: [`record`](StoredValue::record) after the stamp, or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredValue {
    pub uri: Box<str>,
    pub record: Option<String>,
    pub stamp: EntryId,
    /// Further names that the hash has for this resource: without a record they go, too.
    pub other_names: Vec<Box<str>>,
}

/// What became of an entry that the stream took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    pub id: EntryId,
    /// Of its write, if it had one.
    pub stamp: EntryId,
    /// A newer write was there already, and stands.
    pub is_overtaken: bool,
}

/// What Redis is to be asked on the connection that reads; one at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusRequest {
    /// Where everything stands; everything up to `kept` is delivered and kept.
    Check { kept: Option<EntryId> },
    /// Up to `count` entries, and as many records of what nodes have applied; waits for the first one.
    Read {
        after: EntryId,
        applied_after: EntryId,
        count: usize,
    },
    /// Which entry is the next one, whose fields are more than anybody reads.
    Next { after: EntryId },
    /// Put these in the hash, unless it has newer ones or was emptied since it had this token, and add an entry for each
    /// whose own is not in the stream any more, in one step; and then say what the hash has at these names.
    Fetch {
        keep: Vec<StoredValue>,
        token: Box<str>,
        names: Vec<Box<str>>,
    },
    /// The hash, a page of it.
    Scan { cursor: u64 },
    /// Put these in the hash where it has nothing newer, and add the marker if any was put, in one step: other nodes may
    /// have read the hash already.
    Refill {
        kept: Vec<StoredValue>,
        marker: Vec<(&'static str, Vec<u8>)>,
    },
}

/// Names and values, as an entry of the stream or a hash has them.
pub(super) type FieldList = Vec<(Vec<u8>, Vec<u8>)>;

/// What Redis answered.
#[derive(Clone, Debug)]
pub enum BusResponse {
    StreamInfo(StreamInfo),
    Entries {
        entries: Vec<(EntryId, FieldList)>,
        applied: Vec<(EntryId, Option<ProgressRecord>)>,
    },
    /// None: there is none any more.
    Next(Option<EntryId>),
    /// One for each name that was asked for, and the token that Redis had after that.
    Fetched(Vec<FoundValue>, Option<Box<str>>),
    /// The next cursor, 0 after the last page; URIs and values; and the token that Redis had after that.
    Scanned(u64, FieldList, Option<Box<str>>),
    /// So many were not there, or older.
    Refilled(u64),
}

/// What Redis has at a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundValue {
    pub value: Option<Vec<u8>>,
    /// The stamp of the write that took the resource away last.
    pub gone: Option<EntryId>,
}

impl FoundValue {
    pub(super) fn is_nothing(&self) -> bool {
        self.value.is_none() && self.gone.is_none()
    }

    /// What is known of a resource by this name and by another one: the newer value, and the newer deletion.
    pub(super) fn or_newer(self, other: FoundValue) -> FoundValue {
        let stamp = |found: &FoundValue| found.value.as_deref().and_then(stored::stamp);
        let is_newer = other.value.is_some() && stamp(&other) > stamp(&self);
        let gone = self.gone.max(other.gone);
        let value = match is_newer || self.value.is_none() {
            true => other.value,
            false => self.value,
        };
        FoundValue { value, gone }
    }
}
