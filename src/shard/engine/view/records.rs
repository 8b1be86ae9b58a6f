//! What is remembered for operators: who ended, and why; what was answered with an error. As much as has a place, the oldest
//! goes first.

use std::collections::VecDeque;

use super::super::fanout::{Listener, ListenerKey};
use super::super::session_lifecycle::SessionEnding;
use super::super::{Closed, Engine, SessionKey};
use super::errors::Errors;
use super::{ms, principal_of};
use crate::app::call::SessionEnd;
use crate::limits::{ENDED_KEPT, ERROR_TEXT_CHARS_MAX};
use crate::mcp::{ProtocolVersion, RpcError};
use crate::shard::view::{ClientName, EndReason, EndedRow, LastError};
use crate::wire::json_rpc::{Invalid, Message};
use crate::wire::operator_name::OperatorName;

#[derive(Default)]
pub(in crate::shard::engine) struct Records {
    pub(super) ended: VecDeque<EndedRow>,
    /// So many of the newest nobody was told of.
    pub(super) untold: usize,
    /// Those that went before anybody was told of them.
    pub(super) overtaken: Vec<(EndReason, u64)>,
    pub(super) errors: Errors,
}

impl Records {
    /// The oldest first.
    pub(super) fn ended(&self) -> impl Iterator<Item = &EndedRow> {
        self.ended.iter()
    }

    pub(super) fn find(&self, name: &OperatorName) -> Option<&EndedRow> {
        self.ended.iter().rev().find(|it| it.name == *name)
    }

    /// The next one that the log is to be told of.
    pub(in crate::shard::engine) fn next_untold(&mut self) -> Option<EndedRow> {
        let next = self.ended.len().checked_sub(self.untold)?;
        let row = self.ended.get(next)?.clone();
        self.untold -= 1;
        Some(row)
    }

    /// Of how many it never will be, and why those ended.
    pub(in crate::shard::engine) fn take_overtaken(&mut self) -> Vec<(EndReason, u64)> {
        std::mem::take(&mut self.overtaken)
    }

    pub(super) fn note(&mut self, ended: EndedRow) {
        if self.untold >= ENDED_KEPT
            && let Some(oldest) = self.ended.front()
        {
            let known = self.overtaken.iter_mut().find(|it| it.0 == oldest.reason);
            match known {
                Some((_, count)) => *count += 1,
                None => self.overtaken.push((oldest.reason, 1)),
            }
            self.untold -= 1;
        }
        keep(&mut self.ended, ended, ENDED_KEPT);
        self.untold += 1;
    }

    /// The last ones of a session, the oldest first.
    pub(super) fn errors_of(&self, session: SessionKey) -> Vec<LastError> {
        self.errors.of(session)
    }
}

impl Engine {
    /// A session is about to end, if it is there.
    pub(in crate::shard::engine) fn note_session_ended(
        &mut self,
        key: SessionKey,
        ending: SessionEnding,
    ) {
        let Some(session) = self.sessions.get(key) else {
            return;
        };
        let listener = self.fanout.listener(session.listener);
        let events = listener.map_or(0, |it| it.events);
        let ended = EndedRow {
            name: self.session_name(key),
            version: session.version(),
            client: session.client_info.info.as_deref().map(ClientName::of),
            principal: principal_of(listener),
            created_at: ms(session.created_at_s),
            ended_at: self.now,
            reason: ending.reason(),
            requests: session.requests,
            events: events.wrapping_add(session.messages),
        };
        self.records.note(ended);
        self.records.errors.forget(key);
    }

    /// The same of a listen stream.
    pub(super) fn note_stream_ended(&mut self, key: ListenerKey, why: Closed) {
        let Some(listener) = self.fanout.listener(key) else {
            return;
        };
        let Listener {
            client_info,
            opened_at_s,
            events,
            ..
        } = listener;
        let info = client_info.as_deref().and_then(|it| it.info.as_deref());
        let ended = EndedRow {
            name: self.stream_name(key),
            version: ProtocolVersion::V2026_07_28,
            client: info.map(ClientName::of),
            principal: principal_of(Some(listener)),
            created_at: ms(*opened_at_s),
            ended_at: self.now,
            reason: why.into(),
            requests: 1,
            events: *events,
        };
        self.records.note(ended);
    }

    /// A request of a session is answered with an error.
    pub(in crate::shard::engine) fn note_error(
        &mut self,
        session: SessionKey,
        method: Option<&str>,
        error: &RpcError,
    ) {
        let cut = |text: &str| -> Box<str> {
            let end = text.char_indices().nth(ERROR_TEXT_CHARS_MAX);
            text[..end.map_or(text.len(), |(end, _)| end)].into()
        };
        let error = LastError {
            at: self.now,
            method: method.map(cut),
            code: error.code,
            message: cut(&error.message),
        };
        self.records.errors.note(session, error);
    }

    /// Of a batch. What is no message is answered, and is no request.
    pub(in crate::shard::engine) fn count_requests_among(
        &mut self,
        session: SessionKey,
        messages: &[Result<Message<'_>, Invalid<'_>>],
    ) {
        let is_request = |it: &&_| matches!(it, Ok(Message::Request { .. }));
        let count = messages.iter().filter(is_request).count();
        self.count_requests(session, count as u32);
    }

    pub(in crate::shard::engine) fn count_requests(&mut self, session: SessionKey, count: u32) {
        if let Some(session) = self.sessions.get_mut(session) {
            session.requests = session.requests.wrapping_add(count);
        }
    }
}

fn keep<T>(kept: &mut VecDeque<T>, one: T, kept_max: usize) {
    if kept.len() >= kept_max {
        kept.pop_front();
    }
    kept.push_back(one);
}

impl SessionEnding {
    pub(in crate::shard::engine) fn reason(self) -> EndReason {
        match self {
            SessionEnding::WithTheProcess => EndReason::Draining,
            SessionEnding::WithItsStream(why) => why.into(),
            SessionEnding::LetGo
            | SessionEnding::TakenOver
            | SessionEnding::Over(SessionEnd::TakenOver) => EndReason::TakenOver,
            SessionEnding::Over(SessionEnd::Left) => EndReason::PeerLeft,
            SessionEnding::Over(SessionEnd::Deleted) => EndReason::Deleted,
            SessionEnding::Over(SessionEnd::Idle) => EndReason::Idle,
            SessionEnding::Over(SessionEnd::MadeRoom) => EndReason::Evicted,
            SessionEnding::Over(SessionEnd::Operator) => EndReason::Operator,
            SessionEnding::Over(SessionEnd::NodeEnds) => EndReason::NodeEnds,
        }
    }
}

/// Of the connection of a listen stream, or of a session that is its stream.
impl From<Closed> for EndReason {
    fn from(why: Closed) -> Self {
        match why {
            Closed::PeerLeft | Closed::Answered | Closed::Idle => EndReason::PeerLeft,
            Closed::WriteStalled | Closed::SlowReader => EndReason::SlowReader,
            Closed::Draining => EndReason::Draining,
            Closed::OutOfMemory => EndReason::OutOfMemory,
            Closed::TokenExpired => EndReason::TokenExpired,
            Closed::TokenRevoked => EndReason::TokenRevoked,
            Closed::NoLongerAllowed => EndReason::NoLongerAllowed,
            Closed::Operator => EndReason::Operator,
        }
    }
}
