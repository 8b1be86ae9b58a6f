//! The admin listener's [`PublishBackend`] for a node: items become publications and contents.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{LocalBoxFuture, ready};
use monoio::time::timeout;

use super::Node;
#[cfg(feature = "redis")]
use super::cluster::Membership;
use super::cluster::{BusHandle, ReceiptReceiver};
use super::stats::availability;
use super::watching::Watching;
use crate::admin::{
    PublishBackend, PublishItem, PublishOutcome, Revocation, RevokeOutcome, SessionName, Target,
    no_uri, refused,
};
#[cfg(feature = "auth")]
use crate::app::call::KeptBy;
use crate::app::call::{Availability, Notice, NotifyRefused, Topic};
use crate::app::contents::{ContentStore, Contents, StoreRefused};
#[cfg(feature = "redis")]
use crate::cluster::PeerAsker;
#[cfg(feature = "auth")]
use crate::credentials::CredentialStore;
use crate::metrics::Metrics;
use crate::principal::PrincipalId;
use crate::runtime::Publisher;
use crate::wire::uri::normal;

/// For a core to say whether a session was notified: it takes microseconds, unless the core hangs.
const TELL_TIMEOUT: Duration = Duration::from_secs(5);

/// For Redis to take a revocation: it takes milliseconds, or is not there.
#[cfg(feature = "auth")]
const TELL_OTHERS_TIMEOUT: Duration = Duration::from_secs(1);

/// What the admin listener may do with this node.
pub(super) struct NodeBackend {
    pub(super) node: Node,
    pub(super) publisher: Publisher,
    pub(super) store: Option<Arc<dyn ContentStore>>,
    /// None: this node is alone.
    pub(super) bus: Option<Arc<BusHandle>>,
    /// None: this node is alone.
    #[cfg(feature = "redis")]
    pub(super) membership: Option<Arc<Membership>>,
    /// None: this node is alone.
    #[cfg(feature = "redis")]
    pub(super) asker: Option<PeerAsker>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) watching: Watching,
    /// None: nobody is asked who they are.
    #[cfg(feature = "auth")]
    pub(super) credentials: Option<Arc<CredentialStore>>,
}

impl PublishBackend for NodeBackend {
    fn availability(&self) -> Availability {
        let loaded = self.bus.as_ref().map(|it| it.loaded().availability());
        availability(&self.publisher, loaded)
    }

    fn metrics(&self) -> String {
        self.metrics.text()
    }

    fn drain(&self) {
        self.publisher.drain_all();
    }

    #[cfg(feature = "auth")]
    fn revoke(&self, whose: Revocation) -> LocalBoxFuture<'_, Option<RevokeOutcome>> {
        let Some(store) = &self.credentials else {
            return Box::pin(ready(None));
        };
        let told = store.revoke(whose.principal, whose.issued_up_to);
        Box::pin(async move {
            let Some(told) = told else {
                return Some(RevokeOutcome { kept: None });
            };
            let kept = match timeout(TELL_OTHERS_TIMEOUT, told).await {
                Ok(Ok(())) => KeptBy::Cluster,
                Ok(Err(_)) | Err(_) => KeptBy::Node,
            };
            Some(RevokeOutcome { kept: Some(kept) })
        })
    }

    #[cfg(not(feature = "auth"))]
    fn revoke(&self, _: Revocation) -> LocalBoxFuture<'_, Option<RevokeOutcome>> {
        Box::pin(ready(None))
    }

    fn is_saturated(&self) -> bool {
        self.publisher.is_saturated() || self.bus.as_ref().is_some_and(|bus| bus.is_full())
    }

    fn publish(&self, item: PublishItem) -> LocalBoxFuture<'_, PublishOutcome> {
        let target = match self.in_own_words(item.target) {
            Ok(target) => target,
            Err(refused) => return Box::pin(ready(refused)),
        };
        match (target, &self.bus) {
            (Target::Topic(topic), None) => {
                Box::pin(async move { self.publish_topic(topic, item.contents) })
            }
            (Target::Topic(topic), Some(bus)) => {
                Box::pin(self.publish_to_all_nodes(bus, topic, item.contents))
            }
            (Target::Directed(principal, topic), None) => {
                Box::pin(async move { self.publish_to(principal, topic) })
            }
            (Target::Directed(principal, topic), Some(bus)) => {
                Box::pin(async move { accepted(bus.directed(principal, topic)).await })
            }
            (Target::All(notice), None) => Box::pin(async move { self.notify_all(notice) }),
            (Target::All(notice), Some(bus)) => {
                Box::pin(async move { accepted(bus.notify_every_session(notice)).await })
            }
            (Target::Session(name, notice), _) => Box::pin(self.notify_session(name, notice)),
        }
    }
}

impl NodeBackend {
    /// A publisher's spelling of a URI is not always the application's, by which subscribers are found.
    pub(super) fn in_own_words(&self, target: Target) -> Result<Target, PublishOutcome> {
        let own = |topic| match (topic, &self.store) {
            (Topic::Resource(uri), Some(store)) => store.own_uri(&uri).map(Topic::Resource),
            (Topic::Resource(uri), None) => Ok(Topic::Resource(normal(&uri)?.into())),
            (list, _) => Ok(list),
        };
        let target = match target {
            Target::Topic(topic) => own(topic).map(Target::Topic),
            Target::Directed(principal, topic) => {
                own(topic).map(|topic| Target::Directed(principal, topic))
            }
            Target::Session(name, Notice::Changed(topic)) => {
                own(topic).map(|topic| Target::Session(name, Notice::Changed(topic)))
            }
            target => Ok(target),
        };
        target.map_err(no_uri)
    }

