//! What clients make this core hold, in the node's budget: bodies that arrive, answers that are not read, answers that
//! are kept for a resume, calls under way.
//!
//! Each of them carries its [`Charge`]. A connection that holds nothing has none, and a request that comes whole and is
//! answered whole costs none. When the budget is short, room is made in this order: answers that are kept, the oldest
//! first; then connections that have held something for a while, first those that hold most and take longest. What is
//! new and still finds no room is refused with 503. A client (an address) never gets more than it leaves to others, and
//! a last part of the budget is kept back for what is small: so one that takes all it can hinders nobody.

use std::collections::HashMap;
use std::rc::Rc;

use serde_json::value::RawValue;

use super::answer::Refused;
use super::connection::{Connection, State};
use super::stream::{MESSAGE_OVERHEAD_BYTES, Message, StreamKey, stand_in};
use super::{CallKey, Closed, ConnectionKey, Millis, SessionKey, Shard};
use crate::budget::{Charge, Share, Short};
use crate::clients::Client;
use crate::wire::json_scan::JsonScan;

/// How often the text of a call's params is there: the engine's, the handler's, and what it makes of it. The tree comes
/// on top.
const TEXTS_OF_A_CALL: usize = 3;
/// What a call takes in any case: its entry, its future, its id.
const CALL_BYTES: usize = 2048;
/// And how often that of a body which is looked at elsewhere: as it came, and the messages in it.
const TEXTS_OF_A_LOOK: usize = 2;

/// A request of an honest client is not refused for the size of others': so much finds room in any case,
const SMALL_BYTES: usize = 16 * 1024;
/// since one part in so many of the budget is kept back for it.
const KEPT_BACK_SHARE: usize = 16;

/// Who has held something for less than this is not slow.
const SLOW_MS: Millis = 2_000;
/// A look for room that found none is not repeated before.
const LOOK_AGAIN_MS: Millis = 64;

pub(super) const OUT_OF_MEMORY: &str =
    "This node holds as much for its clients as it may (--memory-max). Try again in a moment.";

/// What each client has of the budget, on this core.
pub(super) struct Shares {
    by_client: HashMap<Client, Share>,
    /// Those who have nothing any more are forgotten when there are so many.
    forget_at: usize,
}

/// Clients that are not looked through for those who have nothing.
const SHARES_UNSEEN: usize = 64;

impl Default for Shares {
    fn default() -> Self {
        Shares {
            by_client: HashMap::new(),
            forget_at: SHARES_UNSEEN,
        }
    }
}

impl Shares {
    fn of(&mut self, client: Option<Client>) -> Option<Share> {
        let client = client?;
        if let Some(share) = self.by_client.get(&client) {
            return Some(share.clone());
        }
        if self.by_client.len() >= self.forget_at {
            self.by_client
                .retain(|_, share| Rc::strong_count(share) > 1);
            self.forget_at = SHARES_UNSEEN.max(2 * self.by_client.len());
        }
        let share = Share::default();
        self.by_client.insert(client, share.clone());
        Some(share)
    }
}

/// What a connection holds: bytes received and not served, bytes not written.
pub(super) struct Held {
    charge: Charge,
    /// Of them in the driver's hands, on their way out, if any are.
    unwritten: usize,
    since: Millis,
    /// In `Shard::holders`.
    place: usize,
}

impl Connection {
    /// Bytes that wait here for their client: none on nearly every connection at nearly any time.
    fn holds(&self) -> usize {
        let arriving = match &self.state {
            State::ExpectBody(partial) => partial.body.capacity() + partial.head_bytes.len(),
            _ => 0,
        };
        let leaving = match self.in_flight {
            true => self.held.as_ref().map_or(0, |held| held.unwritten) + self.outbox.capacity(),
            false => 0,
        };
        self.inbox().len() + arriving + leaving
    }

    /// May be ended to make room: it keeps what it holds for as long as it likes.
    fn is_slow(&self) -> bool {
        self.in_flight || matches!(self.state, State::ExpectBody(_))
    }
}

impl Shard {
    /// Charges so much to a client, after room was made for it if there was none.
    ///
    /// # Errors
    /// [`Short`]: the other cores are asked to make room, for whoever comes next.
    fn charge(&mut self, client: Option<Client>, count: usize) -> Result<Charge, Short> {
        let share = self.shares.of(client);
        self.check_share(share.as_ref(), count)?;
        if !self.has_room(count) {
            self.make_room_for(self.needed(count));
        }
        let charge = match self.has_room(count) {
            true => self.memory.charge(count),
            false => Err(Short),
        };
        if charge.is_err() {
            self.memory.pool().want(self.needed(count));
        }
        Ok(charge?.shared_by(share))
    }

