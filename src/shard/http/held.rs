//! What connections hold of the node's budget: bodies that arrive, answers that are not read.
//!
//! A connection that holds nothing has no charge, as nearly all nearly always.

use super::connection::{Connection, ConnectionState, HeldBytes};
use super::{Closed, ConnectionKey, Http, Millis, Refused, Unwritten, UpperLayer};
use crate::budget::{BudgetExceeded, Charge, Share};

/// How often the text of a body is there that is looked at elsewhere: as it came, and the messages in it.
const TEXTS_OF_A_LOOK: usize = 2;

/// Who has held something for less than this is not slow.
const SLOW_MS: Millis = 2_000;

impl<U: UpperLayer> Connection<U> {
    /// Bytes that wait here for their client: none on nearly every connection at nearly any time.
    fn holds(&self) -> usize {
        let arriving = match &self.state {
            ConnectionState::ExpectBody(partial) | ConnectionState::ExpectLook(partial) => {
                partial.body.capacity() + partial.head_bytes.len()
            }
            _ => 0,
        };
        let leaving = match self.in_flight {
            true => self.held.as_ref().map_or(0, |held| held.unwritten) + self.outbox.capacity(),
            false => 0,
        };
        self.inbox().len() + arriving + leaving
    }

    /// What waits for its client to read.
    pub(super) fn unwritten(&self) -> Unwritten {
        let held = self.held.as_deref().filter(|_| self.in_flight);
        let since = held.map_or(self.since, |held| held.since);
        Unwritten {
            bytes: self.outbox.len() + held.map_or(0, |held| held.unwritten),
            blocked_since: self.in_flight.then_some(since),
        }
    }

    /// Bytes that the driver has of a write under way.
    pub(super) fn write_under_way(&self) -> Option<usize> {
        let unwritten = || self.held.as_ref().map_or(0, |held| held.unwritten);
        self.in_flight.then(unwritten)
    }

    /// May be ended to make room: it keeps what it holds for as long as it likes.
    fn is_slow(&self) -> bool {
        self.in_flight || matches!(self.state, ConnectionState::ExpectBody(_))
    }
}

impl<U: UpperLayer> Http<U> {
    fn make_room(&mut self, count: usize, upper: &mut U) {
        let memory = self.memory.clone();
        let drop_kept = |count| upper.drop_kept(count);
        memory.make_room(self.now, count, drop_kept, |count| {
            self.end_slow_connections(count)
        });
    }

    /// Whether a body that is announced to be so long could be held.
    pub(super) fn could_hold(&mut self, key: ConnectionKey, count: usize, upper: &mut U) -> bool {
        let share = self.share_of(key);
        if self.memory.check_share(share.as_ref(), count).is_err() {
            return false;
        }
        if !self.memory.has_room(count) {
            self.make_room(self.memory.needed(count), upper);
        }
        let could = self.memory.has_room(count);
        if !could {
            self.memory.want(count);
        }
        could
    }

    /// The charge of a body of so many bytes that is looked at elsewhere.
    pub(super) fn charge_look(
        &mut self,
        key: ConnectionKey,
        body_bytes: usize,
        upper: &mut U,
    ) -> Result<Charge, Refused> {
        let count = TEXTS_OF_A_LOOK * body_bytes;
        let share = self.share_of(key);
        let charge = self.memory.check_share(share.as_ref(), count);
        let charge = charge.and_then(|()| {
            if !self.memory.has_room(count) {
                self.make_room(self.memory.needed(count), upper);
            }
            self.memory.charge(share, count)
        });
        charge.map_err(|BudgetExceeded| Refused::out_of_memory())
    }

    /// Charges what a connection holds by now. One that there is no room for is refused, or ends.
    pub(in crate::shard) fn settle(&mut self, key: ConnectionKey, upper: &mut U) {
        self.settle_with(key, |http, count| http.make_room(count, upper));
    }

    /// The same after something was written: hardly ever does a connection hold more by that.
    pub(super) fn settle_alone(&mut self, key: ConnectionKey) {
        self.settle_with(key, |http, count| {
            let memory = http.memory.clone();
            let now = http.now;
            let end_slow = |count| http.end_slow_connections(count);
            memory.make_room(now, count, |_| false, end_slow);
        });
    }

