//! What Redis does not know yet of sessions: one change for each session, the newest that counts.
//!
//! A plain value. Changes wait here through an outage of Redis, however long, in bounded memory. If something found no room,
//! every session is announced again. A change that was sent without an answer comes back and is sent again:
//! each of them may happen twice.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::record::Keys;
use crate::mcp::ProtocolVersion;
use crate::redis::Command;
use crate::shard::SessionInfo;
use crate::wire::session_id::{Locator, NodeName, SessionId};

/// Of one change that waits: twice its session's id, what a record says, and the tables' own.
pub const PENDING_BYTES: usize = 256;

/// What is to become of a session's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RecordChange {
    /// It lives on for another while.
    Refresh,
    Write(Box<SessionInfo>),
    /// Its process ends.
    MarkTerminated,
    Remove,
}

/// All of a session's id.
type RecordKey = (NodeName, Locator, [u8; 16]);

pub(super) struct Pending {
    keys: Keys,
    /// Of live sessions; ends cannot be announced again, so they have as much room once more.
    pending_max: usize,
    /// Keys of `changes` in the order in which they are sent; those without a change are skipped.
    order: VecDeque<RecordKey>,
    changes: HashMap<RecordKey, RecordChange>,
    /// Sent, and not answered yet.
    under_way: Vec<(SessionId, RecordChange)>,
    /// A change found no room.
    lost: bool,
}

/// Changes on their way.
pub(super) struct ChangeBatch {
    changes: Vec<(SessionId, RecordChange)>,
}

impl RecordChange {
    /// Which of two is to happen; ids are never given out twice, so an end is the end.
    fn then(self, next: RecordChange) -> RecordChange {
        match (self, next) {
            (RecordChange::Remove, _) | (_, RecordChange::Remove) => RecordChange::Remove,
            (RecordChange::MarkTerminated, _) | (_, RecordChange::MarkTerminated) => {
                RecordChange::MarkTerminated
            }
            (_, RecordChange::Write(info)) | (RecordChange::Write(info), RecordChange::Refresh) => {
                RecordChange::Write(info)
            }
            (RecordChange::Refresh, RecordChange::Refresh) => RecordChange::Refresh,
        }
    }

    fn is_end(&self) -> bool {
        matches!(self, RecordChange::MarkTerminated | RecordChange::Remove)
    }
}

impl Pending {
    pub(super) fn new(keys: Keys, pending_max: usize) -> Self {
        Pending {
            keys,
            pending_max,
            order: VecDeque::new(),
            changes: HashMap::new(),
            under_way: Vec::new(),
            lost: false,
        }
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
        if let Some(change) = self.changes.get_mut(&key) {
            let first = std::mem::replace(change, RecordChange::Refresh);
            *change = first.then(next);
            return;
        }
        let room = if next.is_end() { 2 } else { 1 } * self.pending_max;
        if self.changes.len() >= room {
            self.lost = true;
            return;
        }
        self.order.push_back(key);
        self.changes.insert(key, next);
    }

    /// Takes the oldest changes.
    pub(super) fn take(&mut self, count_max: usize) -> ChangeBatch {
        let mut changes = Vec::new();
        while changes.len() < count_max
            && let Some(key) = self.order.pop_front()
        {
            let change = self.changes.remove(&key);
            changes.extend(change.map(|change| (session(key), change)));
        }
        if self.changes.is_empty() {
            // After an outage this may be large.
            self.changes = HashMap::new();
            self.order = VecDeque::new();
        }
        self.under_way.clone_from(&changes);
        ChangeBatch { changes }
    }

    /// What was taken last was answered.
    pub(super) fn answered(&mut self) {
        self.under_way = Vec::new();
    }

    /// What did not happen, or perhaps not, is still to happen; and what was said since happens after it.
    pub(super) fn put_back(
        &mut self,
        changes: impl IntoIterator<Item = (SessionId, RecordChange)>,
    ) {
        for (session, earlier) in changes {
            let key = key(&session);
            match self.changes.get_mut(&key) {
                Some(change) => {
                    let later = std::mem::replace(change, RecordChange::Refresh);
                    *change = earlier.then(later);
                }
                None => {
                    self.order.push_back(key);
                    self.changes.insert(key, earlier);
                }
            }
        }
    }

    pub(super) fn commands(&self, batch: &ChangeBatch) -> Vec<Command> {
        let command = |(session, change): &(SessionId, RecordChange)| match change {
            RecordChange::Refresh => self.keys.refresh_session(session),
            RecordChange::Write(info) => self.keys.write_session(session, info),
            RecordChange::MarkTerminated => self.keys.mark_terminated(session),
            RecordChange::Remove => self.keys.remove_session(session),
        };
        batch.changes.iter().map(command).collect()
    }
}

