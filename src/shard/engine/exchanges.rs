//! What becomes of exchanges, for those who own them.
//!
//! A client that sends nothing more may read on, or be gone. To a modern client leaving is how a request is cancelled.
//! A client that is gone answers the next bytes with a reset. So on a stream a comment goes out at once, and a modern answer
//! that is waited for becomes a stream to have one. The reset then ends both, as any broken connection does. A legacy answer is
//! waited for as it is, since nothing is cancelled by leaving. When it was quiet for long it becomes a stream, and a dead
//! connection is found then.

use super::call::{AnswerTo, CallState};
use super::fanout::ListenerKind;
use super::keys::StreamKey;
use super::stats::OperationEnd;
use super::stream::STANDALONE;
use super::{
    CallKey, Closed, Engine, EngineOutput, Exchange, ExchangeChange, ExchangeEvent, ExchangeOwner,
    ReceivedBody, Request, Wire, exchange,
};
use crate::mcp::Era;

/// A comment: nothing to the client, a sign of life to whoever is in between.
const KEEP_ALIVE: &[u8] = b":\n\n";

impl Engine {
    /// A request came, and was admitted. It is answered, or has an owner, when this returns.
    pub(in crate::shard) fn handle_request(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        request: &Request<'_>,
        body: ReceivedBody<'_>,
    ) {
        if wire.traces().is_some() {
            self.trace_request(wire, request, body);
        }
        match request.method {
            exchange::EndpointMethod::Post => self.serve_post(wire, request, body),
            exchange::EndpointMethod::Get => self.serve_get(wire, request),
            exchange::EndpointMethod::Delete => self.serve_delete(wire, request),
        }
    }

    pub(in crate::shard) fn handle_event(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        event: ExchangeEvent<ExchangeOwner>,
    ) {
        let exchange = event.exchange;
        match event.what {
            ExchangeChange::Lost(why) => self.lost(wire, exchange, event.owner, why),
            ExchangeChange::Writable => self.writable(wire, event.owner),
            ExchangeChange::Quiet => {
                if let ExchangeOwner::Stream(stream) = event.owner
                    && let Some(stream) = self.streams.get_mut(stream)
                {
                    stream.forget_settled();
                }
                // A proxy would give up on a silent response: from now on it is a stream, unless its client takes none.
                self.keep_alive(wire, exchange, event.owner);
            }
            ExchangeChange::InputEnded => match event.owner {
                ExchangeOwner::Call(call) if !self.calls.get(call).is_some_and(is_modern) => {}
                // Of a client that takes no stream nothing can be found out before its answer.
                owner => self.keep_alive(wire, exchange, owner),
            },
        }
    }

    fn keep_alive(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        exchange: Exchange,
        owner: ExchangeOwner,
    ) {
        let is_stream = match owner {
            ExchangeOwner::Call(call) => self.stream_of(wire, call).is_some(),
            ExchangeOwner::Stream(_) | ExchangeOwner::Silent(_) | ExchangeOwner::Listener(_) => {
                true
            }
        };
        if is_stream {
            wire.emit_events(exchange, KEEP_ALIVE);
        }
    }

    fn writable(&mut self, wire: &mut impl Wire<ExchangeOwner>, owner: ExchangeOwner) {
        match owner {
            ExchangeOwner::Stream(stream) => {
                self.flush(wire, stream);
                self.resume_listener(stream);
            }
            ExchangeOwner::Listener(listener) => self.fanout.resume(listener),
            ExchangeOwner::Call(_) | ExchangeOwner::Silent(_) => {}
        }
    }

    fn lost(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        exchange: Exchange,
        owner: ExchangeOwner,
        why: Closed,
    ) {
        match owner {
            ExchangeOwner::Call(call) => self.abandon_answer(wire, exchange, call, why),
            ExchangeOwner::Stream(stream) | ExchangeOwner::Silent(stream) => {
                self.lose_stream(wire, exchange, stream, why)
            }
            ExchangeOwner::Listener(listener) => self.end_listen_stream(listener, why),
        }
    }

