//! The clock of Redis, as this node knows it. It orders writes that the log did not order.
//!
//! Each answered XADD says when it was: after it was sent and before it was answered. So this node's clock is off by
//! no more than its fastest round trip, whatever the machine's own clock says. Before the first answer it is the machine's.

use serde::{Deserialize, Serialize};

use super::id::EntryId;

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Clock {
    /// Redis's time when this node's monotonic clock was 0; below zero if it runs longer than Redis's clock counts.
    zero_ms: i64,
    last: EntryId,
    is_learned: bool,
}

impl Clock {
    /// `unix_ms` is the machine's time when the monotonic clock was 0.
    pub(super) fn new(unix_ms: u64) -> Self {
        Clock {
            zero_ms: signed(unix_ms),
            last: EntryId::ZERO,
            is_learned: false,
        }
    }

    pub(super) fn time_ms(&self, now_ms: u64) -> u64 {
        u64::try_from(self.zero_ms.saturating_add(signed(now_ms))).unwrap_or(0)
    }

    /// When something happened, later than whatever happened before.
    pub(super) fn stamp(&mut self, now_ms: u64) -> EntryId {
        let now = EntryId {
            ms: self.time_ms(now_ms),
            seq: 0,
        };
        self.last = now.max(self.last.next());
        self.last
    }

    /// Something was added between these two moments, and Redis says when.
    pub(super) fn learn(&mut self, sent_ms: u64, answered_ms: u64, added: EntryId) {
        let added_ms = signed(added.ms);
        let earliest = added_ms.saturating_sub(signed(answered_ms));
        let latest = added_ms.saturating_sub(signed(sent_ms)).max(earliest);
        self.zero_ms = self.zero_ms.clamp(earliest, latest);
        if self.last.ms > self.time_ms(answered_ms) {
            // It ran ahead, and shall not wait until Redis's has come so far.
            self.last = EntryId::ZERO;
        }
        self.is_learned = true;
    }

    /// How old an entry is. None: it is not known what time it is there.
    pub(super) fn age_ms(&self, now_ms: u64, id: EntryId) -> Option<u64> {
        self.is_learned
            .then(|| self.time_ms(now_ms).saturating_sub(id.ms))
    }
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> EntryId {
        EntryId { ms, seq: 0 }
    }

    #[test]
    fn a_machine_whose_clock_is_an_hour_off() {
        for wrong in [0, 7_200_000] {
            let mut clock = Clock::new(wrong);
            assert_eq!(clock.age_ms(10, at(3_600_000)), None);
            // Between 10 and 14 after its start it was 3,600,012 there.
            clock.learn(10, 14, at(3_600_012));
            let off = clock.time_ms(12).abs_diff(3_600_012);
            assert!(off <= 2, "{off} ms off");
            // A slow answer says nothing new.
            let before = clock.time_ms(20);
            clock.learn(20, 5_020, at(3_600_022));
            assert_eq!(clock.time_ms(20), before);
            assert!(clock.age_ms(112, at(3_600_012)).expect("known") >= 98);
        }
    }

    #[test]
    fn two_stamps_of_one_moment() {
        let mut clock = Clock::new(1_000);
        let first = clock.stamp(5);
        assert_eq!(first, at(1_005));
        assert_eq!(clock.stamp(5), first.next());
        assert_eq!(clock.stamp(6), at(1_006));
    }
}
