//! Whose an exchange is, for those who watch somebody ([`trace`](crate::shard::trace)).
//!
//! A request says it by itself: it names its session, and was let in as somebody's. What was under way before is looked
//! for once, when somebody begins to watch; a session that arrives from another core, when its connections do.

use super::call::AnswerTo;
use super::fanout::{Listener, ListenerKey, ListenerKind};
use super::keys::StreamKey;
use super::look::ReadBody;
use super::session::Session;
use super::session_lifecycle::SessionEnding;
use super::stream::STANDALONE;
use super::view::NamedRow;
use super::{
    CallKey, Engine, Exchange, ExchangeOwner, ReceivedBody, Request, SessionKey, Wire, exchange,
};
use crate::clients::Client;
use crate::principal::PrincipalId;
use crate::shard::trace::{
    AskedMessage, DELETE, GET, SearchedPart, TraceBegun, TraceId, TraceMask, TraceSearch,
    TraceTarget, TraceWish, Traces,
};
use crate::shard::view::{EndReason, EndedRow, LOOKED_AT_ONCE, StreamKind};
use crate::wire::json_rpc::{Invalid, Message, Parsed};
use crate::wire::operator_name::OperatorName;

/// A look at a slot that has nothing of whoever is meant, as a share of one at what they have.
const SLOTS_PER_ENTRY: usize = 4;

impl Engine {
    /// Finds what is open and under way of whoever is watched from now on.
    pub(in crate::shard) fn begin_trace(
        &self,
        traces: &mut Traces,
        wish: &TraceWish,
    ) -> TraceBegun {
        let name = match wish.target {
            TraceTarget::Named(name) => name,
            TraceTarget::Principal(principal) => {
                traces.search_on(TraceSearch::new(wish.id, principal));
                return self.search_for_trace(traces, wish.id);
            }
        };
        let is_here = match self.named(&name) {
            Ok(NamedRow::Session(key)) => self.trace_session(traces, key),
            Ok(NamedRow::Stream(key)) => self.trace_listen(traces, key),
            Err(_) => false,
        };
        match is_here {
            true => TraceBegun::Here,
            false => TraceBegun::NotHere,
        }
    }

    /// Some of what a principal has. Nobody may watch it any more.
    pub(in crate::shard) fn search_for_trace(
        &self,
        traces: &mut Traces,
        id: TraceId,
    ) -> TraceBegun {
        let Some(mut search) = traces.next_search(id) else {
            return TraceBegun::Here;
        };
        let mut left = LOOKED_AT_ONCE * SLOTS_PER_ENTRY;
        while left > 0 {
            let slots = match search.part {
                SearchedPart::Listeners => self.fanout.slots(),
                SearchedPart::Calls => self.calls.slot_count(),
            };
            if search.slot as usize >= slots {
                match search.part {
                    SearchedPart::Listeners => {
                        (search.part, search.slot) = (SearchedPart::Calls, 0);
                    }
                    SearchedPart::Calls => return TraceBegun::Here,
                }
                continue;
            }
            let cost = match search.part {
                SearchedPart::Listeners => self.trace_listener_in(traces, &search),
                SearchedPart::Calls => self.trace_call_in(traces, &search),
            };
            left = left.saturating_sub(cost);
            search.slot += 1;
        }
        traces.search_on(search);
        TraceBegun::Searching
    }

    /// What that cost, in looks at a slot.
    fn trace_listener_in(&self, traces: &mut Traces, search: &TraceSearch) -> usize {
        let of = |it: &Listener| it.principal() == Some(search.principal);
        let found = self.fanout.in_slot(search.slot).filter(|(_, it)| of(it));
        let Some((key, listener)) = found else {
            return 1;
        };
        match listener.kind {
            ListenerKind::Session(session) => {
                self.trace_session(traces, session);
                let session = self.sessions.get(session);
                let held = session.map_or(0, |it| it.streams.len() + it.calls.len());
                SLOTS_PER_ENTRY * (1 + held)
            }
            ListenerKind::Listen(_) => {
                self.trace_listen(traces, key);
                SLOTS_PER_ENTRY
            }
        }
    }

