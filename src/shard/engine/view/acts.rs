//! What operators do: end one, end all of somebody, have a client come back.

use super::super::fanout::{ListenerKey, ListenerKind};
use super::super::hooks::subscriber_of;
use super::super::keys::StreamKey;
use super::super::session_lifecycle::SessionEnding;
use super::super::{Closed, Engine, ExchangeOwner, SessionKey, Wire};
use super::{NamedRow, principal_of};
use crate::app::call::SessionEnd;
use crate::principal::PrincipalId;
use crate::shard::view::{ENDED_AT_ONCE, EndReason, LOOKED_AT_ONCE, Part, ViewPlace};

impl Engine {
    pub(super) fn end_by_operator(&mut self, wire: &mut impl Wire<ExchangeOwner>, named: NamedRow) {
        match named {
            NamedRow::Session(key) => {
                self.end_session(wire, key, SessionEnding::Over(SessionEnd::Operator));
            }
            NamedRow::Stream(key) => self.end_stream_by_operator(wire, key),
        }
    }

    /// In good order, so that its client takes it for over and does not come back at once; a client that does not read would
    /// never see that, nor one whose answer has not begun.
    fn end_stream_by_operator(&mut self, wire: &mut impl Wire<ExchangeOwner>, key: ListenerKey) {
        let Some(exchange) = self.fanout.listener(key).and_then(|it| it.sink) else {
            return;
        };
        let is_heard = !wire.is_held(exchange) && wire.unwritten(exchange).blocked_since.is_none();
        if let Some(traces) = wire.traces() {
            traces.closed(self.now, exchange, Some(EndReason::Operator));
        }
        match is_heard {
            true => wire.end_stream(exchange),
            false => wire.abort(exchange, Closed::Operator),
        }
        self.end_listen_stream(key, Closed::Operator);
    }

    /// Some of what a principal has, and where the rest may be.
    pub(super) fn end_some_of(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        principal: PrincipalId,
        from: ViewPlace,
    ) -> (usize, Option<ViewPlace>) {
        let ViewPlace { mut part, mut slot } = from;
        let mut count = 0;
        for _ in 0..LOOKED_AT_ONCE {
            let slots = match part {
                Part::Sessions => self.sessions.slot_count(),
                Part::ListenStreams => self.fanout.slots(),
            };
            if slot as usize >= slots {
                (part, slot) = match part {
                    Part::Sessions => (Part::ListenStreams, 0),
                    Part::ListenStreams => return (count, None),
                };
                continue;
            }
            if let Some(own) = self.owned_in(part, slot, principal) {
                if count == ENDED_AT_ONCE {
                    break;
                }
                self.end_by_operator(wire, own);
                count += 1;
            }
            slot += 1;
        }
        (count, Some(ViewPlace { part, slot }))
    }

    fn owned_in(&self, part: Part, slot: u32, principal: PrincipalId) -> Option<NamedRow> {
        let (named, listener) = match part {
            Part::Sessions => {
                let (key, session) = self.sessions.in_slot(slot)?;
                (
                    NamedRow::Session(key),
                    self.fanout.listener(session.listener)?,
                )
            }
            Part::ListenStreams => {
                let (key, listener) = self.fanout.in_slot(slot)?;
                let is_listen = matches!(listener.kind, ListenerKind::Listen(_));
                is_listen.then_some((NamedRow::Stream(key), listener))?
            }
        };
        (principal_of(Some(listener)) == Some(principal)).then_some(named)
    }

    /// Its client comes back after a moment, on another connection, perhaps by another way. A session goes on, and so do
    /// answers to which a client of its revision cannot come back.
    pub(super) fn drain_by_operator(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        named: NamedRow,
    ) {
        match named {
            NamedRow::Session(key) => self.drain_session(wire, key),
            // Clients come back only to one that broke.
            NamedRow::Stream(key) => {
                if let Some(exchange) = self.fanout.listener(key).and_then(|it| it.sink) {
                    wire.abort(exchange, Closed::Draining);
                    self.end_listen_stream(key, Closed::Draining);
                }
            }
        }
    }

    fn drain_session(&mut self, wire: &mut impl Wire<ExchangeOwner>, key: SessionKey) {
        let Some(session) = self.sessions.get(key) else {
            return;
        };
        let answers = session.streams.iter();
        let answers = answers.filter(|_| session.version().has_priming());
        let streams: Vec<StreamKey> = session.standalone.iter().chain(answers).copied().collect();
        for stream in streams {
            let Some(exchange) = self.streams.get(stream).and_then(|it| it.exchange) else {
                continue;
            };
            wire.end_after_answer(exchange);
            self.emit_retry(wire, exchange);
            if !self.end_with_stream(wire, stream, Closed::Draining) {
                self.interrupted(wire, stream);
                wire.end_stream(exchange);
            }
        }
    }

    /// A listen stream is over.
    pub(in crate::shard::engine) fn end_listen_stream(&mut self, key: ListenerKey, why: Closed) {
        self.note_stream_ended(key, why);
        self.close_listener(key, subscriber_of(key));
    }
}