/// As it is written down, oldest first.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct PendingState {
    changes: Vec<(String, ChangeState)>,
    lost: bool,
}

#[derive(Serialize, Deserialize)]
enum ChangeState {
    Refresh,
    Write {
        version: String,
        client_name: Option<Box<str>>,
        client_version: Option<Box<str>>,
        created_at: u64,
    },
    MarkTerminated,
    Remove,
}

impl ChangeState {
    fn of(change: &RecordChange) -> ChangeState {
        match change {
            RecordChange::Refresh => ChangeState::Refresh,
            RecordChange::MarkTerminated => ChangeState::MarkTerminated,
            RecordChange::Remove => ChangeState::Remove,
            RecordChange::Write(info) => {
                let SessionInfo {
                    version,
                    client_name,
                    client_version,
                    created_at,
                } = &**info;
                ChangeState::Write {
                    version: version.as_str().to_owned(),
                    client_name: client_name.clone(),
                    client_version: client_version.clone(),
                    created_at: *created_at,
                }
            }
        }
    }

    /// None: of a version of MCP that this program does not know.
    fn change(self) -> Option<RecordChange> {
        Some(match self {
            ChangeState::Refresh => RecordChange::Refresh,
            ChangeState::MarkTerminated => RecordChange::MarkTerminated,
            ChangeState::Remove => RecordChange::Remove,
            ChangeState::Write {
                version,
                client_name,
                client_version,
                created_at,
            } => RecordChange::Write(Box::new(SessionInfo {
                version: ProtocolVersion::parse(&version)?,
                client_name,
                client_version,
                created_at,
            })),
        })
    }
}

impl Pending {
    pub(super) fn state(&self) -> PendingState {
        let Pending {
            keys: _,
            pending_max: _,
            order,
            changes,
            under_way,
            lost,
        } = self;
        let first = under_way.iter().map(|(session, it)| (session.text(), it));
        let waiting = order
            .iter()
            .filter_map(|it| Some((session(*it).text(), changes.get(it)?)));
        let all = first.chain(waiting);
        PendingState {
            changes: all.map(|(id, it)| (id, ChangeState::of(it))).collect(),
            lost: *lost,
        }
    }

    /// What another process had, before anything else.
    pub(super) fn resume(&mut self, state: PendingState) {
        self.lost |= state.lost;
        for (id, change) in state.changes {
            match (SessionId::parse(&id), change.change()) {
                (Some(session), Some(change)) => self.add(session, change),
                // Whatever it was, all sessions are announced again.
                _ => self.lost = true,
            }
        }
    }
}

impl ChangeBatch {
    pub(super) fn into_changes(self) -> Vec<(SessionId, RecordChange)> {
        self.changes
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
mod tests {
    use super::*;

    fn session(number: u8) -> SessionId {
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
        }))
    }

    fn pending() -> Pending {
        Pending::new(Keys::new("mcp:"), 3)
    }

    fn names(pending: &mut Pending) -> Vec<&'static str> {
        let batch = pending.take(usize::MAX);
        pending
            .commands(&batch)
            .iter()
            .map(|it| it.name())
            .collect()
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
        let batch = pending.take(1);
        pending.add(session(1), RecordChange::Refresh);
        pending.put_back(batch.into_changes());
        let batch = pending.take(usize::MAX).into_changes();
        assert_eq!(batch, [(session(2), written()), (session(1), written())]);

        pending.add(session(1), written());
        let batch = pending.take(1);
        pending.add(session(1), RecordChange::Remove);
        pending.put_back(batch.into_changes());
        assert_eq!(names(&mut pending), ["DEL"]);

        pending.add(session(1), RecordChange::Remove);
        let batch = pending.take(1);
        pending.add(session(1), written());
        pending.put_back(batch.into_changes());
        assert_eq!(names(&mut pending), ["DEL"]);
    }

    #[test]
    fn changes_that_another_process_had_and_forgets() {
        let mut before = pending();
        before.add(session(1), written());
        before.add(session(2), RecordChange::Remove);
        let under_way = before.take(1);
        before.add(session(1), RecordChange::MarkTerminated);
        let bytes = rmp_serde::to_vec_named(&before.state()).expect("it is written");
        drop(under_way);
        let mut after = pending();
        after.resume(rmp_serde::from_slice(&bytes).expect("it is read"));
        let changes = after.take(usize::MAX).into_changes();
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
        assert_eq!(pending.take(2).into_changes().len(), 2);
        assert_eq!(pending.take(9).into_changes().len(), 4);
    }
}
