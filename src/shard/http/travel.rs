//! Connections that leave this core as values, and others that arrive.
//!
//! One between two requests travels, and one that carries a stream, with all that was read or is to be written. What of a
//! write the kernel has not taken yet the driver has, and takes along. One on which a request arrives, or is answered by a
//! call, stays; so does one that ends.

use super::connection::travel::PackedConnection;
use super::connection::{ConnectionState, Hold};
use super::{ConnectionKey, Http, Millis, RequestFields, UpperLayer};
use crate::shard::stays::StaysBecause;

impl<U: UpperLayer> Http<U> {
    pub(in crate::shard) fn connection_keys(&self) -> impl Iterator<Item = ConnectionKey> {
        self.connections.iter().map(|(key, _)| key)
    }

    /// Whether a connection can leave now, and whose stream it carries.
    pub(in crate::shard) fn may_leave(
        &self,
        key: ConnectionKey,
    ) -> Result<Option<U::Owner>, StaysBecause> {
        let connection = self.connections.get(key).ok_or(StaysBecause::NotHere)?;
        let is_drained = self.outputs.is_empty()
            && self.events.is_empty()
            && self.dirty.is_empty()
            && self.freed.is_empty();
        match &connection.state {
            _ if !is_drained => Err(StaysBecause::NotDrained),
            _ if connection.hold != Hold::No => Err(StaysBecause::AnswerHeld),
            _ if connection.close_when_written => Err(StaysBecause::Ending),
            ConnectionState::Lingering(_) => Err(StaysBecause::Ending),
            ConnectionState::ExpectHead(_) if connection.word.is_none() => Ok(None),
            ConnectionState::ExpectHead(_)
            | ConnectionState::ExpectBody(_)
            | ConnectionState::ExpectLook(_)
            | ConnectionState::ExpectOperators
            | ConnectionState::ExpectWord => Err(StaysBecause::RequestArrives),
            ConnectionState::ExpectAnswer(owner) => Ok(Some(*owner)),
        }
    }

    /// The heads of requests that were admitted here, and of which not all has arrived. Their connections are among those
    /// that hold something: no walk over all.
    pub(in crate::shard) fn arriving(&self) -> impl Iterator<Item = RequestFields<'_>> {
        let holders = self.holders.iter();
        let connections = holders.filter_map(|&key| self.connections.get(key));
        connections.filter_map(|connection| match &connection.state {
            ConnectionState::ExpectBody(it) | ConnectionState::ExpectLook(it) => {
                Some(self.fields_of(&it.head, &it.head_bytes))
            }
            _ => None,
        })
    }

    /// Takes out a connection that [may leave](Http::may_leave), as if it had never been here.
    pub(in crate::shard) fn pack(&mut self, key: ConnectionKey) -> Option<PackedConnection> {
        self.uncount_exchange(key);
        self.leave_holders(key);
        let connection = self.connections.remove(key)?;
        self.give_back_place(&connection);
        if let Some(traces) = &mut self.traces {
            traces.forget(key);
        }
        Some(connection.pack((key.index, key.generation)))
    }

    /// Whether a connection could have this key again.
    pub(in crate::shard) fn has_room(&self, key: ConnectionKey) -> bool {
        (key.index as usize) < self.limits.connections_max
            && self.connections.in_slot(key.index).is_none()
    }

    /// All are here again that come again.
    pub(in crate::shard) fn list_vacant(&mut self) {
        self.connections.list_vacant();
    }

    /// A connection arrives, with whose stream it carries. It has its place in any case: it had it before. `again` is the key
    /// that it has if there [is room](Http::has_room); then [`list_vacant`](Http::list_vacant) is to come.
    pub(in crate::shard) fn unpack(
        &mut self,
        packed: PackedConnection,
        owner: Option<U::Owner>,
        again: Option<ConnectionKey>,
    ) -> ConnectionKey {
        let connection = packed.unpack(owner);
        self.commons.connections.take_beyond(1);
        let clients = &self.commons.clients;
        clients.take_in_connection(connection.counted(), self.now);
        self.stats.streams += usize::from(connection.is_stream);
        let key = match again {
            Some(key) => self.connections.insert_again(key, connection),
            None => self.connections.insert(connection),
        };
        self.arm(key);
        key
    }

    /// Charges what one that arrived holds: what the driver has of its write, and since when that is.
    pub(in crate::shard) fn settle_arrived(
        &mut self,
        key: ConnectionKey,
        unwritten: Option<usize>,
        holds_since: Option<Millis>,
        upper: &mut U,
    ) {
        match unwritten {
            Some(bytes) => {
                self.stats.count_write(bytes);
                self.hold_unwritten(key, bytes, upper);
            }
            None => self.settle(key, upper),
        }
        if let Some(since) = holds_since
            && let Some(connection) = self.connections.get_mut(key)
            && let Some(held) = &mut connection.held
        {
            held.since = since;
        }
    }
}