    fn publish_topic(&self, topic: Topic, contents: Option<Option<Contents>>) -> PublishOutcome {
        let topics = match (contents, topic) {
            (Some(contents), Topic::Resource(uri)) => match self.put(uri, contents) {
                Ok(topics) => topics,
                Err(refused) => return refused,
            },
            (_, topic) => vec![topic],
        };
        let offsets = self.publisher.publish_here(0, topics);
        PublishOutcome::Accepted {
            offset: Some(offsets.end - 1),
            kept: None,
        }
    }

    fn publish_to(&self, principal: PrincipalId, topic: Topic) -> PublishOutcome {
        PublishOutcome::Accepted {
            offset: Some(self.publisher.publish_to_here(0, principal, topic)),
            kept: None,
        }
    }

    async fn publish_to_all_nodes(
        &self,
        bus: &BusHandle,
        topic: Topic,
        contents: Option<Option<Contents>>,
    ) -> PublishOutcome {
        let receipt = match (contents, topic) {
            (Some(contents), Topic::Resource(uri)) => {
                let taken = self.store().and_then(|store| {
                    let checked = store.check(&uri, contents.as_ref());
                    checked.map_err(store_refused)
                });
                match taken {
                    Ok(()) => bus.put(uri, contents),
                    Err(refused) => return refused,
                }
            }
            (_, topic) => bus.changed(topic),
        };
        accepted(receipt).await
    }

    /// What is to be delivered about new contents. Equal contents are no change.
    fn put(&self, uri: Box<str>, contents: Option<Contents>) -> Result<Vec<Topic>, PublishOutcome> {
        let change = self.store()?.put(&uri, contents).map_err(store_refused)?;
        Ok(change.topics(&uri))
    }

    fn store(&self) -> Result<&dyn ContentStore, PublishOutcome> {
        let sentence = "This application takes no contents; publish the uri alone";
        let store = self.store.as_deref();
        store.ok_or_else(|| refused("no_contents", sentence))
    }

    fn notify_all(&self, notice: Notice) -> PublishOutcome {
        match self.publisher.notify_all(notice) {
            Ok(offset) => PublishOutcome::Accepted {
                offset: Some(offset),
                kept: None,
            },
            Err(error) => refused("busy", error.to_string()),
        }
    }

    /// A session of another node is notified by the bus: accepted is not delivered, since only its node knows whether it
    /// is still there.
    async fn notify_session(&self, session: SessionName, notice: Notice) -> PublishOutcome {
        let answer = self
            .publisher
            .notify_session(session.expose(), notice.clone());
        match (timeout(TELL_TIMEOUT, answer).await, &self.bus) {
            (Ok(Ok(())), _) => PublishOutcome::Accepted {
                offset: None,
                kept: None,
            },
            (Ok(Err(NotifyRefused::OtherNode)), Some(bus)) => {
                accepted(bus.notify_elsewhere(session.expose(), notice)).await
            }
            (Ok(Err(refusal)), _) => notify_refused(refusal),
            (Err(_), _) => refused(
                "busy",
                "The session's core did not answer in time; the session may have been notified all the same",
            ),
        }
    }
}

/// The bus answers within a moment, whatever Redis does.
async fn accepted(receipt: ReceiptReceiver) -> PublishOutcome {
    match receipt.await {
        Ok(receipt) => PublishOutcome::Accepted {
            offset: receipt.offset,
            kept: Some(receipt.kept),
        },
        Err(_) => notify_refused(NotifyRefused::Busy),
    }
}

fn store_refused(refusal: StoreRefused) -> PublishOutcome {
    match refusal {
        StoreRefused::Full => refused(
            "full",
            "There is no room for more contents: take some away first, or start with a larger --board-bytes-max",
        ),
        StoreRefused::TooLarge => refused(
            "too_large",
            "One resource may not be as large as this: see --board-entry-bytes-max",
        ),
        StoreRefused::WrongUri => refused("bad_uri", "Contents are kept at board://… URIs only"),
        StoreRefused::Failed => refused(
            "failed",
            "The application failed: the node's log has the place",
        ),
    }
}

fn notify_refused(refusal: NotifyRefused) -> PublishOutcome {
    match refusal {
        NotifyRefused::Unknown => refused("unknown", "This server gave out no such session id"),
        NotifyRefused::Expired => refused(
            "expired",
            "The session has ended: its client deleted it, or it was idle for too long",
        ),
        NotifyRefused::OwnerRestarted => refused(
            "owner_restarted",
            "The session ended with an earlier process of this node",
        ),
        NotifyRefused::OtherNode => refused(
            "other_node",
            "The session is another node's, whose name leads its id: publish there",
        ),
        NotifyRefused::Full => refused(
            "full",
            "As much is waiting for this session as may wait: its client does not read; try again when it does",
        ),
        NotifyRefused::Busy => refused(
            "busy",
            "The node is ending, or too busy; try again in a moment",
        ),
    }
}