    /// One that stands alone: those of sessions are found with these.
    fn trace_call_in(&self, traces: &mut Traces, search: &TraceSearch) -> usize {
        let client = Some(Client::of_principal(search.principal.to_bytes()));
        let found = self.calls.in_slot(search.slot);
        let Some((call, _)) = found.filter(|(_, it)| it.session.is_none() && it.client == client)
        else {
            return 1;
        };
        let mask = traces.watching(None, Some(search.principal));
        self.trace_call(traces, call, mask, None);
        SLOTS_PER_ENTRY
    }

    /// False: there is none.
    fn trace_session(&self, traces: &mut Traces, key: SessionKey) -> bool {
        let Some(session) = self.sessions.get(key) else {
            return false;
        };
        let name = self.session_name(key);
        let mask = traces.watching(Some(&name), self.principal_of(session));
        if mask.is_nobody() {
            return true;
        }
        let streams = session.standalone.iter().chain(&session.streams);
        for stream in streams.filter_map(|it| self.streams.get(*it)) {
            if let Some(exchange) = stream.exchange {
                let kind = kind_of(stream.number);
                traces.found_stream(exchange, mask, Some(&name), kind);
            }
        }
        for call in &session.calls {
            self.trace_call(traces, *call, mask, Some(&name));
        }
        true
    }

    fn trace_listen(&self, traces: &mut Traces, key: ListenerKey) -> bool {
        let Some(listener) = self.fanout.listener(key) else {
            return false;
        };
        let name = self.stream_name(key);
        let mask = traces.watching(Some(&name), listener.principal());
        if let Some(exchange) = listener.sink.filter(|_| !mask.is_nobody()) {
            traces.found_stream(exchange, mask, Some(&name), StreamKind::Listen);
        }
        true
    }

    fn trace_call(
        &self,
        traces: &mut Traces,
        call: CallKey,
        mask: TraceMask,
        name: Option<&OperatorName>,
    ) {
        let Some(state) = self.calls.get(call) else {
            return;
        };
        let Some(exchange) = self.exchange_of(call) else {
            return;
        };
        traces.found_call(exchange, mask, name, &state.id);
        if matches!(state.answer_to, AnswerTo::Stream(_)) {
            traces.found_stream(exchange, mask, name, StreamKind::Post);
        }
    }

    /// A connection arrived, with what it is for.
    pub(in crate::shard) fn trace_arrived(
        &self,
        traces: &mut Traces,
        owner: ExchangeOwner,
        exchange: Exchange,
    ) {
        match owner {
            ExchangeOwner::Call(_) | ExchangeOwner::Silent(_) => {}
            ExchangeOwner::Listener(listener) => drop(self.trace_listen(traces, listener)),
            ExchangeOwner::Stream(stream) => self.trace_stream(traces, stream, exchange),
        }
    }

    fn trace_stream(&self, traces: &mut Traces, key: StreamKey, exchange: Exchange) {
        let Some(stream) = self.streams.get(key) else {
            return;
        };
        let Some(session_key) = stream.session else {
            return;
        };
        let session = self.sessions.get(session_key);
        let name = self.session_name(session_key);
        let principal = session.and_then(|it| self.principal_of(it));
        let mask = traces.watching(Some(&name), principal);
        if !mask.is_nobody() {
            traces.found_stream(exchange, mask, Some(&name), kind_of(stream.number));
        }
    }

    /// Notes a request, if its session or its principal is watched.
    pub(super) fn trace_request(
        &self,
        wire: &mut impl Wire<ExchangeOwner>,
        request: &Request<'_>,
        body: ReceivedBody<'_>,
    ) {
        let principal = request.principal();
        let session = match request.fields.is_modern() {
            true => None,
            false => request.fields.session.as_ref(),
        };
        let session = session.and_then(|it| self.locate(it.id.as_ref()).ok());
        let session = session.filter(|key| self.is_of(*key, principal));
        let name = session.map(|key| self.session_name(key));
        let Some(traces) = wire.traces() else { return };
        let mask = traces.watching(name.as_ref(), principal);
        let messages = match request.method {
            _ if mask.is_nobody() => Vec::new(),
            exchange::EndpointMethod::Get => vec![AskedMessage::plain(GET)],
            exchange::EndpointMethod::Delete => vec![AskedMessage::plain(DELETE)],
            exchange::EndpointMethod::Post => {
                let text = traces.wants_contents(mask).then_some(request.body);
                self.messages_of(request, body, text)
            }
        };
        traces.asked(self.now, request.exchange, mask, name.as_ref(), messages);
    }

