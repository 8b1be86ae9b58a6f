//! Leaving without a storm: a node that will end says so first, then closes its streams spread over a window, so that
//! their clients come back elsewhere one after the other.
//!
//! ```text
//! handle_drain ──notice──▶ closes_from ──window──▶ until
//!   not ready, answers      no new sessions and listen streams; streams close evenly, sessions end with them
//!   close connections
//! ```
//!
//! During the notice the node still takes what comes: the proxy has not noticed yet.
//!
//! Where sessions may change their node (`takeover`), those that can are let go of in place of ending: with their streams, and,
//! if they have none, spread over the same window for as long as there are streams to close, and all before the node says that it is done. Each goes on at the node that its
//! client comes to next; a call that is under way to the end is lost. What cannot be let go of ends as it would: a session of
//! HTTP+SSE, one that is too large.

use super::fanout::ListenerKind;
use super::session::Session;
use super::session_lifecycle::SessionEnding;
use super::stream::STANDALONE;
use super::{Closed, Engine, Exchange, ExchangeOwner, Millis, Refused, SessionKey, Wire};
use crate::wire::sse::{self, Event};

/// How a node drains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainTimes {
    /// For the proxy to find out; nothing closes before.
    pub notice_ms: Millis,
    /// In which all streams close, evenly.
    pub window_ms: Millis,
}

/// What is still to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainProgress {
    pub streams: usize,
    pub calls: usize,
    pub left_ms: Millis,
    /// The notice is over, and neither streams nor calls are left.
    pub done: bool,
}

pub(super) struct Drain {
    closes_from: Millis,
    until: Millis,
    /// Streams that are still to be closed, once that has begun.
    queue: Option<Vec<(Exchange, ExchangeOwner)>>,
    /// How many there were at first.
    count: usize,
    /// Sessions without a stream that are still to be let go of, and how many there were, once that has begun.
    silent: Option<(Vec<SessionKey>, usize)>,
}

impl Drain {
    /// How many of so many are still open at this moment if they close evenly.
    fn left_at(&self, now: Millis, count: usize) -> usize {
        let window = (self.until - self.closes_from).max(1);
        let left = self.until.saturating_sub(now) as usize;
        (count * left).div_ceil(window as usize)
    }
}

/// As often as the driver looks at the timers.
const STEP_MS: Millis = 64;

impl Engine {
    /// Whether what is on the board is being read, and cannot be told yet.
    pub(in crate::shard) fn handle_loading(&mut self, is_loading: bool) {
        self.is_loading = is_loading;
    }

    /// What is on the board it cannot say before it has read it.
    pub(super) fn check_loaded(&self) -> Result<(), Refused> {
        match self.is_loading {
            true => Err(Refused::busy(
                "This node is reading its board: try again.",
                1,
            )),
            false => Ok(()),
        }
    }

    /// Drains from now on. False: it does already, and nothing changes.
    pub(in crate::shard) fn handle_drain(&mut self, times: DrainTimes) -> bool {
        if self.drain.is_some() {
            return false;
        }
        let closes_from = self.now + times.notice_ms;
        self.drain = Some(Drain {
            closes_from,
            until: closes_from + times.window_ms,
            queue: None,
            count: 0,
            silent: None,
        });
        true
    }

    pub(in crate::shard) fn drain_progress(&self) -> DrainProgress {
        let streams = self.open_streams().count();
        let calls = self.calls.len();
        let (from, until) = self
            .drain
            .as_ref()
            .map_or((0, 0), |drain| (drain.closes_from, drain.until));
        DrainProgress {
            streams,
            calls,
            left_ms: until.saturating_sub(self.now),
            done: self.now >= from && streams == 0 && calls == 0 && !self.has_portable(),
        }
    }

    /// Sessions that go on elsewhere leave before the node does: whoever comes here for them then is passed on.
    fn has_portable(&self) -> bool {
        let mut keys = self.sessions.iter().map(|(key, _)| key);
        self.takeover.is_some() && keys.any(|key| self.is_portable(key))
    }

    pub(super) fn is_draining(&self) -> bool {
        self.drain.is_some()
    }

    /// The notice is over: whoever is new has to go elsewhere.
    pub(super) fn rejects_new(&self) -> bool {
        self.drain
            .as_ref()
            .is_some_and(|drain| self.now >= drain.closes_from)
    }

    /// When there is something to close next.
    pub(super) fn drain_deadline(&self) -> Option<Millis> {
        let drain = self.drain.as_ref()?;
        let over = self.now >= drain.until && drain.queue.as_ref().is_some_and(Vec::is_empty);
        (!over).then(|| drain.closes_from.max(self.now + STEP_MS))
    }

