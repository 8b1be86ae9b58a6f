//! GET: a session's standalone stream, and coming back to any of its streams with `Last-Event-ID`.

use super::answer::Refused;
use super::connection::State;
use super::event_id::EventId;
use super::request::{accepts, version_of};
use super::stream::{STANDALONE, StreamKey};
use super::{CallKey, ConnectionKey, Effect, SessionKey, Shard};
use crate::mcp::Era;
use crate::wire::HeadView;

impl Shard {
    pub(super) fn serve_get(&mut self, key: ConnectionKey, request: &HeadView<'_>) {
        let modern = match version_of(request.field("mcp-protocol-version")) {
            Ok(version) => version.is_some_and(|version| version.era() == Era::Modern),
            Err(refused) => return self.refuse(key, None, &refused),
        };
        let id = match request.field("mcp-session-id") {
            Some(id) if !modern => id,
            _ => {
                let sentence = "GET opens the event stream of the session that Mcp-Session-Id names; 2026-07-28 has subscriptions/listen instead.";
                return self.refuse(key, None, &Refused::method_not_allowed(sentence));
            }
        };
        if !accepts(request, "text/event-stream") {
            let sentence = "GET is answered with text/event-stream: Accept must name it.";
            return self.refuse(key, None, &Refused::new(406, sentence));
        }
        let opened = self.find_session(key, Some(id)).and_then(|session| {
            let last_seen = request
                .field("last-event-id")
                .map(|text| self.check_event_id(session, text))
                .transpose()?;
            self.count_stream(key)?;
            Ok((session, last_seen))
        });
        match opened {
            Err(refused) => self.refuse(key, None, &refused),
            Ok((session, Some(last_seen))) if last_seen.stream != STANDALONE => {
                self.resume(key, session, last_seen)
            }
            Ok((session, last_seen)) => self.open_standalone(key, session, last_seen),
        }
    }

    fn check_event_id(&self, session: SessionKey, text: &str) -> Result<EventId, Refused> {
        let wrong = |sentence: &'static str| Refused::with_reason(400, "bad_event_id", sentence);
        let id = EventId::parse(text)
            .ok_or_else(|| wrong("Last-Event-ID is not the id of an event of this server."))?;
        if id.session != session.serial {
            return Err(wrong("Last-Event-ID is the id of another session's event."));
        }
        Ok(id)
    }

    /// Opens the standalone stream here. A GET that was open before ends: the newest connection is the one that
    /// the client reads.
    fn open_standalone(
        &mut self,
        key: ConnectionKey,
        session_key: SessionKey,
        last_seen: Option<EventId>,
    ) {
        let Some(stream) = self.standalone(session_key) else {
            return;
        };
        let Some(session) = self.sessions.get(session_key) else {
            return;
        };
        let (listener, primes) = (session.listener, session.version.has_priming());
        self.take_over(stream);
        match last_seen {
            Some(id) if id.epoch == self.epoch() && id.offset <= self.offset => {
                self.fanout.rewind(listener, id.offset);
                self.rewind(stream, id.sequence);
            }
            // Offsets of another epoch, or not reached yet, say nothing: everything it may hear of is told once.
            Some(_) => {
                self.fanout.rewind_unknown(listener);
                self.rewind(stream, 0);
            }
            // It may have lost anything since it opened the stream before.
            None => {
                let opened_at = self
                    .sessions
                    .get(session_key)
                    .map_or(0, |session| session.opened_at);
                self.fanout.rewind(listener, opened_at);
            }
        }
        let told = self
            .fanout
            .listener(listener)
            .map_or(0, |listener| listener.told);
        if let Some(session) = self.sessions.get_mut(session_key) {
            session.opened_at = told;
        }
        self.answer_stream(key);
        self.connect(stream, key);
        if primes {
            self.emit_priming(stream);
        }
        self.flush(stream);
        self.fanout.attach(listener, key);
    }

    /// Goes on with the answer to a POST where the client lost it.
    fn resume(&mut self, key: ConnectionKey, session_key: SessionKey, last_seen: EventId) {
        let Some(session) = self.sessions.get(session_key) else {
            return;
        };
        let primes = session.version.has_priming();
        // The same number in another epoch was another stream: its messages MUST NOT be replayed for this one
        // (2025-11-25, transports, "Resumability and Redelivery").
        let numbered = |stream: &StreamKey| {
            last_seen.epoch == self.epoch()
                && self
                    .streams
                    .get(*stream)
                    .is_some_and(|it| it.number == last_seen.stream)
        };
        let Some(stream) = session.streams.iter().copied().find(numbered) else {
            let sentence = "This response stream is gone: its answer was delivered, or nobody came for it in time.";
            return self.refuse(
                key,
                None,
                &Refused::with_reason(400, "stream_gone", sentence),
            );
        };
        self.take_over(stream);
        self.rewind(stream, last_seen.sequence);
        self.answer_stream(key);
        self.connect(stream, key);
        if primes {
            self.emit_priming(stream);
        }
        self.flush(stream);
    }

    /// Nobody shall believe in the connection that had this stream before.
    fn take_over(&mut self, stream: StreamKey) {
        if let Some(connection) = self
            .streams
            .get_mut(stream)
            .and_then(|stream| stream.connection.take())
        {
            self.disconnect_listener(stream);
            self.release(connection);
        }
    }

    fn rewind(&mut self, stream: StreamKey, sequence: u32) {
        if let Some(stream) = self.streams.get_mut(stream) {
            stream.rewind(sequence);
        }
        self.note_sequence(stream);
    }

    pub(super) fn connect(&mut self, stream: StreamKey, connection: ConnectionKey) {
        let now = self.now;
        if let Some(stream) = self.streams.get_mut(stream) {
            stream.connection = Some(connection);
        }
        if let Some(connection) = self.connections.get_mut(connection) {
            connection.state = State::Streaming(stream);
            connection.since = now;
        }
        self.arm_connection(connection);
    }

    /// The connection of a stream is gone. A modern answer is cancelled by that; a legacy stream waits for the
    /// client to come back.
    pub(super) fn interrupt_stream(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        stream.connection = None;
        if stream.session.is_some() {
            return self.interrupted(key);
        }
        let call: Option<CallKey> = stream.call;
        self.streams.remove(key);
        if let Some(call) = call
            && self.remove_call(call).is_some()
        {
            self.effects.push_back(Effect::Cancel(call));
        }
    }

    /// A legacy stream lost its connection, or gave it up.
    pub(super) fn interrupted(&mut self, key: StreamKey) {
        self.disconnect_listener(key);
        let now = self.now;
        if let Some(stream) = self.streams.get_mut(key) {
            stream.interrupted_at = now;
            if let Some(session) = stream
                .session
                .and_then(|session| self.sessions.get_mut(session))
            {
                session.last_active = now;
            }
        }
        self.arm_stream(key);
    }

    fn disconnect_listener(&mut self, key: StreamKey) {
        let session = self
            .streams
            .get(key)
            .filter(|stream| stream.number == STANDALONE)
            .and_then(|it| it.session);
        if let Some(session) = session.and_then(|session| self.sessions.get(session)) {
            self.fanout.detach(session.listener);
        }
    }

    /// Offsets count from the process's start, so its boot number is their epoch.
    pub(super) fn epoch(&self) -> u32 {
        self.boot as u32
    }
}
