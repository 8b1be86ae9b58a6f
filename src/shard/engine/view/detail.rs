//! One session or listen stream, with what is open for it.

use super::super::keys::StreamKey;
use super::super::session::Session;
use super::super::stream::STANDALONE;
use super::super::{Engine, ExchangeOwner, ListenerKey, SessionKey, Wire};
use super::NamedRow;
use crate::limits::SUBSCRIPTIONS_TOLD;
use crate::shard::view::{SessionDetail, StreamDetail, StreamKind};

impl Engine {
    pub(super) fn detail(
        &self,
        wire: &impl Wire<ExchangeOwner>,
        named: NamedRow,
    ) -> Option<Box<SessionDetail>> {
        match named {
            NamedRow::Session(key) => self.detail_of_session(wire, key),
            NamedRow::Stream(key) => self.detail_of_stream(wire, key),
        }
        .map(Box::new)
    }

    fn detail_of_session(
        &self,
        wire: &impl Wire<ExchangeOwner>,
        key: SessionKey,
    ) -> Option<SessionDetail> {
        let session = self.sessions.get(key)?;
        let streams = session.standalone.iter().chain(&session.streams);
        Some(SessionDetail {
            row: self.session_row(wire, key, session),
            subscriptions: self.fanout.names_of(session.listener, SUBSCRIPTIONS_TOLD),
            streams: streams
                .filter_map(|&stream| self.stream_detail(wire, session, stream))
                .collect(),
            log_level: Some(session.log_level),
            last_errors: self.records.errors_of(key),
        })
    }

    fn stream_detail(
        &self,
        wire: &impl Wire<ExchangeOwner>,
        session: &Session,
        key: StreamKey,
    ) -> Option<StreamDetail> {
        let stream = self.streams.get(key)?;
        let is_get = stream.number == STANDALONE;
        let listener = self.fanout.listener(session.listener);
        let topics = listener.filter(|_| is_get);
        let topics = topics.map_or(0, |it| it.pending_count());
        let (events, bytes) = stream.waiting();
        let unwritten = stream.exchange.map(|it| wire.unwritten(it));
        let closed_at = Some(stream.interrupted_at).filter(|&at| at > 0);
        Some(StreamDetail {
            kind: match is_get {
                true => StreamKind::Get,
                false => StreamKind::Post,
            },
            is_open: stream.exchange.is_some(),
            queued_events: topics + events as u32,
            queued_bytes: (bytes + unwritten.map_or(0, |it| it.bytes)) as u64,
            closed_at: closed_at.filter(|_| stream.exchange.is_none()),
        })
    }

    fn detail_of_stream(
        &self,
        wire: &impl Wire<ExchangeOwner>,
        key: ListenerKey,
    ) -> Option<SessionDetail> {
        let listener = self.fanout.listener(key)?;
        let row = self.stream_row(wire, key, listener);
        Some(SessionDetail {
            subscriptions: self.fanout.names_of(key, SUBSCRIPTIONS_TOLD),
            streams: vec![StreamDetail {
                kind: StreamKind::Listen,
                is_open: row.is_open,
                queued_events: row.pending_events,
                queued_bytes: row.pending_bytes,
                closed_at: None,
            }],
            log_level: None,
            last_errors: Vec::new(),
            row,
        })
    }
}
