//! Between the cores and the thread that sends: spans that wait. No core waits for it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use super::record::SpanRecord;
use crate::limits::SPANS_WAITING_MAX;

/// Spans of one request to the collector, at most: as OpenTelemetry's own exporters send by default.
pub(super) const BATCH_SPANS: usize = 512;
/// For so long the first span of a batch waits for others.
const BATCH_WITHIN: Duration = Duration::from_secs(1);

/// One for a node.
#[derive(Default)]
pub(crate) struct SpanQueue {
    waiting: Mutex<WaitingSpans>,
    changed: Condvar,
    exported: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Default)]
struct WaitingSpans {
    spans: VecDeque<SpanRecord>,
    /// Of the batch that is being sent.
    under_way: usize,
    /// The node ends: by then all is sent, or never.
    ends_by: Option<Instant>,
}

/// What became of the spans until now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpanCounts {
    pub(crate) exported: u64,
    pub(crate) dropped: u64,
}

impl SpanQueue {
    /// Takes a core's spans, as many as there is room for. False: somebody else is at it, and nothing was taken.
    pub(crate) fn offer(&self, spans: &mut Vec<SpanRecord>) -> bool {
        match self.waiting.try_lock() {
            Ok(waiting) => self.fill(waiting, spans),
            Err(TryLockError::Poisoned(waiting)) => self.fill(waiting.into_inner(), spans),
            Err(TryLockError::WouldBlock) => return false,
        }
        true
    }

    /// The same for a core that ends: it may wait for some microseconds.
    pub(crate) fn put(&self, spans: &mut Vec<SpanRecord>) {
        self.fill(self.lock(), spans);
    }

    fn fill(&self, mut waiting: MutexGuard<'_, WaitingSpans>, spans: &mut Vec<SpanRecord>) {
        let room = SPANS_WAITING_MAX.saturating_sub(waiting.spans.len());
        let taken = room.min(spans.len());
        self.note_dropped((spans.len() - taken) as u64);
        waiting.spans.extend(spans.drain(..).take(taken));
        drop(waiting);
        self.changed.notify_all();
    }

    /// So many are lost.
    pub(crate) fn note_dropped(&self, count: u64) {
        if count > 0 {
            self.dropped.fetch_add(count, Relaxed);
        }
    }

    pub(super) fn note_exported(&self, count: u64) {
        self.exported.fetch_add(count, Relaxed);
    }

    pub(crate) fn counts(&self) -> SpanCounts {
        SpanCounts {
            exported: self.exported.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
        }
    }

    /// The node ends.
    pub(super) fn end(&self, by: Instant) {
        self.lock().ends_by.get_or_insert(by);
        self.changed.notify_all();
    }

    pub(super) fn ends_by(&self) -> Option<Instant> {
        self.lock().ends_by
    }

    /// The thread hangs, and was left behind: nobody will know what became of its batch, and nobody sends the rest.
    pub(super) fn abandon(&self) {
        let mut waiting = self.lock();
        let left = std::mem::take(&mut waiting.spans).len() + waiting.under_way;
        drop(waiting);
        self.note_dropped(left as u64);
    }

    /// Waits for the next batch. None: the node ends, and nothing is left.
    pub(super) fn next_batch(&self) -> Option<Vec<SpanRecord>> {
        let mut waiting = self.lock();
        waiting.under_way = 0;
        while waiting.spans.is_empty() {
            if waiting.ends_by.is_some() {
                return None;
            }
            waiting = self
                .changed
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let until = Instant::now() + BATCH_WITHIN;
        while waiting.spans.len() < BATCH_SPANS && waiting.ends_by.is_none() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            waiting = self.wait(waiting, left);
        }
        let count = waiting.spans.len().min(BATCH_SPANS);
        waiting.under_way = count;
        Some(waiting.spans.drain(..count).collect())
    }

    /// Until so much time has passed, or the node ends.
    pub(super) fn pause(&self, span: Duration) {
        let until = Instant::now() + span;
        let mut waiting = self.lock();
        while waiting.ends_by.is_none() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            waiting = self.wait(waiting, left);
        }
    }

    fn wait<'a>(
        &self,
        waiting: MutexGuard<'a, WaitingSpans>,
        span: Duration,
    ) -> MutexGuard<'a, WaitingSpans> {
        let waited = self.changed.wait_timeout(waiting, span);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, WaitingSpans> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::encode::tests::span;
    use super::*;

    #[test]
    fn spans_that_nobody_sends() {
        let queue = SpanQueue::default();
        let mut spans = vec![span(); SPANS_WAITING_MAX + 7];
        assert!(queue.offer(&mut spans) && spans.is_empty());
        queue.put(&mut vec![span()]);
        let counts = |exported, dropped| SpanCounts { exported, dropped };
        assert_eq!(queue.counts(), counts(0, 8));
        let batch = queue.next_batch().expect("some wait");
        assert_eq!(batch.len(), BATCH_SPANS);
        queue.end(Instant::now());
        queue.abandon();
        let lost = SPANS_WAITING_MAX + 8;
        assert_eq!(queue.counts(), counts(0, lost as u64));
        assert!(queue.next_batch().is_none());
    }

    #[test]
    fn a_core_that_waits_for_whoever_sends() {
        let queue = SpanQueue::default();
        let held = queue.lock();
        let mut spans = vec![span()];
        assert!(!queue.offer(&mut spans));
        assert_eq!(spans.len(), 1, "it keeps them");
        drop(held);
        assert!(queue.offer(&mut spans));
    }
}
