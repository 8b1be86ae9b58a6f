//! Taking over: a session whose process is gone is claimed, and goes on at one of this node's cores.
//!
//! Whoever is asked for such a session waits here until it is had, for [`CLAIM_WITHIN`](super::takeovers::CLAIM_WITHIN) at most. A process
//! that died a moment ago still has its lease, and one look in [`LOOK_EVERY`] for each such process is enough for all who wait for
//! it.

use std::time::Instant;

use monoio::time::sleep;

use super::lease::LEASE_LIFE;
use super::ownership::{CHANGED, CLAIMED, OWNED, claimed};
use super::pledges::ClaimEnd;
use super::record::scanned;
use super::session_record::FoundSession;
use super::shared::ClusterContext;
use super::takeovers::LOOK_EVERY;
use crate::redis::{Command, RedisFault, Reply};
use crate::runtime::SessionOwner;
use crate::shard::{MissReason, NotTaken, PortableSession};
use crate::wire::session_id::SessionId;

/// What became of a claim.
pub(super) enum Claim {
    Had(SessionOwner),
    /// It is to be looked at anew.
    Again,
}

impl ClusterContext {
    /// Somebody else has it by a higher fence: no core has it any more.
    pub(super) fn lost_to_another(&self, session: SessionId, fence: u64) {
        if let Some(reach) = &self.reach {
            self.adopted.borrow_mut().remove(&session);
            reach.let_go(vec![(session, fence + 1)]);
        }
    }

    /// A session that this node has taken over.
    pub(super) fn adopted_owner(&self, session: &SessionId) -> Option<SessionOwner> {
        let reach = self.reach.as_ref()?;
        // It may have let go of it before it asked.
        self.hear_all();
        let is_here = self.adopted.borrow().contains(session);
        is_here.then(|| SessionOwner::Here {
            core: session.adopting_core(reach.core_count()),
        })
    }

    /// Takes over a session whose record was found so, unless its process still has a lease.
    pub(super) async fn claim(
        &self,
        session: &SessionId,
        found: &FoundSession,
        until: Instant,
    ) -> Claim {
        let Some(state) = found.adoptable().cloned() else {
            return Claim::Had(SessionOwner::Gone(MissReason::OwnerDown));
        };
        loop {
            let now = Instant::now();
            let is_allowed = found.is_free() || self.pledges.borrow().allow_claim(found.owner, now);
            if is_allowed && self.takeovers.borrow_mut().begin(session, found.owner, now) {
                break;
            }
            if now >= until {
                return Claim::Had(SessionOwner::Gone(MissReason::CannotTell));
            }
            sleep(LOOK_EVERY).await;
            if let Some(owner) = self.adopted_owner(session) {
                return Claim::Had(owner);
            }
            if !is_allowed {
                // Whoever has asked for a pledge is there.
                return Claim::Again;
            }
        }
        let (outcome, fence) = self.make_claim(session, found).await;
        let claim = match outcome {
            Some(CLAIMED) => self.settle(session, fence, state).await,
            Some(OWNED | CHANGED) => Claim::Again,
            // It counts as dead itself, or Redis does not answer, or refuses.
            _ => Claim::Had(SessionOwner::Gone(MissReason::CannotTell)),
        };
        let is_leased = outcome == Some(OWNED);
        self.takeovers
            .borrow_mut()
            .end(session, found.owner, is_leased, Instant::now());
        claim
    }

    /// What Redis answers, and the fence that counts then.
    async fn make_claim(&self, session: &SessionId, found: &FoundSession) -> (Option<i64>, u64) {
        let own = self.own_process();
        if found.owner == own {
            // It was claimed before, and no core had room for it then.
            return (Some(CLAIMED), found.fence());
        }
        let (record, fence) = found.claimed_by(own);
        let claim = self
            .keys
            .claim_session(session, found, own, (&record, fence));
        // Whoever let go of it does not rely on a lease.
        let from = (!found.is_free()).then_some(found.owner);
        let begin = |from| self.pledges.borrow_mut().begin_claim(from, Instant::now());
        if !from.is_none_or(begin) {
            return (None, fence);
        }
        let replies = self.send("claim", &[claim]).await;
        let outcome = outcome_of(&replies);
        let end = match &replies {
            _ if outcome == Some(CLAIMED) => ClaimEnd::Got,
            Ok(_) | Err(RedisFault::Down | RedisFault::Busy) => ClaimEnd::Nothing,
            Err(_) => ClaimEnd::Unknown,
        };
        if let Some(from) = from {
            let mut pledges = self.pledges.borrow_mut();
            pledges.end_claim(from, end, Instant::now());
        }
        (outcome, fence)
    }

