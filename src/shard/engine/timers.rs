//! Deadlines: each entity computes its own when its timer fires, and is armed again or comes to its end.

use super::call::CallState;
use super::fanout::ListenerKey;
use super::keys::StreamKey;
use super::session::Session;
use super::session_lifecycle::SessionEnding;
use super::stream::Stream;
use super::{CallKey, Engine, EngineOutput, ExchangeOwner, Millis, SessionKey, Wire};
use crate::app::call::{AskFailed, SessionEnd};
use crate::limits::Limits;
use crate::mcp::RpcMethod;

#[derive(Clone, Copy)]
pub(super) enum TimerKey {
    Session(SessionKey),
    Stream(StreamKey),
    Call(CallKey),
    /// The end of the token by which it hears.
    Listener(ListenerKey),
}

impl Engine {
    /// Ends what ran out of time.
    pub(in crate::shard) fn handle_timeout(&mut self, wire: &mut impl Wire<ExchangeOwner>) {
        self.arm_some();
        while let Some((tick, key)) = self.wheel.poll(self.now) {
            match key {
                TimerKey::Session(key) => {
                    if self
                        .sessions
                        .get_mut(key)
                        .is_some_and(|it| it.timer.fired(tick))
                    {
                        self.session_due(wire, key);
                        self.arm_session(key);
                    }
                }
                TimerKey::Stream(key) => {
                    if self
                        .streams
                        .get_mut(key)
                        .is_some_and(|it| it.timer.fired(tick))
                    {
                        self.stream_due(wire, key);
                        self.arm_stream(key);
                    }
                }
                TimerKey::Call(key) => {
                    if self
                        .calls
                        .get_mut(key)
                        .is_some_and(|it| it.timer.fired(tick))
                    {
                        self.call_due(wire, key);
                        self.arm_call(key);
                    }
                }
                TimerKey::Listener(key) => self.grant_due(wire, key, tick),
            }
        }
    }

    /// What is done a little of at each look at the timers.
    pub(in crate::shard) fn go_on(&mut self, wire: &mut impl Wire<ExchangeOwner>) {
        self.announce_some();
        self.announce_changed();
        self.cut_off(wire);
        self.look_some(wire);
        self.drain_some(wire);
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

    fn session_due(&mut self, wire: &mut impl Wire<ExchangeOwner>, key: SessionKey) {
        let now = self.now;
        let Some(session) = self.sessions.get(key) else {
            return;
        };
        if let Some(standalone) = session.standalone
            && let Some(stream) = self.streams.get_mut(standalone)
            && stream.exchange.is_none()
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
            self.end_session(wire, key, SessionEnding::Over(SessionEnd::Idle));
        }
    }

    fn stream_due(&mut self, wire: &mut impl Wire<ExchangeOwner>, key: StreamKey) {
        let Some(stream) = self.streams.get(key) else {
            return;
        };
        if stream
            .deadline(&self.limits)
            .is_none_or(|deadline| deadline > self.now)
        {
            return;
        }
        self.drop_stream(wire, key);
    }

    fn call_due(&mut self, wire: &mut impl Wire<ExchangeOwner>, key: CallKey) {
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
            self.handle_notify(wire, key, RpcMethod::Cancelled.name(), &params);
            self.outputs.push_back(EngineOutput::Answered {
                call: key,
                ask,
                answer: Err(AskFailed::TimedOut),
            });
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
