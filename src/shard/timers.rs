//! Deadlines: each entity computes its own when its timer fires, and is armed again or comes to its end.

use super::answer::Refused;
use super::call::CallState;
use super::connection::{Connection, State};
use super::elsewhere::{Gone, Located};
use super::session::Session;
use super::sessions::Ending;
use super::stream::Stream;
use super::{CallKey, Closed, ConnectionKey, Effect, Millis, SessionKey, Shard};
use crate::app::call::{AskFailed, SessionEnd};
use crate::limits::Limits;

use super::stream::StreamKey;

/// How long a connection that was answered and half-closed may go on sending before it is cut.
const LINGER_MS: Millis = 2_000;

#[derive(Clone, Copy)]
pub(super) enum TimerKey {
    Connection(ConnectionKey),
    Session(SessionKey),
    Stream(StreamKey),
    Call(CallKey),
}

impl Shard {
    /// Ends what ran out of time and keeps silent streams alive.
    pub fn handle_timeout(&mut self, now: Millis) {
        self.now = now;
        while let Some((tick, key)) = self.wheel.poll(now) {
            match key {
                TimerKey::Connection(key) => {
                    if self
                        .connections
                        .get_mut(key)
                        .is_some_and(|it| it.timer.fired(tick))
                    {
                        self.connection_due(key);
                        self.arm_connection(key);
                    }
                }
                TimerKey::Session(key) => {
                    if self
                        .sessions
                        .get_mut(key)
                        .is_some_and(|it| it.timer.fired(tick))
                    {
                        self.session_due(key);
                        self.arm_session(key);
                    }
                }
                TimerKey::Stream(key) => {
                    if self
                        .streams
                        .get_mut(key)
                        .is_some_and(|it| it.timer.fired(tick))
                    {
                        self.stream_due(key);
                        self.arm_stream(key);
                    }
                }
                TimerKey::Call(key) => {
                    if self
                        .calls
                        .get_mut(key)
                        .is_some_and(|it| it.timer.fired(tick))
                    {
                        self.call_due(key);
                        self.arm_call(key);
                    }
                }
            }
        }
        self.make_room_for_others();
        self.announce_some();
        self.drain_some();
        self.serve_freed();
    }