    /// Others claim what is in Redis, and it has to be known first for how long they do not.
    pub(super) fn may_write_sessions(&self) -> bool {
        self.reach.is_none() || self.lease.borrow().has_begun()
    }

    /// What a heartbeat says besides.
    pub(super) fn lease_commands(&self) -> [Command; 2] {
        let own = self.own_process();
        [
            self.keys.write_lease(own, LEASE_LIFE),
            self.keys.count_claimed(own),
        ]
    }

    /// Redis took a heartbeat that was sent then. The cores may rely on that once they have let go of what others claimed.
    pub(super) async fn renew_lease(&self, sent_at: Instant, claimed: &Reply) {
        match claimed.integer() {
            Some(0) => {}
            Some(_) => match self.read_claimed().await {
                Some(claims) => self.let_go(claims),
                None => return,
            },
            None => return,
        }
        let others = self.peers.borrow().knows_adopters(self.node);
        let mut lease = self.lease.borrow_mut();
        if !lease.has_begun() {
            // What waits for that may be written.
            self.news.give();
        }
        lease.renew(sent_at);
        lease.know_others(others);
        drop(lease);
        self.tell_lease();
    }

    fn let_go(&self, claims: Vec<(SessionId, u64)>) {
        let Some(reach) = &self.reach else { return };
        let own = self.own_process();
        tracing::warn!(
            sessions = claims.len(),
            "this node was cut off or hung for so long that others have taken over sessions of it: it lets go of them"
        );
        self.metrics.sessions_lost.inc_by(claims.len() as u64);
        self.record.borrow_mut().claimed = true;
        for (session, _) in &claims {
            self.adopted.borrow_mut().remove(session);
        }
        let forget = claims
            .iter()
            .map(|(session, _)| self.keys.forget_claimed(own, session));
        let forget: Vec<Command> = forget.collect();
        reach.let_go(claims);
        // What is not forgotten is let go of once more.
        drop(self.send("claim", &forget));
    }

    /// None: Redis did not say all of it.
    async fn read_claimed(&self) -> Option<Vec<(SessionId, u64)>> {
        let (mut found, mut cursor): (Vec<_>, Box<[u8]>) = (Vec::new(), (*b"0").into());
        loop {
            let scan = [self.keys.scan_claimed(self.own_process(), &cursor)];
            let reply = self.send("claim", &scan).await.ok()?.into_iter().next()?;
            let (next, entries) = scanned(reply).ok()?;
            let entries = Reply::List(entries).into_pairs()?;
            found.extend(entries.iter().filter_map(|(id, fence)| claimed(id, fence)));
            if *next == *b"0" {
                return Some(found);
            }
            cursor = next;
        }
    }

    /// It is claimed: a core has it from now on, or its record stays for one that has room.
    async fn settle(&self, session: &SessionId, fence: u64, state: PortableSession) -> Claim {
        let Some(reach) = &self.reach else {
            return Claim::Had(SessionOwner::Gone(MissReason::CannotTell));
        };
        let core = session.adopting_core(reach.core_count());
        let taken = reach.adopt(*session, fence, state).await;
        Claim::Had(match taken.unwrap_or(Err(NotTaken::Full)) {
            Ok(()) => {
                self.adopted.borrow_mut().insert(*session);
                self.metrics.sessions_adopted.inc();
                SessionOwner::Here { core }
            }
            Err(why) => {
                if let Some(unlogged) = self.may_log("adopt") {
                    tracing::warn!(session = %session.redacted(), %why, unlogged,
                        "a session of a node that is gone was not taken over, and its client is told to come again");
                }
                SessionOwner::Gone(reason_of(why))
            }
        })
    }
}

fn outcome_of(replies: &Result<Vec<Reply>, RedisFault>) -> Option<i64> {
    replies.as_ref().ok()?.first()?.integer()
}

/// What becomes of a session that no core has taken.
fn reason_of(why: NotTaken) -> MissReason {
    match why {
        // It will be no other at the next try.
        NotTaken::Malformed | NotTaken::NotAdopted => MissReason::OwnerDown,
        NotTaken::Full
        | NotTaken::Draining
        | NotTaken::IsHere
        | NotTaken::OfAnotherNode
        | NotTaken::ElsewhereInTheLog { .. } => MissReason::CannotTell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client that is told to come again does so for ever.
    #[test]
    fn a_session_that_nobody_can_take_over_and_503_for_ever() {
        for why in [NotTaken::Malformed, NotTaken::NotAdopted] {
            assert_eq!(reason_of(why), MissReason::OwnerDown, "{why}");
        }
        for why in [NotTaken::Full, NotTaken::Draining] {
            assert_eq!(reason_of(why), MissReason::CannotTell, "{why}");
        }
    }
}
