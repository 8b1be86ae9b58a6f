//! The sequencer: gives every publication its offset and hands it to all cores in the same order.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use futures_channel::oneshot;

use super::mailbox::{Letter, Mailbox};
use crate::app::call::{Notice, TellRefused, Topic};
use crate::shard::Publication;
use crate::wire::session_id::SessionId;

/// Publishes from any thread. Clones publish into the same log.
#[derive(Clone)]
pub struct Publisher {
    shared: Arc<Shared>,
}

struct Shared {
    /// One for each core, from the start of the node on; before it nobody can have subscribed.
    mailboxes: OnceLock<Box<[Mailbox]>>,
    /// No new clients should come: the node takes its leave.
    leaving: AtomicBool,
    /// The node is ending.
    stopping: AtomicBool,
    /// The newest offset that was given. Held while the letters are posted: the order of offsets is the order in
    /// every mailbox.
    last_offset: Mutex<u64>,
}

/// A core is so far behind that the publication was not taken; nothing was told to anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishRefused;

impl std::fmt::Display for PublishRefused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the node is busy delivering earlier publications: publish again in a moment")
    }
}

impl std::error::Error for PublishRefused {}

impl Publisher {
    pub(super) fn new() -> Self {
        Publisher {
            shared: Arc::new(Shared {
                mailboxes: OnceLock::new(),
                leaving: AtomicBool::new(false),
                stopping: AtomicBool::new(false),
                last_offset: Mutex::new(0),
            }),
        }
    }

    /// Makes a mailbox for each core.
    pub(super) fn open_mailboxes(&self, cores: usize) {
        let mailboxes = (0..cores).map(|_| Mailbox::default()).collect();
        let opened = self.shared.mailboxes.set(mailboxes);
        assert!(opened.is_ok(), "a server starts once");
    }

    /// Tells every subscriber on this node that `topic` changed. Returns its offset in the log.
    ///
    /// # Errors
    /// [`PublishRefused`] when the node is saturated.
    pub fn publish(&self, topic: Topic) -> Result<u64, PublishRefused> {
        self.publish_all(vec![topic]).map(|first| first.start)
    }

    /// Publishes a batch; the offsets are consecutive.
    ///
    /// # Errors
    /// [`PublishRefused`], and none of them was published.
    pub fn publish_all(&self, topics: Vec<Topic>) -> Result<std::ops::Range<u64>, PublishRefused> {
        if self.is_saturated() {
            return Err(PublishRefused);
        }
        Ok(self.publish_now(topics))
    }

    /// Tells one session of this node; resolves when its core has taken it.
    ///
    /// # Errors
    /// [`TellRefused`], and it was not told.
    pub async fn tell(&self, session: &str, notice: Notice) -> Result<(), TellRefused> {
        let id = SessionId::parse(session).ok_or(TellRefused::Unknown)?;
        let mailboxes = self.mailboxes();
        // A core that does not exist here is another node's or a forgery: any core can tell which.
        let mailbox = mailboxes
            .get(usize::from(id.locator.core))
            .or(mailboxes.first())
            .ok_or(TellRefused::Busy)?;
        if mailbox.is_full() || self.is_stopping() {
            return Err(TellRefused::Busy);
        }
        let (answer, told) = oneshot::channel();
        mailbox.post(Letter::Tell {
            session: session.into(),
            notice,
            answer,
        });
        told.await.unwrap_or(Err(TellRefused::Busy))
    }

    /// Tells every session of this node. Returns the offset that this took in the log.
    ///
    /// # Errors
    /// [`PublishRefused`], and nobody was told.
    pub fn tell_all(&self, notice: Notice) -> Result<u64, PublishRefused> {
        if self.is_saturated() {
            return Err(PublishRefused);
        }
        let notice = Arc::new(notice);
        let mut last_offset = self
            .shared
            .last_offset
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *last_offset += 1;
        for mailbox in self.mailboxes() {
            mailbox.post(Letter::TellAll {
                offset: *last_offset,
                notice: notice.clone(),
            });
        }
        Ok(*last_offset)
    }

    /// A core is so far behind that nothing more should be published now.
    #[must_use]
    pub fn is_saturated(&self) -> bool {
        self.mailboxes().iter().any(Mailbox::is_full)
    }

    /// New clients should go to another node: this one drains, or ends.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.shared.leaving.load(Ordering::Relaxed)
    }

    /// The node was told to end.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.shared.stopping.load(Ordering::Relaxed)
    }

    /// For publications from inside (those are as many as there are requests, and those are bounded) and for whoever
    /// has asked [`is_saturated`](Publisher::is_saturated) before. Returns the offsets.
    pub(crate) fn publish_now(&self, topics: Vec<Topic>) -> std::ops::Range<u64> {
        let mut last_offset = self
            .shared
            .last_offset
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let first = *last_offset + 1;
        let publications = (first..)
            .zip(topics)
            .map(|(offset, topic)| Publication { offset, topic });
        let publications: Arc<[Publication]> = publications.collect();
        *last_offset += publications.len() as u64;
        for mailbox in self.mailboxes() {
            mailbox.post(Letter::Published(publications.clone()));
        }
        first..*last_offset + 1
    }

    pub(super) fn mailbox(&self, core: usize) -> &Mailbox {
        &self.mailboxes()[core]
    }

    fn mailboxes(&self) -> &[Mailbox] {
        self.shared
            .mailboxes
            .get()
            .map_or(&[], |mailboxes| mailboxes)
    }

    /// Asks every core to tell the other nodes of its sessions again.
    pub(crate) fn announce_all(&self) {
        for mailbox in self.mailboxes() {
            mailbox.post(Letter::Announce);
        }
    }

    /// The node takes its leave: it is not ready from now on, and its streams close by and by.
    pub fn drain_all(&self) {
        self.shared.leaving.store(true, Ordering::Relaxed);
        for mailbox in self.mailboxes() {
            mailbox.post(Letter::Drain);
        }
    }

    pub(super) fn stop_all(&self) {
        self.shared.leaving.store(true, Ordering::Relaxed);
        self.shared.stopping.store(true, Ordering::Relaxed);
        for mailbox in self.mailboxes() {
            mailbox.post(Letter::Stop);
        }
    }
}
