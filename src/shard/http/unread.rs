//! Answers that are whole and that their clients do not read, by whose they were: for operators, who look for slow clients by
//! their sessions. A table of those few; a stream says for itself whose it is.
//!
//! A connection is here from a write that the kernel did not take whole to the end of that. Of several answers that wait on it
//! the last says whose it is.

use std::collections::HashMap;

use super::{AnswerOwner, ConnectionKey, Http, Unwritten, UpperLayer};

#[derive(Default)]
pub(super) struct UnreadAnswers {
    of: HashMap<AnswerOwner, Vec<ConnectionKey>>,
    asker_of: HashMap<ConnectionKey, AnswerOwner>,
}

impl UnreadAnswers {
    fn note(&mut self, key: ConnectionKey, asker: AnswerOwner) {
        self.forget(key);
        self.asker_of.insert(key, asker);
        self.of.entry(asker).or_default().push(key);
    }

    fn forget(&mut self, key: ConnectionKey) {
        let Some(asker) = self.asker_of.remove(&key) else {
            return;
        };
        if let Some(own) = self.of.get_mut(&asker) {
            own.retain(|it| *it != key);
            if own.is_empty() {
                self.of.remove(&asker);
            }
        }
    }
}

impl<U: UpperLayer> Http<U> {
    /// An answer is whole, and this one's.
    #[inline]
    pub(super) fn set_asker(&mut self, key: ConnectionKey, asker: AnswerOwner) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        let is_whole = connection.state.set_asker(asker);
        if is_whole && connection.in_flight {
            self.unread.note(key, asker);
        }
    }

    /// The kernel did not take all that was written to this connection.
    pub(super) fn note_unread(&mut self, key: ConnectionKey) {
        let connection = self.connections.get(key);
        if let Some(asker) = connection.and_then(|it| it.state.asker()) {
            self.unread.note(key, asker);
        }
    }

    /// It has by now, or the connection is over.
    pub(super) fn forget_unread(&mut self, key: ConnectionKey) {
        if !self.unread.asker_of.is_empty() {
            self.unread.forget(key);
            if self.unread.asker_of.is_empty() {
                self.unread = UnreadAnswers::default();
            }
        }
    }

    /// What is on its way of all of them, and since when it is stuck.
    pub(super) fn unread_of(&self, asker: AnswerOwner) -> Unwritten {
        let mut sum = Unwritten::default();
        for key in self.unread.of.get(&asker).into_iter().flatten() {
            let Some(connection) = self.connections.get(*key) else {
                continue;
            };
            let one = connection.unwritten();
            sum.bytes += one.bytes;
            let since = [sum.blocked_since, one.blocked_since];
            sum.blocked_since = since.into_iter().flatten().min();
        }
        sum
    }

    /// Panics if somebody is in the table whose answers were read. For tests.
    pub(super) fn unread_invariants(&self) {
        let mut count = 0;
        for (key, connection) in self.connections.iter() {
            let Some(asker) = self.unread.asker_of.get(&key) else {
                continue;
            };
            assert!(connection.in_flight, "it was read");
            let own = self.unread.of.get(asker);
            assert!(own.is_some_and(|own| own.contains(&key)));
            count += 1;
        }
        assert_eq!(count, self.unread.asker_of.len(), "of those that are over");
    }
}
