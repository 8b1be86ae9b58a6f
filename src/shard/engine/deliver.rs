//! What leaves: outboxes, targeted messages of streams, and the fan-out of topics.

use super::event_id::EventId;
use super::fanout::{Listener, ListenerKey, ListenerKind};
use super::keys::StreamKey;
use super::stream::{STANDALONE, Stream};
use super::{Engine, Exchange, ExchangeOwner, Wire};
use crate::wire::sse::{self, Event};

impl Engine {
    /// The next stream with topics to deliver, and the bytes. The driver says that they were written only if
    /// the kernel did not take all of them: that saves a lookup for each of ten thousand streams.
    pub(in crate::shard) fn poll_fanout<W: Wire<ExchangeOwner>>(
        &mut self,
        wire: &mut W,
        bytes: &mut Vec<u8>,
    ) -> Option<Exchange> {
        while let Some((listener_key, exchange)) = self.fanout.poll_ready() {
            if self.is_looking() && !self.has_leave(listener_key) {
                continue;
            }
            if self.is_cut_off() && self.hears_withheld(listener_key) {
                // Its stream ends in a moment.
                continue;
            }
            let Some(frame) = wire.begin_write(exchange, bytes) else {
                // It stays pending; `writable` brings it back.
                continue;
            };
            self.events.clear();
            let messages = self.emit_due(listener_key);
            if messages && let Some(standalone) = self.standalone_of(listener_key) {
                self.emit_unwritten(standalone);
            }
            W::emit_frame(frame, &self.events, bytes);
            if let Some(traces) = wire.traces() {
                traces.sent(self.now, exchange, &self.events);
            }
            return Some(exchange);
        }
        self.stats.count_last_write(self.now);
        None
    }

    fn hears_withheld(&self, key: ListenerKey) -> bool {
        let listener = self.fanout.listener(key);
        match listener.map(|it| &it.kind) {
            Some(ListenerKind::Session(session)) => self.is_withheld(*session),
            Some(ListenerKind::Listen(_)) | None => false,
        }
    }

    /// Whether [`poll_fanout`](Engine::poll_fanout) has anything to look at.
    pub(in crate::shard) fn has_fanout(&self) -> bool {
        self.fanout.has_ready()
    }

    /// Brings what the next deliveries need into the cache: read one by one, as each is made, it is waited for one by
    /// one, while reads that do not depend on each other are waited for together. Gives their exchanges.
    pub(in crate::shard) fn touch_fanout(&self, count: usize, mut touch: impl FnMut(Exchange)) {
        for listener in self.fanout.upcoming(count) {
            listener.touch();
            if let Some(exchange) = listener.sink {
                touch(exchange);
            }
        }
    }

    /// Whether a listener may have what is pending for it. A look may leave nothing of that.
    fn has_leave(&mut self, key: ListenerKey) -> bool {
        let has_news = |it: &Listener| it.has_news();
        self.may_deliver(key) && self.fanout.listener(key).is_some_and(has_news)
    }

    /// The topics a listener is to be notified of, as events in `self.events`. Whether messages wait for it too.
    fn emit_due(&mut self, key: ListenerKey) -> bool {
        let epoch = self.epoch();
        let Some(taken) = self.fanout.take_pending(key, &mut self.due) else {
            return false;
        };
        let mut id = standalone_id(taken.listener, epoch);
        let is_session = id.is_some() || taken.listener.is_named;
        self.stats.count_deliveries(is_session, self.due.len());
        for &due in &self.due {
            // What was never published has no place in the log, so nothing to name it by.
            if let Some(id) = id.as_mut().filter(|_| due.offset > 0) {
                id.offset = due.offset;
                self.events.extend_from_slice(b"id: ");
                id.emit(&mut self.events);
                self.events.push(b'\n');
            } else if taken.listener.is_named {
                self.events.extend_from_slice(b"event: message\n");
            }
            taken.emit(due, &mut self.events);
        }
        taken.messages
    }

    /// Writes what a stream has queued, if its exchange takes it, and ends the stream after its last answer.
    pub(super) fn flush(&mut self, wire: &mut impl Wire<ExchangeOwner>, key: StreamKey) {
        if self.is_looking() && !self.may_write(key) {
            return;
        }
        let Some(exchange) = self.streams.get(key).and_then(|stream| stream.exchange) else {
            return;
        };
        if !wire.may_write(exchange) {
            return;
        }
        self.events.clear();
        self.emit_unwritten(key);
        let events = std::mem::take(&mut self.events);
        if !events.is_empty() {
            wire.emit_events(exchange, &events);
        }
        self.events = events;
        self.trim(key);
        if self.streams.get(key).is_some_and(Stream::is_finished) {
            self.finish(wire, key, exchange);
        }
    }

