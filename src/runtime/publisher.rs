//! The sequencer: gives every publication its offset and hands it to all cores in the same order.
//!
//! A node among others shares a log with them ([`SharedLog`]): what is published here goes there first, and comes
//! back to all nodes through [`Publisher::publish_here`] and its siblings, each with the place that it got there.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_channel::oneshot;

use super::clock;
use super::content_changes::ContentChanges;
use super::core_message::{CoreMailbox, CoreMessage, core_mailbox};
use crate::app::call::{Availability, Notice, NotifyRefused, Topic};
use crate::app::contents::{Change, Contents};
#[cfg(feature = "auth")]
use crate::auth::Rules;
use crate::limits::GAP_OFFSETS;
use crate::principal::PrincipalId;
use crate::shard::Publication;
use crate::shard::view::{ViewAnswer, ViewQuestion};
use crate::wire::session_id::SessionId;
use crate::wire::uri::normal;

/// Publishes from any thread. Clones publish into the same log.
#[derive(Clone)]
pub struct Publisher {
    shared: Arc<PublisherInner>,
}

struct PublisherInner {
    /// One for each core, from the start of the node on; before it nobody can have subscribed.
    mailboxes: OnceLock<Box<[CoreMailbox]>>,
    /// No new clients should come: the node drains.
    leaving: AtomicBool,
    /// The node is ending.
    stopping: AtomicBool,
    /// What other nodes have published was not read yet.
    loading: AtomicBool,
    /// Nothing of the node goes on.
    ended: AtomicBool,
    /// A thread of the node hangs, or is gone.
    impaired: AtomicBool,
    /// The newest offset that was given. Held while the messages are posted: the order of offsets is the order in
    /// every mailbox.
    last_offset: Mutex<u64>,
    /// For a copy of the application's contents.
    contents: Arc<ContentChanges>,
    /// Unset: this node has its log for itself.
    log: OnceLock<Arc<dyn SharedLog>>,
}

/// A log that several nodes share. Everything that it takes comes back to every one of them, this one included: in
/// the order of the log, or at once if the log is out of reach. No call but the last one blocks.
pub trait SharedLog: Send + Sync {
    fn publish(&self, topics: Vec<Topic>);

    /// For one principal's subscribers alone.
    fn publish_to(&self, principal: PrincipalId, topic: Topic);

    /// These were written to this node's contents; `change` is what is to be delivered of it. They go along: what is there
    /// may be another node's before long.
    fn publish_contents(&self, uri: &str, contents: Option<Contents>, change: Change);

    fn notify_all(&self, notice: Notice);

    /// The process ends: waits until the log has everything, but no longer than that, and says what is lost.
    fn leave(&self, at_most: Duration);
}

/// The publication was not taken, since a core is far behind, or the node has ended; nobody was notified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishRefused;

impl std::fmt::Display for PublishRefused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            "the node is busy delivering earlier publications, or has ended: publish again in a moment",
        )
    }
}

impl std::error::Error for PublishRefused {}

impl Publisher {
    pub(crate) fn new() -> Self {
        Publisher {
            shared: Arc::new(PublisherInner {
                mailboxes: OnceLock::new(),
                leaving: AtomicBool::new(false),
                stopping: AtomicBool::new(false),
                loading: AtomicBool::new(false),
                ended: AtomicBool::new(false),
                impaired: AtomicBool::new(false),
                last_offset: Mutex::new(0),
                contents: Arc::default(),
                log: OnceLock::new(),
            }),
        }
    }

    /// Makes a mailbox for each core.
    pub(super) fn open_mailboxes(&self, cores: usize) {
        let mailboxes = (0..cores).map(|_| core_mailbox()).collect();
        let opened = self.shared.mailboxes.set(mailboxes);
        assert!(opened.is_ok(), "a server starts once");
    }

    /// From now on everything is published to this log first.
    pub(crate) fn share(&self, log: Arc<dyn SharedLog>) {
        let set = self.shared.log.set(log);
        assert!(set.is_ok(), "a node has one log");
        self.shared.loading.store(true, Ordering::Relaxed);
    }

    /// Notifies every subscriber that `topic` changed. Returns its offset in the log; if other nodes share the log, the
    /// newest one so far: the publication gets a later one.
    ///
    /// # Errors
    /// [`PublishRefused`] when the node is saturated.
    pub fn publish(&self, topic: Topic) -> Result<u64, PublishRefused> {
        self.publish_all(vec![topic]).map(|first| first.start)
    }

