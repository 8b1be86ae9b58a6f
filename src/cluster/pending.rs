//! What Redis does not know yet of sessions: one change for each session, the newest that counts.
//!
//! A plain value. Changes wait here through an outage of Redis, however long, in bounded memory. If something found no room,
//! every session is announced again. A change that was sent without an answer comes back and is sent again:
//! each of them may happen twice.

mod travel;

use std::collections::{HashMap, VecDeque};

pub(super) use self::travel::PendingState;
use super::record::Keys;
use crate::redis::Command;
use crate::shard::{PortableSession, SessionInfo};
use crate::wire::session_id::{Locator, NodeName, Process, SessionId};

/// Of one change that waits: twice its session's id, what a record says, and the tables' own.
pub const PENDING_BYTES: usize = 256;

/// What is to become of a session's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RecordChange {
    /// It lives on for another while.
    Refresh,
    Write(Box<SessionInfo>),
    /// Its process has let go of it, and any other may have it.
    Release(Box<SessionInfo>),
    /// Its process ends.
    MarkTerminated,
    Remove,
}

/// Of what waits so that others can take sessions over: those of a large node at once, with some subscriptions each.
const STATE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The same of what is sent at once.
const BATCH_STATE_BYTES_MAX: usize = 1024 * 1024;

/// All of a session's id.
type RecordKey = (NodeName, Locator, [u8; 16]);

pub(super) struct Pending {
    keys: Keys,
    /// This one.
    process: Process,
    /// Others may claim sessions: what they have of one is not written over.
    is_guarded: bool,
    /// Of live sessions; ends cannot be announced again, so they have as much room once more.
    pending_max: usize,
    /// Keys of `changes` in the order in which they are sent; those without a change are skipped.
    order: VecDeque<RecordKey>,
    changes: HashMap<RecordKey, RecordChange>,
    /// Of what is among these for others to take sessions over. Past [`STATE_BYTES_MAX`] only sessions add to it that are let go
    /// of, once each, in place of what they had in their core.
    state_bytes: usize,
    /// Taken to be sent, and not answered yet.
    under_way: Vec<(SessionId, RecordChange)>,
    /// A change found no room.
    lost: bool,
}

impl RecordChange {
    /// Which of two is to happen; ids are never given out twice, so an end is the end.
    fn then(self, next: RecordChange) -> RecordChange {
        match (self, next) {
            (RecordChange::Remove, _) | (_, RecordChange::Remove) => RecordChange::Remove,
            (RecordChange::MarkTerminated, _) | (_, RecordChange::MarkTerminated) => {
                RecordChange::MarkTerminated
            }
            // It may have come back in between.
            (_, next @ (RecordChange::Write(_) | RecordChange::Release(_))) => next,
            (first, RecordChange::Refresh) => first,
        }
    }

    /// The session is not here any more.
    pub(super) fn is_end(&self) -> bool {
        match self {
            RecordChange::MarkTerminated | RecordChange::Remove | RecordChange::Release(_) => true,
            RecordChange::Refresh | RecordChange::Write(_) => false,
        }
    }

    /// Of what goes into a record so that others can take its session over, about.
    fn state_bytes(&self) -> usize {
        match self {
            RecordChange::Write(info) | RecordChange::Release(info) => {
                info.state.as_deref().map_or(0, PortableSession::weight)
            }
            RecordChange::Refresh | RecordChange::MarkTerminated | RecordChange::Remove => 0,
        }
    }
}

impl Pending {
    pub(super) fn new(keys: Keys, process: Process, pending_max: usize) -> Self {
        Pending {
            keys,
            process,
            is_guarded: false,
            pending_max,
            order: VecDeque::new(),
            changes: HashMap::new(),
            state_bytes: 0,
            under_way: Vec::new(),
            lost: false,
        }
    }

    pub(super) fn guarded(self, is_guarded: bool) -> Self {
        Pending { is_guarded, ..self }
    }

