//! Watching one ([`shard::trace`](crate::shard)), from the cores to whoever looks on: over a queue to the control thread, or as
//! lines of the log.
//!
//! All cores are told of each watch, and that it is over. Nobody waits for a reader: a queue that is full counts what it misses.
//! Nothing of this is touched by a core while nobody watches.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures_channel::mpsc::{self, UnboundedReceiver};
use futures_channel::oneshot;
use futures_util::StreamExt;
use monoio::time::timeout;

use super::core_loop::Core;
use super::core_message::CoreMessage;
use super::publisher::Publisher;
use super::trace_sink::{TraceBatch, TraceQueue, TraceSink};
use crate::limits::TRACES_MAX;
use crate::shard::{TraceBegun, TraceId, TraceTarget, TraceWish, Traced};

/// For a core to say whether somebody is there: it takes microseconds, unless the core hangs.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Why nobody is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceRefused {
    /// As many watch as may.
    TooMany,
    /// Nobody on this node is called so.
    NotHere,
    /// Nobody is asked who they are: there are no principals.
    NobodyIsAsked,
    /// Cores are far behind, or the node ends.
    Busy,
}

/// Lets operators watch; one for a node.
pub(crate) struct TraceDesk {
    publisher: Publisher,
    last_id: AtomicU64,
    taken: Arc<AtomicUsize>,
}

/// A watch. It ends with this.
pub struct TraceHold {
    publisher: Publisher,
    id: TraceId,
    taken: Arc<AtomicUsize>,
}

/// What is seen of whoever is watched. The watch ends with it.
pub struct TraceFeed {
    queue: Arc<TraceQueue>,
    _hold: Option<TraceHold>,
}

/// When whoever is logged by name is gone.
pub(crate) struct TraceEnd {
    id: TraceId,
    over: UnboundedReceiver<()>,
}

impl TraceEnd {
    /// Waits for it. False: it is logged no longer, or no name.
    pub(crate) async fn comes(&mut self) -> bool {
        self.over.next().await.is_some()
    }

    /// Whether it is the end of this one.
    pub(crate) fn is_of(&self, hold: &TraceHold) -> bool {
        self.id == hold.id
    }
}

impl TraceDesk {
    pub(crate) fn new(publisher: Publisher) -> TraceDesk {
        TraceDesk {
            publisher,
            last_id: AtomicU64::new(0),
            taken: Arc::default(),
        }
    }

    /// Somebody looks on.
    ///
    /// # Errors
    /// Why they cannot.
    pub(crate) async fn watch(
        &self,
        target: TraceTarget,
        with_contents: bool,
    ) -> Result<TraceFeed, TraceRefused> {
        let queue = Arc::new(TraceQueue::new(target));
        let sink = TraceSink::Reader(queue.clone());
        let hold = self.begin(target, with_contents, &sink).await?;
        Ok(TraceFeed {
            queue,
            _hold: Some(hold),
        })
    }

    /// The log tells of it from now on, without contents.
    ///
    /// # Errors
    /// Why it cannot.
    pub(crate) async fn log(
        &self,
        target: TraceTarget,
    ) -> Result<(TraceHold, TraceEnd), TraceRefused> {
        // A principal has many sessions, and comes again.
        let is_named = matches!(target, TraceTarget::Named(_));
        let (over, end) = mpsc::unbounded();
        let sink = TraceSink::Log(is_named.then_some(over));
        let hold = self.begin(target, false, &sink).await?;
        let id = hold.id;
        Ok((hold, TraceEnd { id, over: end }))
    }

    async fn begin(
        &self,
        target: TraceTarget,
        with_contents: bool,
        sink: &TraceSink,
    ) -> Result<TraceHold, TraceRefused> {
        if self.taken.fetch_add(1, Ordering::Relaxed) >= TRACES_MAX {
            self.taken.fetch_sub(1, Ordering::Relaxed);
            return Err(TraceRefused::TooMany);
        }
        // From here on it is given back by being dropped.
        let hold = TraceHold {
            publisher: self.publisher.clone(),
            id: TraceId(self.last_id.fetch_add(1, Ordering::Relaxed)),
            taken: self.taken.clone(),
        };
        if self.publisher.is_saturated() || self.publisher.is_stopping() {
            return Err(TraceRefused::Busy);
        }
        let wish = TraceWish {
            id: hold.id,
            target,
            with_contents,
        };
        let mut is_here = false;
        for answer in self.publisher.begin_trace(wish, sink) {
            // A core that hangs, or is gone, has nobody to show.
            is_here |= matches!(timeout(ANSWER_WITHIN, answer).await, Ok(Ok(true)));
        }
        match is_here {
            true => Ok(hold),
            false => Err(TraceRefused::NotHere),
        }
    }
}

impl Drop for TraceHold {
    fn drop(&mut self) {
        self.publisher.end_trace(self.id);
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

impl TraceFeed {
    /// Waits for something.
    pub async fn next(&mut self) -> TraceBatch {
        poll_fn(|context| self.queue.poll(context)).await
    }
}

impl Core {
    /// Tells those who watch what they are to be told.
    pub(super) fn pass_traces(&self) {
        while let Some(traced) = { self.shard.borrow_mut().poll_trace() } {
            match traced {
                Traced::Missed { to, count } => self.traces.miss(to, count),
                Traced::Event { mut to, event } => {
                    let last = to.pop();
                    for id in to {
                        self.traces.put(id, event.clone());
                    }
                    if let Some(id) = last {
                        self.traces.put(id, event);
                    }
                }
            }
        }
    }

    /// Tells whether whoever is to be watched is here, once all that they have here is found.
    pub(super) fn begin_trace(
        &self,
        wish: TraceWish,
        sink: TraceSink,
        answer: oneshot::Sender<bool>,
    ) {
        self.traces.add(wish.id, sink);
        let begun = self.shard.borrow_mut().handle_trace(wish);
        self.trace_begun(begun, wish.id, answer);
    }

    pub(super) fn search_for_trace(&self, id: TraceId, answer: oneshot::Sender<bool>) {
        let begun = self.shard.borrow_mut().search_for_trace(id);
        self.trace_begun(begun, id, answer);
    }

    fn trace_begun(&self, begun: TraceBegun, id: TraceId, answer: oneshot::Sender<bool>) {
        let is_here = match begun {
            TraceBegun::Here => true,
            TraceBegun::NotHere => false,
            TraceBegun::Searching => {
                let message = CoreMessage::SearchForTrace { id, answer };
                return self
                    .publisher
                    .mailbox(self.number.into())
                    .post_beyond(message);
            }
        };
        // Nobody may wait for it any more.
        let _ = answer.send(is_here);
    }

    pub(super) fn end_trace(&self, id: TraceId) {
        self.shard.borrow_mut().handle_trace_end(id);
        self.traces.remove(id);
    }
}

impl Publisher {
    /// What each core says comes once it has a moment.
    fn begin_trace(&self, wish: TraceWish, sink: &TraceSink) -> Vec<oneshot::Receiver<bool>> {
        let begin = |mailbox: &super::core_message::CoreMailbox| {
            let (answer, receiver) = oneshot::channel();
            let sink = sink.clone();
            mailbox.post_beyond(CoreMessage::Trace { wish, sink, answer });
            receiver
        };
        self.mailboxes().iter().map(begin).collect()
    }

    fn end_trace(&self, id: TraceId) {
        for mailbox in self.mailboxes() {
            mailbox.post_beyond(CoreMessage::EndTrace(id));
        }
    }
}
