//! Who may do what, as this core has heard of it last. The feature `auth`.

use std::collections::HashSet;
use std::sync::Arc;

use super::fanout::ListenerKey;
use super::grant::{Grant, NEVER, OwnNames};
use super::{Engine, Request};
use crate::auth::Rules;
use crate::principal::{Identity, Scopes, UnixSeconds};

/// Absent where nobody is asked who they are.
pub(super) struct Rights {
    rules: Arc<Rules>,
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
    /// From now on requests are somebody's.
    pub(in crate::shard) fn identify_by(&mut self, rules: Arc<Rules>) {
        let scope_sets = ScopeSets::default();
        self.rights = Some(Box::new(Rights { rules, scope_sets }));
    }

    /// Other rules hold from now on.
    pub(in crate::shard) fn handle_rules(&mut self, rules: Arc<Rules>) {
        if let Some(rights) = &mut self.rights {
            rights.rules = rules;
        }
    }

    /// What a listener is opened with.
    pub(super) fn grant_of(&mut self, request: &Request<'_>) -> Option<Box<Grant>> {
        let rights = self.rights.as_mut()?;
        let identity = request.identity.as_ref()?;
        Some(Box::new(rights.grant(identity)))
    }

    /// A listener that travelled shares its scopes with those that are here.
    pub(super) fn share_scopes(&mut self, listener: ListenerKey) {
        if let Some(rights) = &mut self.rights
            && let Some(grant) = self.fanout.grant_mut(listener)
        {
            grant.scopes = rights.scope_sets.share(&grant.scopes);
        }
    }
}

impl Rights {
    fn grant(&mut self, identity: &Identity) -> Grant {
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
        }
    }
}

fn second(at: Option<UnixSeconds>) -> u32 {
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
