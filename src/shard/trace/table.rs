//! Who watches whom on this core, the exchanges that are watched, and what waits to be told.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use super::mask::TraceMask;
use super::messages::{self, AskedMessage, contents, each_data};
use super::search::TraceSearch;
use super::{TraceEvent, TraceId, TraceKind, TraceTarget, TraceWish, Traced};
use crate::limits::{TRACE_WAITING_BYTES_MAX, TRACE_WAITING_MAX, TRACES_MAX};
use crate::mcp::RpcMethod;
use crate::principal::PrincipalId;
use crate::shard::arena::Key;
use crate::shard::view::{EndReason, StreamKind};
use crate::shard::wheel::Millis;
use crate::wire::operator_name::OperatorName;

/// How an exchange is called here, where nobody knows what one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::shard) struct TraceKey {
    index: u32,
    generation: u32,
}

#[derive(Default)]
pub(in crate::shard) struct Traces {
    watchers: [Option<TraceWatcher>; TRACES_MAX],
    exchanges: HashMap<TraceKey, TracedExchange>,
    /// Principals of whom not all that was there before is found yet; one for each who watches, at most.
    pub(super) searches: VecDeque<TraceSearch>,
    waiting: VecDeque<Traced>,
    waiting_bytes: usize,
}

struct TraceWatcher {
    wish: TraceWish,
    /// Events that found no room, and of which nothing was told.
    missed: u64,
}

/// An exchange of somebody who is watched.
#[derive(Default)]
struct TracedExchange {
    watched_by: TraceMask,
    name: Option<Rc<str>>,
    /// What is not answered yet.
    asked: Vec<TracedCall>,
    /// It is a stream, open since then if that is known.
    stream: Option<(StreamKind, Option<Millis>)>,
}

struct TracedCall {
    method: Option<Box<str>>,
    id: Option<Box<str>>,
    /// None: before somebody watched.
    at: Option<Millis>,
}

impl<T> From<Key<T>> for TraceKey {
    fn from(key: Key<T>) -> Self {
        TraceKey {
            index: key.index,
            generation: key.generation,
        }
    }
}

impl Traces {
    /// False: as many watch as may.
    pub(in crate::shard) fn begin(&mut self, wish: TraceWish) -> bool {
        let free = self.watchers.iter_mut().find(|it| it.is_none());
        let Some(free) = free else { return false };
        *free = Some(TraceWatcher { wish, missed: 0 });
        true
    }

    /// True: nobody is left.
    pub(in crate::shard) fn end(&mut self, id: TraceId) -> bool {
        let is_it = |it: &Option<TraceWatcher>| it.as_ref().is_some_and(|it| it.wish.id == id);
        self.searches.retain(|it| it.id != id);
        if let Some(number) = self.watchers.iter().position(is_it) {
            self.watchers[number] = None;
            let left = !TraceMask::of(number).0;
            self.exchanges.retain(|_, it| {
                it.watched_by.0 &= left;
                !it.watched_by.is_nobody()
            });
        }
        self.watchers.iter().all(Option::is_none)
    }

    /// Who watches whoever is called so, or is this principal.
    pub(in crate::shard) fn watching(
        &self,
        name: Option<&OperatorName>,
        principal: Option<PrincipalId>,
    ) -> TraceMask {
        let mut mask = 0;
        for (number, watcher) in self.watchers.iter().enumerate() {
            let is_meant = watcher.as_ref().is_some_and(|it| match &it.wish.target {
                TraceTarget::Named(named) => name == Some(named),
                TraceTarget::Principal(id) => principal == Some(*id),
            });
            mask |= u16::from(is_meant) << number;
        }
        TraceMask(mask)
    }

    /// Whether one of them wants to know what messages say.
    pub(in crate::shard) fn wants_contents(&self, of: TraceMask) -> bool {
        self.of(of).any(|it| it.wish.with_contents)
    }

    fn of(&self, mask: TraceMask) -> impl Iterator<Item = &TraceWatcher> {
        let watchers = self.watchers.iter().enumerate();
        watchers.filter_map(move |(number, it)| it.as_ref().filter(|_| mask.has(number)))
    }

