//! Answers that are whole and that their clients do not read, by whose they were: for operators, who look for slow clients by
//! their sessions. A table of those few; a stream says for itself whose it is.

use std::collections::HashMap;

use super::{Asker, ConnectionKey, Http, Unwritten, UpperLayer};

#[derive(Default)]
pub(super) struct UnreadAnswers {
    of: HashMap<Asker, Vec<ConnectionKey>>,
}

impl<U: UpperLayer> Http<U> {
    /// The kernel did not take all that was written to this connection.
    pub(super) fn note_unread(&mut self, key: ConnectionKey) {
        let connection = self.connections.get(key);
        if let Some(asker) = connection.and_then(|it| it.state.asker()) {
            self.unread.of.entry(asker).or_default().push(key);
        }
    }

    /// It has by now, or the connection is over.
    pub(super) fn forget_unread(&mut self, key: ConnectionKey) {
        if self.unread.of.is_empty() {
            return;
        }
        let connection = self.connections.get(key);
        let Some(asker) = connection.and_then(|it| it.state.asker()) else {
            return;
        };
        if let Some(own) = self.unread.of.get_mut(&asker) {
            own.retain(|it| *it != key);
            if own.is_empty() {
                self.unread.of.remove(&asker);
            }
        }
        if self.unread.of.is_empty() {
            self.unread.of = HashMap::new();
        }
    }

    /// What is on its way of all of them, and since when it is stuck.
    pub(super) fn unread_of(&self, asker: Asker) -> Unwritten {
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

    /// Panics if those are not in the table whose answers are not read. For tests.
    pub(super) fn unread_invariants(&self) {
        let known = |asker, key| {
            let own = self.unread.of.get(&asker);
            own.is_some_and(|own| own.contains(&key))
        };
        let blocked = self.connections.iter().filter(|(_, it)| it.in_flight);
        let blocked = blocked.filter_map(|(key, it)| Some((it.state.asker()?, key)));
        let mut count = 0;
        for (asker, key) in blocked {
            assert!(known(asker, key), "an answer that nobody knows is unread");
            count += 1;
        }
        let all = self.unread.of.values().map(Vec::len).sum::<usize>();
        assert_eq!(count, all, "answers that were read");
    }
}
