//! Principals whose credentials somebody took back: what was issued up to then counts no more, what is issued afterwards
//! does.

use std::collections::BTreeMap;

use super::{Identity, PrincipalId, UnixSeconds};
use crate::limits::REVOCATIONS_MAX;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Revoked {
    until: BTreeMap<PrincipalId, UnixSeconds>,
}

impl Revoked {
    /// The same, and what this principal was given up to this second. Past their bound the oldest is forgotten: its tokens
    /// have long expired by themselves.
    pub(super) fn with(&self, principal: PrincipalId, until: UnixSeconds) -> Revoked {
        let mut next = self.clone();
        let latest = next
            .until
            .get(&principal)
            .map_or(until, |before| until.max(*before));
        next.until.insert(principal, latest);
        if next.until.len() > REVOCATIONS_MAX {
            let oldest = next.until.iter().min_by_key(|(_, until)| **until);
            let oldest = oldest.map(|(principal, _)| *principal);
            oldest.and_then(|oldest| next.until.remove(&oldest));
        }
        next
    }

    /// Credentials that do not say when they were made are taken back for good.
    pub(super) fn has(&self, identity: &Identity) -> bool {
        let until = self.until.get(&identity.id());
        until.is_some_and(|until| identity.issued_at().is_none_or(|at| at <= *until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_counts_after_it_was_taken_back() {
        let alice = Identity::new("issuer", "alice");
        let revoked = Revoked::default()
            .with(alice.id(), 100)
            .with(alice.id(), 50);
        let issued = |at| revoked.has(&alice.clone().with_issued_at(at));
        assert!(issued(0) && issued(100) && !issued(101));
        assert!(revoked.has(&alice), "nobody knows when");
        assert!(!revoked.has(&Identity::new("issuer", "bob")));
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
        let alice = Identity::new("issuer", "alice").with_issued_at(1);
        let mut next = revoked.with(alice.id(), 1_000_000);
        assert!(next.has(&alice));
        next = next.with(alice.id(), 1);
        assert!(next.has(&alice) && next.until.len() <= REVOCATIONS_MAX + 1);
    }
}
