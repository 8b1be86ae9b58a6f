//! The list of sessions and listen streams, a portion at a time.

use super::super::fanout::{Listener, ListenerKey, ListenerKind};
use super::super::session::Session;
use super::super::{Engine, ExchangeOwner, SessionKey, Wire};
use super::{ms, principal_of};
use crate::mcp::ProtocolVersion;
use crate::shard::view::{
    ClientName, LOOKED_AT_ONCE, Part, RowPosition, RowsPortion, RowsQuestion, SLOTS_PER_ENTRY,
    SessionRow, ViewPlace,
};

impl Engine {
    pub(super) fn rows(
        &self,
        wire: &impl Wire<ExchangeOwner>,
        asked: &RowsQuestion,
    ) -> RowsPortion {
        let mut portion = RowsPortion::default();
        let mut left = LOOKED_AT_ONCE * SLOTS_PER_ENTRY;
        let ViewPlace { mut part, mut slot } = asked.from;
        loop {
            let slots = match part {
                _ if !asked.filter.wants(part) => 0,
                Part::Sessions => self.sessions.slot_count(),
                Part::ListenStreams => self.fanout.slots(),
            };
            while (slot as usize) < slots {
                if left == 0 {
                    portion.next = Some(ViewPlace { part, slot });
                    return portion;
                }
                let cost = self.look_at(wire, asked, (part, slot), &mut portion);
                left = left.saturating_sub(cost);
                slot += 1;
            }
            (part, slot) = match part {
                Part::Sessions => (Part::ListenStreams, 0),
                Part::ListenStreams => return portion,
            };
        }
    }

    /// What that cost.
    fn look_at(
        &self,
        wire: &impl Wire<ExchangeOwner>,
        asked: &RowsQuestion,
        (part, slot): (Part, u32),
        portion: &mut RowsPortion,
    ) -> usize {
        let seen = match part {
            Part::Sessions => self
                .sessions
                .in_slot(slot)
                .map(|(key, it)| self.session_if(wire, asked, key, it)),
            Part::ListenStreams => self
                .fanout
                .in_slot(slot)
                .filter(|(_, it)| matches!(it.kind, ListenerKind::Listen(_)))
                .map(|(key, it)| (self.stream_if(wire, asked, key, it), SLOTS_PER_ENTRY)),
        };
        let Some((row, cost)) = seen else {
            return 1;
        };
        let Some((generation, row)) = row.filter(|(_, row)| asked.filter.passes(row)) else {
            return cost;
        };
        portion.matching += 1;
        let position = RowPosition {
            rank: asked.order.rank(&row),
            core: self.core,
            part,
            slot,
            generation,
        };
        if asked.wants(position) {
            portion.rows.push((position, row));
        }
        cost
    }

    /// None: what is known before a closer look does not pass.
    fn session_if(
        &self,
        wire: &impl Wire<ExchangeOwner>,
        asked: &RowsQuestion,
        key: SessionKey,
        session: &Session,
    ) -> (Option<(u32, SessionRow)>, usize) {
        let listener = self.fanout.listener(session.listener);
        let info = session.client_info.info.as_deref();
        if !asked.filter.is_of(principal_of(listener), info) {
            return (None, SLOTS_PER_ENTRY);
        }
        let cost = SLOTS_PER_ENTRY + session.streams.len();
        (
            Some((key.generation, self.session_row(wire, key, session))),
            cost,
        )
    }

    fn stream_if(
        &self,
        wire: &impl Wire<ExchangeOwner>,
        asked: &RowsQuestion,
        key: ListenerKey,
        listener: &Listener,
    ) -> Option<(u32, SessionRow)> {
        let info = listener.client_info.as_deref();
        let info = info.and_then(|it| it.info.as_deref());
        let is_of = asked.filter.is_of(principal_of(Some(listener)), info);
        is_of.then(|| (key.generation, self.stream_row(wire, key, listener)))
    }

    pub(super) fn session_row(
        &self,
        wire: &impl Wire<ExchangeOwner>,
        key: SessionKey,
        session: &Session,
    ) -> SessionRow {
        let listener = self.fanout.listener(session.listener);
        let mut row = SessionRow {
            name: self.session_name(key),
            version: session.version(),
            client: session.client_info.info.as_deref().map(ClientName::of),
            principal: principal_of(listener),
            core: self.core,
            created_at: ms(session.created_at_s),
            last_active: session.last_active,
            streams: 0,
            is_open: !session.calls.is_empty(),
            calls: session.calls.len() as u32,
            subscriptions: listener.map_or(0, |it| it.subscription_count() as u32),
            pending_events: listener.map_or(0, Listener::pending_count),
            pending_bytes: 0,
            blocked_since: None,
            requests: session.requests,
            events: listener
                .map_or(0, |it| it.events)
                .wrapping_add(session.messages),
            portable: Some(self.portability(key)),
            adopted: self.adopted_row(key),
        };
        let unread = wire.unread_by(key.into());
        row.pending_bytes += unread.bytes as u64;
        row.blocked_since = unread.blocked_since;
        for stream in session.standalone.iter().chain(&session.streams) {
            let Some(stream) = self.streams.get(*stream) else {
                continue;
            };
            let (events, bytes) = stream.waiting();
            row.pending_events += events as u32;
            row.pending_bytes += bytes as u64;
            if let Some(exchange) = stream.exchange {
                row.is_open = true;
                row.streams += 1;
                let unwritten = wire.unwritten(exchange);
                row.pending_bytes += unwritten.bytes as u64;
                let since = [row.blocked_since, unwritten.blocked_since];
                row.blocked_since = since.into_iter().flatten().min();
            }
        }
        row
    }

    pub(super) fn stream_row(
        &self,
        wire: &impl Wire<ExchangeOwner>,
        key: ListenerKey,
        listener: &Listener,
    ) -> SessionRow {
        let unwritten = listener.sink.map(|it| wire.unwritten(it));
        let unwritten = unwritten.unwrap_or_default();
        let client_info = listener.client_info.as_deref();
        SessionRow {
            name: self.stream_name(key),
            version: ProtocolVersion::V2026_07_28,
            client: client_info.and_then(|it| it.info.as_deref().map(ClientName::of)),
            principal: principal_of(Some(listener)),
            core: self.core,
            created_at: ms(listener.opened_at_s),
            last_active: ms(listener.opened_at_s),
            streams: u32::from(listener.sink.is_some()),
            is_open: listener.sink.is_some(),
            calls: 0,
            subscriptions: listener.subscription_count() as u32,
            pending_events: listener.pending_count(),
            pending_bytes: unwritten.bytes as u64,
            blocked_since: unwritten.blocked_since,
            requests: 1,
            events: listener.events,
            portable: None,
            adopted: None,
        }
    }
}
