//! A legacy stream as a value that travels with its session: its place among its session's, its messages, and how far its reader is.
//!
//! Messages are numbered without a gap, so that the number of the next one says them all.

use std::collections::VecDeque;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::super::keys::SessionKey;
use super::super::wheel::{Millis, Timer};
use super::{
    EventQueue, MESSAGE_OVERHEAD_BYTES, OutgoingMessage, QueuedEvent, STANDALONE, Stream,
    owed_bytes,
};
use crate::budget::Charge;
use crate::shard::stays::is_default;

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::shard) struct PackedStream {
    number: u32,
    #[serde(skip_serializing_if = "is_default")]
    outstanding: u16,
    /// What is kept of its messages, the oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    messages: Vec<PackedMessage>,
    /// How many of them were written.
    #[serde(skip_serializing_if = "is_default")]
    written: usize,
    next_sequence: u32,
    #[serde(skip_serializing_if = "is_default")]
    settled: u32,
    #[serde(skip_serializing_if = "is_default")]
    answered: bool,
    #[serde(skip_serializing_if = "is_default")]
    window_runs: bool,
    #[serde(skip_serializing_if = "is_default")]
    interrupted_at: Millis,
    /// Which of the session's connections it has, and which ones are silent for its sake.
    #[serde(skip_serializing_if = "is_default")]
    pub(in crate::shard::engine) connection: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::shard::engine) silent: Vec<usize>,
}

#[derive(Clone, Serialize, Deserialize)]
struct PackedMessage {
    /// JSON.
    data: String,
    /// It counts among what the session's client has of the node's memory.
    of_client: bool,
    /// It is an answer on a stream that is all of its session.
    #[serde(default)]
    is_owed: bool,
}

impl Stream {
    /// Its connections are named as its session does.
    pub(in crate::shard::engine) fn pack(
        self,
        connection: Option<usize>,
        silent: Vec<usize>,
    ) -> PackedStream {
        let Stream {
            exchange: _,
            session: _,
            number,
            // Of a modern answer: those stay with their calls.
            call: _,
            outstanding,
            queue,
            next_sequence,
            settled,
            answered,
            window_runs,
            interrupted_at,
            timer: _,
        } = self;
        let queue = queue.map_or_else(EventQueue::default, |queue| *queue);
        let EventQueue {
            events,
            written,
            bytes: _,
            written_bytes: _,
            owed_bytes: _,
            has_large: _,
        } = queue;
        PackedStream {
            number,
            outstanding,
            messages: events.into_iter().map(QueuedEvent::pack).collect(),
            written,
            next_sequence,
            settled,
            answered,
            window_runs,
            interrupted_at,
            connection,
            silent,
        }
    }
}

impl QueuedEvent {
    fn pack(self) -> PackedMessage {
        let QueuedEvent {
            // Counted back from the next one's.
            sequence: _,
            is_owed,
            message,
        } = self;
        // Others may have it too.
        let OutgoingMessage { data, _charge } = &*message;
        PackedMessage {
            data: String::from_utf8_lossy(data).into_owned(),
            of_client: _charge.share().is_some(),
            is_owed,
        }
    }
}

impl PackedStream {
    /// Whether it can have been a stream of a session.
    pub(in crate::shard::engine) fn is_sound(&self, is_standalone: bool) -> bool {
        let count = u32::try_from(self.messages.len()).unwrap_or(u32::MAX);
        is_standalone == (self.number == STANDALONE)
            && self.written <= self.messages.len()
            && count < self.next_sequence
            && (self.connection.is_some() || self.silent.is_empty())
    }

    /// A charge for so many bytes, of its client or of nobody, is always given: the messages had their place before.
    pub(in crate::shard::engine) fn unpack(
        self,
        session: SessionKey,
        bytes_max: usize,
        charge: impl Fn(usize, bool) -> Charge,
    ) -> Stream {
        let PackedStream {
            number,
            outstanding,
            messages,
            written,
            next_sequence,
            settled,
            answered,
            window_runs,
            interrupted_at,
            connection: _,
            silent: _,
        } = self;
        let first = next_sequence - messages.len() as u32;
        let event = |(sequence, it): (u32, PackedMessage)| {
            let PackedMessage {
                data,
                of_client,
                is_owed,
            } = it;
            let charge = charge(data.len() + MESSAGE_OVERHEAD_BYTES, of_client);
            let message: Rc<OutgoingMessage> = OutgoingMessage::new(data.as_bytes(), charge);
            QueuedEvent {
                sequence,
                is_owed,
                message,
            }
        };
        let events = (first..).zip(messages).map(event).collect();
        Stream {
            exchange: None,
            session: Some(session),
            number,
            call: None,
            outstanding,
            queue: EventQueue::with(events, written, bytes_max),
            next_sequence,
            settled,
            answered,
            window_runs,
            interrupted_at,
            timer: Timer::default(),
        }
    }

    /// Some of what is kept was not written yet.
    pub(in crate::shard::engine) fn has_unwritten(&self) -> bool {
        self.written < self.messages.len()
    }
}

impl EventQueue {
    fn with(
        events: VecDeque<QueuedEvent>,
        written: usize,
        bytes_max: usize,
    ) -> Option<Box<EventQueue>> {
        let lengths = || events.iter().map(|event| event.message.data.len());
        let (bytes, largest) = (lengths().sum(), lengths().max()?);
        Some(Box::new(EventQueue {
            bytes,
            written_bytes: lengths().take(written).sum(),
            owed_bytes: owed_bytes(events.range(written..)),
            written,
            has_large: largest > bytes_max,
            events,
        }))
    }
}