    pub(super) fn arm_connection(&mut self, key: ConnectionKey) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        let deadline = connection.deadline(&self.limits, key.index);
        self.wheel
            .arm(&mut connection.timer, TimerKey::Connection(key), deadline);
    }

    pub(super) fn arm_session(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let deadline = session.deadline(&self.limits);
        self.wheel
            .arm(&mut session.timer, TimerKey::Session(key), deadline);
    }

    pub(super) fn arm_stream(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        if let Some(deadline) = stream.deadline(&self.limits) {
            self.wheel
                .arm(&mut stream.timer, TimerKey::Stream(key), deadline);
        }
    }

    pub(super) fn arm_call(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(key) else {
            return;
        };
        if let Some(deadline) = call.deadline() {
            self.wheel
                .arm(&mut call.timer, TimerKey::Call(key), deadline);
        }
    }

    fn connection_due(&mut self, key: ConnectionKey) {
        let Some(connection) = self.connections.get(key) else {
            return;
        };
        if connection.deadline(&self.limits, key.index) > self.now {
            return;
        }
        if connection.in_flight {
            return self.close_connection(key, Closed::WriteStalled);
        }
        match connection.state {
            State::Lingering => self.close_connection(key, Closed::Answered),
            State::ExpectHead if connection.scanned == 0 => {
                self.close_connection(key, Closed::Idle)
            }
            State::ExpectHead | State::ExpectBody(_) => {
                let sentence = "The request did not arrive in time.";
                self.refuse_and_close(key, 408, sentence);
            }
            // The look under way comes to nothing.
            State::ExpectLook(_) => {
                let sentence = "This node is too busy to look at a body of this size.";
                self.refuse_request_and_close(key, &Refused::busy(sentence, 1));
            }
            State::ExpectOwner => {
                self.handle_located(self.now, key, Located::Gone(Gone::CannotTell))
            }
            State::ExpectAnswer(call) => {
                // A proxy would give up on a silent response: from now on it is a stream, unless its client takes none.
                if self.stream_of(call).is_some() {
                    self.emit_keep_alive(key);
                } else if let Some(connection) = self.connections.get_mut(key) {
                    connection.since = self.now;
                }
            }
            State::Streaming(stream) => {
                if let Some(stream) = self.streams.get_mut(stream) {
                    stream.forget_settled();
                }
                self.emit_keep_alive(key);
            }
            State::Listening(_) | State::Silent(_) => self.emit_keep_alive(key),
        }
    }

    pub(super) fn emit_keep_alive(&mut self, key: ConnectionKey) {
        self.emit_events(key, b":\n\n");
    }

    fn session_due(&mut self, key: SessionKey) {
        let now = self.now;
        let Some(session) = self.sessions.get(key) else {
            return;
        };
        if let Some(standalone) = session.standalone
            && let Some(stream) = self.streams.get_mut(standalone)
            && stream.connection.is_none()
        {
            stream.forget_settled();
        }
        if self.is_in_use(session) {
            // An open stream is activity.
            if let Some(session) = self.sessions.get_mut(key) {
                session.last_active = now;
            }
            self.announce_active(key);
        } else if session.deadline(&self.limits) <= now {
            self.end_session(key, Ending::Over(SessionEnd::Idle));
        }
    }

    fn stream_due(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.get(key) else {
            return;
        };
        if stream
            .deadline(&self.limits)
            .is_none_or(|deadline| deadline > self.now)
        {
            return;
        }
        self.drop_stream(key);
    }

    fn call_due(&mut self, key: CallKey) {
        let now = self.now;
        let Some(call) = self.calls.get_mut(key) else {
            return;
        };
        let mut late = Vec::new();
        call.asks.retain(|ask| {
            let in_time = ask.deadline > now;
            if !in_time {
                late.push(ask.id);
            }
            in_time
        });
        for ask in late {
            let params = format!(r#"{{"requestId":{ask},"reason":"no answer in time"}}"#);
            self.handle_notify(now, key, "notifications/cancelled", &params);
            self.effects.push_back(Effect::Answered {
                call: key,
                ask,
                answer: Err(AskFailed::TimedOut),
            });
        }
    }
}

impl Connection {
    /// When this connection is to be looked at next. `index` spreads the keep-alives of many streams.
    fn deadline(&self, limits: &Limits, index: u32) -> Millis {
        if self.in_flight {
            return self.since + limits.write_stall_ms;
        }
        self.since
            + match self.state {
                State::Lingering => LINGER_MS,
                State::ExpectHead if self.scanned == 0 && self.is_new => {
                    limits.head_timeout_ms.min(limits.connection_idle_ms)
                }
                State::ExpectHead if self.scanned == 0 => limits.connection_idle_ms,
                State::ExpectHead | State::ExpectOwner => limits.head_timeout_ms,
                State::ExpectBody(_) | State::ExpectLook(_) => limits.body_timeout_ms,
                State::ExpectAnswer(_)
                | State::Streaming(_)
                | State::Silent(_)
                | State::Listening(_) => {
                    let spread = limits.keep_alive_ms / 8;
                    // Knuth's multiplicative hash: neighbours land far from each other.
                    let jitter = (u64::from(index.wrapping_mul(2_654_435_761)) * spread) >> 32;
                    limits.keep_alive_ms - jitter
                }
            }
    }
}

impl Session {
    fn deadline(&self, limits: &Limits) -> Millis {
        self.last_active + limits.session_idle_ms
    }
}

impl Stream {
    /// A finished answer is kept for its client to come back for. One that is still to come waits with its call.
    fn deadline(&self, limits: &Limits) -> Option<Millis> {
        self.is_kept()
            .then(|| self.interrupted_at + limits.resume_window_ms)
    }
}

impl CallState {
    fn deadline(&self) -> Option<Millis> {
        self.asks.iter().map(|ask| ask.deadline).min()
    }
}
