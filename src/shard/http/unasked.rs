//! In place of `identify`, without the cargo feature `auth`: nobody is asked who they are.

use std::net::IpAddr;
use std::rc::Rc;

use super::documents::PublicDocument;
use super::{ConnectionKey, Http, Refused, RequestFields, UpperLayer};
use crate::clients::Client;
use crate::principal::Identity;
use crate::wire::HeadView;

/// There is none.
pub(super) enum IdentityGate {}

/// Never.
pub(super) enum NotLetIn {
    Refused(Box<Refused>),
    Asked,
}

impl<U: UpperLayer> Http<U> {
    pub(super) fn who_asks(
        &mut self,
        _: ConnectionKey,
        _: &HeadView<'_>,
        _: &RequestFields<'_>,
    ) -> Result<Option<Rc<Identity>>, NotLetIn> {
        Ok(None)
    }

    pub(super) fn identify_again(
        &mut self,
        _: bool,
        _: (Option<Client>, Option<&Identity>),
        _: &HeadView<'_>,
        _: &RequestFields<'_>,
    ) -> Option<Result<Rc<Identity>, Box<Refused>>> {
        None
    }

    pub(super) fn give_up_asking(&mut self, _: ConnectionKey) -> bool {
        false
    }

    pub(super) fn waits_for_identity(&self, _: ConnectionKey) -> bool {
        false
    }

    pub(super) fn forget_asked(&mut self, _: ConnectionKey) {}

    pub(super) fn forget_unused(&mut self) {}

    pub(super) fn rules_epoch(&self) -> u64 {
        0
    }

    pub(super) fn check_still_known(&self, _: &Identity, _: u64) -> Result<(), Refused> {
        Ok(())
    }

    pub(super) fn names_principals(&self, _: IpAddr) -> bool {
        false
    }

    pub(super) fn proxied_bytes_max(&self) -> usize {
        0
    }

    pub(super) fn prove_proxied(&self, _: ConnectionKey, _: &mut Vec<u8>) {}

    pub(super) fn resource_document(&self, _: &HeadView<'_>) -> Option<PublicDocument> {
        None
    }
}
