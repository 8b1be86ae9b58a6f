//! A connection as operators see it, before the engine says whose it is.

use super::connection::ConnectionState;
use super::{Http, SeenExchange, UpperLayer};

impl<U: UpperLayer> Http<U> {
    pub(in crate::shard) fn slot_count(&self) -> usize {
        self.connections.slot_count()
    }

    pub(in crate::shard) fn seen_in(&self, slot: u32) -> Option<SeenExchange<U::Owner>> {
        let (key, connection) = self.connections.in_slot(slot)?;
        Some(SeenExchange {
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