    /// No client gets more than it leaves to others: one alone half of the budget, two of them a third each.
    fn check_share(&self, share: Option<&Share>, more: usize) -> Result<(), Short> {
        let has = share.map_or(0, |share| share.get());
        match has == 0 || has.saturating_add(more) <= self.memory.free() {
            true => Ok(()),
            false => Err(Short),
        }
    }

    fn has_room(&self, count: usize) -> bool {
        self.needed(count) <= self.memory.free()
    }

    /// How much has to be free for this: what is small finds room also where nothing large does.
    fn needed(&self, count: usize) -> usize {
        let kept_back = match count <= SMALL_BYTES {
            true => 0,
            false => self.memory.pool().total() / KEPT_BACK_SHARE,
        };
        count.saturating_add(kept_back)
    }

    /// For what the driver holds for a client of this core itself. None: there is no room.
    pub fn handle_hold(
        &mut self,
        now: Millis,
        client: Option<Client>,
        count: usize,
    ) -> Option<Charge> {
        self.now = now;
        self.charge(client, count).ok()
    }

    /// The charge of a call with these params, of which a tree would take `tree_bytes`.
    ///
    /// # Errors
    /// 503: try again.
    pub(super) fn charge_call(
        &mut self,
        client: Option<Client>,
        params: Option<&RawValue>,
        tree_bytes: usize,
    ) -> Result<Charge, Refused> {
        let text_bytes = params.map_or(0, |params| params.get().len());
        let count = CALL_BYTES + TEXTS_OF_A_CALL * text_bytes + tree_bytes;
        self.charge(client, count)
            .map_err(|Short| Refused::busy(OUT_OF_MEMORY, 1))
    }

    /// The client's answer to a question of a call comes on top.
    ///
    /// # Errors
    /// 503: try again.
    pub(super) fn charge_more(&mut self, call: CallKey, answer: &RawValue) -> Result<(), Refused> {
        let client = self.calls.get(call).and_then(|state| state.client);
        let text = answer.get();
        let tree_bytes = JsonScan::of(text.as_bytes()).tree_bytes();
        let more = self
            .charge(client, TEXTS_OF_A_CALL * text.len() + tree_bytes)
            .map_err(|Short| Refused::busy(OUT_OF_MEMORY, 1))?;
        if let Some(state) = self.calls.get_mut(call) {
            state.charge.add(more);
        }
        Ok(())
    }

    /// Whether a body that is announced to be so long could be held.
    pub(super) fn could_hold(&mut self, key: ConnectionKey, count: usize) -> bool {
        let share = self.shares.of(self.client_of(key));
        if self.check_share(share.as_ref(), count).is_err() {
            return false;
        }
        if !self.has_room(count) {
            self.make_room_for(self.needed(count));
        }
        let could = self.has_room(count);
        if !could {
            self.memory.pool().want(self.needed(count));
        }
        could
    }

    /// A message that is kept, with its charge.
    pub(super) fn message(
        &mut self,
        session: Option<SessionKey>,
        data: &[u8],
    ) -> Result<Rc<Message>, Short> {
        let session = session.and_then(|session| self.sessions.get(session));
        let client = session.and_then(|session| session.client);
        let charge = self.charge(client, data.len() + MESSAGE_OVERHEAD_BYTES)?;
        Ok(Message::new(data, charge))
    }

    /// The same for what is small and must not be lost.
    pub(super) fn small_message(&self, data: &[u8]) -> Rc<Message> {
        let charge = self
            .memory
            .charge_beyond(data.len() + MESSAGE_OVERHEAD_BYTES);
        Message::new(data, charge)
    }

    /// Of what a stream has written it keeps as much as it may.
    pub(super) fn trim(&mut self, key: StreamKey) {
        let (memory, bytes_max) = (&self.memory, self.limits.stream_queue_bytes_max);
        if let Some(stream) = self.streams.get_mut(key) {
            stream.trim(bytes_max, |answer| {
                let data = stand_in(answer)?;
                let charge = memory.charge_beyond(data.len() + MESSAGE_OVERHEAD_BYTES);
                Some(Message::new(&data, charge))
            });
        }
    }

    /// Charges what a connection holds by now. One that there is no room for is refused, or ends.
    pub(super) fn settle(&mut self, key: ConnectionKey) {
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
        if self.check_share(share.as_ref(), more).is_err() {
            return self.out_of_memory(key);
        }
        if !self.has_room(more) {
            self.make_room_for(self.needed(more));
        }
        let has_room = self.has_room(more);
        // It may have been ended to make room.
        let Some(held) = self.held_already(key) else {
            return;
        };
        if more > 0 && !has_room || held.charge.resize(holds).is_err() {
            let needed = self.needed(more);
            self.memory.pool().want(needed);
            self.out_of_memory(key);
        }
    }

    /// A write of so many bytes is under way.
    pub(super) fn hold_unwritten(&mut self, key: ConnectionKey, bytes: usize) {
        if let Some(held) = self.held(key) {
            held.unwritten = bytes;
        }
        self.settle(key);
    }

