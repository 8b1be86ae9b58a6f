//! One SSE stream of targeted messages: the standalone stream of a session (its GET), or the answer to a POST.
//! It outlives its connection, so that a legacy client can come back for what it missed.
//!
//! Events are numbered from 1. `events` holds what was not written yet and, for legacy sessions, what was written
//! last, as long as both fit the byte limit. Each message has its bytes in the node's budget as long as it is kept.

pub(super) mod travel;

use std::collections::VecDeque;
use std::rc::Rc;

use super::Exchange;
use super::keys::{CallKey, SessionKey};
use super::messages::error_message;
use super::wheel::{Millis, Timer};
use crate::budget::Charge;
use crate::mcp::RpcError;

/// The number of a session's standalone stream.
pub(super) const STANDALONE: u32 = 0;

pub(super) struct Stream {
    pub(super) exchange: Option<Exchange>,
    /// None: a modern answer, which cannot be resumed and ends with its connection.
    pub(super) session: Option<SessionKey>,
    /// Unique in the session, leads its event ids.
    pub(super) number: u32,
    /// A modern answer's call, cancelled when the client goes away.
    pub(super) call: Option<CallKey>,
    /// Answers that are still to come, as many as a batch has requests at most; 0 ends the stream. The standalone stream
    /// never ends by itself.
    pub(super) outstanding: u16,
    /// None: no message is kept, as is so of most streams nearly always.
    queue: Option<Box<EventQueue>>,
    next_sequence: u32,
    /// What was written up to here was written before the last look at it.
    settled: u32,
    /// An answer was queued. Without one nothing of a finished stream is worth coming back for.
    answered: bool,
    /// The time in which a finished stream can be resumed has begun: coming back does not make it longer.
    window_runs: bool,
    /// When the client was last connected, or lost its connection to another one. 0: never.
    pub(super) interrupted_at: Millis,
    pub(super) timer: Timer,
}

#[derive(Default)]
struct EventQueue {
    events: VecDeque<QueuedEvent>,
    /// How many at the front of `events` were written already.
    written: usize,
    /// Bytes of all `events`, and of those that were written.
    bytes: usize,
    written_bytes: usize,
    /// Of answers that were not written, where others wait behind them: on a stream that is all of its session. What asked for
    /// them is bounded, so they take no room from what was not asked for.
    owed_bytes: usize,
    /// One of them may be larger than what is kept.
    has_large: bool,
}

struct QueuedEvent {
    sequence: u32,
    /// It counts in `owed_bytes` until it is written.
    is_owed: bool,
    /// Shared: what all sessions are told is kept once.
    message: Rc<OutgoingMessage>,
}

/// A message to a client, and what it takes of the node's budget.
pub(super) struct OutgoingMessage {
    pub(super) data: Box<[u8]>,
    _charge: Charge,
}

/// What a message costs besides its bytes: its place in a queue, and the stream that may be kept for it alone.
pub(super) const MESSAGE_OVERHEAD_BYTES: usize = 256;

impl OutgoingMessage {
    /// `charge` is for its bytes and [`MESSAGE_OVERHEAD_BYTES`].
    pub(super) fn new(data: &[u8], charge: Charge) -> Rc<Self> {
        Rc::new(OutgoingMessage {
            data: data.into(),
            _charge: charge,
        })
    }
}

impl Stream {
    pub(super) fn new(session: Option<SessionKey>, number: u32, outstanding: u16) -> Self {
        Stream {
            exchange: None,
            session,
            number,
            call: None,
            outstanding,
            queue: None,
            next_sequence: 1,
            settled: 0,
            answered: false,
            window_runs: false,
            interrupted_at: 0,
            timer: Timer::default(),
        }
    }

    /// Queues a message for the client. Whether there is room for it ([`has_room`](Stream::has_room)) is asked before.
    pub(super) fn push(&mut self, message: Rc<OutgoingMessage>, bytes_max: usize) {
        self.enqueue(message, bytes_max, false);
    }

    fn enqueue(&mut self, message: Rc<OutgoingMessage>, bytes_max: usize, is_owed: bool) {
        let queue = self.queue.get_or_insert_default();
        let count = message.data.len();
        queue.has_large |= count > bytes_max;
        queue.bytes += count;
        queue.owed_bytes += if is_owed { count } else { 0 };
        queue.events.push_back(QueuedEvent {
            sequence: self.next_sequence,
            is_owed,
            message,
        });
        self.next_sequence += 1;
    }

    /// Whether so many more bytes may wait for the reader.
    pub(super) fn has_room(&self, count: usize, bytes_max: usize) -> bool {
        let owed = self.queue.as_deref().map_or(0, |queue| queue.owed_bytes);
        self.waiting().1 - owed + count <= bytes_max
    }

