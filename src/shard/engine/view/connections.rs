//! Whose a connection is.

use super::super::keys::StreamKey;
use super::super::{Engine, ExchangeOwner, SessionKey};
use super::principal_of;
use crate::shard::arena::Key;
use crate::shard::exchange::{ConnectionKey, SeenExchange};
use crate::shard::view::{ConnectionRow, StreamKind};
use crate::wire::operator_name::ConnectionName;
use crate::wire::session_id::Locator;

impl Engine {
    /// None: it is no name of this core and this process.
    pub(in crate::shard) fn connection_named(
        &self,
        name: &ConnectionName,
    ) -> Option<ConnectionKey> {
        let Locator {
            core,
            slot,
            generation,
            incarnation,
        } = name.place;
        let is_ours = name.node == self.node && incarnation == self.incarnation;
        (is_ours && core == self.core).then(|| Key::from_parts(slot, generation))
    }

    pub(in crate::shard) fn connection_row(
        &self,
        seen: &SeenExchange<ExchangeOwner>,
    ) -> ConnectionRow {
        let (session, kind) = match seen.owner {
            Some(ExchangeOwner::Call(call)) => (
                self.calls.get(call).and_then(|it| it.session),
                StreamKind::Post,
            ),
            Some(ExchangeOwner::Stream(stream) | ExchangeOwner::Silent(stream)) => {
                self.session_of_stream(stream)
            }
            Some(ExchangeOwner::Listener(_)) => (None, StreamKind::Listen),
            None => (seen.asker.map(|it| it.key()), StreamKind::Post),
        };
        let there = session.and_then(|key| Some((key, self.sessions.get(key)?)));
        let listener = match (seen.owner, there) {
            (Some(ExchangeOwner::Listener(listener)), _) => self.fanout.listener(listener),
            (_, Some((_, session))) => self.fanout.listener(session.listener),
            _ => None,
        };
        let listening = match seen.owner {
            Some(ExchangeOwner::Listener(listener)) => Some(self.stream_name(listener)),
            _ => None,
        };
        ConnectionRow {
            name: ConnectionName {
                node: self.node,
                place: Locator {
                    core: self.core,
                    slot: seen.key.index,
                    generation: seen.key.generation,
                    incarnation: self.incarnation,
                },
            },
            core: self.core,
            peer: seen.peer.and_then(|it| it.address()),
            client: seen.client,
            principal: principal_of(listener),
            session: listening.or(there.map(|(key, _)| self.session_name(key))),
            stream: seen.is_stream.then_some(kind),
            pending_bytes: seen.unwritten.bytes as u64,
            blocked_since: seen.unwritten.blocked_since,
        }
    }

    fn session_of_stream(&self, key: StreamKey) -> (Option<SessionKey>, StreamKind) {
        let Some(stream) = self.streams.get(key) else {
            return (None, StreamKind::Post);
        };
        (stream.session, super::super::traced::kind_of(stream.number))
    }
}
