//! Who may do what, as this core has heard of it last. The feature `auth`.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use super::fanout::ListenerKey;
use super::grant::{Grant, HeldRights, NEVER, OwnNames};
use super::guard::Denied;
use super::{CallKey, Engine, Millis, Refused, Request};
use crate::auth::{Action, Decision, Policy, Rules, Withdrawn};
use crate::mcp::{PolicyQuestion, RpcError, RpcMethod};
use crate::principal::{Identity, Permits, PrincipalId, UnixSeconds};

/// Absent where nobody is asked who they are.
pub(super) struct Rights {
    pub(super) rules: Arc<Rules>,
    /// None: everybody may do everything.
    policy: Option<Rc<PolicyInForce>>,
    /// Counts the rules that took something away, from 1 on.
    pub(super) rules_number: u32,
    /// What the rest of the world calls the moment 0 of the shard's clock, in milliseconds.
    pub(super) unix_ms_at_zero: u64,
    /// Listeners that may have lost something, and were not looked at since; `life` looks at some at a time.
    pub(super) unlooked: VecDeque<ListenerKey>,
    /// Whose credentials count no more, as far as those have to know that are still to be looked at.
    pub(super) withdrawn: Withdrawn,
    held: HeldRightsSet,
    /// When the listeners began to be looked at for whether their end is near, when some were last, and the slot of the next.
    pub(super) gone_over_from: Millis,
    pub(super) gone_over_at: Millis,
    pub(super) gone_over_to: usize,
    /// Calls under way whose results are looked at before their clients see them. Hardly any shard has a policy, so this is no
    /// part of a call.
    inspected: HashMap<CallKey, Inspected>,
}

/// What calls of this core keep: counting who has the rules would be seen by every core.
struct PolicyInForce(Arc<Rules>);

/// Whose answer it is, and to what.
pub(super) struct Inspected {
    pub(super) identity: Rc<Identity>,
    pub(super) question: PolicyQuestion,
}

/// What grants have, all that is alike once.
#[derive(Default)]
struct HeldRightsSet {
    all: HashSet<Rc<HeldRights>>,
    /// At so many it is looked which of them nobody has any more.
    look_at: usize,
}

/// So few are nothing to look through.
const HELD_KEPT: usize = 64;

impl Engine {
    /// From now on requests are somebody's. `unix_ms` is what time it is now.
    pub(in crate::shard) fn identify_by(&mut self, rules: Arc<Rules>, unix_ms: u64) {
        self.rights = Some(Box::new(Rights {
            policy: PolicyInForce::of(&rules),
            rules,
            rules_number: 1,
            unix_ms_at_zero: unix_ms.saturating_sub(self.now),
            unlooked: VecDeque::new(),
            withdrawn: Withdrawn::None,
            held: HeldRightsSet::default(),
            gone_over_from: self.now,
            gone_over_at: self.now,
            gone_over_to: 0,
            inspected: HashMap::new(),
        }));
    }

