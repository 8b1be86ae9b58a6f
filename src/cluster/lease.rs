//! For how long this process may have sessions that others can take over: until the lease in Redis ends that its last heartbeat
//! wrote, less what clocks and the way to Redis may differ by. A plain value.
//!
//! It counts from when that heartbeat was *sent*, which is before Redis took it: so it is over here before anybody can find it
//! over there. While nobody else is known there is nobody who could claim, and no lease is needed: a node that is alone goes on
//! without Redis. One that knows others asks them when heartbeats fail, and what all of them pledge ([`super::pledges`]) renews the
//! lease like a heartbeat.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// In Redis, from the last heartbeat on.
pub(super) const LEASE_LIFE: Duration = Duration::from_millis(2_000);
/// Three heartbeats may be lost on the way before it is over.
pub(super) const RENEW_EVERY: Duration = Duration::from_millis(500);
/// Here. The rest is for clocks that run at another speed, and for a core that is in the middle of something.
const COUNTS_FOR: Duration = Duration::from_millis(1_700);

/// Without a heartbeat that Redis took: the next one is late by then.
pub(super) const ASK_AFTER: Duration = Duration::from_millis(750);

const _: () = assert!(ASK_AFTER.as_millis() > RENEW_EVERY.as_millis());
const _: () = assert!(3 * RENEW_EVERY.as_millis() < COUNTS_FOR.as_millis());
const _: () = assert!(COUNTS_FOR.as_millis() < LEASE_LIFE.as_millis());

#[derive(Debug, Default)]
pub(super) struct NodeLease {
    /// When that was sent which renewed it last.
    renewed: Option<Instant>,
    /// When the last heartbeat was sent that Redis took, and nothing of what others claimed is here any more.
    beaten: Option<Instant>,
    /// None: nobody has looked for them yet.
    others_known: Option<bool>,
}

/// What is asked of the other nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WantedPledges {
    /// How long ago the last heartbeat was sent that Redis took.
    pub(super) beat_age: Duration,
    /// It was over in between: what is here may have been taken over.
    pub(super) is_lapsed: bool,
}

/// As it is written down: how long ago, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct LeaseState {
    renewed_before_ms: u64,
    beaten_before_ms: u64,
}

impl NodeLease {
    /// Redis took a heartbeat that was sent then.
    pub(super) fn renew(&mut self, sent_at: Instant) {
        self.beaten = self.beaten.max(Some(sent_at));
        self.extend(sent_at);
    }

    /// All others have pledged what they were asked for then.
    pub(super) fn extend(&mut self, sent_at: Instant) {
        self.renewed = self.renewed.max(Some(sent_at));
    }

    /// What the others are to be asked for now. None: there is no need, or nobody to be asked.
    pub(super) fn wanted_pledges(&self, now: Instant) -> Option<WantedPledges> {
        let is_due = self.asks_at().is_some_and(|at| now >= at);
        is_due.then_some(WantedPledges {
            beat_age: now.saturating_duration_since(self.beaten?),
            is_lapsed: now >= self.until()?,
        })
    }

    /// When that is, if no heartbeat is taken before. None: there is nobody to be asked.
    pub(super) fn asks_at(&self) -> Option<Instant> {
        let renewed = self.renewed.filter(|_| self.others_known == Some(true));
        renewed.map(|at| at + ASK_AFTER)
    }

    /// None: nobody relies on one.
    pub(super) fn state(&self, now: Instant) -> Option<LeaseState> {
        let ms = |at| now.saturating_duration_since(at).as_millis() as u64;
        Some(LeaseState {
            renewed_before_ms: ms(self.renewed?),
            beaten_before_ms: ms(self.beaten?),
        })
    }

    /// Goes on with that of another process. Whoever could claim was known to it.
    pub(super) fn resumed(now: Instant, state: LeaseState) -> Self {
        let then = |ms| now.checked_sub(Duration::from_millis(ms));
        NodeLease {
            renewed: then(state.renewed_before_ms),
            beaten: then(state.beaten_before_ms),
            others_known: None,
        }
    }

    pub(super) fn know_others(&mut self, are_known: Option<bool>) {
        self.others_known = are_known;
    }

    pub(super) fn has_begun(&self) -> bool {
        self.beaten.is_some()
    }

    /// None: for ever.
    pub(super) fn until(&self) -> Option<Instant> {
        self.renewed
            .filter(|_| self.others_known != Some(false))
            .map(|sent_at| sent_at + COUNTS_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_is_cut_off_and_believes_in_its_lease() {
        let (mut lease, now) = (NodeLease::default(), Instant::now());
        assert!(!lease.has_begun());
        assert_eq!(lease.until(), None, "nothing is said that others find");
        lease.renew(now + RENEW_EVERY);
        lease.renew(now);
        let until = now + RENEW_EVERY + COUNTS_FOR;
        assert_eq!(lease.until(), Some(until), "answers come in any order");
        assert_eq!(lease.wanted_pledges(until), None, "of whom?");
        lease.know_others(Some(true));
        assert_eq!(lease.until(), Some(until));
        lease.know_others(Some(false));
        assert_eq!(lease.until(), None);
    }

    #[test]
    fn a_redis_that_is_away_and_others_that_nobody_asks() {
        let (mut lease, now) = (NodeLease::default(), Instant::now());
        lease.know_others(Some(true));
        assert_eq!(lease.wanted_pledges(now), None, "nothing was said yet");
        lease.renew(now);
        assert_eq!(lease.wanted_pledges(now + RENEW_EVERY), None);
        let wanted = |lease: &NodeLease, after| lease.wanted_pledges(now + after);
        let of = |beat_age, is_lapsed| {
            Some(WantedPledges {
                beat_age,
                is_lapsed,
            })
        };
        assert_eq!(wanted(&lease, ASK_AFTER), of(ASK_AFTER, false));
        lease.extend(now + ASK_AFTER);
        assert_eq!(lease.until(), Some(now + ASK_AFTER + COUNTS_FOR));
        assert_eq!(wanted(&lease, ASK_AFTER + RENEW_EVERY), None);
        let long = ASK_AFTER + COUNTS_FOR;
        assert_eq!(wanted(&lease, long), of(long, true), "since the heartbeat");
        let state = lease.state(now + long).expect("there is one");
        let mut next = NodeLease::resumed(now + long, state);
        next.know_others(Some(true));
        assert_eq!(wanted(&next, long), of(long, true), "in the next process");
        lease.renew(now + long);
        assert_eq!(wanted(&lease, long), None);
    }
}