    /// A request of somebody who is watched, with its messages. The exchange is watched from now on.
    pub(in crate::shard) fn asked(
        &mut self,
        now: Millis,
        exchange: impl Into<TraceKey>,
        watched_by: TraceMask,
        name: Option<&OperatorName>,
        messages: Vec<AskedMessage>,
    ) {
        let exchange = exchange.into();
        self.exchanges.remove(&exchange);
        if watched_by.is_nobody() {
            return;
        }
        let mut traced = TracedExchange {
            watched_by,
            name: name.map(|name| name.to_string().into()),
            ..TracedExchange::default()
        };
        for message in messages {
            let is_answered = message.id.is_some() && message.method.is_some();
            if is_answered || message.method.is_some() && message.bytes.is_none() {
                traced.asked.push(TracedCall {
                    method: message.method.clone(),
                    id: message.id.clone(),
                    at: Some(now),
                });
            }
            let event = TraceEvent {
                method: message.method,
                id: message.id,
                bytes: message.bytes,
                topic: message.topic,
                contents: message.contents,
                ..traced.event(TraceKind::Request, now)
            };
            self.tell(watched_by, event);
        }
        if traced.asked.is_empty() {
            // A notification, or what cannot be read, is answered all the same.
            traced.asked.push(TracedCall {
                method: None,
                id: None,
                at: Some(now),
            });
        }
        self.exchanges.insert(exchange, traced);
    }

    /// What the exchange is for has a name from now on.
    pub(in crate::shard) fn named(&mut self, exchange: impl Into<TraceKey>, name: &OperatorName) {
        if let Some(traced) = self.exchanges.get_mut(&exchange.into()) {
            traced.name = Some(name.to_string().into());
        }
    }

    /// A call that was under way before somebody watched.
    pub(in crate::shard) fn found_call(
        &mut self,
        exchange: impl Into<TraceKey>,
        watched_by: TraceMask,
        name: Option<&OperatorName>,
        id: &str,
    ) {
        let traced = self.found(exchange, watched_by, name);
        let is_known = |it: &TracedCall| it.id.as_deref() == Some(id);
        if !traced.asked.iter().any(is_known) {
            traced.asked.push(TracedCall {
                method: None,
                id: Some(id.into()),
                at: None,
            });
        }
    }

    /// A stream that was open before somebody watched, or arrived.
    pub(in crate::shard) fn found_stream(
        &mut self,
        exchange: impl Into<TraceKey>,
        watched_by: TraceMask,
        name: Option<&OperatorName>,
        kind: StreamKind,
    ) {
        let traced = self.found(exchange, watched_by, name);
        traced.stream.get_or_insert((kind, None));
    }

    fn found(
        &mut self,
        exchange: impl Into<TraceKey>,
        watched_by: TraceMask,
        name: Option<&OperatorName>,
    ) -> &mut TracedExchange {
        let traced = self.exchanges.entry(exchange.into()).or_default();
        traced.watched_by.0 |= watched_by.0;
        if traced.name.is_none() {
            traced.name = name.map(|name| name.to_string().into());
        }
        traced
    }

    /// The exchange left this core.
    pub(in crate::shard) fn forget(&mut self, exchange: impl Into<TraceKey>) {
        self.exchanges.remove(&exchange.into());
    }

    /// It is answered as a whole, and over.
    pub(in crate::shard) fn answered(
        &mut self,
        now: Millis,
        exchange: impl Into<TraceKey>,
        status: u16,
        body: &[u8],
    ) {
        let Some(mut traced) = self.exchanges.remove(&exchange.into()) else {
            return;
        };
        let sent = messages::read(body);
        let call = traced.asked.pop();
        let event = TraceEvent {
            status: Some(status),
            code: sent.code,
            bytes: Some(body.len()),
            contents: self.contents(traced.watched_by, body),
            ..traced.answer(call, now)
        };
        self.tell(traced.watched_by, event);
    }

