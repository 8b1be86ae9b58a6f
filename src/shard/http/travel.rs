//! Connections that leave this core as values, and others that arrive.
//!
//! | a connection | alone, to another core | with all of its core, to another process |
//! |---|---|---|
//! | between two requests, or carrying a stream | travels, with all that was read or is to be written | travels |
//! | on which half a request arrived | stays: it was let in where its session is | travels, with what is there of it |
//! | that was answered for the last time, and ends | stays, and ends | travels, and ends there |
//! | whose answer waits some milliseconds for a proxy (`hold`) | stays until then | stays until then |
//! | whose request is looked at, or waits for word from somebody (`ExpectLook`, `ExpectWord`, `ExpectOperators`) | stays: an answer of milliseconds, two seconds at most | stays until then |
//! | whose request a call answers | stays | stays, see `engine::travel` |
//!
//! What of a write the kernel has not taken yet the driver has, and takes along.

use super::connection::travel::{Arrives, PackedConnection};
use super::connection::{Connection, ConnectionState, Hold};
use super::partial::Partial;
use super::{ConnectionKey, Http, Millis, RequestFields, UpperLayer};
use crate::shard::stays::{Leaves, NotTaken, StaysBecause};

impl<U: UpperLayer> Http<U> {
    pub(in crate::shard) fn connection_keys(&self) -> impl Iterator<Item = ConnectionKey> {
        self.connections.iter().map(|(key, _)| key)
    }

    /// Whether a connection can leave now, and whose stream it carries.
    pub(in crate::shard) fn may_leave(
        &self,
        key: ConnectionKey,
        leaves: Leaves,
    ) -> Result<Option<U::Owner>, StaysBecause> {
        let connection = self.connections.get(key).ok_or(StaysBecause::NotHere)?;
        let is_drained = self.outputs.is_empty()
            && self.events.is_empty()
            && self.dirty.is_empty()
            && self.freed.is_empty();
        match &connection.state {
            _ if !is_drained => Err(StaysBecause::NotDrained),
            _ if connection.hold != Hold::No => Err(StaysBecause::AnswerHeld),
            ConnectionState::ExpectAnswer(owner) => Ok(Some(*owner)),
            ConnectionState::ExpectHead(_) if connection.word.is_none() => Ok(None),
            ConnectionState::ExpectHead(_)
            | ConnectionState::ExpectBody(_)
            | ConnectionState::Lingering(_)
                if leaves == Leaves::WithItsCore =>
            {
                Ok(None)
            }
            ConnectionState::Lingering(_) => Err(StaysBecause::Ending),
            ConnectionState::ExpectHead(_)
            | ConnectionState::ExpectBody(_)
            | ConnectionState::ExpectLook(_)
            | ConnectionState::ExpectOperators
            | ConnectionState::ExpectWord => Err(StaysBecause::RequestArrives),
        }
    }

    /// The half of a request that came with a connection, if one did. It is still there if it is not taken.
    pub(in crate::shard) fn read_again(
        &mut self,
        connection: &mut PackedConnection,
    ) -> Result<Option<Box<Partial>>, NotTaken> {
        let names_principals = connection.names_principals();
        let packed = connection.partial();
        packed
            .map(|it| self.read_partial_again(it, names_principals))
            .transpose()
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
    pub(in crate::shard) fn pack(
        &mut self,
        key: ConnectionKey,
        leaves: Leaves,
    ) -> Option<PackedConnection> {
        self.uncount_exchange(key);
        self.leave_holders(key);
        let connection = self.connections.remove(key)?;
        self.give_back_place(&connection);
        if let Some(traces) = &mut self.traces {
            traces.forget(key);
        }
        let epoch = self.rules_epoch();
        Some(connection.pack((key.index, key.generation), epoch, leaves))
    }

    /// Whether a connection could have this key again.
    pub(in crate::shard) fn has_room(&self, key: ConnectionKey) -> bool {
        let slots_max = self.limits.connections_max;
        (key.index as usize) < slots_max.max(self.connections.slot_count())
            && self.connections.in_slot(key.index).is_none()
    }

    /// Those of another core, whose place this one takes: more than a limit allows that is a lower one here.
    pub(in crate::shard) fn make_slots(&mut self, slot_count: usize) {
        self.connections.make_slots(slot_count);
    }

    /// All are here again that come again.
    pub(in crate::shard) fn list_vacant(&mut self) {
        self.connections.list_vacant();
    }

    /// The generation of the next connection: keys of those that ended never name another one. Of all that a wire has this and
    /// the connections travel.
    pub(in crate::shard) fn next_connection(&self) -> u32 {
        let Http {
            // Settings, and what it has of the whole node: whoever goes on in its place is given the same.
            limits: _,
            memory: _,
            commons: _,
            gate: _,
            documents: _,
            neighbours: _,
            // Who asks is found out anew, and those that wait for that stay.
            identity_gate: _,
            // Whoever drives a shard tells it.
            now: _,
            connections,
            // Of connections, and made anew with them.
            holders: _,
            wheel: _,
            unread: _,
            // A node that drains stands still for nobody.
            is_leaving: _,
            // Found out anew there.
            impaired: _,
            availability: _,
            busy_until: _,
            // There are none: `NotDrained`.
            outputs: _,
            events: _,
            dirty: _,
            freed: _,
            serving: _,
            // Whoever watches does so by an admin connection, which is closed before.
            traces: _,
            // Counted since the process began, as all that is read by `/metrics`.
            stats: _,
        } = self;
        connections.next_generation()
    }

    pub(in crate::shard) fn count_connections_from(&mut self, generation: u32) {
        self.connections.count_from(generation);
    }

    /// Whether its client sends nothing more, as far as that was said: it is to be said once more if the client is gone.
    pub(in crate::shard) fn has_input_ended(&self, key: ConnectionKey) -> bool {
        self.connections.get(key).is_some_and(|it| it.input_ended)
    }

    /// A connection arrives, with what it is in the middle of. It has its place in any case: it had it before. `again` is the key
    /// that it has if there [is room](Http::has_room); then [`list_vacant`](Http::list_vacant) is to come.
    pub(in crate::shard) fn unpack(
        &mut self,
        packed: PackedConnection,
        what: Arrives<U::Owner>,
        again: Option<ConnectionKey>,
    ) -> ConnectionKey {
        let connection = packed.unpack(what);
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

    /// Charges what one that arrived holds, for which it had room before: what the driver has of its write, and since when that
    /// is.
    pub(in crate::shard) fn settle_arrived(
        &mut self,
        key: ConnectionKey,
        unwritten: Option<usize>,
        holds_since: Option<Millis>,
    ) {
        if let Some(bytes) = unwritten {
            self.stats.count_write(bytes);
            self.hold_again(key, bytes);
            self.note_unread(key);
        } else {
            self.hold_again(key, 0);
            // Nothing waits here unless somebody has written in what arrived.
            if self
                .connections
                .get(key)
                .is_some_and(Connection::is_writing)
            {
                self.mark_dirty(key);
            }
        }
        if let Some(since) = holds_since
            && let Some(connection) = self.connections.get_mut(key)
            && let Some(held) = &mut connection.held
        {
            held.since = since;
        }
    }
}
