//! The sequencer: gives every publication its offset and hands it to all cores in the same order.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::mailbox::{Letter, Mailbox};
use crate::app::call::Topic;
use crate::shard::Publication;

/// Publishes from any thread. Clones publish into the same log.
#[derive(Clone)]
pub struct Publisher {
    shared: Arc<Shared>,
}

struct Shared {
    mailboxes: Box<[Mailbox]>,
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
    pub(super) fn new(cores: usize) -> Self {
        let mailboxes = (0..cores).map(|_| Mailbox::default()).collect();
        Publisher {
            shared: Arc::new(Shared {
                mailboxes,
                stopping: AtomicBool::new(false),
                last_offset: Mutex::new(0),
            }),
        }
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

    /// A core is so far behind that nothing more should be published now.
    #[must_use]
    pub fn is_saturated(&self) -> bool {
        self.shared.mailboxes.iter().any(Mailbox::is_full)
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
        for mailbox in &self.shared.mailboxes {
            mailbox.post(Letter::Published(publications.clone()));
        }
        first..*last_offset + 1
    }

    pub(super) fn mailbox(&self, core: usize) -> &Mailbox {
        &self.shared.mailboxes[core]
    }

    pub(super) fn stop_all(&self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        for mailbox in &self.shared.mailboxes {
            mailbox.post(Letter::Stop);
        }
    }
}
