//! In place of `rights` and `life`, without the cargo feature `auth`: nobody is asked who they are, and everybody may do everything.

use std::rc::Rc;

use super::fanout::ListenerKey;
use super::guard::Denied;
use super::keys::StreamKey;
use super::{CallKey, Engine, ExchangeOwner, Millis, Refused, Request, SessionKey, Wire};
use crate::mcp::{PolicyQuestion, RpcError};
use crate::principal::{Action, Identity, Permits, PrincipalId};

/// There are none.
pub(super) enum Rights {}

/// There are none.
pub(super) struct Inspected {
    pub(super) identity: Rc<Identity>,
    pub(super) question: PolicyQuestion,
}

impl Engine {
    pub(super) fn may(&self, _: Option<&Identity>, _: Action<'_>) -> Result<(), Denied<'_>> {
        Ok(())
    }

    pub(super) fn may_read_some(&self, _: Option<&Identity>, _: &str) -> Result<(), Denied<'_>> {
        Ok(())
    }

    pub(super) fn has_policy(&self) -> bool {
        false
    }

    pub(super) fn has_rules_for_resources(&self) -> bool {
        false
    }

    pub(super) fn policy_for_handlers(&self) -> Option<Rc<dyn Permits>> {
        None
    }

    pub(super) fn missing_scopes(&self, _: Option<&Identity>, scopes: &str) -> Refused {
        Refused::rpc(403, RpcError::missing_scope(scopes))
    }

    pub(super) fn inspect(&mut self, _: CallKey, _: &Request<'_>, _: &str) {}

    pub(super) fn take_inspected(&mut self, _: CallKey) -> Option<Inspected> {
        None
    }

    pub(super) fn inspected_counts(&self) -> [usize; 2] {
        [0; 2]
    }

    pub(super) fn open_grant(&mut self, _: ListenerKey, _: &Request<'_>) {}

    pub(super) fn refresh_grant(&mut self, _: SessionKey, _: &Request<'_>) {}

    pub(super) fn grant_epoch(&self, _: ListenerKey) -> u64 {
        0
    }

    pub(super) fn take_in_grant(&mut self, _: ListenerKey, _: u64) {}

    pub(super) fn grant_due(&mut self, _: &mut impl Wire<ExchangeOwner>, _: ListenerKey, _: u32) {}

    pub(super) fn hear_by(&mut self, _: ListenerKey, _: Option<&Identity>, _: &str) {}

    pub(super) fn bind(&mut self, _: ListenerKey, _: PrincipalId) {}

    pub(super) fn arm_some(&mut self) {}

    pub(super) const fn arming_deadline(&self) -> Option<Millis> {
        None
    }

    pub(super) const fn is_looking(&self) -> bool {
        false
    }

    pub(super) fn look_some(&mut self, _: &mut impl Wire<ExchangeOwner>) {}

    pub(super) const fn may_deliver(&self, _: ListenerKey) -> bool {
        true
    }

    pub(super) const fn may_write(&self, _: StreamKey) -> bool {
        true
    }
}