    pub(super) fn len(&self) -> usize {
        self.changes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Something was lost since this was asked last: every session is to be announced again.
    pub(super) fn take_lost(&mut self) -> bool {
        std::mem::take(&mut self.lost)
    }

    pub(super) fn lose(&mut self) {
        self.lost = true;
    }

    pub(super) fn add(&mut self, session: SessionId, next: RecordChange) {
        let key = key(&session);
        // What others could take it over by is announced again; that it may be taken over is not.
        let is_past = self.state_bytes > STATE_BYTES_MAX && next.state_bytes() > 0;
        if is_past && matches!(next, RecordChange::Write(_)) {
            self.lost = true;
            return;
        }
        let room = if next.is_end() { 2 } else { 1 } * self.pending_max;
        if !self.changes.contains_key(&key) && self.changes.len() >= room {
            self.lost = true;
            return;
        }
        self.merge(key, |earlier| match earlier {
            Some(earlier) => earlier.then(next),
            None => next,
        });
    }

    fn merge(&mut self, key: RecordKey, with: impl FnOnce(Option<RecordChange>) -> RecordChange) {
        let earlier = self.changes.remove(&key);
        match &earlier {
            Some(earlier) => self.state_bytes -= earlier.state_bytes(),
            None => self.order.push_back(key),
        }
        let change = with(earlier);
        self.state_bytes += change.state_bytes();
        self.changes.insert(key, change);
    }

    /// What is to happen, and Redis does not know yet.
    pub(super) fn change_of(&self, session: &SessionId) -> Option<&RecordChange> {
        let waiting = self.changes.get(&key(session));
        let mut under_way = self.under_way.iter();
        waiting.or_else(|| Some(&under_way.find(|(it, _)| it == session)?.1))
    }

    /// Takes the oldest changes, as Redis is told of them. They are under way until they are [`answered`](Pending::answered).
    pub(super) fn take(&mut self, count_max: usize) -> Vec<Command> {
        debug_assert!(self.under_way.is_empty(), "one batch at a time");
        let mut bytes = 0;
        while self.under_way.len() < count_max
            && bytes < BATCH_STATE_BYTES_MAX
            && let Some(key) = self.order.pop_front()
        {
            let change = self.changes.remove(&key);
            let its = change.as_ref().map_or(0, RecordChange::state_bytes);
            (self.state_bytes, bytes) = (self.state_bytes - its, bytes + its);
            self.under_way
                .extend(change.map(|change| (session(key), change)));
        }
        if self.changes.is_empty() {
            // After an outage this may be large.
            self.changes = HashMap::new();
            self.order = VecDeque::new();
        }
        let commands = self.under_way.iter().map(|it| self.command(it));
        commands.collect()
    }

    fn command(&self, (session, change): &(SessionId, RecordChange)) -> Command {
        let (keys, process) = (&self.keys, self.process);
        match change {
            RecordChange::Refresh => keys.refresh_session(process, session),
            RecordChange::Write(info) => keys.write_session(process, session, info, false),
            RecordChange::Release(info) => keys.write_session(process, session, info, true),
            RecordChange::MarkTerminated => keys.mark_terminated(process, session, self.is_guarded),
            RecordChange::Remove => keys.remove_session(session),
        }
    }

    /// What was taken last was answered, or never will be.
    pub(super) fn answered(&mut self) -> Vec<(SessionId, RecordChange)> {
        std::mem::take(&mut self.under_way)
    }

    /// What did not happen, or perhaps not, is still to happen; and what was said since happens after it.
    pub(super) fn put_back(
        &mut self,
        changes: impl IntoIterator<Item = (SessionId, RecordChange)>,
    ) {
        for (session, earlier) in changes {
            self.merge(key(&session), |later| match later {
                Some(later) => earlier.then(later),
                None => earlier,
            });
        }
    }
}

fn key(session: &SessionId) -> RecordKey {
    (session.node, session.locator, session.secret)
}

fn session((node, locator, secret): RecordKey) -> SessionId {
    SessionId {
        node,
        locator,
        secret,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::mcp::ProtocolVersion;

    pub(in crate::cluster) fn session(number: u8) -> SessionId {
        let text = "node-a.AAECAwQFBgcICQoLDA0ODxARc2l4dGVlbiBzZWNyZXRzIQ";
        let mut session = SessionId::parse(text).unwrap();
        session.locator.slot = number.into();
        session
    }

    fn written() -> RecordChange {
        RecordChange::Write(Box::new(SessionInfo {
            version: ProtocolVersion::V2025_11_25,
            client_name: None,
            client_version: None,
            created_at: 0,
            fence: 0,
            state: None,
        }))
    }

    fn pending() -> Pending {
        Pending::new(Keys::new("mcp:"), session(0).process(), 3)
    }

    fn taken(pending: &mut Pending, count_max: usize) -> Vec<(SessionId, RecordChange)> {
        pending.take(count_max);
        pending.answered()
    }

    fn names(pending: &mut Pending) -> Vec<&'static str> {
        let commands = pending.take(usize::MAX);
        pending.answered();
        commands.iter().map(|it| it.name()).collect()
    }

    #[test]
    fn one_change_for_each_session() {
        let mut pending = pending();
        pending.add(session(1), written());
        pending.add(session(1), RecordChange::Refresh);
        pending.add(session(2), written());
        pending.add(session(2), RecordChange::Remove);
        pending.add(session(3), RecordChange::Remove);
        pending.add(session(3), RecordChange::MarkTerminated);
        assert_eq!(names(&mut pending), ["SET", "DEL", "DEL"]);
        assert!(pending.is_empty());
        pending.add(session(1), RecordChange::Refresh);
        pending.add(session(2), RecordChange::Refresh);
        pending.add(session(2), RecordChange::MarkTerminated);
        pending.add(session(2), written());
        assert_eq!(names(&mut pending), ["EXPIRE", "SET"]);
    }

    #[test]
    fn the_oldest_go_first_and_come_back_beneath_what_was_said_since() {
        let mut pending = pending();
        pending.add(session(1), written());
        pending.add(session(2), written());
        let batch = taken(&mut pending, 1);
        pending.add(session(1), RecordChange::Refresh);
        pending.put_back(batch);
        let batch = taken(&mut pending, usize::MAX);
        assert_eq!(batch, [(session(2), written()), (session(1), written())]);

        pending.add(session(1), written());
        let batch = taken(&mut pending, 1);
        pending.add(session(1), RecordChange::Remove);
        pending.put_back(batch);
        assert_eq!(names(&mut pending), ["DEL"]);

        pending.add(session(1), RecordChange::Remove);
        let batch = taken(&mut pending, 1);
        pending.add(session(1), written());
        pending.put_back(batch);
        assert_eq!(names(&mut pending), ["DEL"]);
    }

    #[test]
    fn changes_that_another_process_had_and_forgets() {
        let mut before = pending();
        before.add(session(1), written());
        before.add(session(2), RecordChange::Remove);
        before.take(1);
        before.add(session(1), RecordChange::MarkTerminated);
        let mut state = before.state();
        let said = [(session(2), written()), (session(1), RecordChange::Refresh)];
        state.also(said.into_iter(), false);
        let bytes = rmp_serde::to_vec_named(&state).expect("it is written");
        let mut after = pending();
        after.resume(rmp_serde::from_slice(&bytes).expect("it is read"));
        let changes = taken(&mut after, usize::MAX);
        let expected = [
            (session(1), RecordChange::MarkTerminated),
            (session(2), RecordChange::Remove),
        ];
        assert_eq!(changes, expected);
        before.answered();
        before.add(session(3), written());
        let mut after = pending();
        after.resume(before.state());
        assert_eq!(names(&mut after), ["DEL", "SET", "SET"]);
        let nothing: PendingState = rmp_serde::from_slice(&[0x80]).expect("an empty map");
        after.resume(nothing);
        assert!(after.is_empty() && !after.take_lost());
    }

    #[test]
    fn what_finds_no_room_is_announced_again() {
        let mut pending = pending();
        (1..=3).for_each(|number| pending.add(session(number), written()));
        assert!(!pending.take_lost());
        pending.add(session(4), written());
        pending.add(session(4), RecordChange::Remove);
        pending.add(session(1), RecordChange::Remove);
        assert!(pending.take_lost() && !pending.take_lost());
        (5..=7).for_each(|number| pending.add(session(number), RecordChange::Remove));
        assert!(pending.take_lost(), "ends have their bound too");
        assert_eq!(pending.len(), 6);
        assert_eq!(taken(&mut pending, 2).len(), 2);
        assert_eq!(taken(&mut pending, 9).len(), 4);
    }
}
