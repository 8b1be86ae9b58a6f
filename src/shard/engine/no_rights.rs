//! In place of `rights` and `life`, without the cargo feature `auth`: nobody is asked who they are.

use super::fanout::ListenerKey;
use super::keys::StreamKey;
use super::{Engine, ExchangeOwner, Request, SessionKey, Wire};

/// There are none.
pub(super) enum Rights {}

impl Engine {
    pub(super) fn open_grant(&mut self, _: ListenerKey, _: &Request<'_>) {}

    pub(super) fn refresh_grant(&mut self, _: SessionKey, _: &Request<'_>) {}

    pub(super) fn grant_epoch(&self, _: ListenerKey) -> u64 {
        0
    }

    pub(super) fn take_in_grant(&mut self, _: ListenerKey, _: u64) {}

    pub(super) fn grant_due(&mut self, _: &mut impl Wire<ExchangeOwner>, _: ListenerKey, _: u32) {}

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