    fn settle_with(&mut self, key: ConnectionKey, make_room: impl FnOnce(&mut Self, usize)) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        let holds = connection.holds();
        if holds == 0 {
            return self.let_go(key);
        }
        let Some(held) = self.held(key) else { return };
        let more = holds.saturating_sub(held.charge.count());
        let share = held.charge.share().cloned();
        if more > 0 && self.memory.check_share(share.as_ref(), more).is_err() {
            return self.out_of_memory(key);
        }
        if !self.memory.has_room(more) {
            make_room(self, self.memory.needed(more));
        }
        let has_room = self.memory.has_room(more);
        // It may have been ended to make room.
        let Some(held) = self.held_already(key) else {
            return;
        };
        if more > 0 && !has_room || held.charge.resize(holds).is_err() {
            self.memory.want(more);
            self.out_of_memory(key);
        }
    }

    /// What stays of a request whose body is looked at: its head. That is small, and the look has its charge already, so
    /// there is no use in refusing it now.
    pub(super) fn hold_head(&mut self, key: ConnectionKey) {
        let Some(holds) = self.connections.get(key).map(Connection::holds) else {
            return;
        };
        let charge = self
            .memory
            .charge_beyond(holds)
            .shared_by(self.share_of(key));
        if let Some(held) = self.held(key) {
            held.charge = charge;
        }
    }

    /// What a connection holds that has just arrived, so many bytes of a write among it: it held that before.
    pub(super) fn hold_again(&mut self, key: ConnectionKey, unwritten: usize) {
        if unwritten > 0
            && let Some(held) = self.held(key)
        {
            held.unwritten = unwritten;
        }
        match self.connections.get(key).map(Connection::holds) {
            None | Some(0) => self.let_go(key),
            Some(_) => self.hold_head(key),
        }
    }

    /// A write of so many bytes is under way.
    pub(super) fn hold_unwritten(&mut self, key: ConnectionKey, bytes: usize, upper: &mut U) {
        if let Some(held) = self.held(key) {
            held.unwritten = bytes;
        }
        self.settle(key, upper);
    }

    fn share_of(&self, key: ConnectionKey) -> Option<Share> {
        let connection = self.connections.get(key);
        self.memory.share_of(connection.and_then(|it| it.client))
    }

    /// What a connection holds, from now on if it held nothing. None: it is over.
    fn held(&mut self, key: ConnectionKey) -> Option<&mut HeldBytes> {
        let share = self.share_of(key);
        let connection = self.connections.get_mut(key)?;
        if connection.held.is_none() {
            self.holders.push(key);
            connection.held = Some(Box::new(HeldBytes {
                charge: self.memory.charge_beyond(0).shared_by(share),
                unwritten: 0,
                since: self.now,
                place: self.holders.len() - 1,
            }));
        }
        connection.held.as_deref_mut()
    }

    fn held_already(&mut self, key: ConnectionKey) -> Option<&mut HeldBytes> {
        self.connections.get_mut(key)?.held.as_deref_mut()
    }

    /// A connection holds nothing any more, or is over.
    pub(super) fn let_go(&mut self, key: ConnectionKey) {
        self.leave_holders(key);
        if let Some(connection) = self.connections.get_mut(key) {
            connection.held = None;
        }
    }

    /// A connection is no longer among those that hold something, whatever it holds.
    pub(super) fn leave_holders(&mut self, key: ConnectionKey) {
        let held = |connection: &Connection<U>| Some(connection.held.as_ref()?.place);
        let Some(place) = self.connections.get(key).and_then(held) else {
            return;
        };
        self.holders.swap_remove(place);
        if let Some(&moved) = self.holders.get(place)
            && let Some(moved) = self.connections.get_mut(moved)
            && let Some(moved) = moved.held.as_mut()
        {
            moved.place = place;
        }
    }

    /// The connection leaves this shard, or ends.
    pub(super) fn remove_connection(&mut self, key: ConnectionKey) -> Option<Connection<U>> {
        self.uncount_exchange(key);
        self.let_go(key);
        self.forget_asked(key);
        self.connections.remove(key)
    }

    /// What a connection has under way is no longer among what there is here.
    pub(super) fn uncount_exchange(&mut self, key: ConnectionKey) {
        if let Some(connection) = self.connections.get(key) {
            self.stats.streams -= usize::from(connection.is_stream);
            self.stats.forget_write(connection.write_under_way());
        }
        self.forget_unread(key);
    }

    /// There is no room for what this connection holds.
    fn out_of_memory(&mut self, key: ConnectionKey) {
        let Some(connection) = self.connections.get(key) else {
            return;
        };
        match connection.state {
            ConnectionState::ExpectHead(_)
            | ConnectionState::ExpectBody(_)
            | ConnectionState::ExpectLook(_)
                if !connection.in_flight =>
            {
                self.refuse_request_and_close(key, &Refused::out_of_memory());
                self.let_go(key);
            }
            _ => self.close_connection(key, Closed::OutOfMemory),
        }
    }

    /// Ends connections that hold something for long. True: there is as much room now.
    pub(super) fn end_slow_connections(&mut self, count: usize) -> bool {
        let now = self.now;
        let mut slow: Vec<(u64, ConnectionKey)> = self
            .holders
            .iter()
            .filter_map(|&key| {
                let connection = self.connections.get(key)?;
                let held = connection.held.as_ref()?;
                let for_ms = now.saturating_sub(held.since);
                let worst = (held.charge.count() as u64).saturating_mul(for_ms);
                (connection.is_slow() && for_ms >= SLOW_MS).then_some((worst, key))
            })
            .collect();
        slow.sort_unstable();
        while count > self.memory.free()
            && let Some((_, key)) = slow.pop()
        {
            self.out_of_memory(key);
        }
        count <= self.memory.free()
    }

    /// Panics if a connection that holds something is not among the holders, or the reverse.
    pub(super) fn held_invariants(&self) {
        for (key, connection) in self.connections.iter() {
            if let Some(held) = &connection.held {
                assert_eq!(self.holders.get(held.place), Some(&key));
            }
            let arrives = matches!(
                connection.state,
                ConnectionState::ExpectBody(_) | ConnectionState::ExpectLook(_)
            );
            assert!(
                !arrives || connection.held.is_some(),
                "half a request that nobody finds among those that hold something"
            );
        }
        let holding = |key: &ConnectionKey| {
            self.connections
                .get(*key)
                .is_some_and(|connection| connection.held.is_some())
        };
        assert!(self.holders.iter().all(holding));
    }
}
