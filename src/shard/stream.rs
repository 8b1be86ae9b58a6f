//! One SSE stream of targeted messages: the standalone stream of a session (its GET), or the answer to a POST.
//! It outlives its connection, so that a legacy client can come back for what it missed.
//!
//! Events are numbered from 1. `events` holds what was not written yet and, for legacy sessions, what was written
//! last, as long as both fit the byte limit.

use std::collections::VecDeque;
use std::rc::Rc;

use super::arena::Key;
use super::call::CallKey;
use super::connection::ConnectionKey;
use super::session::SessionKey;
use super::wheel::{Millis, Timer};

pub(super) type StreamKey = Key<Stream>;

/// The number of a session's standalone stream.
pub(super) const STANDALONE: u32 = 0;

pub(super) struct Stream {
    pub(super) connection: Option<ConnectionKey>,
    /// None: a modern answer, which cannot be resumed and ends with its connection.
    pub(super) session: Option<SessionKey>,
    /// Unique in the session, leads its event ids.
    pub(super) number: u32,
    /// A modern answer's call, cancelled when the client goes away.
    pub(super) call: Option<CallKey>,
    /// Answers that are still to come; 0 ends the stream. The standalone stream never ends by itself.
    pub(super) outstanding: u32,
    /// None: no message is kept, as is so of most streams nearly always.
    queue: Option<Box<Queue>>,
    next_sequence: u32,
    /// What was written up to here was written before the last look at it.
    settled: u32,
    /// When the client was last connected, if it is not.
    pub(super) interrupted_at: Millis,
    pub(super) timer: Timer,
}

#[derive(Default)]
struct Queue {
    events: VecDeque<Event>,
    /// How many at the front of `events` were written already.
    written: usize,
    /// Bytes of all `events`.
    bytes: usize,
}

struct Event {
    sequence: u32,
    /// Shared: what all sessions are told is kept once.
    data: Rc<[u8]>,
}

/// More is waiting for the reader than may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueueFull;

impl Stream {
    pub(super) fn new(session: Option<SessionKey>, number: u32, outstanding: u32) -> Self {
        Stream {
            connection: None,
            session,
            number,
            call: None,
            outstanding,
            queue: None,
            next_sequence: 1,
            settled: 0,
            interrupted_at: 0,
            timer: Timer::default(),
        }
    }

    /// Queues a message for the client. What was written already makes room first.
    ///
    /// # Errors
    /// [`QueueFull`] if what is unwritten exceeds `bytes_max`; the message is queued nevertheless, and the oldest
    /// unwritten ones are gone: the newest is the answer that a client comes back for.
    pub(super) fn push(&mut self, data: Rc<[u8]>, bytes_max: usize) -> Result<(), QueueFull> {
        let queue = self.queue.get_or_insert_default();
        queue.bytes += data.len();
        queue.events.push_back(Event {
            sequence: self.next_sequence,
            data,
        });
        self.next_sequence += 1;
        while queue.bytes > bytes_max && queue.written > 0 {
            queue.drop_oldest();
        }
        if queue.bytes <= bytes_max {
            return Ok(());
        }
        while queue.bytes > bytes_max && queue.events.len() > 1 {
            queue.drop_oldest();
        }
        Err(QueueFull)
    }

    /// Whether [`push`](Stream::push) would keep so many more bytes and lose nothing unwritten.
    pub(super) fn has_room(&self, count: usize, bytes_max: usize) -> bool {
        let unwritten = self.queue.iter().flat_map(|queue| queue.unwritten());
        unwritten.map(|event| event.data.len()).sum::<usize>() + count <= bytes_max
    }

    /// The next message that was not written yet, with its number. It counts as written from now on.
    pub(super) fn take_unwritten(&mut self) -> Option<(u32, &[u8])> {
        let queue = self.queue.as_mut()?;
        let event = queue.events.get(queue.written)?;
        queue.written += 1;
        Some((event.sequence, &event.data))
    }

    /// Forgets what was written: nobody can come back for it.
    pub(super) fn forget_written(&mut self) {
        self.drop_while(|queue| queue.written > 0);
    }

