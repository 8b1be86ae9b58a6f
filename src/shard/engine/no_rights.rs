//! In place of `rights`, without the cargo feature `auth`: nobody is asked who they are, and everybody may do everything.

use std::rc::Rc;

use super::fanout::ListenerKey;
use super::grant::Grant;
use super::guard::Denied;
use super::{CallKey, Engine, Refused, Request};
use crate::mcp::{PolicyQuestion, RpcError};
use crate::principal::{Action, Identity, Permits};

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

    pub(super) fn grant_of(&mut self, _: &Request<'_>) -> Option<Box<Grant>> {
        None
    }

    pub(super) fn share_scopes(&mut self, _: ListenerKey) {}
}
