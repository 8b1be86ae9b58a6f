//! GET: a session's standalone stream, and coming back to any of its streams with `Last-Event-ID`.
//!
//! Clients come back to a stream that ended without an answer as often as they are let, and some also to one that ended
//! with an error. So a response stream is *over* once its answer was seen (`Last-Event-ID` is that of its last event), its
//! calls were cancelled or its time has passed. A GET for it is then answered 405, which is all that 2025-11-25 has for it
//! besides a stream. It is also what stops clients: the SDKs of TypeScript and Rust take 405 for "no stream here",
//! Python's stops after two tries. At 400, 404 or 410 the one of Rust tries for ever, and 404 says that the whole session
//! is gone. The standalone stream is never answered so: its client would not ask for it again.

use super::event_id::EventId;
use super::fields::HttpSseRoute;
use super::keys::StreamKey;
use super::stats::OperationEnd;
use super::stream::{STANDALONE, Stream};
use super::{
    CallKey, Closed, Engine, EngineOutput, Exchange, ExchangeOwner, Refused, Request, SessionKey,
    Wire,
};
use crate::mcp::{Era, RpcMethod};
use crate::shard::refused::METHODS;

impl Engine {
    pub(super) fn serve_get(&mut self, wire: &mut impl Wire<ExchangeOwner>, request: &Request<'_>) {
        let (key, fields) = (request.exchange, &request.fields);
        if let Some(HttpSseRoute::Stream { reference }) = fields.http_sse {
            return self.open_http_sse(wire, request, reference);
        }
        let modern = match fields.version.spoken() {
            Ok(version) => version.is_some_and(|version| version.era() == Era::Modern),
            Err(refused) => return wire.refuse(key, None, &refused),
        };
        if modern || fields.session.is_none() {
            let sentence = format!(
                "GET opens the event stream of the session that Mcp-Session-Id names; 2026-07-28 has {} instead.",
                RpcMethod::SubscriptionsListen.name()
            );
            return wire.refuse(key, None, &Refused::method_not_allowed(sentence));
        }
        if !fields.accepts_stream() {
            let sentence = "GET is answered with text/event-stream: Accept must name it.";
            return wire.refuse(key, None, &Refused::new(406, sentence));
        }
        let admitted = self.take_rate(request.client, 1);
        let found = admitted.and_then(|()| self.seek_session(request));
        let opened = found.and_then(|session| {
            let last_seen = fields
                .last_event_id
                .map(|text| self.check_event_id(session, text))
                .transpose()?;
            wire.count_stream(key)?;
            match last_seen {
                // No activity of its session: who comes back for ever would keep it for ever.
                Some(last_seen) if last_seen.stream != STANDALONE => {
                    self.resume(wire, key, session, last_seen)
                }
                last_seen => {
                    self.touch_session(session);
                    self.open_standalone(wire, request, session, last_seen);
                    Ok(())
                }
            }
        });
        if let Err(refused) = opened {
            wire.refuse(key, None, &refused);
        }
    }

    fn check_event_id(&self, session: SessionKey, text: &str) -> Result<EventId, Refused> {
        let wrong = |sentence: &'static str| Refused::with_reason(400, "bad_event_id", sentence);
        let id = EventId::parse(text)
            .ok_or_else(|| wrong("Last-Event-ID is not the id of an event of this server."))?;
        match id.session == session.generation {
            true => Ok(id),
            // Its client began anew while it waited to come back.
            false if id.stream != STANDALONE => Err(stream_gone()),
            false => Err(wrong("Last-Event-ID is the id of another session's event.")),
        }
    }

    /// Goes on with the answer to a POST where the client lost it.
    ///
    /// # Errors
    /// 405 for a stream that is over.
    fn resume(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        key: Exchange,
        session: SessionKey,
        last_seen: EventId,
    ) -> Result<(), Refused> {
        // The same number in another epoch was another stream: its messages MUST NOT be replayed for this one
        // (2025-11-25, transports, "Resumability and Redelivery").
        let numbered = |stream: &StreamKey| {
            last_seen.epoch == self.epoch()
                && self
                    .streams
                    .get(*stream)
                    .is_some_and(|it| it.number == last_seen.stream)
        };
        let session = self.sessions.get(session).ok_or_else(stream_gone)?;
        let primes = session.version().has_priming();
        let found = session.streams.iter().copied().find(numbered);
        let stream = found.ok_or_else(stream_gone)?;
        self.take_over(wire, stream);
        self.rewind(stream, last_seen.sequence);
        if self.streams.get(stream).is_some_and(Stream::is_seen) {
            self.drop_stream(wire, stream);
            return Err(stream_gone());
        }
        wire.open_stream(key);
        self.connect(wire, stream, key);
        if primes {
            self.emit_priming(wire, stream);
        }
        self.flush(wire, stream);
        Ok(())
    }