    /// Closes as many streams as it takes to be done in time.
    pub(super) fn drain_some(&mut self, wire: &mut impl Wire<ExchangeOwner>) {
        if !self.rejects_new() {
            return;
        }
        // In the order of their places at the wire, which has nothing to do with who they are.
        let open = || {
            let mut open: Vec<_> = self.open_streams().collect();
            open.sort_unstable();
            open
        };
        let now = self.now;
        let begun = self.drain.as_ref().and_then(|drain| drain.queue.as_ref());
        let late = self.drain.as_ref().is_some_and(|drain| now >= drain.until);
        // Streams that opened since are closed at the end.
        let fresh = match begun {
            None => Some(open()),
            Some(queue) if queue.is_empty() && late => Some(open()),
            Some(_) => None,
        };
        let Some(drain) = &mut self.drain else { return };
        if let Some(fresh) = fresh {
            drain.count = fresh.len();
            drain.queue = Some(fresh);
        }
        let left = drain.left_at(now, drain.count);
        let queue = drain.queue.get_or_insert_default();
        let closing = queue.split_off(left.min(queue.len()));
        for (exchange, owner) in closing {
            if !self.close_stream_gently(wire, exchange, owner, late)
                && let Some(queue) = self.drain.as_mut().and_then(|drain| drain.queue.as_mut())
            {
                queue.insert(0, (exchange, owner));
            }
        }
        if self.takeover.is_some() {
            self.let_go_of_silent(wire);
        }
    }

    /// Lets go of as many sessions without a stream as it takes to be done in time. One with a call under way has its turn at the
    /// end of the process.
    fn let_go_of_silent(&mut self, wire: &mut impl Wire<ExchangeOwner>) {
        let fresh = || {
            let keys = self.sessions.iter().map(|(key, _)| key);
            let keys: Vec<_> = keys.filter(|&key| self.is_silent(key)).collect();
            let count = keys.len();
            (keys, count)
        };
        let now = self.now;
        // Nobody is left for whom the node would stay.
        let is_last = self.calls.len() == 0 && self.open_streams().next().is_none();
        let is_late = |it: &Drain| now >= it.until || is_last;
        let fresh = match &self.drain {
            Some(drain) if drain.silent.is_none() || is_late(drain) => Some(fresh()),
            _ => None,
        };
        let Some(drain) = &mut self.drain else { return };
        if fresh.is_some() {
            drain.silent = fresh;
        }
        let count = drain.silent.as_ref().map_or(0, |it| it.1);
        let left = if is_last {
            0
        } else {
            drain.left_at(now, count)
        };
        let Some((silent, _)) = &mut drain.silent else {
            return;
        };
        for key in silent.split_off(left.min(silent.len())) {
            // It may have opened a stream since.
            if self.is_silent(key) {
                self.send_elsewhere(wire, key, SessionEnding::LetGo);
            }
        }
    }

    /// Nothing is open or under way for it, and another node could go on with it.
    fn is_silent(&self, key: SessionKey) -> bool {
        let is_in_use = |it: &Session| self.is_in_use(it);
        self.is_portable(key) && !self.sessions.get(key).is_none_or(is_in_use)
    }

    /// Listen streams and sessions' GET streams. Answers to requests end by themselves.
    fn open_streams(&self) -> impl Iterator<Item = (Exchange, ExchangeOwner)> + '_ {
        let streams = self.streams.iter().filter_map(|(key, stream)| {
            let is_get = stream.number == STANDALONE && stream.session.is_some();
            let exchange = stream.exchange.filter(|_| is_get)?;
            Some((exchange, ExchangeOwner::Stream(key)))
        });
        let listeners = self.fanout.listeners().filter_map(|(key, listener)| {
            let is_listen = matches!(listener.kind, ListenerKind::Listen(_));
            let exchange = listener.sink.filter(|_| is_listen)?;
            Some((exchange, ExchangeOwner::Listener(key)))
        });
        streams.chain(listeners)
    }

    /// False: its session has calls under way, which may still end, or it has not begun.
    fn close_stream_gently(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        exchange: Exchange,
        owner: ExchangeOwner,
        late: bool,
    ) -> bool {
        match owner {
            ExchangeOwner::Listener(listener) => {
                let sink = self.fanout.listener(listener).and_then(|it| it.sink);
                // It may have ended by itself.
                if sink == Some(exchange) {
                    // A listen stream that ends in good order is a subscription that the server ended: clients come
                    // back only to one that broke. One that has not begun would be no answer at all.
                    if wire.is_held(exchange) {
                        return false;
                    }
                    wire.abort(exchange, Closed::Draining);
                    self.end_listen_stream(listener, Closed::Draining);
                }
            }
            ExchangeOwner::Stream(stream) => {
                let stream = self.streams.get(stream);
                let stream = stream.filter(|it| it.exchange == Some(exchange));
                let Some(session) = stream.and_then(|it| it.session) else {
                    return true;
                };
                let busy = |session: &Session| !session.calls.is_empty();
                if !late && self.sessions.get(session).is_some_and(busy) {
                    return false;
                }
                // One that ends does so with the process anyway, and its client should find that out now, not with all others.
                let ending = match self.is_portable(session) {
                    true => SessionEnding::LetGo,
                    false => SessionEnding::WithTheProcess,
                };
                self.send_elsewhere(wire, session, ending);
            }
            ExchangeOwner::Call(_) | ExchangeOwner::Silent(_) => {}
        }
        true
    }

    /// When to come back, different for everyone.
    pub(super) fn emit_retry(&mut self, wire: &mut impl Wire<ExchangeOwner>, key: Exchange) {
        let base = self.limits.retry_ms;
        let random = (self.secrets)();
        let jitter = (u64::from(u16::from_le_bytes([random[0], random[1]])) * base) >> 16;
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        sse::emit_event(
            &mut events,
            &Event {
                retry_ms: Some(base + jitter),
                ..Event::default()
            },
        );
        wire.emit_events(key, &events);
        self.events = events;
    }
}