    /// What was asked on one exchange is answered on another one, which is a stream.
    pub(in crate::shard) fn answered_on(
        &mut self,
        exchange: impl Into<TraceKey>,
        stream: impl Into<TraceKey>,
    ) {
        if let Some(traced) = self.exchanges.remove(&exchange.into())
            && let Some(stream) = self.exchanges.get_mut(&stream.into())
        {
            stream.asked.extend(traced.asked);
        }
    }

    /// A stream begins on it.
    pub(in crate::shard) fn opened(&mut self, now: Millis, exchange: impl Into<TraceKey>) {
        let Some(traced) = self.exchanges.get_mut(&exchange.into()) else {
            return;
        };
        let asked = traced.asked.last().and_then(|it| it.method.as_deref());
        let kind = match asked {
            Some(GET) => StreamKind::Get,
            Some(method) if method == RpcMethod::SubscriptionsListen.name() => StreamKind::Listen,
            _ => StreamKind::Post,
        };
        if kind != StreamKind::Post {
            // Its answer is the stream.
            traced.asked.clear();
        }
        traced.stream = Some((kind, Some(now)));
        let event = TraceEvent {
            stream: Some(kind),
            is_open: true,
            ..traced.event(TraceKind::Stream, now)
        };
        let watched_by = traced.watched_by;
        self.tell(watched_by, event);
    }

    /// Whole events leave on it.
    pub(in crate::shard) fn sent(
        &mut self,
        now: Millis,
        exchange: impl Into<TraceKey>,
        events: &[u8],
    ) {
        let exchange = exchange.into();
        let Some(mut traced) = self.exchanges.remove(&exchange) else {
            return;
        };
        each_data(events, |data| {
            // No message is anything else. What HTTP+SSE begins with is none, and has the session's secret in it.
            if !data.starts_with(b"{") {
                return;
            }
            let sent = messages::read(data);
            let event = match (&sent.method, &sent.id) {
                (None, Some(id)) => {
                    let is_it = |it: &TracedCall| it.id.as_ref() == Some(id);
                    let call = traced.asked.iter().position(is_it);
                    let call = call.map(|at| traced.asked.swap_remove(at));
                    traced.answer(call, now)
                }
                _ => traced.event(TraceKind::Event, now),
            };
            let event = TraceEvent {
                method: event.method.or(sent.method),
                id: event.id.or(sent.id),
                code: sent.code,
                topic: sent.topic,
                bytes: Some(data.len()),
                contents: self.contents(traced.watched_by, data),
                ..event
            };
            self.tell(traced.watched_by, event);
        });
        self.exchanges.insert(exchange, traced);
    }

    /// It is over, in good order if there is no reason.
    pub(in crate::shard) fn closed(
        &mut self,
        now: Millis,
        exchange: impl Into<TraceKey>,
        reason: Option<EndReason>,
    ) {
        let Some(mut traced) = self.exchanges.remove(&exchange.into()) else {
            return;
        };
        let reason = reason.map(EndReason::word);
        while let Some(call) = traced.asked.pop() {
            let event = TraceEvent {
                reason: reason.or(Some("cancelled")),
                ..traced.answer(Some(call), now)
            };
            self.tell(traced.watched_by, event);
        }
        let Some((kind, since)) = traced.stream else {
            return;
        };
        let event = TraceEvent {
            stream: Some(kind),
            duration_ms: since.map(|since| now.saturating_sub(since)),
            reason,
            ..traced.event(TraceKind::Stream, now)
        };
        if kind == StreamKind::Listen {
            let over = TraceEvent {
                kind: TraceKind::End,
                ..event.clone()
            };
            self.tell(traced.watched_by, event);
            return self.tell(traced.watched_by, over);
        }
        self.tell(traced.watched_by, event);
    }