    /// Messages that were not written yet, and their bytes.
    pub(super) fn waiting(&self) -> (usize, usize) {
        let waiting = |queue: &EventQueue| {
            let count = queue.events.len() - queue.written;
            (count, queue.bytes - queue.written_bytes)
        };
        self.queue.as_deref().map_or((0, 0), waiting)
    }

    /// Of what was written so much is kept for a resume as fits beside what was not; the oldest goes first. In place of
    /// an answer that is too large to be kept, `stand_in` is: whoever comes back for it is to know that it is gone.
    pub(super) fn trim(
        &mut self,
        bytes_max: usize,
        stand_in: impl Fn(&[u8]) -> Option<Rc<OutgoingMessage>>,
    ) {
        if let Some(queue) = self.queue.as_mut().filter(|queue| queue.has_large) {
            let is_large = |event: &QueuedEvent| event.message.data.len() > bytes_max;
            for event in queue.events.range_mut(..queue.written) {
                if is_large(event)
                    && let Some(message) = stand_in(&event.message.data)
                {
                    for bytes in [&mut queue.bytes, &mut queue.written_bytes] {
                        *bytes -= event.message.data.len();
                        *bytes += message.data.len();
                    }
                    event.message = message;
                }
            }
            let has_large = queue.unwritten().any(is_large);
            queue.has_large = has_large;
        }
        self.drop_while(|queue| queue.bytes > bytes_max && queue.written > 0);
    }

    /// Bytes that are kept only for a client that may come back: written, or of an answer that nobody is connected for.
    pub(super) fn kept_bytes(&self) -> usize {
        let Some(queue) = &self.queue else { return 0 };
        let count = match self.is_kept() {
            true => queue.events.len(),
            false => queue.written,
        };
        let kept = queue.events.range(..count);
        kept.map(|event| event.message.data.len() + MESSAGE_OVERHEAD_BYTES)
            .sum()
    }

    /// The next message that was not written yet, with its number. It counts as written from now on.
    pub(super) fn take_unwritten(&mut self) -> Option<(u32, &[u8])> {
        let queue = self.queue.as_mut()?;
        let event = queue.events.get(queue.written)?;
        queue.written += 1;
        let count = event.message.data.len();
        queue.written_bytes += count;
        queue.owed_bytes -= if event.is_owed { count } else { 0 };
        Some((event.sequence, &event.message.data))
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
            (queue.written, queue.written_bytes) = (0, 0);
            queue.owed_bytes = owed_bytes(queue.events.iter());
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

    /// One of the answers is there.
    pub(super) fn answer(&mut self, message: Option<(Rc<OutgoingMessage>, usize)>) {
        self.outstanding = self.outstanding.saturating_sub(1);
        if let Some((message, bytes_max)) = message {
            self.answered = true;
            let is_owed = self.number == STANDALONE;
            self.enqueue(message, bytes_max, is_owed);
        }
    }

    /// Its connection is its no longer. Of a finished one the window begins with the first time.
    pub(super) fn interrupt(&mut self, now: Millis) {
        self.exchange = None;
        if !self.window_runs {
            self.interrupted_at = now;
            self.window_runs = self.is_finished();
        }
    }

    pub(super) fn window_runs(&self) -> bool {
        self.window_runs
    }

    /// Nobody can want anything of it any more: all of its calls were cancelled.
    pub(super) fn is_void(&self) -> bool {
        self.is_finished() && !self.answered
    }

    /// A client that came back has seen the last of it.
    pub(super) fn is_seen(&self) -> bool {
        self.is_finished() && self.queue.is_none()
    }

    /// Finished, and only there for a client that did not get all of it.
    pub(super) fn is_kept(&self) -> bool {
        self.exchange.is_none() && self.is_finished()
    }

    fn drop_while(&mut self, too_old: impl Fn(&EventQueue) -> bool) {
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
        let bytes_of = |count| {
            let events = queue.events.range(..count);
            events.map(|it| it.message.data.len()).sum::<usize>()
        };
        assert_eq!(queue.bytes, bytes_of(queue.events.len()));
        assert_eq!(queue.written_bytes, bytes_of(queue.written));
        assert_eq!(queue.owed_bytes, owed_bytes(queue.unwritten()));
        let last = queue
            .events
            .back()
            .expect("a queue without events is dropped");
        assert_eq!(last.sequence + 1, self.next_sequence);
    }
}

impl EventQueue {
    fn unwritten(&self) -> impl Iterator<Item = &QueuedEvent> {
        self.events.range(self.written..)
    }