    /// The messages of a stream that were not written yet, as events in `self.events`.
    fn emit_unwritten(&mut self, key: StreamKey) {
        let mut id = self.event_id(key);
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        let mut count = 0;
        let is_named = id.is_none() && stream.number == STANDALONE;
        while let Some((sequence, data)) = stream.take_unwritten() {
            count += 1;
            self.id_text.clear();
            if let Some(id) = &mut id {
                (id.sequence, id.message) = (sequence, true);
                id.emit(&mut self.id_text);
            }
            let text = std::str::from_utf8(&self.id_text).ok();
            let id = text.filter(|_| id.is_some());
            let data = Some(data);
            let event = Event {
                id,
                event: is_named.then_some("message"),
                data,
                ..Event::default()
            };
            sse::emit_event(&mut self.events, &event);
        }
        if id.is_none() {
            stream.forget_written();
        }
        if count > 0
            && let Some(session) = stream.session.and_then(|it| self.sessions.get_mut(it))
        {
            session.messages = session.messages.wrapping_add(count);
        }
        self.note_sequence(key);
    }

    /// A standalone stream's listener knows how far its messages are.
    pub(super) fn note_sequence(&mut self, key: StreamKey) {
        let standalone = self.streams.get(key);
        let Some(stream) = standalone.filter(|stream| stream.number == STANDALONE) else {
            return;
        };
        let session = stream
            .session
            .and_then(|session| self.sessions.get(session));
        if let Some(session) = session {
            self.fanout
                .set_sequence(session.listener, stream.last_written());
        }
    }

    /// The standalone stream on which a session's listener speaks.
    fn standalone_of(&self, key: ListenerKey) -> Option<StreamKey> {
        match self.fanout.listener(key)?.kind {
            ListenerKind::Session(session) => self.sessions.get(session)?.standalone,
            ListenerKind::Listen(_) => None,
        }
    }

    /// Everything was answered. A legacy stream is kept for a while: its client may not have got all of it.
    fn finish(&mut self, wire: &mut impl Wire<ExchangeOwner>, key: StreamKey, exchange: Exchange) {
        match self.streams.get(key).map(|stream| stream.session) {
            Some(Some(_)) => self.interrupted(wire, key),
            _ => drop(self.streams.remove(key)),
        }
        wire.end_stream(exchange);
    }

    /// The id of a stream's next event, but for its sequence; none in the modern era.
    fn event_id(&self, key: StreamKey) -> Option<EventId> {
        let stream = self.streams.get(key)?;
        let session_key = stream.session?;
        let session = self.sessions.get(session_key)?;
        if session.is_its_stream() {
            return None;
        }
        let offset = match stream.number {
            STANDALONE => self.fanout.listener(session.listener)?.delivered_through,
            _ => 0,
        };
        let sequence = stream.last_written();
        Some(EventId {
            epoch: self.epoch(),
            session: session_key.generation,
            stream: stream.number,
            offset,
            sequence,
            message: false,
        })
    }

    /// An event with an id and no data: from now on the client can come back (2025-11-25, transports).
    pub(super) fn emit_priming(&mut self, wire: &mut impl Wire<ExchangeOwner>, key: StreamKey) {
        let Some(exchange) = self.streams.get(key).and_then(|stream| stream.exchange) else {
            return;
        };
        let Some(id) = self.event_id(key) else { return };
        let text = id.text();
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        let retry_ms = Some(self.limits.retry_ms);
        sse::emit_event(
            &mut events,
            &Event {
                id: Some(&text),
                retry_ms,
                data: Some(b""),
                event: None,
            },
        );
        wire.emit_events(exchange, &events);
        self.events = events;
    }
}

/// Where the standalone stream of a session's listener is, but for the offset.
fn standalone_id(listener: &Listener, epoch: u32) -> Option<EventId> {
    let ListenerKind::Session(session) = listener.kind else {
        return None;
    };
    let has_ids = !listener.is_named;
    has_ids.then_some(EventId {
        epoch,
        session: session.generation,
        stream: STANDALONE,
        offset: 0,
        sequence: listener.sequence,
        message: false,
    })
}