    /// The charge of a body of so many bytes that is looked at elsewhere.
    pub(super) fn charge_look(
        &mut self,
        key: ConnectionKey,
        body_bytes: usize,
    ) -> Result<Charge, Refused> {
        self.charge(self.client_of(key), TEXTS_OF_A_LOOK * body_bytes)
            .map_err(|Short| Refused::busy(OUT_OF_MEMORY, 1))
    }

    /// What a connection holds, from now on if it held nothing. None: it is over.
    fn held(&mut self, key: ConnectionKey) -> Option<&mut Held> {
        let share = self.shares.of(self.client_of(key));
        let connection = self.connections.get_mut(key)?;
        if connection.held.is_none() {
            self.holders.push(key);
            connection.held = Some(Box::new(Held {
                charge: self.memory.charge_beyond(0).shared_by(share),
                unwritten: 0,
                since: self.now,
                place: self.holders.len() - 1,
            }));
        }
        connection.held.as_deref_mut()
    }

    fn held_already(&mut self, key: ConnectionKey) -> Option<&mut Held> {
        self.connections.get_mut(key)?.held.as_deref_mut()
    }

    /// A connection holds nothing any more, or is over.
    pub(super) fn let_go(&mut self, key: ConnectionKey) {
        let held = self
            .connections
            .get_mut(key)
            .and_then(|connection| connection.held.take());
        let Some(held) = held else { return };
        self.holders.swap_remove(held.place);
        if let Some(&moved) = self.holders.get(held.place)
            && let Some(moved) = self.connections.get_mut(moved)
            && let Some(moved) = moved.held.as_mut()
        {
            moved.place = held.place;
        }
    }

    /// The connection leaves this shard, or ends.
    pub(super) fn remove_connection(&mut self, key: ConnectionKey) -> Option<Connection> {
        self.let_go(key);
        self.connections.remove(key)
    }

    /// There is no room for what this connection holds.
    fn out_of_memory(&mut self, key: ConnectionKey) {
        let Some(connection) = self.connections.get(key) else {
            return;
        };
        match connection.state {
            State::ExpectHead | State::ExpectBody(_) if !connection.in_flight => {
                self.refuse_request_and_close(key, &Refused::busy(OUT_OF_MEMORY, 1));
                self.let_go(key);
            }
            _ => self.close_connection(key, Closed::OutOfMemory),
        }
    }

    /// Another core, or this one, found no room: what is not needed here goes.
    pub(super) fn make_room_for_others(&mut self) {
        if self.memory.pool().missing() == 0 {
            return;
        }
        self.memory.settle();
        let missing = self.memory.pool().missing();
        if missing > 0 {
            self.make_room_for(missing);
            self.memory.settle();
        }
    }

    /// When room is to be looked for next.
    pub(super) fn room_deadline(&self) -> Option<Millis> {
        (self.memory.pool().missing() > 0).then_some(self.now + LOOK_AGAIN_MS)
    }

    fn make_room_for(&mut self, count: usize) {
        if self.now < self.no_room_until {
            return;
        }
        let free_at_first = self.memory.free();
        if self.drop_kept(count) || self.end_slow(count) {
            return;
        }
        if self.memory.free() == free_at_first {
            self.no_room_until = self.now + LOOK_AGAIN_MS;
        }
    }

    /// Answers that are kept for who may come back, the oldest first. A little more goes than is asked for: looking
    /// for them costs a walk over all streams. True: there is as much room now.
    fn drop_kept(&mut self, count: usize) -> bool {
        let wanted = count.saturating_add(self.memory.pool().total() / 32);
        let mut kept: Vec<(Millis, StreamKey)> = self
            .streams
            .iter()
            .filter(|(_, stream)| stream.kept_bytes() > 0)
            .map(|(key, stream)| {
                // A client that is there now is less likely to come back for what it was sent.
                let since = match stream.connection {
                    Some(_) => 0,
                    None => stream.interrupted_at,
                };
                (since, key)
            })
            .collect();
        kept.sort_unstable();
        for (_, key) in kept {
            if wanted <= self.memory.free() {
                break;
            }
            let Some(stream) = self.streams.get_mut(key) else {
                continue;
            };
            if !stream.is_kept() {
                stream.forget_written();
                continue;
            }
            self.drop_stream(key);
        }
        count <= self.memory.free()
    }

    /// Ends connections that hold something for long. True: there is as much room now.
    fn end_slow(&mut self, count: usize) -> bool {
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
    pub(super) fn memory_invariants(&self) {
        for (key, connection) in self.connections.iter() {
            if let Some(held) = &connection.held {
                assert_eq!(self.holders.get(held.place), Some(&key));
            }
        }
        let holding = |key: &ConnectionKey| {
            self.connections
                .get(*key)
                .is_some_and(|connection| connection.held.is_some())
        };
        assert!(self.holders.iter().all(holding));
    }
}
