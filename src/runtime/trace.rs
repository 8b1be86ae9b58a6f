//! Watching one ([`shard::trace`](crate::shard)), from the cores to whoever looks on: over a queue to the control thread, or as
//! lines of the log.
//!
//! All cores are told of each watch, and that it is over. Nobody waits for a reader: a queue that is full counts what it misses.
//! Nothing of this is touched by a core while nobody watches.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use futures_channel::oneshot;
use monoio::time::timeout;

use super::core_loop::Core;
use super::core_message::CoreMessage;
use super::publisher::Publisher;
use crate::limits::{TRACE_WAITING_BYTES_MAX, TRACE_WAITING_MAX, TRACES_MAX};
use crate::shard::{TraceEvent, TraceId, TraceTarget, TraceWish, Traced};

/// Where the log has what one session or principal does.
const ACCESS_LOG: &str = "pinfold::access";

/// For a core to say whether somebody is there: it takes microseconds, unless the core hangs.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Why nobody is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceRefused {
    /// As many watch as may.
    TooMany,
    /// Nobody on this node is called so.
    NotHere,
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

/// Some of it.
#[derive(Debug, Default)]
pub struct TraceBatch {
    pub events: Vec<TraceEvent>,
    /// So many more found no room.
    pub missed: u64,
}

/// From all cores to one reader.
#[derive(Default)]
pub(super) struct TraceQueue(Mutex<QueueState>);

#[derive(Default)]
struct QueueState {
    events: VecDeque<TraceEvent>,
    bytes: usize,
    missed: u64,
    reader: Option<Waker>,
}

/// Where a core puts what somebody is to be told.
#[derive(Clone)]
pub(super) enum TraceSink {
    Reader(Arc<TraceQueue>),
    Log,
}

/// For whom a core tells something. Empty nearly always.
#[derive(Default)]
pub(super) struct TraceSinks(RefCell<Vec<(TraceId, TraceSink)>>);

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
        let queue = Arc::new(TraceQueue::default());
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
    pub(crate) async fn log(&self, target: TraceTarget) -> Result<TraceHold, TraceRefused> {
        self.begin(target, false, &TraceSink::Log).await
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
        poll_fn(|context| {
            let mut state = self.queue.lock();
            if state.events.is_empty() && state.missed == 0 {
                state.reader = Some(context.waker().clone());
                return Poll::Pending;
            }
            state.bytes = 0;
            Poll::Ready(TraceBatch {
                events: std::mem::take(&mut state.events).into(),
                missed: std::mem::take(&mut state.missed),
            })
        })
        .await
    }
}

impl TraceQueue {
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, event: TraceEvent) {
        let mut state = self.lock();
        let bytes = event.held_bytes();
        if state.events.len() < TRACE_WAITING_MAX && state.bytes + bytes <= TRACE_WAITING_BYTES_MAX
        {
            state.bytes += bytes;
            state.events.push_back(event);
        } else {
            state.missed += 1;
        }
        state.wake();
    }

    fn miss(&self, count: u64) {
        let mut state = self.lock();
        state.missed += count;
        state.wake();
    }
}

impl QueueState {
    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl TraceSink {
    fn put(&self, event: TraceEvent) {
        match self {
            TraceSink::Reader(queue) => queue.put(event),
            TraceSink::Log => say(&event),
        }
    }

    fn miss(&self, count: u64) {
        match self {
            TraceSink::Reader(queue) => queue.miss(count),
            TraceSink::Log => {
                tracing::warn!(target: ACCESS_LOG, count, "more was to be told of than there was room for");
            }
        }
    }
}

fn say(event: &TraceEvent) {
    tracing::info!(
        target: ACCESS_LOG,
        session = event.name.as_deref(),
        method = event.method.as_deref(),
        id = event.id.as_deref(),
        status = event.status,
        code = event.code,
        duration_ms = event.duration_ms,
        bytes = event.bytes,
        topic = event.topic.as_deref(),
        stream = event.stream.map(|kind| kind.word()),
        open = event.stream.map(|_| event.is_open),
        reason = event.reason,
        "{}",
        event.kind.name()
    );
}

impl TraceSinks {
    pub(super) fn add(&self, id: TraceId, sink: TraceSink) {
        self.0.borrow_mut().push((id, sink));
    }

    pub(super) fn remove(&self, id: TraceId) {
        let mut sinks = self.0.borrow_mut();
        sinks.retain(|(other, _)| *other != id);
        if sinks.is_empty() {
            *sinks = Vec::new();
        }
    }

    fn with(&self, id: TraceId, what: impl FnOnce(&TraceSink)) {
        let sinks = self.0.borrow();
        if let Some((_, sink)) = sinks.iter().find(|(other, _)| *other == id) {
            what(sink);
        }
    }
}

impl Core {
    /// Tells those who watch what they are to be told.
    pub(super) fn pass_traces(&self) {
        while let Some(traced) = { self.shard.borrow_mut().poll_trace() } {
            match traced {
                Traced::Missed { to, count } => self.traces.with(to, |sink| sink.miss(count)),
                Traced::Event { mut to, event } => {
                    let last = to.pop();
                    for id in to {
                        self.traces.with(id, |sink| sink.put(event.clone()));
                    }
                    if let Some(id) = last {
                        self.traces.with(id, |sink| sink.put(event));
                    }
                }
            }
        }
    }

    /// Whether whoever is to be watched is here.
    pub(super) fn begin_trace(&self, wish: TraceWish, sink: TraceSink) -> bool {
        self.traces.add(wish.id, sink);
        self.shard.borrow_mut().handle_trace(wish)
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

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::shard::TraceKind;

    fn event(contents: Option<&str>) -> TraceEvent {
        TraceEvent {
            contents: contents.map(Into::into),
            ..TraceEvent::new(TraceKind::Event, 1)
        }
    }

    fn feed() -> TraceFeed {
        TraceFeed {
            queue: Arc::default(),
            _hold: None,
        }
    }

    fn read(feed: &mut TraceFeed) -> Option<(usize, u64)> {
        let batch = feed.next().now_or_never()?;
        Some((batch.events.len(), batch.missed))
    }

    #[test]
    fn a_reader_that_does_not_read() {
        let mut feed = feed();
        for _ in 0..TRACE_WAITING_MAX + 7 {
            feed.queue.put(event(None));
        }
        feed.queue.miss(5);
        assert_eq!(read(&mut feed), Some((TRACE_WAITING_MAX, 12)));
        assert_eq!(read(&mut feed), None, "it is told once");
        feed.queue.put(event(None));
        assert_eq!(read(&mut feed), Some((1, 0)), "there is room again");
    }

    #[test]
    fn contents_that_take_more_than_there_is() {
        let (mut feed, text) = (feed(), "x".repeat(4096));
        for _ in 0..TRACE_WAITING_MAX {
            feed.queue.put(event(Some(&text)));
        }
        let (count, missed) = read(&mut feed).expect("something waits");
        assert!(
            count * text.len() <= TRACE_WAITING_BYTES_MAX && count > 200,
            "{count}"
        );
        assert_eq!(count as u64 + missed, TRACE_WAITING_MAX as u64);
    }
}
