//! What a core tells those who watch, on its way: a queue for each reader, or lines of the log.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_channel::mpsc::UnboundedSender;

use crate::limits::{TRACE_WAITING_BYTES_MAX, TRACE_WAITING_MAX};
use crate::shard::{TraceEvent, TraceId, TraceKind, TraceTarget};

/// Where the log has what one session or principal does.
const ACCESS_LOG: &str = "pinfold::access";

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
    /// Whoever is watched is so by name: their end is the last that the reader hears, and always has room.
    is_named: bool,
    events: VecDeque<TraceEvent>,
    bytes: usize,
    missed: u64,
    reader: Option<Waker>,
}

/// Where a core puts what somebody is to be told.
#[derive(Clone)]
pub(super) enum TraceSink {
    Reader(Arc<TraceQueue>),
    /// With whoever is to know that the one who is named has ended. They know as well when no core has this any more.
    Log(Option<UnboundedSender<()>>),
}

/// For whom a core tells something. Empty nearly always.
#[derive(Default)]
pub(super) struct TraceSinks(RefCell<Vec<(TraceId, TraceSink)>>);

impl TraceQueue {
    pub(super) fn new(target: TraceTarget) -> TraceQueue {
        TraceQueue(Mutex::new(QueueState {
            is_named: matches!(target, TraceTarget::Named(_)),
            ..QueueState::default()
        }))
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that waits, once there is something.
    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<TraceBatch> {
        let mut state = self.lock();
        if state.events.is_empty() && state.missed == 0 {
            state.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        state.bytes = 0;
        Poll::Ready(TraceBatch {
            events: std::mem::take(&mut state.events).into(),
            missed: std::mem::take(&mut state.missed),
        })
    }

    fn put(&self, event: TraceEvent) {
        let mut state = self.lock();
        let bytes = event.held_bytes();
        let has_room = state.events.len() < TRACE_WAITING_MAX
            && state.bytes + bytes <= TRACE_WAITING_BYTES_MAX;
        if has_room || state.is_last(&event) {
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
    fn is_last(&self, event: &TraceEvent) -> bool {
        self.is_named && event.kind == TraceKind::End
    }

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
            TraceSink::Log(over) => {
                say(&event);
                if let (TraceKind::End, Some(over)) = (event.kind, over) {
                    // Nobody waits: it was off already.
                    let _ = over.unbounded_send(());
                }
            }
        }
    }

    fn miss(&self, count: u64) {
        match self {
            TraceSink::Reader(queue) => queue.miss(count),
            TraceSink::Log(_) => {
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

    pub(super) fn put(&self, id: TraceId, event: TraceEvent) {
        if let Some((_, sink)) = self.0.borrow().iter().find(|it| it.0 == id) {
            sink.put(event);
        }
    }

    pub(super) fn miss(&self, id: TraceId, count: u64) {
        if let Some((_, sink)) = self.0.borrow().iter().find(|it| it.0 == id) {
            sink.miss(count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(contents: Option<&str>) -> TraceEvent {
        TraceEvent {
            contents: contents.map(Into::into),
            ..TraceEvent::new(TraceKind::Event, 1)
        }
    }

    fn read(queue: &TraceQueue) -> Option<(usize, u64)> {
        match queue.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(batch) => Some((batch.events.len(), batch.missed)),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_reader_that_does_not_read() {
        let queue = TraceQueue::default();
        for _ in 0..TRACE_WAITING_MAX + 7 {
            queue.put(event(None));
        }
        queue.miss(5);
        assert_eq!(read(&queue), Some((TRACE_WAITING_MAX, 12)));
        assert_eq!(read(&queue), None, "it is told once");
        queue.put(event(None));
        assert_eq!(read(&queue), Some((1, 0)), "there is room again");
    }

    #[test]
    fn an_end_that_finds_the_queue_full() {
        let end = || TraceEvent::new(TraceKind::End, 2);
        let named = "n1.AAEAAAACAAAAAwAAAAAAAAAE".parse().expect("a name");
        let queue = TraceQueue::new(TraceTarget::Named(named));
        for _ in 0..TRACE_WAITING_MAX + 7 {
            queue.put(event(None));
        }
        queue.put(end());
        let Poll::Ready(batch) = queue.poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("nothing waits");
        };
        assert_eq!(batch.events.last().map(|it| it.kind), Some(TraceKind::End));
        assert_eq!(
            (batch.events.len(), batch.missed),
            (TRACE_WAITING_MAX + 1, 7)
        );
        // A principal's sessions may be many, and the trace goes on.
        let principal = "dc18d98ab34b2f83b5913fec82dc81e9".parse().expect("digits");
        let queue = TraceQueue::new(TraceTarget::Principal(principal));
        (0..TRACE_WAITING_MAX + 7).for_each(|_| queue.put(end()));
        assert_eq!(read(&queue), Some((TRACE_WAITING_MAX, 7)));
    }

    #[test]
    fn contents_that_take_more_than_there_is() {
        let (queue, text) = (TraceQueue::default(), "x".repeat(4096));
        for _ in 0..TRACE_WAITING_MAX {
            queue.put(event(Some(&text)));
        }
        let (count, missed) = read(&queue).expect("something waits");
        assert!(
            count * text.len() <= TRACE_WAITING_BYTES_MAX && count > 200,
            "{count}"
        );
        assert_eq!(count as u64 + missed, TRACE_WAITING_MAX as u64);
    }
}