    fn starts_up_to(&self, sequence: u32) -> bool {
        let first = self.events.front();
        first.is_some_and(|event| event.sequence <= sequence)
    }

    fn drop_oldest(&mut self) {
        if let Some(event) = self.events.pop_front() {
            let bytes = event.message.data.len();
            self.bytes -= bytes;
            if self.written > 0 {
                self.written -= 1;
                self.written_bytes -= bytes;
            } else if event.is_owed {
                self.owed_bytes -= bytes;
            }
        }
    }
}

/// Of events that were not written.
fn owed_bytes<'a>(events: impl Iterator<Item = &'a QueuedEvent>) -> usize {
    let owed = events.filter(|event| event.is_owed);
    owed.map(|event| event.message.data.len()).sum()
}

/// What is kept in place of an answer that is too large to be kept: an error with its id. None: it is no answer.
pub(super) fn stand_in(answer: &[u8]) -> Option<Vec<u8>> {
    #[derive(serde::Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        id: &'a serde_json::value::RawValue,
        method: Option<serde::de::IgnoredAny>,
    }
    let answer: Answer<'_> = serde_json::from_slice(answer).ok()?;
    let error = RpcError::internal(
        "The answer was too large to be kept until somebody came back for it: send the request again.",
    )
    .with_data(serde_json::json!({ "reason": "answer_not_kept" }));
    answer
        .method
        .is_none()
        .then(|| error_message(Some(answer.id.get()), &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::{Account, Pool};

    fn message(data: &[u8]) -> Rc<OutgoingMessage> {
        let account = Account::new(Pool::new(1 << 20), 1);
        OutgoingMessage::new(data, account.charge(data.len()).expect("there is room"))
    }

    fn unwritten(stream: &mut Stream) -> Vec<u32> {
        std::iter::from_fn(|| stream.take_unwritten().map(|(sequence, _)| sequence)).collect()
    }

    #[test]
    fn a_resume_repeats_what_the_reader_did_not_see_and_nothing_else() {
        let mut stream = Stream::new(None, 1, 1);
        for data in [b"a", b"b", b"c"] {
            stream.push(message(data), 500);
        }
        assert_eq!(unwritten(&mut stream), [1, 2, 3]);
        stream.rewind(1);
        assert_eq!(unwritten(&mut stream), [2, 3]);
        stream.push(message(b"d"), 500);
        stream.invariants();
        assert_eq!(unwritten(&mut stream), [4]);
    }

    #[test]
    fn what_was_written_makes_room_for_what_was_not() {
        let mut stream = Stream::new(None, 1, 1);
        stream.push(message(&[0; 60]), 500);
        assert_eq!(unwritten(&mut stream), [1]);
        assert!(stream.has_room(100, 100));
        stream.push(message(&[0; 60]), 500);
        assert!(!stream.has_room(60, 100));
        stream.trim(100, |_| None);
        stream.invariants();
        stream.rewind(0);
        assert_eq!(unwritten(&mut stream), [2], "the written one is gone");
    }

    #[test]
    fn an_answer_of_any_size_that_is_kept_for_who_comes_back() {
        let mut stream = Stream::new(None, 1, 1);
        let answer = format!(r#"{{"jsonrpc":"2.0","id":"x","result":"{:1000}"}}"#, "");
        stream.push(message(answer.as_bytes()), 500);
        stream.trim(500, |_| panic!("it was not written yet"));
        assert_eq!(unwritten(&mut stream), [1]);
        stream.trim(500, |data| stand_in(data).map(|data| message(&data)));
        stream.invariants();
        stream.rewind(0);
        let (_, kept) = stream.take_unwritten().expect("something is kept");
        let kept: serde_json::Value = serde_json::from_slice(kept).expect("JSON");
        assert_eq!(kept["id"], "x");
        assert_eq!(kept["error"]["code"], RpcError::INTERNAL_ERROR);
        assert_eq!(kept["error"]["data"]["reason"], "answer_not_kept");
    }

    #[test]
    fn a_notification_is_no_answer() {
        assert_eq!(stand_in(br#"{"jsonrpc":"2.0","method":"x"}"#), None);
        assert_eq!(stand_in(br#"{"jsonrpc":"2.0","id":1,"method":"x"}"#), None);
    }

    #[test]
    fn what_was_written_is_not_kept_for_ever() {
        let mut stream = Stream::new(None, 1, 1);
        stream.push(message(&[0; 60]), 500);
        assert_eq!(unwritten(&mut stream), [1]);
        stream.forget_settled();
        stream.push(message(&[0; 10]), 500);
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
