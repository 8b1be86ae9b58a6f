//! Ids of stream entries, and the offsets that they are in the logs of the nodes.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `{milliseconds}-{sequence}`: the place of an entry in the stream. Redis gives only growing ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    pub ms: u64,
    pub seq: u64,
}

/// Entries of one millisecond that have an offset of their own. So few that offsets are exact in programs whose
/// numbers are doubles (below 2^53) until the year 2039; a Redis adds some hundred in that time.
const SEQ_BITS: u32 = 12;

impl EntryId {
    /// Before every entry.
    pub const ZERO: EntryId = EntryId { ms: 0, seq: 0 };

    /// The first one that can be after it.
    #[must_use]
    pub fn next(self) -> EntryId {
        match self.seq.checked_add(1) {
            Some(seq) => EntryId { ms: self.ms, seq },
            None => EntryId {
                ms: self.ms.saturating_add(1),
                seq: 0,
            },
        }
    }

    #[must_use]
    pub fn parse(text: &[u8]) -> Option<EntryId> {
        let text = std::str::from_utf8(text).ok()?;
        let (ms, seq) = text.split_once('-')?;
        Some(EntryId {
            ms: number(ms)?,
            seq: number(seq)?,
        })
    }

    /// Grows with the id, and never shrinks: ids that are out of all proportion share an offset.
    #[must_use]
    pub fn offset(self) -> u64 {
        let room = (1 << SEQ_BITS) - 1;
        if self.ms > u64::MAX >> (SEQ_BITS + 1) {
            // Far from the end, so that whoever counts on from here has room to do so.
            return u64::MAX >> 1;
        }
        self.ms << SEQ_BITS | self.seq.min(room)
    }
}

/// Two numbers: there may be a hundred thousand of them.
impl Serialize for EntryId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.ms, self.seq).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for EntryId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (ms, seq) = Deserialize::deserialize(deserializer)?;
        Ok(EntryId { ms, seq })
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64, seq: u64) -> EntryId {
        EntryId { ms, seq }
    }

    #[test]
    fn an_id_that_reads_back_as_another() {
        for (ms, seq) in [(0, 0), (1_700_000_000_000, 3), (u64::MAX, u64::MAX)] {
            let text = id(ms, seq).to_string();
            assert_eq!(EntryId::parse(text.as_bytes()), Some(id(ms, seq)));
        }
        for wrong in [
            "",
            "-",
            "1",
            "1-",
            "-1",
            "+1-2",
            "1-2-3",
            "1-x",
            "18446744073709551616-0",
            "\u{661}-0",
        ] {
            assert_eq!(EntryId::parse(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(EntryId::parse(b"\xff-1"), None);
    }

    #[test]
    fn an_id_between_one_and_its_next() {
        assert_eq!(id(1, 7).next(), id(1, 8));
        assert_eq!(id(1, u64::MAX).next(), id(2, 0));
    }

    #[test]
    fn a_later_id_with_an_earlier_offset() {
        let ids = [
            id(0, 1),
            id(1, 0),
            id(1, 4_095),
            id(1, 4_096),
            id(1, u64::MAX),
            id(2, 0),
            id(1_700_000_000_000, 0),
            id(1 << 51, 9),
            id((1 << 51) + 1, 0),
            id(u64::MAX, u64::MAX),
        ];
        for pair in ids.windows(2) {
            assert!(pair[0] < pair[1]);
            assert!(pair[0].offset() <= pair[1].offset(), "{pair:?}");
        }
        assert_eq!(id(1, 4_096).offset(), id(1, 4_095).offset());
        assert!(id(u64::MAX, 0).offset() < u64::MAX - (1 << 40));
    }

    /// JavaScript's numbers, and jq's.
    #[test]
    fn an_offset_that_a_double_cannot_hold() {
        let offset = id(2_100_000_000_000, 4_095).offset();
        assert!(offset < 1 << 53);
    }
}
