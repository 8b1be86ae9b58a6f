//! Whether anything can have been lost since an entry of the stream was read.
//!
//! A stream does not say by itself what it has lost. It is trimmed at its old end, and a reader that comes too late
//! gets what is left as if nothing had been before. So the reader looks where the stream stands, after each absence
//! and whenever it may have fallen behind. If it cannot be sure, it takes it for a gap.

use super::id::EntryId;

/// Where the stream and everything beside it stand now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    /// Differs between two fillings of a Redis: whoever comes first to an empty one writes another.
    pub token: Box<str>,
    /// Up to here a node has put in the hash what other programs brought. None: no node ever said so.
    pub kept: Option<EntryId>,
    /// None: there is no stream.
    pub stream: Option<StreamLength>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamLength {
    /// None: it is empty.
    pub first: Option<EntryId>,
    /// The newest id that was given, whether its entry is still there or not.
    pub last: EntryId,
    /// The newest entry that was deleted one by one; Redis 7 says so.
    pub deleted: Option<EntryId>,
    pub length: u64,
    /// Entries that were ever added; Redis 7 says so.
    pub added: Option<u64>,
    /// Resources in the hash beside it, if the node's user may ask.
    pub stored: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamLoss {
    /// Everything since is still there.
    Whole,
    /// Some of it may be gone.
    Trimmed,
    /// This is not the Redis that it was: what was stored is gone, too.
    Emptied,
}

impl StreamInfo {
    /// What became of the entries after `since`, which was read when the token was `known`.
    #[must_use]
    pub fn judge(&self, known: &str, since: EntryId) -> StreamLoss {
        if *self.token != *known {
            return StreamLoss::Emptied;
        }
        let lost = match &self.stream {
            None => since != EntryId::ZERO,
            Some(stream) => stream.may_have_lost(since),
        };
        if lost {
            StreamLoss::Trimmed
        } else {
            StreamLoss::Whole
        }
    }

    /// Where to read on from.
    #[must_use]
    pub fn position(&self, known: &str, position: EntryId) -> EntryId {
        let last = self.last();
        match last < position {
            false => position,
            // A clock that was put back while it was emptied: all that is there is news.
            true if *self.token != *known => EntryId::ZERO,
            true => last,
        }
    }

    /// How many entries were ever added up to this position, as far as that can be told from here.
    #[must_use]
    pub fn added_before(&self, position: EntryId) -> Option<u64> {
        let Some(stream) = self.stream else {
            return Some(0);
        };
        match stream.first {
            _ if stream.last <= position => stream.added,
            Some(first) if first <= position => None,
            _ => stream
                .added
                .map(|added| added.saturating_sub(stream.length)),
        }
    }

    #[must_use]
    pub fn last(&self) -> EntryId {
        self.stream.map_or(EntryId::ZERO, |stream| stream.last)
    }
}

impl StreamLength {
    fn may_have_lost(&self, since: EntryId) -> bool {
        if self.last <= since {
            // An older state of it was restored if it is less.
            return self.last < since;
        }
        if self.deleted.is_some_and(|deleted| deleted > since) {
            return true;
        }
        if since == EntryId::ZERO {
            return self.added.is_some_and(|added| added > self.length);
        }
        self.first.is_none_or(|first| first > since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64) -> EntryId {
        EntryId { ms, seq: 0 }
    }

    fn stream(first: u64, last: u64) -> StreamLength {
        StreamLength {
            first: (first > 0).then(|| id(first)),
            last: id(last),
            deleted: Some(id(0)),
            length: (last - first + 1).min(last),
            added: Some(last),
            stored: None,
        }
    }

    fn standing(stream: Option<StreamLength>) -> StreamInfo {
        StreamInfo {
            token: "t".into(),
            kept: None,
            stream,
        }
    }

    #[test]
    fn a_loss_that_is_not_noticed_and_one_that_is_none() {
        use StreamLoss::{Trimmed, Whole};
        let deleted = StreamLength {
            deleted: Some(id(5)),
            ..stream(1, 9)
        };
        let cases = [
            (None, 0, Whole),
            (None, 4, Trimmed),
            (Some(stream(1, 9)), 0, Whole),
            (Some(stream(3, 9)), 0, Trimmed),
            (Some(stream(1, 9)), 4, Whole),
            (Some(stream(4, 9)), 4, Whole),
            (Some(stream(5, 9)), 4, Trimmed),
            (Some(stream(5, 9)), 9, Whole),
            // Nothing is left, and nothing was missed.
            (Some(stream(0, 9)), 9, Whole),
            (Some(stream(0, 9)), 8, Trimmed),
            (Some(stream(1, 3)), 4, Trimmed),
            (Some(deleted), 4, Trimmed),
            (Some(deleted), 5, Whole),
        ];
        for (stream, since, verdict) in cases {
            assert_eq!(
                standing(stream).judge("t", id(since)),
                verdict,
                "{stream:?} since {since}"
            );
        }
        assert_eq!(
            standing(Some(stream(1, 9))).judge("other", id(9)),
            StreamLoss::Emptied
        );
    }

    #[test]
    fn a_position_that_will_never_come_again() {
        let cases = [
            (Some(stream(1, 9)), 4, 4, 4),
            (Some(stream(1, 3)), 4, 3, 0),
            (None, 4, 0, 0),
        ];
        for (stream, position, restored, emptied) in cases {
            let standing = standing(stream);
            assert_eq!(standing.position("t", id(position)), id(restored));
            assert_eq!(standing.position("other", id(position)), id(emptied));
        }
    }
}
