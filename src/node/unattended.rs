//! In place of `operators.rs` in a build without the feature `admin`: nobody is served but clients.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::cluster::{BusHandle, Membership};
use super::{Node, NodeError, Options};
use crate::acceptor::Listening;
use crate::app::contents::ContentStore;

#[derive(Default)]
pub(super) struct OperatorParts {}

impl Options {
    pub(super) fn check_admin(&self) -> Result<(), NodeError> {
        Ok(())
    }
}

/// It has no value.
pub(super) enum Operators {}

impl Operators {
    pub(super) fn open(
        _: &Options,
        _: OperatorParts,
        _: Option<Listening>,
    ) -> Result<Option<Self>, NodeError> {
        Ok(None)
    }

    pub(super) fn resume(&mut self, _: Vec<u8>) {
        match *self {}
    }

    pub(super) fn listening(&self) -> &Listening {
        match *self {}
    }

    pub(super) fn address(&self) -> Option<SocketAddr> {
        match *self {}
    }

    pub(super) fn work(
        self,
        _: &Node,
        _: Option<Arc<dyn ContentStore>>,
        _: Option<Arc<BusHandle>>,
        _: Option<Arc<Membership>>,
    ) -> Option<OperatorsWork> {
        match self {}
    }
}

pub(super) enum OperatorsWork {}

impl OperatorsWork {
    pub(super) fn start(self) -> Option<Serving> {
        match self {}
    }
}

#[derive(Clone)]
pub(super) enum Serving {}

impl Serving {
    pub(super) async fn close(self) {
        match self {}
    }

    pub(super) async fn quiesce(&self, _: Instant, _: bool) -> Option<String> {
        match *self {}
    }

    pub(super) fn state(&self) -> Vec<u8> {
        match *self {}
    }

    pub(super) fn go_on(&self) {
        match *self {}
    }
}