    /// Publishes a batch; the offsets are consecutive. If other nodes share the log, there are none yet.
    ///
    /// # Errors
    /// [`PublishRefused`], and none of them was published.
    pub fn publish_all(&self, topics: Vec<Topic>) -> Result<std::ops::Range<u64>, PublishRefused> {
        if self.is_saturated() {
            return Err(PublishRefused);
        }
        Ok(self.publish_now(topics))
    }

    /// Notifies the subscribers of `topic` that are this principal's, of whichever client, that it changed as far as they are
    /// concerned. To everybody else it is as if nothing had been published. Where nobody is asked who they are
    /// (`--auth none`) nobody is a principal. Returns the offset as [`publish`](Publisher::publish) does.
    ///
    /// # Errors
    /// [`PublishRefused`] when the node is saturated.
    ///
    /// ```
    /// # use pinfold::app::{Toolkit, Topic};
    /// # let node = pinfold::Node::builder(|| Toolkit::new("mail", "1.0.0")).listen("127.0.0.1:0").cores(1).start()?;
    /// let alice = pinfold::PrincipalId::of("https://login.example", "alice");
    /// let inbox = Topic::Resource("mail://inbox".into());
    /// node.publisher().publish_to(alice, inbox).expect("it is not busy");
    /// # node.stop();
    /// # node.join_blocking()?;
    /// # Ok::<(), pinfold::NodeError>(())
    /// ```
    pub fn publish_to(&self, principal: PrincipalId, topic: Topic) -> Result<u64, PublishRefused> {
        if self.is_saturated() {
            return Err(PublishRefused);
        }
        Ok(self.publish_to_now(principal, topic))
    }

    /// Notifies one session of this node; resolves when its core has taken it.
    ///
    /// # Errors
    /// [`NotifyRefused`], and it was not notified.
    pub async fn notify_session(&self, session: &str, notice: Notice) -> Result<(), NotifyRefused> {
        let notice = match notice {
            Notice::Changed(topic) => Notice::Changed(topic.normal()),
            message => message,
        };
        let answer = self.notify_session_here(session, notice)?;
        answer.await.unwrap_or(Err(NotifyRefused::Busy))
    }

    /// Notifies every session. Returns the offset that this took in the log, or the newest one so far if other nodes
    /// share the log.
    ///
    /// # Errors
    /// [`PublishRefused`], and nobody was notified.
    pub fn notify_all(&self, notice: Notice) -> Result<u64, PublishRefused> {
        if self.is_saturated() {
            return Err(PublishRefused);
        }
        if let Some(log) = self.shared.log.get() {
            log.notify_all(notice);
            return Ok(self.last_offset());
        }
        Ok(self.notify_all_here(0, notice))
    }

    /// A core is so far behind that nothing more should be published now, or the node has ended.
    #[must_use]
    pub fn is_saturated(&self) -> bool {
        self.has_ended() || self.mailboxes().iter().any(CoreMailbox::is_full)
    }

