//! In place of `rights`, without the cargo feature `auth`: nobody is asked who they are.

use super::fanout::ListenerKey;
use super::grant::Grant;
use super::{Engine, Request};

/// There are none.
pub(super) enum Rights {}

impl Engine {
    pub(super) fn grant_of(&mut self, _: &Request<'_>) -> Option<Box<Grant>> {
        None
    }

    pub(super) fn share_scopes(&mut self, _: ListenerKey) {}
}