    /// A session is over that lasted so long.
    pub(in crate::shard) fn ended(
        &mut self,
        now: Millis,
        watched_by: TraceMask,
        name: &OperatorName,
        (reason, lasted_ms): (&'static str, Millis),
    ) {
        if watched_by.is_nobody() {
            return;
        }
        let event = TraceEvent {
            name: Some(name.to_string().into()),
            reason: Some(reason),
            duration_ms: Some(lasted_ms),
            ..TraceEvent::new(TraceKind::End, now)
        };
        self.tell(watched_by, event);
    }

    pub(in crate::shard) fn poll(&mut self) -> Option<Traced> {
        // Nobody reads on after an end: what they missed comes before it.
        if let Some(missed) = self.missed_before_end() {
            return Some(missed);
        }
        if let Some(traced) = self.waiting.pop_front() {
            if let Traced::Event { event, .. } = &traced {
                self.waiting_bytes -= event.held_bytes();
            }
            return Some(traced);
        }
        self.missed_of(|_| true)
    }

    fn missed_before_end(&mut self) -> Option<Traced> {
        let ends_for = match self.waiting.front()? {
            Traced::Event { to, event } if event.kind == TraceKind::End => to.clone(),
            _ => return None,
        };
        self.missed_of(|id| ends_for.contains(&id))
    }

    fn missed_of(&mut self, is_meant: impl Fn(TraceId) -> bool) -> Option<Traced> {
        let mut watchers = self.watchers.iter_mut().flatten();
        let missing = watchers.find(|it| it.missed > 0 && is_meant(it.wish.id))?;
        Some(Traced::Missed {
            to: missing.wish.id,
            count: std::mem::take(&mut missing.missed),
        })
    }

    fn contents(&self, of: TraceMask, message: &[u8]) -> Option<Box<str>> {
        self.wants_contents(of).then(|| contents(message))
    }

    /// Those who want no contents get none.
    fn tell(&mut self, to: TraceMask, event: TraceEvent) {
        let (mut whole, mut bare) = (Vec::new(), Vec::new());
        for watcher in self.of(to) {
            match watcher.wish.with_contents {
                true => whole.push(watcher.wish.id),
                false => bare.push(watcher.wish.id),
            }
        }
        if bare.is_empty() {
            return self.push(whole, event);
        }
        if !whole.is_empty() {
            self.push(whole, event.clone());
        }
        let contents = None;
        self.push(bare, TraceEvent { contents, ..event });
    }

    /// The end of whoever is watched by name always has room: it is the last that their watchers hear, and there is one.
    fn push(&mut self, mut to: Vec<TraceId>, event: TraceEvent) {
        let bytes = event.held_bytes();
        let has_room = self.waiting.len() < TRACE_WAITING_MAX
            && self.waiting_bytes + bytes <= TRACE_WAITING_BYTES_MAX;
        if has_room {
            self.waiting_bytes += bytes;
            return self.waiting.push_back(Traced::Event { to, event });
        }
        let is_end = event.kind == TraceKind::End;
        for watcher in self.watchers.iter_mut().flatten() {
            let TraceWish { id, target, .. } = watcher.wish;
            if !(is_end && matches!(target, TraceTarget::Named(_))) && to.contains(&id) {
                watcher.missed += 1;
                to.retain(|it| *it != id);
            }
        }
        if !to.is_empty() {
            self.waiting_bytes += bytes;
            self.waiting.push_back(Traced::Event { to, event });
        }
    }
}

/// What a trace calls a request for a session's stream, and for its end.
pub(in crate::shard) const GET: &str = "GET";
pub(in crate::shard) const DELETE: &str = "DELETE";

impl TracedExchange {
    fn event(&self, kind: TraceKind, now: Millis) -> TraceEvent {
        TraceEvent {
            name: self.name.as_deref().map(Into::into),
            ..TraceEvent::new(kind, now)
        }
    }

    fn answer(&self, call: Option<TracedCall>, now: Millis) -> TraceEvent {
        let event = self.event(TraceKind::Answer, now);
        match call {
            Some(call) => TraceEvent {
                method: call.method,
                id: call.id,
                duration_ms: call.at.map(|at| now.saturating_sub(at)),
                ..event
            },
            None => event,
        }
    }
}
