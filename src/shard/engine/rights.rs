//! Who may do what, as this core has heard of it last. The feature `auth`.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::Engine;
use super::fanout::ListenerKey;
use super::grant::{Grant, NEVER, OwnNames};
use crate::auth::{Rules, Withdrawn};
use crate::principal::{Identity, Scopes, UnixSeconds};

/// Absent where nobody is asked who they are.
pub(super) struct Rights {
    pub(super) rules: Arc<Rules>,
    /// Counts the rules that took something away, from 1 on.
    pub(super) rules_number: u32,
    /// What the rest of the world calls the moment 0 of the shard's clock, in milliseconds.
    pub(super) unix_ms_at_zero: u64,
    /// Listeners that may have lost something, and were not looked at since; `life` looks at some at a time.
    pub(super) unlooked: VecDeque<ListenerKey>,
    /// Whose credentials count no more, as far as those have to know that are still to be looked at.
    pub(super) withdrawn: Withdrawn,
    scope_sets: ScopeSets,
}

/// Scopes that grants have, each set once.
#[derive(Default)]
struct ScopeSets {
    sets: HashSet<Scopes>,
    /// At so many it is looked which of them nobody has any more.
    look_at: usize,
}

/// So few are nothing to look through.
const SETS_KEPT: usize = 64;

impl Engine {
    /// From now on requests are somebody's. `unix_ms` is what time it is now.
    pub(in crate::shard) fn identify_by(&mut self, rules: Arc<Rules>, unix_ms: u64) {
        self.rights = Some(Box::new(Rights {
            rules,
            rules_number: 1,
            unix_ms_at_zero: unix_ms.saturating_sub(self.now),
            unlooked: VecDeque::new(),
            withdrawn: Withdrawn::None,
            scope_sets: ScopeSets::default(),
        }));
    }
}

impl Rights {
    /// A grant that travelled shares its scopes with those that are here.
    pub(super) fn share_scopes(&mut self, grant: &mut Grant) {
        grant.scopes = self.scope_sets.share(&grant.scopes);
    }

    pub(super) fn grant(&mut self, identity: &Identity) -> Grant {
        let names = || OwnNames {
            subject: identity.subject().into(),
            tenant: identity.tenant().map(Box::from),
        };
        let keeps_names = self.rules.policy().names_owners();
        Grant {
            principal: identity.id(),
            scopes: self.scope_sets.share(identity.scopes()),
            names: keeps_names.then(|| Box::new(names())),
            valid_until: second(identity.valid_until()),
            issued_at: second(identity.issued_at()),
            timer: Default::default(),
            looked: self.rules_number,
        }
    }
}

pub(super) fn second(at: Option<UnixSeconds>) -> u32 {
    at.and_then(|at| u32::try_from(at).ok()).unwrap_or(NEVER)
}

impl ScopeSets {
    fn share(&mut self, scopes: &Scopes) -> Scopes {
        if let Some(known) = self.sets.get(scopes) {
            return known.clone();
        }
        if self.sets.len() >= self.look_at.max(SETS_KEPT) {
            self.sets.retain(Scopes::is_shared);
            self.look_at = 2 * self.sets.len();
        }
        self.sets.insert(scopes.clone());
        scopes.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_that_everybody_has_anew_and_that_nobody_has_any_more() {
        let mut sets = ScopeSets::default();
        let kept = sets.share(&Scopes::of(["read"]));
        for number in 0..10 * SETS_KEPT {
            drop(sets.share(&Scopes::of([&*format!("{number}")])));
            assert!(sets.sets.len() <= SETS_KEPT + 1);
        }
        let again = sets.share(&Scopes::of(["read"]));
        assert!(again.is_same(&kept), "one of them is kept for both");
    }
}