    /// New clients should go to another node: this one drains, or ends.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.shared.leaving.load(Ordering::Relaxed)
    }

    /// The node was asked to end.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.shared.stopping.load(Ordering::Relaxed)
    }

    /// Nothing of the node goes on: what is published reaches nobody.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.shared.ended.load(Ordering::Relaxed)
    }

    pub(crate) fn set_ended(&self) {
        self.shared.ended.store(true, Ordering::Relaxed);
    }

    /// New clients are welcome: the node takes them, all of its threads do their work, and it has read what the others have
    /// published, or waited for that long enough.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let loading = self.shared.loading.load(Ordering::Relaxed);
        !self.is_leaving() && !self.is_impaired() && !loading
    }

    /// A thread of the node hangs, or is gone.
    #[must_use]
    pub fn is_impaired(&self) -> bool {
        self.shared.impaired.load(Ordering::Relaxed)
    }

    pub(super) fn set_impaired(&self, impaired: bool) {
        self.shared.impaired.store(impaired, Ordering::Relaxed);
    }

    /// For publications from inside (those are as many as there are requests, and those are bounded) and for whoever
    /// has asked [`is_saturated`](Publisher::is_saturated) before. Returns the offsets.
    pub(crate) fn publish_now(&self, topics: Vec<Topic>) -> std::ops::Range<u64> {
        let topics: Vec<Topic> = topics.into_iter().map(Topic::normal).collect();
        if let Some(log) = self.shared.log.get() {
            log.publish(topics);
            let last = self.last_offset();
            return last..last;
        }
        self.publish_here(0, topics)
    }

    /// For what has changed on this node alone: nobody else is told.
    #[cfg(feature = "auth")]
    pub(crate) fn publish_on_this_node(&self, topics: Vec<Topic>) {
        self.publish_here(0, topics);
    }

    /// What a write to this node's contents changed.
    pub(super) fn publish_contents(&self, uri: &str, contents: Option<&Contents>, change: Change) {
        let own = normal(uri).unwrap_or(Cow::Borrowed(uri));
        self.shared.contents.note(&own);
        if let Some(log) = self.shared.log.get() {
            return log.publish_contents(&own, contents.cloned(), change);
        }
        let topics = change.topics(&own);
        if !topics.is_empty() {
            self.publish_here(0, topics);
        }
    }

    /// As [`publish_now`](Publisher::publish_now), for one principal's subscribers alone. Returns the offset.
    pub(crate) fn publish_to_now(&self, principal: PrincipalId, topic: Topic) -> u64 {
        let topic = topic.normal();
        if let Some(log) = self.shared.log.get() {
            log.publish_to(principal, topic);
            return self.last_offset();
        }
        self.publish_to_here(0, principal, topic)
    }

    /// Notifies every subscriber on this node. The offsets are at least `floor`: the place in a shared log.
    pub(crate) fn publish_here(&self, floor: u64, topics: Vec<Topic>) -> std::ops::Range<u64> {
        self.post_publications(floor, None, topics)
    }

    /// Notifies this principal's subscribers on this node. Returns the offset, which is at least `floor`.
    pub(crate) fn publish_to_here(&self, floor: u64, principal: PrincipalId, topic: Topic) -> u64 {
        let offsets = self.post_publications(floor, Some(principal), vec![topic]);
        offsets.start
    }

    fn post_publications(
        &self,
        floor: u64,
        principal: Option<PrincipalId>,
        topics: Vec<Topic>,
    ) -> std::ops::Range<u64> {
        for topic in &topics {
            if let Topic::Resource(uri) = topic {
                self.shared.contents.note(uri);
            }
        }
        let mut last_offset = self.lock();
        let first = floor.max(*last_offset + 1);
        let published = clock::now();
        let publications = (first..).zip(topics).map(|(offset, topic)| Publication {
            offset,
            published,
            topic,
            principal,
        });
        let publications: Arc<[Publication]> = publications.collect();
        if publications.is_empty() {
            return first..first;
        }
        *last_offset = first + publications.len() as u64 - 1;
        for mailbox in self.mailboxes() {
            mailbox.post_beyond(CoreMessage::Published(publications.clone()));
        }
        first..*last_offset + 1
    }

    /// Notifies every session of this node.
    pub(crate) fn notify_all_here(&self, floor: u64, notice: Notice) -> u64 {
        let notice = Arc::new(notice);
        self.post_all(floor, 1, |offset| CoreMessage::NotifyAll {
            offset,
            notice: notice.clone(),
        })
    }

    /// Notifies every subscriber on this node that anything may have changed.
    pub(crate) fn gap_here(&self, floor: u64) -> u64 {
        self.post_all(floor, GAP_OFFSETS, |first| CoreMessage::Gap { first })
    }

    /// Notifies one session of this node; whoever wants to know whether its core took it waits for the answer.
    pub(crate) fn notify_session_here(
        &self,
        session: &str,
        notice: Notice,
    ) -> Result<oneshot::Receiver<Result<(), NotifyRefused>>, NotifyRefused> {
        let id = SessionId::parse(session).ok_or(NotifyRefused::Unknown)?;
        let mailboxes = self.mailboxes();
        // A core that does not exist here is another node's or a forgery: any core can tell which.
        let mailbox = mailboxes
            .get(usize::from(id.locator.core))
            .or(mailboxes.first())
            .ok_or(NotifyRefused::Busy)?;
        if mailbox.is_full() || self.is_stopping() {
            return Err(NotifyRefused::Busy);
        }
        let (answer, receiver) = oneshot::channel();
        mailbox.post_beyond(CoreMessage::NotifySession {
            session: session.into(),
            notice,
            answer,
        });
        Ok(receiver)
    }

    /// Asks a core what an operator wants to know. None: it takes no questions now, or there is no such core.
    pub(crate) fn view(
        &self,
        core: u16,
        question: ViewQuestion,
    ) -> Option<oneshot::Receiver<ViewAnswer>> {
        let mailbox = self.mailboxes().get(usize::from(core))?;
        if mailbox.is_full() || self.has_ended() {
            return None;
        }
        let (answer, receiver) = oneshot::channel();
        mailbox.post_beyond(CoreMessage::View {
            question: question.into(),
            answer,
        });
        Some(receiver)
    }

    /// Asks all other cores to end an idle session of somebody who holds more than this.
    pub(super) fn make_room(&self, own: u16, holds: u32) {
        let others = self.mailboxes().iter().enumerate();
        for (_, mailbox) in others.filter(|(core, _)| *core != usize::from(own)) {
            mailbox.post_beyond(CoreMessage::MakeRoom { holds });
        }
    }

    /// Other rules hold, on who is let in.
    #[cfg(feature = "auth")]
    pub(crate) fn tell_rules(&self, rules: &Arc<Rules>) {
        for mailbox in self.mailboxes() {
            mailbox.post_beyond(CoreMessage::Rules(rules.clone()));
        }
    }

    pub(super) fn mailbox(&self, core: usize) -> &CoreMailbox {
        &self.mailboxes()[core]
    }

    pub(super) fn mailboxes(&self) -> &[CoreMailbox] {
        self.shared
            .mailboxes
            .get()
            .map_or(&[], |mailboxes| mailboxes)
    }

    /// How many messages wait for each core.
    pub(crate) fn waiting(&self) -> Vec<usize> {
        self.mailboxes().iter().map(CoreMailbox::len).collect()
    }

    /// Gives offsets to a message for every core, which learns the first of them.
    fn post_all(&self, floor: u64, count: u64, message: impl Fn(u64) -> CoreMessage) -> u64 {
        let mut last_offset = self.lock();
        let first = floor.max(*last_offset + 1);
        *last_offset = first + count - 1;
        for mailbox in self.mailboxes() {
            mailbox.post_beyond(message(first));
        }
        *last_offset
    }

    fn last_offset(&self) -> u64 {
        *self.lock()
    }

    /// Which contents have changed, for whoever copies them.
    pub(crate) fn content_changes(&self) -> &Arc<ContentChanges> {
        &self.shared.contents
    }

    /// Goes on in the log of another process.
    pub(crate) fn continue_from(&self, last_offset: u64) {
        let mut own = self.lock();
        *own = (*own).max(last_offset);
    }

    pub(super) fn lock(&self) -> std::sync::MutexGuard<'_, u64> {
        self.shared
            .last_offset
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks every core to tell the other nodes of its sessions again.
    pub(crate) fn announce_all(&self) {
        for mailbox in self.mailboxes() {
            mailbox.post_beyond(CoreMessage::Announce);
        }
    }

    /// Whether new clients should come, until it drains.
    pub(crate) fn set_availability(&self, availability: Availability) {
        let loading = !availability.takes_clients();
        self.shared.loading.store(loading, Ordering::Relaxed);
        for mailbox in self.mailboxes() {
            mailbox.post_beyond(CoreMessage::Available(availability));
        }
    }

    /// The cores have ended: waits until the shared log has what was published here, at most that long, and says what
    /// it does not have then.
    pub(crate) fn leave(&self, at_most: Duration) {
        if let Some(log) = self.shared.log.get() {
            log.leave(at_most);
        }
    }

    /// Asks every core to tell of some of its sessions, the next ones each time.
    pub(crate) fn verify_some(&self) {
        for mailbox in self.mailboxes() {
            mailbox.post_beyond(CoreMessage::Verify);
        }
    }

    /// The node drains: it is not ready from now on, and its streams close by and by.
    pub(crate) fn drain_all(&self) {
        self.shared.leaving.store(true, Ordering::Relaxed);
        for mailbox in self.mailboxes() {
            mailbox.post_beyond(CoreMessage::Drain);
        }
    }

    /// Asks every core to say in the log how much it has of everything.
    pub(super) fn report_all(&self) {
        for mailbox in self.mailboxes() {
            mailbox.post_beyond(CoreMessage::Report);
        }
    }

    /// The node drains, and ends.
    pub(crate) fn stop_all(&self) {
        self.shared.leaving.store(true, Ordering::Relaxed);
        self.shared.stopping.store(true, Ordering::Relaxed);
        for mailbox in self.mailboxes() {
            mailbox.post_beyond(CoreMessage::Stop);
        }
    }
}
