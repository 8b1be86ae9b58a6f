//! What running calls do: notify, log, ask, end their stream early, and answer.

use super::call::{AnswerTo, CallState, PendingRequest};
use super::keys::SessionKey;
use super::keys::StreamKey;
use super::messages::{error_message, notification_message, request_message, result_message};
use super::modern::with_members;
use super::post::not_acceptable;
use super::stats::OperationEnd;
use super::stream::{Stream, stand_in};
use super::{CallKey, Closed, Engine, EngineOutput, Exchange, ExchangeOwner, Refused, Wire};
use crate::app::call::{AskFailed, Outcome};
use crate::mcp::{Era, RpcMethod};

const NEEDS_STREAM: &str = "This call asks its client something before it answers, on text/event-stream: Accept must name that beside application/json.";

impl Engine {
    /// A call ended. Late outcomes of cancelled calls are dropped.
    pub(in crate::shard) fn handle_outcome(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        call: CallKey,
        outcome: &Outcome,
    ) {
        let inspected = self.take_inspected(call);
        let Some(state) = self.remove_call(call) else {
            return;
        };
        if let Outcome::MissingScope { scopes } = outcome {
            let identity = inspected.as_ref().map(|it| &*it.identity);
            let refused = self.missing_scopes(identity, scopes);
            self.count_end(&state, OperationEnd::Error(refused.error.code));
            return self.refuse_call(wire, &state, &refused);
        }
        let shown = inspected.map(|it| self.shown(&it, outcome));
        let era = state.version.era();
        if let (Outcome::Error(error), Some(session)) = (outcome, state.session) {
            self.note_error(session, state.operation.method(), error);
        }
        let outcome = shown.as_deref().unwrap_or(outcome);
        self.count_end(&state, OperationEnd::of(outcome));
        let (status, message) = match outcome {
            Outcome::Error(error) => (
                error.http_status(era),
                error_message(Some(&state.id), error),
            ),
            Outcome::Result { json, .. } if era == Era::Legacy => {
                (200, result_message(&state.id, json))
            }
            Outcome::Result {
                json,
                caching: None,
            } => (200, result_message(&state.id, &self.complete(json))),
            Outcome::Result {
                json,
                caching: Some(caching),
            } => {
                let scope = if caching.public { "public" } else { "private" };
                let hints = format!(r#""ttlMs":{},"cacheScope":"{scope}""#, caching.ttl_ms);
                (
                    200,
                    result_message(&state.id, &self.complete(&with_members(&hints, json))),
                )
            }
            Outcome::Other { json } => (200, result_message(&state.id, json)),
            Outcome::MissingScope { .. } => return,
        };
        match state.answer_to {
            AnswerTo::Exchange(connection) | AnswerTo::Plain(connection) => {
                wire.answer(connection, status, &[], &message);
                if let Some(session) = state.session {
                    wire.answered_for(connection, session.into());
                }
            }
            AnswerTo::Stream(stream) => self.push_answer(wire, stream, &message),
            AnswerTo::Nobody => {}
        }
    }

    /// With its status, if nothing was sent before.
    pub(super) fn refuse_call(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        state: &CallState,
        refused: &Refused,
    ) {
        match state.answer_to {
            AnswerTo::Exchange(exchange) | AnswerTo::Plain(exchange) => {
                wire.refuse(exchange, Some(&state.id), refused);
            }
            AnswerTo::Stream(stream) => {
                self.push_answer(
                    wire,
                    stream,
                    &error_message(Some(&state.id), &refused.error),
                );
            }
            AnswerTo::Nobody => {}
        }
    }

    /// A notification that belongs to a call; `params` is an object in JSON.
    pub(in crate::shard) fn handle_notify(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        call: CallKey,
        method: &str,
        params: &str,
    ) {
        if let Some(stream) = self.stream_of(wire, call) {
            self.push(wire, stream, &notification_message(method, Some(params)));
        }
    }

    /// `notifications/message`, if the client wants it: a session by its level, a modern request by its own.
    pub(in crate::shard) fn handle_log(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        call: CallKey,
        level: u8,
        params: &str,
    ) {
        let Some(state) = self.calls.get(call) else {
            return;
        };
        let wanted = match state.session {
            Some(session) => self.sessions.get(session).map(|session| session.log_level),
            None => state.log_level,
        };
        if wanted.is_some_and(|wanted| level >= wanted) {
            self.handle_notify(wire, call, RpcMethod::LogMessage.name(), params);
        }
    }

    /// Sends a request to the client of a legacy call. Its answer comes as [`EngineOutput::Answered`] with the number
    /// returned here; `None` if the call is over.
    pub(in crate::shard) fn handle_ask(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,

        call: CallKey,
        method: &str,
        params: &str,
    ) -> Option<u32> {
        let state = self.calls.get(call)?;
        let session = state.session?;
        if let AnswerTo::Plain(connection) = state.answer_to {
            self.refuse_to_ask(wire, call, connection);
            return None;
        }
        let stream = self.stream_of(wire, call)?;
        let session = self.sessions.get_mut(session)?;
        let id = session.next_ask;
        session.next_ask += 1;
        let deadline = self.now + self.limits.ask_timeout_ms;
        self.calls
            .get_mut(call)?
            .asks
            .push(PendingRequest { id, deadline });
        self.arm_call(call);
        if !self.push(wire, stream, &request_message(id, method, params)) {
            // Nobody will ever answer it.
            if let Some(state) = self.calls.get_mut(call) {
                state.asks.retain(|ask| ask.id != id);
                self.outputs.push_back(EngineOutput::Answered {
                    call,
                    ask: id,
                    answer: Err(AskFailed::NotSent),
                });
            }
        }
        Some(id)
    }

    /// A question travels on a stream, and this client takes none.
    fn refuse_to_ask(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        call: CallKey,
        connection: Exchange,
    ) {
        if let Some(state) = self.remove_call(call) {
            self.outputs.push_back(EngineOutput::Cancel(call));
            let refused = not_acceptable(NEEDS_STREAM);
            self.count_end(&state, OperationEnd::Error(refused.error.code));
            wire.refuse(connection, Some(&state.id), &refused);
        }
    }

    /// Ends the response stream before the answer: the client comes back for it. Only clients of 2025-11-25 do,
    /// and an event with an id was sent by then.
    pub(in crate::shard) fn handle_close_stream(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        call: CallKey,
    ) {
        if !self
            .calls
            .get(call)
            .is_some_and(|state| state.version.has_priming())
        {
            return;
        }
        let Some(stream) = self.stream_of(wire, call) else {
            return;
        };
        if let Some(connection) = self.streams.get(stream).and_then(|stream| stream.exchange) {
            self.interrupted(wire, stream);
            wire.end_stream(connection);
        }
    }

    /// The stream on which a call speaks, opened now if its client still expects one JSON message. `None`: it has none,
    /// and what it says before its answer is said to nobody.
    pub(super) fn stream_of(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        call: CallKey,
    ) -> Option<StreamKey> {
        let state = self.calls.get(call)?;
        let connection = match state.answer_to {
            AnswerTo::Stream(stream) => return Some(stream),
            AnswerTo::Plain(_) | AnswerTo::Nobody => return None,
            AnswerTo::Exchange(connection) => connection,
        };
        let stream = match state.session {
            Some(session) => self.open_response_stream(wire, connection, session, 1),
            None => self.open_modern_stream(wire, connection, call),
        };
        self.calls.get_mut(call)?.answer_to = AnswerTo::Stream(stream);
        Some(stream)
    }

    /// Answers a legacy POST with a stream that ends after `outstanding` answers.
    pub(super) fn open_response_stream(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        connection: Exchange,
        session_key: SessionKey,
        outstanding: u16,
    ) -> StreamKey {
        self.make_room_for_stream(session_key);
        let session = self
            .sessions
            .get_mut(session_key)
            .expect("a request is served for a live session");
        let number = session.next_stream;
        session.next_stream += 1;
        let primes = session.version().has_priming();
        let stream = self
            .streams
            .insert(Stream::new(Some(session_key), number, outstanding));
        session.streams.push(stream);
        wire.open_stream(connection);
        self.connect(wire, stream, connection);
        if primes {
            self.emit_priming(wire, stream);
        }
        stream
    }

    /// Of the finished answers that are kept for a resume, the oldest goes first.
    fn make_room_for_stream(&mut self, session: SessionKey) {
        let Some(session) = self.sessions.get_mut(session) else {
            return;
        };
        if session.streams.len() < self.limits.streams_per_session_max {
            return;
        }
        let streams = &self.streams;
        let finished = |key: &StreamKey| streams.get(*key).is_none_or(Stream::is_kept);
        if let Some(oldest) = session.streams.iter().position(finished) {
            self.streams.remove(session.streams.remove(oldest));
        }
    }

    fn open_modern_stream(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        connection: Exchange,
        call: CallKey,
    ) -> StreamKey {
        let mut stream = Stream::new(None, 1, 1);
        stream.call = Some(call);
        let stream = self.streams.insert(stream);
        wire.open_stream(connection);
        self.connect(wire, stream, connection);
        stream
    }

    /// Queues a message that is no answer, and writes it if the stream is connected. False: there was no room for it.
    pub(super) fn push(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        key: StreamKey,
        message: &[u8],
    ) -> bool {
        self.make_room_while_held(wire, key, message.len());
        let bytes_max = self.limits.stream_queue_bytes_max;
        let Some(stream) = self.streams.get(key) else {
            return false;
        };
        let connection = stream.exchange;
        let fits = stream.has_room(message.len(), bytes_max);
        match (connection, fits || self.is_writable(wire, key)) {
            // It reads too slowly. What is kept can be resumed, where the era allows that.
            (Some(connection), false) => {
                self.abort_stream(wire, key, connection, Closed::SlowReader);
                return false;
            }
            (None, false) => return false,
            (_, true) => {}
        }
        let kept = self.message(wire, stream.session, message);
        let is_kept = kept.is_ok();
        let message = match kept {
            Ok(message) => message,
            // It leaves at once.
            Err(_) if self.is_writable(wire, key) => self.small_message(message),
            Err(_) => {
                if let Some(connection) = connection {
                    self.abort_stream(wire, key, connection, Closed::OutOfMemory);
                }
                return false;
            }
        };
        if let Some(stream) = self.streams.get_mut(key) {
            stream.push(message, bytes_max);
        }
        self.flush(wire, key);
        if !is_kept && let Some(stream) = self.streams.get_mut(key) {
            stream.forget_written();
        }
        true
    }

    /// Queues one of the answers that a stream waits for. Whoever is connected gets it whatever its size; of one that is
    /// too large to wait for nobody the client is told, should it come back, that it is gone.
    pub(super) fn push_answer(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        key: StreamKey,
        message: &[u8],
    ) {
        let bytes_max = self.limits.stream_queue_bytes_max;
        let Some(stream) = self.streams.get(key) else {
            return;
        };
        let wanted = stream.exchange.is_some() || stream.has_room(message.len(), bytes_max);
        let session = stream.session;
        let kept = wanted.then(|| self.message(wire, session, message).ok());
        let kept = kept.flatten();
        let message = kept.or_else(|| stand_in(message).map(|it| self.small_message(&it)));
        if let Some(stream) = self.streams.get_mut(key) {
            stream.answer(message.map(|message| (message, bytes_max)));
        }
        self.flush(wire, key);
        self.keep_if_unheard(wire, key);
    }

    /// One of the awaited answers will never come.
    pub(super) fn finish_one(&mut self, wire: &mut impl Wire<ExchangeOwner>, key: StreamKey) {
        if let Some(stream) = self.streams.get_mut(key) {
            stream.answer(None);
        }
        self.flush(wire, key);
        self.keep_if_unheard(wire, key);
    }

    /// The last answer came while nobody was connected: it is kept for its client from now on, not for ever. Without any
    /// there is nothing to keep.
    fn keep_if_unheard(&mut self, wire: &mut impl Wire<ExchangeOwner>, key: StreamKey) {
        let Some(stream) = self.streams.get_mut(key).filter(|it| it.is_kept()) else {
            return;
        };
        match stream.is_void() {
            true => self.drop_stream(wire, key),
            false => {
                stream.interrupt(self.now);
                self.arm_stream(key);
            }
        }
    }

    pub(super) fn remove_call(&mut self, call: CallKey) -> Option<CallState> {
        let state = self.calls.remove(call)?;
        self.uncount_call(&state);
        self.take_inspected(call);
        if let Some(session) = state
            .session
            .and_then(|session| self.sessions.get_mut(session))
        {
            session.forget_call(call);
            session.last_active = self.now;
        }
        Some(state)
    }

    /// What is queued leaves at once.
    fn is_writable(&self, wire: &mut impl Wire<ExchangeOwner>, stream: StreamKey) -> bool {
        let connection = self.streams.get(stream).and_then(|stream| stream.exchange);
        connection.is_some_and(|exchange| wire.may_write(exchange))
    }
}
