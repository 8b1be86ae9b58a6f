//! What this node takes over at the moment. A plain value.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use super::lease::LEASE_LIFE;
use crate::wire::session_id::{Process, SessionId};

/// For a lease to end, and some looks at it.
pub(super) const CLAIM_WITHIN: Duration = Duration::from_millis(2_500);
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);

const _: () =
    assert!(LEASE_LIFE.as_millis() + 2 * LOOK_EVERY.as_millis() < CLAIM_WITHIN.as_millis());

/// Processes that are remembered for that: as many as there are leases that were looked at and not over.
const LEASED_MAX: usize = 1024;

/// What is being taken over. A plain value.
#[derive(Debug, Default)]
pub(super) struct Takeovers {
    /// Who claims, and makes a core have it.
    under_way: HashSet<SessionId>,
    /// Processes whose lease was not over when it was looked at, and when to look again.
    leased: HashMap<Process, Instant>,
}

impl Takeovers {
    /// False: somebody else claims it just now, or it is too soon to look again at its process.
    pub(super) fn begin(&mut self, session: &SessionId, owner: Process, now: Instant) -> bool {
        if self.leased.get(&owner).is_some_and(|&next| now < next) {
            return false;
        }
        if let Some(next) = self.leased.get_mut(&owner) {
            // The others wait for what this one finds.
            *next = now + LOOK_EVERY;
        }
        self.under_way.insert(*session)
    }

    pub(super) fn end(
        &mut self,
        session: &SessionId,
        owner: Process,
        is_leased: bool,
        now: Instant,
    ) {
        self.under_way.remove(session);
        match is_leased {
            true => {
                if self.leased.len() >= LEASED_MAX {
                    // Those are looked at once more than they need.
                    self.leased.clear();
                }
                self.leased.insert(owner, now + LOOK_EVERY);
            }
            false => drop(self.leased.remove(&owner)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::pending::tests::session;
    use super::*;

    #[test]
    fn a_dead_process_that_each_waiting_request_looks_at() {
        let (mut takeovers, now) = (Takeovers::default(), Instant::now());
        let owner = session(1).process();
        assert!(takeovers.begin(&session(1), owner, now));
        assert!(!takeovers.begin(&session(1), owner, now), "under way");
        assert!(
            takeovers.begin(&session(2), owner, now),
            "nothing is known of it yet"
        );
        takeovers.end(&session(1), owner, true, now);
        takeovers.end(&session(2), owner, true, now);
        assert!(
            !takeovers.begin(&session(3), owner, now),
            "it has its lease"
        );
        let next = now + LOOK_EVERY;
        assert!(takeovers.begin(&session(3), owner, next));
        assert!(
            !takeovers.begin(&session(4), owner, next),
            "one looks for all"
        );
        takeovers.end(&session(3), owner, false, next);
        assert!(
            takeovers.begin(&session(4), owner, next) && takeovers.begin(&session(5), owner, next)
        );
    }

    #[test]
    fn more_processes_than_anybody_has() {
        let (mut takeovers, now) = (Takeovers::default(), Instant::now());
        for incarnation in 0..3 * LEASED_MAX as u64 {
            let owner = (session(1).node, incarnation);
            assert!(takeovers.begin(&session(1), owner, now));
            takeovers.end(&session(1), owner, true, now);
            assert!(takeovers.leased.len() <= LEASED_MAX);
        }
    }
}