    /// Whether somebody may do this. Costs a look where there is no policy, and no memory where there is one.
    pub(super) fn may(
        &self,
        identity: Option<&Identity>,
        action: Action<'_>,
    ) -> Result<(), Denied<'_>> {
        self.decided(identity, |policy, identity| policy.allows(identity, action))
    }

    /// Whether somebody may read some resource whose URI this template makes.
    pub(super) fn may_read_some(
        &self,
        identity: Option<&Identity>,
        template: &str,
    ) -> Result<(), Denied<'_>> {
        self.decided(identity, |policy, identity| {
            policy.allows_some(identity, template)
        })
    }

    fn decided<'e>(
        &'e self,
        identity: Option<&Identity>,
        decide: impl FnOnce(&'e Policy, &Identity) -> Decision<'e>,
    ) -> Result<(), Denied<'e>> {
        let Some(policy) = self.policy_in_force() else {
            return Ok(());
        };
        let policy = policy.0.policy();
        match identity.map_or(Decision::Unknown, |identity| decide(policy, identity)) {
            Decision::Allow => Ok(()),
            Decision::MissingScope(scopes) => Err(Denied::MissingScope(scopes)),
            Decision::Unknown => Err(Denied::Unknown),
        }
    }

    fn policy_in_force(&self) -> Option<&Rc<PolicyInForce>> {
        self.rights.as_ref()?.policy.as_ref()
    }

    /// Somebody may be refused something.
    pub(super) fn has_policy(&self) -> bool {
        self.policy_in_force().is_some()
    }

    pub(super) fn has_rules_for_resources(&self) -> bool {
        let policy = self.policy_in_force();
        policy.is_some_and(|it| it.0.policy().names_resources())
    }

    /// What handlers ask.
    pub(super) fn policy_for_handlers(&self) -> Option<Rc<dyn Permits>> {
        let policy: Rc<dyn Permits> = self.policy_in_force()?.clone();
        Some(policy)
    }

    /// 403, and what to ask for.
    pub(super) fn missing_scopes(&self, identity: Option<&Identity>, scopes: &str) -> Refused {
        let Some(rights) = &self.rights else {
            return Refused::rpc(403, RpcError::missing_scope(scopes));
        };
        Refused::unidentified(&match identity {
            Some(identity) => rights.rules.missing_scopes_of(identity, scopes),
            None => rights.rules.missing_scopes(scopes),
        })
    }

    /// A listener is this principal's, who may hear of nothing before a token is shown again.
    pub(super) fn bind(&mut self, key: ListenerKey, principal: PrincipalId) {
        let Some(rights) = &mut self.rights else {
            return;
        };
        let grant = Grant {
            principal,
            rights: rights.held.share(HeldRights::default()),
            valid_until: 0,
            issued_at: 0,
            timer: Default::default(),
            // By none of the rules: what it is subscribed to is looked at with the first token.
            looked: 0,
        };
        self.fanout.set_grant(key, Box::new(grant));
    }

    /// A call begins whose result is not for everybody.
    pub(super) fn inspect(&mut self, call: CallKey, request: &Request<'_>, method: &str) {
        let question = || RpcMethod::of(method).and_then(RpcMethod::question);
        if let Some(rights) = &mut self.rights
            && rights.policy.is_some()
            && let (Some(identity), Some(question)) = (&request.identity, question())
        {
            let identity = identity.clone();
            rights
                .inspected
                .insert(call, Inspected { identity, question });
        }
    }

    /// A call is over, and was one of those.
    pub(super) fn take_inspected(&mut self, call: CallKey) -> Option<Inspected> {
        let inspected = &mut self.rights.as_mut()?.inspected;
        (!inspected.is_empty()).then(|| inspected.remove(&call))?
    }

    /// How many calls are looked at so, and how many of these are under way. For tests.
    pub(super) fn inspected_counts(&self) -> [usize; 2] {
        let Some(rights) = &self.rights else {
            return [0; 2];
        };
        let is_inspected = |call: &CallKey| rights.inspected.contains_key(call);
        let under_way = self.calls.iter().filter(|(call, _)| is_inspected(call));
        [rights.inspected.len(), under_way.count()]
    }
}

impl PolicyInForce {
    fn of(rules: &Arc<Rules>) -> Option<Rc<PolicyInForce>> {
        let is_open = rules.policy().is_open();
        (!is_open).then(|| Rc::new(PolicyInForce(rules.clone())))
    }
}

impl Permits for PolicyInForce {
    fn decide(&self, who: &Identity, action: Action<'_>) -> Decision<'_> {
        self.0.policy().allows(who, action)
    }
}

/// A handler may show what it was called with: rules are nobody's business.
impl fmt::Debug for PolicyInForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyInForce").finish_non_exhaustive()
    }
}

impl Rights {
    pub(super) fn set_rules(&mut self, rules: Arc<Rules>) {
        self.policy = PolicyInForce::of(&rules);
        self.rules = rules;
    }

    /// A grant that travelled shares what it has with those that are here.
    pub(super) fn share_rights(&mut self, grant: &mut Grant) {
        grant.rights = self.held.share(HeldRights::clone(&grant.rights));
    }

    pub(super) fn grant(&mut self, identity: &Identity) -> Grant {
        let names = || OwnNames {
            subject: identity.subject().into(),
            tenant: identity.tenant().map(Box::from),
        };
        let keeps_names = self.rules.policy().names_owners();
        let held = HeldRights {
            scopes: identity.scopes().clone(),
            names: keeps_names.then(names),
        };
        Grant {
            principal: identity.id(),
            rights: self.held.share(held),
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

impl HeldRightsSet {
    fn share(&mut self, held: HeldRights) -> Rc<HeldRights> {
        if let Some(known) = self.all.get(&held) {
            return known.clone();
        }
        if self.all.len() >= self.look_at.max(HELD_KEPT) {
            self.all.retain(|it| Rc::strong_count(it) > 1);
            self.look_at = 2 * self.all.len();
        }
        let shared = Rc::new(held);
        self.all.insert(shared.clone());
        shared
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::principal::Scopes;

    #[test]
    fn rights_that_everybody_has_anew_and_that_nobody_has_any_more() {
        let of_scope = |scope: &str| HeldRights {
            scopes: Scopes::of([scope]),
            names: None,
        };
        let mut held = HeldRightsSet::default();
        let kept = held.share(of_scope("read"));
        for number in 0..10 * HELD_KEPT {
            drop(held.share(of_scope(&number.to_string())));
            assert!(held.all.len() <= HELD_KEPT + 1);
        }
        let again = held.share(of_scope("read"));
        assert!(Rc::ptr_eq(&again, &kept), "one of them is kept for both");
    }
}
