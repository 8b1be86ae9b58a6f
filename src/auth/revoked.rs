//! Principals whose credentials somebody took back: what was issued up to then counts no more, what is issued afterwards
//! does.

use std::collections::BTreeMap;

use super::{PrincipalId, UnixSeconds};
use crate::limits::REVOCATIONS_MAX;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Revoked {
    until: BTreeMap<PrincipalId, UnixSeconds>,
}

impl Revoked {
    /// The same, and what this principal was given up to this second. Past their bound the oldest of the others is forgotten,
    /// whose tokens have expired by themselves unless so many were taken back in a short time.
    pub(super) fn with(&self, principal: PrincipalId, until: UnixSeconds) -> Revoked {
        let mut next = self.clone();
        next.insert(principal, until);
        next
    }

    pub(super) fn insert(&mut self, principal: PrincipalId, until: UnixSeconds) {
        let latest = self.until.entry(principal).or_insert(until);
        *latest = until.max(*latest);
        if self.until.len() > REVOCATIONS_MAX {
            let others = self.until.iter().filter(|it| *it.0 != principal);
            let oldest = others.min_by_key(|(_, until)| **until);
            let oldest = oldest.map(|(principal, _)| *principal);
            oldest.and_then(|oldest| self.until.remove(&oldest));
        }
    }

    /// Credentials that do not say when they were made are taken back for good.
    pub(super) fn has(&self, principal: PrincipalId, issued_at: Option<UnixSeconds>) -> bool {
        let until = self.until.get(&principal);
        until.is_some_and(|until| issued_at.is_none_or(|at| at <= *until))
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (PrincipalId, UnixSeconds)> + '_ {
        self.until
            .iter()
            .map(|(principal, until)| (*principal, *until))
    }

    /// Of whom more is taken back here than there.
    pub(super) fn beside<'a>(
        &'a self,
        before: &'a Revoked,
    ) -> impl Iterator<Item = PrincipalId> + 'a {
        let newer = self
            .all()
            .filter(|(principal, until)| before.until.get(principal) < Some(until));
        newer.map(|(principal, _)| principal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Identity;

    #[test]
    fn a_token_that_counts_after_it_was_taken_back() {
        let alice = Identity::new("issuer", "alice");
        let revoked = Revoked::default()
            .with(alice.id(), 100)
            .with(alice.id(), 50);
        let issued = |at| revoked.has(alice.id(), Some(at));
        assert!(issued(0) && issued(100) && !issued(101));
        assert!(revoked.has(alice.id(), None), "nobody knows when");
        assert!(!revoked.has(Identity::new("issuer", "bob").id(), None));
    }

    #[test]
    fn a_list_of_revocations_that_grows_without_end() {
        let mut revoked = Revoked::default();
        for number in 0..=REVOCATIONS_MAX as u64 {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            // One at a time, as they come; the copy is what each of them costs.
            revoked
                .until
                .insert(PrincipalId::from_bytes(bytes), number + 10);
        }
        let alice = Identity::new("issuer", "alice");
        let mut next = revoked.with(alice.id(), 1_000_000);
        assert!(next.has(alice.id(), Some(1)));
        next = next.with(alice.id(), 1);
        assert!(next.has(alice.id(), Some(1)) && next.until.len() <= REVOCATIONS_MAX + 1);
    }
}
