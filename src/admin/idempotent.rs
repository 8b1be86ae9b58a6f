//! Between a publisher's items and the [`PublishBackend`](super::PublishBackend). Each item gets one answer, in order, and what was published before
//! under the same key is not published again.
//!
//! All items of a group are begun, one after the other and without a pause, before the first is waited for. So they
//! keep their order, and a core that takes its time to answer for one session delays this group alone.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use super::digest::Digest;
use super::idempotency_cache::{Begun, CacheState, IdempotencyCache};
use super::{OperatorBackend, PublishItem, PublishOutcome, refused};
use crate::runtime::now;

/// An answer as the publisher gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PublishReply {
    pub(super) answer: PublishOutcome,
    /// It was given before, to an item with the same key.
    pub(super) duplicate: bool,
}

impl PublishReply {
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self.answer, PublishOutcome::Refused { .. })
    }
}

impl From<PublishOutcome> for PublishReply {
    fn from(answer: PublishOutcome) -> Self {
        PublishReply {
            answer,
            duplicate: false,
        }
    }
}

pub(super) struct IdempotentPublisher {
    backend: Rc<dyn OperatorBackend>,
    memory: RefCell<IdempotencyCache>,
}

enum KeySlot<F> {
    Answered(PublishReply),
    UnderWay(Pin<Box<F>>),
}

impl IdempotentPublisher {
    pub(super) fn new(backend: Rc<dyn OperatorBackend>) -> Self {
        IdempotentPublisher {
            backend,
            memory: RefCell::default(),
        }
    }

    pub(super) fn backend(&self) -> &dyn OperatorBackend {
        &*self.backend
    }

    /// One reply per item. On a node that `is_busy` nothing is published. Who calls has looked at that, once for all
    /// items: contents that are stored are also published.
    pub(super) async fn publish(
        &self,
        items: Vec<Result<PublishItem, PublishOutcome>>,
        is_busy: bool,
    ) -> Vec<PublishReply> {
        let mut slots = Vec::with_capacity(items.len());
        for item in items {
            let mut reply = Box::pin(self.reply(item, is_busy));
            let begun = poll_fn(|context| Poll::Ready(reply.as_mut().poll(context))).await;
            slots.push(match begun {
                Poll::Ready(reply) => KeySlot::Answered(reply),
                Poll::Pending => KeySlot::UnderWay(reply),
            });
        }
        let mut replies = Vec::with_capacity(slots.len());
        for slot in slots {
            replies.push(match slot {
                KeySlot::Answered(reply) => reply,
                KeySlot::UnderWay(reply) => reply.await,
            });
        }
        replies
    }

    async fn reply(
        &self,
        item: Result<PublishItem, PublishOutcome>,
        is_busy: bool,
    ) -> PublishReply {
        let item = match item {
            Ok(item) => item,
            Err(answer) => return answer.into(),
        };
        let Some(key) = item.key.clone() else {
            return self.ask_desk(item, is_busy).await.into();
        };
        let begun = self.begin(&key, &item);
        let answer = match begun {
            Begun::Before(answer) => answer,
            Begun::UnderWay(answer) => answer.await.unwrap_or_else(|_| busy()),
            Begun::Reused => return key_reused().into(),
            Begun::First => {
                let under_way = KeyInProgress {
                    publisher: self,
                    key,
                };
                let answer = self.ask_desk(item, is_busy).await;
                let now_ms = self.now_ms();
                let mut memory = self.memory.borrow_mut();
                memory.finish(&under_way.key, &answer, now_ms);
                drop(memory);
                return answer.into();
            }
        };
        PublishReply {
            answer,
            duplicate: true,
        }
    }

    pub(super) fn state(&self) -> CacheState {
        self.memory.borrow().state()
    }

    pub(super) fn resume(&self, state: CacheState) {
        self.memory.borrow_mut().resume(state);
    }

    fn begin(&self, key: &Arc<str>, item: &PublishItem) -> Begun {
        let mut memory = self.memory.borrow_mut();
        memory.begin(key, Digest::of(item), self.now_ms())
    }

    async fn ask_desk(&self, item: PublishItem, is_busy: bool) -> PublishOutcome {
        if is_busy {
            return busy();
        }
        self.backend.publish(item).await
    }

    fn now_ms(&self) -> u64 {
        // The node's clock, which goes on in the next process.
        now()
    }
}

/// A key whose item has no answer yet: it is forgotten if it never gets one.
struct KeyInProgress<'a> {
    publisher: &'a IdempotentPublisher,
    key: Arc<str>,
}

impl Drop for KeyInProgress<'_> {
    fn drop(&mut self) {
        self.publisher.memory.borrow_mut().forget(&self.key);
    }
}

fn key_reused() -> PublishOutcome {
    refused(
        "key_reused",
        "Another item was published under this key within five minutes; give each item a key of its own",
    )
}

fn busy() -> PublishOutcome {
    refused(
        "busy",
        "The node is busy delivering what was published before; try again in a moment",
    )
}

#[cfg(test)]
mod tests;