    /// Opens the standalone stream here. A GET that was open before ends: the newest connection is the one that
    /// the client reads.
    fn open_standalone(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        request: &Request<'_>,
        session_key: SessionKey,
        last_seen: Option<EventId>,
    ) {
        let key = request.exchange;
        let Some(stream) = self.standalone(session_key) else {
            return;
        };
        let Some(session) = self.sessions.get(session_key) else {
            return;
        };
        let (listener, primes) = (session.listener, session.version().has_priming());
        self.take_over(wire, stream);
        self.open_grant(listener, request);
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
        let delivered_through = self
            .fanout
            .listener(listener)
            .map_or(0, |listener| listener.delivered_through);
        if let Some(session) = self.sessions.get_mut(session_key) {
            session.opened_at = delivered_through;
        }
        wire.open_stream(key);
        self.connect(wire, stream, key);
        if primes {
            self.emit_priming(wire, stream);
        }
        self.flush(wire, stream);
        self.fanout.attach(listener, key);
    }

    fn rewind(&mut self, stream: StreamKey, sequence: u32) {
        if let Some(stream) = self.streams.get_mut(stream) {
            stream.rewind(sequence);
        }
        self.note_sequence(stream);
    }

    pub(super) fn connect(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        stream: StreamKey,
        exchange: Exchange,
    ) {
        if let Some(stream) = self.streams.get_mut(stream) {
            stream.exchange = Some(exchange);
        }
        wire.set_owner(exchange, ExchangeOwner::Stream(stream));
    }

    /// The connection of a stream is gone. A modern answer is cancelled by that; a legacy stream waits for the
    /// client to come back.
    pub(super) fn interrupt_stream(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        key: StreamKey,
        why: Closed,
    ) {
        if self.end_with_stream(wire, key, why) {
            return;
        }
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        if stream.session.is_some() {
            return self.interrupted(wire, key);
        }
        let call: Option<CallKey> = stream.call;
        self.streams.remove(key);
        if let Some(call) = call
            && let Some(state) = self.remove_call(call)
        {
            self.count_end(&state, OperationEnd::Cancelled);
            self.outputs.push_back(EngineOutput::Cancel(call));
        }
    }

    /// A legacy stream lost its connection, or gave it up.
    pub(super) fn interrupted(&mut self, wire: &mut impl Wire<ExchangeOwner>, key: StreamKey) {
        self.disconnect_listener(key);
        self.end_silent(wire, key);
        let now = self.now;
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        let was_over = stream.window_runs();
        stream.interrupt(now);
        if stream.is_void() {
            return self.drop_stream(wire, key);
        }
        if !was_over
            && let Some(session) = stream
                .session
                .and_then(|session| self.sessions.get_mut(session))
        {
            session.last_active = now;
        }
        self.arm_stream(key);
    }

    /// Nobody can come back to it any more.
    pub(super) fn drop_stream(&mut self, wire: &mut impl Wire<ExchangeOwner>, key: StreamKey) {
        self.end_silent(wire, key);
        self.forget_stream(key);
    }

    /// The same of one that has no exchange.
    pub(super) fn forget_stream(&mut self, key: StreamKey) {
        let session = self.streams.remove(key).and_then(|stream| stream.session);
        if let Some(session) = session.and_then(|session| self.sessions.get_mut(session)) {
            session.forget_stream(key);
        }
    }

    pub(super) fn disconnect_listener(&mut self, key: StreamKey) {
        let session = self
            .streams
            .get(key)
            .filter(|stream| stream.number == STANDALONE)
            .and_then(|it| it.session);
        if let Some(session) = session.and_then(|session| self.sessions.get(session)) {
            self.fanout.detach(session.listener);
        }
    }

    /// Offsets count from the process's start, so its incarnation number is their epoch.
    pub(super) fn epoch(&self) -> u32 {
        self.incarnation as u32
    }
}

fn stream_gone() -> Refused {
    let sentence = "This response stream is over: its answer was delivered, its request was cancelled, or nobody came \
                    for it in time.";
    Refused {
        allow: Some(METHODS),
        ..Refused::with_reason(405, "stream_gone", sentence)
    }
}
