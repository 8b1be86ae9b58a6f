//! A connection as operators see it, before the engine says whose it is.

use super::connection::ConnectionState;
use super::{Asker, ConnectionKey, Http, Unwritten, UpperLayer};
use crate::clients::Client;

pub(in crate::shard) struct SeenConnection<O> {
    pub(in crate::shard) key: ConnectionKey,
    pub(in crate::shard) peer: Option<Client>,
    pub(in crate::shard) client: Option<Client>,
    pub(in crate::shard) unwritten: Unwritten,
    /// Of the request that is served.
    pub(in crate::shard) owner: Option<O>,
    /// Of the answer before.
    pub(in crate::shard) asker: Option<Asker>,
    pub(in crate::shard) is_stream: bool,
}

impl<U: UpperLayer> Http<U> {
    pub(in crate::shard) fn slot_count(&self) -> usize {
        self.connections.slot_count()
    }

    pub(in crate::shard) fn seen_in(&self, slot: u32) -> Option<SeenConnection<U::Owner>> {
        let (key, connection) = self.connections.in_slot(slot)?;
        Some(SeenConnection {
            key,
            peer: connection.peer,
            client: connection.client,
            unwritten: connection.unwritten(),
            owner: match connection.state {
                ConnectionState::ExpectAnswer(owner) => Some(owner),
                _ => None,
            },
            asker: connection.state.asker(),
            is_stream: connection.is_stream,
        })
    }
}