    /// The connection that waited for a JSON answer is gone. For a modern call that is its cancellation; a legacy
    /// client may have lost its network, and the call goes on.
    fn abandon_answer(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        exchange: Exchange,
        call: CallKey,
        why: Closed,
    ) {
        let Some(state) = self.calls.get_mut(call) else {
            return;
        };
        match (state.answer_to, state.version.era()) {
            (AnswerTo::Nobody, _) => {}
            // Opened after the exchange was lost, and before that was known.
            (AnswerTo::Stream(stream), _) => self.lose_stream(wire, exchange, stream, why),
            (AnswerTo::Exchange(_) | AnswerTo::Plain(_), Era::Legacy) => {
                state.answer_to = AnswerTo::Nobody;
            }
            (AnswerTo::Exchange(_) | AnswerTo::Plain(_), Era::Modern) => {
                if let Some(state) = self.remove_call(call) {
                    self.count_end(&state, OperationEnd::Cancelled);
                }
                self.outputs.push_back(EngineOutput::Cancel(call));
            }
        }
    }

    /// Perhaps the stream has another exchange by now, and this one was silent.
    fn lose_stream(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        exchange: Exchange,
        stream: StreamKey,
        why: Closed,
    ) {
        let connected = self.streams.get(stream).and_then(|it| it.exchange);
        match connected == Some(exchange) {
            true => self.interrupt_stream(wire, stream, why),
            false => self.forget_silent(stream, exchange),
        }
    }

    /// Ends a stream's connection, which is no fault of the wire.
    pub(super) fn abort_stream(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        stream: StreamKey,
        exchange: Exchange,
        reason: Closed,
    ) {
        wire.abort(exchange, reason);
        self.interrupt_stream(wire, stream, reason);
    }

    /// What waits for a held stream must not be more than for any other: sooner than that it begins early.
    pub(super) fn make_room_while_held(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        key: StreamKey,
        count: usize,
    ) {
        let bytes_max = self.limits.stream_queue_bytes_max;
        let Some(stream) = self.streams.get(key) else {
            return;
        };
        let Some(exchange) = stream.exchange else {
            return;
        };
        if wire.is_held(exchange) && !stream.has_room(count, bytes_max) {
            wire.begin_held(exchange);
            self.writable(wire, ExchangeOwner::Stream(key));
        }
    }

    fn resume_listener(&mut self, stream: StreamKey) {
        let session = self
            .streams
            .get(stream)
            .filter(|stream| stream.number == STANDALONE)
            .and_then(|it| it.session);
        if let Some(session) = session.and_then(|session| self.sessions.get(session)) {
            self.fanout.resume(session.listener);
        }
    }

    /// The exchanges that somebody here owns: what a wire must know as well. For tests.
    pub(in crate::shard) fn owned(&self) -> impl Iterator<Item = (Exchange, ExchangeOwner)> {
        let calls = self.calls.iter().filter_map(|(key, call)| {
            let (AnswerTo::Exchange(it) | AnswerTo::Plain(it)) = call.answer_to else {
                return None;
            };
            Some((it, ExchangeOwner::Call(key)))
        });
        let streams = self.streams.iter();
        let streams = streams
            .filter_map(|(key, stream)| Some((stream.exchange?, ExchangeOwner::Stream(key))));
        let listeners = self.fanout.listeners();
        let listeners = listeners.filter_map(|(key, listener)| match listener.kind {
            ListenerKind::Listen(_) => Some((listener.sink?, ExchangeOwner::Listener(key))),
            ListenerKind::Session(_) => None,
        });
        calls
            .chain(streams)
            .chain(listeners)
            .chain(self.silent_exchanges())
    }
}

fn is_modern(call: &CallState) -> bool {
    call.version.era() == Era::Modern
}