    /// The body was read before, or is short enough to be read twice.
    fn messages_of(
        &self,
        request: &Request<'_>,
        body: ReceivedBody<'_>,
        text: Option<&[u8]>,
    ) -> Vec<AskedMessage> {
        let unread = || AskedMessage::new((None, None), None, request.body.len(), text);
        let Ok(ReadBody { parsed, .. }) = body.see(&self.limits) else {
            return vec![unread()];
        };
        let asked = |message: &Message<'_>| {
            let (method, id, params) = match message {
                Message::Request { id, method, params } => {
                    (Some(&**method), Some(id.raw()), *params)
                }
                Message::Notification { method, params } => (Some(&**method), None, *params),
                Message::Response { id, outcome } => {
                    let (Ok(said) | Err(said)) = outcome;
                    (None, Some(id.raw()), Some(*said))
                }
            };
            let of_params = params.map_or("", |it| it.get());
            // Of a body that another thread looked at its params are kept alone.
            let (bytes, shown) = match body {
                ReceivedBody::Text(whole) => (whole.len(), text),
                ReceivedBody::Looked(_) => (of_params.len(), text.map(|_| of_params.as_bytes())),
            };
            let params = params.filter(|_| method.is_some());
            AskedMessage::new((method, id), params, bytes, shown)
        };
        match &parsed {
            Ok(Parsed::One(message)) => vec![asked(message)],
            Ok(Parsed::Batch(messages)) => {
                let each = |it: &Result<Message<'_>, Invalid<'_>>| {
                    it.as_ref().map_or_else(|_| unread(), &asked)
                };
                messages.iter().map(each).collect()
            }
            Err(_) => vec![unread()],
        }
    }

    /// What a request opened is watched by its name from now on.
    pub(super) fn trace_named(
        &self,
        wire: &mut impl Wire<ExchangeOwner>,
        exchange: Exchange,
        name: impl FnOnce(&Self) -> OperatorName,
    ) {
        if let Some(traces) = wire.traces() {
            traces.named(exchange, &name(self));
        }
    }

    /// What was asked on an exchange is answered on a stream that has another one.
    pub(super) fn trace_answered_on(
        &self,
        wire: &mut impl Wire<ExchangeOwner>,
        exchange: Exchange,
        stream: StreamKey,
    ) {
        let stream = self.streams.get(stream).and_then(|it| it.exchange);
        if let (Some(traces), Some(stream)) = (wire.traces(), stream) {
            traces.answered_on(exchange, stream);
        }
    }

    /// A session is about to end.
    pub(super) fn trace_ended(
        &self,
        wire: &mut impl Wire<ExchangeOwner>,
        key: SessionKey,
        ending: SessionEnding,
    ) {
        let Some(traces) = wire.traces() else { return };
        let Some(session) = self.sessions.get(key) else {
            return;
        };
        let name = self.session_name(key);
        let mask = traces.watching(Some(&name), self.principal_of(session));
        let lasted_ms = self
            .now
            .saturating_sub(u64::from(session.created_at_s) * 1000);
        traces.ended(self.now, mask, &name, (ending.reason().word(), lasted_ms));
    }

    pub(in crate::shard) fn poll_ended(&mut self) -> Option<EndedRow> {
        self.records.next_untold()
    }

    pub(in crate::shard) fn take_untold(&mut self) -> Vec<(EndReason, u64)> {
        self.records.take_overtaken()
    }

    fn principal_of(&self, session: &Session) -> Option<PrincipalId> {
        self.fanout.listener(session.listener)?.principal()
    }
}

pub(super) fn kind_of(number: u32) -> StreamKind {
    match number {
        STANDALONE => StreamKind::Get,
        _ => StreamKind::Post,
    }
}
