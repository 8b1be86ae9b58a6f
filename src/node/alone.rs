//! In place of `cluster.rs` in a build without the feature `redis`: a node that is alone. Types that are only met by one of
//! several have no value.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_channel::oneshot;

use super::counted::Counters;
use super::{Node, NodeError, Options};
use crate::app::call::{Availability, KeptBy, Notice, Topic};
use crate::app::contents::{ContentStore, Contents};
use crate::principal::PrincipalId;
use crate::runtime::{ClusterAccess, Publisher};
use crate::wire::forwarded::PeerSecret;

#[derive(Default)]
pub(super) struct ClusterParts {}

impl ClusterParts {
    pub(super) fn settle(self, _: &mut Options) -> Result<(), NodeError> {
        Ok(())
    }
}

impl Options {
    pub(super) fn is_one_of_several(&self) -> bool {
        false
    }

    pub(super) fn redis_shown(&self) -> String {
        "none".to_owned()
    }

    pub(super) fn peer_secret(&self) -> Option<&PeerSecret> {
        None
    }

    pub(super) fn adopts(&self) -> bool {
        false
    }

    pub(super) fn check_cluster(&self) -> Result<(), NodeError> {
        Ok(())
    }
}

#[derive(Clone, Default)]
pub(super) struct Authorities {}

pub(super) enum Never {}

pub(super) struct ClusterMember {
    never: Never,
    pub(super) membership: Arc<Membership>,
    pub(super) bus: Arc<BusHandle>,
}

impl ClusterMember {
    pub(super) fn of(
        _: &Options,
        _: &[SocketAddr],
        _: &Counters,
        _: &Authorities,
        _: &Publisher,
    ) -> Result<Option<Self>, NodeError> {
        Ok(None)
    }

    pub(super) fn access(&self) -> ClusterAccess {
        match self.never {}
    }

    pub(super) fn work(self, _: &Node, _: Option<Arc<dyn ContentStore>>) -> ClusterWork {
        match self.never {}
    }

    pub(super) fn resume(&mut self, _: &[u8], _: &Publisher) -> std::io::Result<()> {
        match self.never {}
    }
}

pub(super) struct ClusterWork(Never);

impl ClusterWork {
    pub(super) fn start(self, _: &Publisher) -> Clustered {
        match self.0 {}
    }
}

pub(super) struct Clustered(Never);

impl Clustered {
    pub(super) async fn quiesce(&self, _: Instant, _: bool) -> Option<String> {
        match self.0 {}
    }

    pub(super) fn state(&self) -> Vec<u8> {
        match self.0 {}
    }

    pub(super) fn go_on(&self) {
        match self.0 {}
    }
}

pub(super) struct Membership(Never);

impl Membership {
    pub(super) fn close_questions(&self) {
        match self.0 {}
    }

    pub(super) fn leave(&self, _: Duration) {
        match self.0 {}
    }
}

/// What a bus says of an item that it took.
pub(super) struct Receipt {
    pub(super) offset: Option<u64>,
    pub(super) kept: KeptBy,
}

pub(super) type ReceiptReceiver = oneshot::Receiver<Receipt>;

pub(super) struct BusHandle(Never);

pub(super) struct Loaded(Never);

impl Loaded {
    pub(super) fn availability(self) -> Availability {
        match self.0 {}
    }
}

impl BusHandle {
    pub(super) fn is_full(&self) -> bool {
        match self.0 {}
    }

    pub(super) fn loaded(&self) -> Loaded {
        match self.0 {}
    }

    pub(super) fn changed(&self, _: Topic) -> ReceiptReceiver {
        match self.0 {}
    }

    pub(super) fn directed(&self, _: PrincipalId, _: Topic) -> ReceiptReceiver {
        match self.0 {}
    }

    pub(super) fn put(&self, _: Box<str>, _: Option<Contents>) -> ReceiptReceiver {
        match self.0 {}
    }

    pub(super) fn notify_every_session(&self, _: Notice) -> ReceiptReceiver {
        match self.0 {}
    }

    pub(super) fn notify_elsewhere(&self, _: &str, _: Notice) -> ReceiptReceiver {
        match self.0 {}
    }
}
