//! What is known of an exchange of somebody who is watched.

use std::rc::Rc;

use super::mask::TraceMask;
use super::{TraceEvent, TraceKind};
use crate::shard::view::StreamKind;
use crate::shard::wheel::Millis;

/// An exchange of somebody who is watched.
#[derive(Default)]
pub(super) struct TracedExchange {
    pub(super) watched_by: TraceMask,
    pub(super) name: Option<Rc<str>>,
    /// What is not answered yet.
    pub(super) asked: Vec<TracedCall>,
    /// It is a stream, open since then if that is known.
    pub(super) stream: Option<(StreamKind, Option<Millis>)>,
}

pub(super) struct TracedCall {
    pub(super) method: Option<Box<str>>,
    pub(super) id: Option<Box<str>>,
    /// None: before somebody watched.
    pub(super) at: Option<Millis>,
}

impl TracedExchange {
    /// What was asked under this id, and is over.
    pub(super) fn take_call(&mut self, id: &str) -> Option<TracedCall> {
        let is_it = |it: &TracedCall| it.id.as_deref() == Some(id);
        let at = self.asked.iter().position(is_it)?;
        Some(self.asked.swap_remove(at))
    }

    pub(super) fn event(&self, kind: TraceKind, now: Millis) -> TraceEvent {
        TraceEvent {
            name: self.name.as_deref().map(Into::into),
            ..TraceEvent::new(kind, now)
        }
    }

    pub(super) fn answer(&self, call: Option<TracedCall>, now: Millis) -> TraceEvent {
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