    /// Forgets what was written before the last call of this: whoever could resume would have come by then.
    pub(super) fn forget_settled(&mut self) {
        let last_written = self.last_written();
        let settled = std::mem::replace(&mut self.settled, last_written);
        self.drop_while(|queue| queue.written > 0 && queue.starts_up_to(settled));
    }

    /// The reader has everything up to `sequence`: the rest is to be written again.
    pub(super) fn rewind(&mut self, sequence: u32) {
        self.drop_while(|queue| queue.starts_up_to(sequence));
        if let Some(queue) = &mut self.queue {
            queue.written = 0;
        }
    }

    /// The number of the last message that was handed to a connection.
    pub(super) fn last_written(&self) -> u32 {
        let next = self
            .queue
            .as_ref()
            .and_then(|queue| queue.unwritten().next());
        next.map_or(self.next_sequence, |event| event.sequence) - 1
    }

    pub(super) fn is_finished(&self) -> bool {
        self.number != STANDALONE && self.outstanding == 0
    }

    /// Finished, and only there for a client that did not get all of it.
    pub(super) fn is_kept(&self) -> bool {
        self.connection.is_none() && self.is_finished()
    }

    fn drop_while(&mut self, too_old: impl Fn(&Queue) -> bool) {
        while let Some(queue) = self.queue.as_mut().filter(|queue| too_old(queue)) {
            queue.drop_oldest();
            if queue.events.is_empty() {
                self.queue = None;
            }
        }
    }

    pub(super) fn invariants(&self) {
        let Some(queue) = &self.queue else {
            return;
        };
        assert!(queue.written <= queue.events.len());
        let bytes = queue.events.iter().map(|event| event.data.len());
        assert_eq!(queue.bytes, bytes.sum::<usize>());
        let last = queue
            .events
            .back()
            .expect("a queue without events is dropped");
        assert_eq!(last.sequence + 1, self.next_sequence);
    }
}

impl Queue {
    fn unwritten(&self) -> impl Iterator<Item = &Event> {
        self.events.range(self.written..)
    }

    fn starts_up_to(&self, sequence: u32) -> bool {
        let first = self.events.front();
        first.is_some_and(|event| event.sequence <= sequence)
    }

    fn drop_oldest(&mut self) {
        if let Some(event) = self.events.pop_front() {
            self.bytes -= event.data.len();
            self.written = self.written.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unwritten(stream: &mut Stream) -> Vec<u32> {
        std::iter::from_fn(|| stream.take_unwritten().map(|(sequence, _)| sequence)).collect()
    }

    #[test]
    fn a_resume_repeats_what_the_reader_did_not_see_and_nothing_else() {
        let mut stream = Stream::new(None, 1, 1);
        for data in [b"a", b"b", b"c"] {
            stream.push(data.as_slice().into(), 100).expect("fits");
        }
        assert_eq!(unwritten(&mut stream), [1, 2, 3]);
        stream.rewind(1);
        assert_eq!(unwritten(&mut stream), [2, 3]);
        stream.push(b"d".as_slice().into(), 100).expect("fits");
        stream.invariants();
        assert_eq!(unwritten(&mut stream), [4]);
    }

    #[test]
    fn what_was_written_makes_room_for_what_was_not() {
        let mut stream = Stream::new(None, 1, 1);
        stream.push([0; 60].into(), 100).expect("fits");
        assert_eq!(unwritten(&mut stream), [1]);
        stream
            .push([0; 60].into(), 100)
            .expect("the written one goes");
        assert_eq!(stream.push([0; 60].into(), 100), Err(QueueFull));
        stream.invariants();
        assert_eq!(unwritten(&mut stream), [3], "the newest is kept");
    }

    #[test]
    fn what_was_written_is_not_kept_for_ever() {
        let mut stream = Stream::new(None, 1, 1);
        stream.push([0; 60].into(), 100).expect("fits");
        assert_eq!(unwritten(&mut stream), [1]);
        stream.forget_settled();
        stream.push([0; 10].into(), 100).expect("fits");
        assert_eq!(unwritten(&mut stream), [2]);
        stream.forget_settled();
        stream.rewind(0);
        assert_eq!(
            unwritten(&mut stream),
            [2],
            "the first was settled, the second not yet"
        );
    }
}
