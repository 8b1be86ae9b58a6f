//! The last errors of each session that had any. No part of a session, since hardly any has one: a table of those few.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::super::SessionKey;
use crate::limits::{ERRORS_KEPT, ERRORS_TOLD};
use crate::shard::view::LastError;

/// As many of a session as are told, and of all as many as have a place.
#[derive(Default)]
pub(super) struct Errors {
    of_sessions: HashMap<SessionKey, SessionErrors>,
    /// By when they had their last one.
    by_age: BTreeMap<u64, SessionKey>,
    /// Of all.
    count: usize,
    /// So many were noted.
    noted: u64,
}

struct SessionErrors {
    /// The oldest first.
    last: VecDeque<LastError>,
    /// In `by_age`.
    age: u64,
}

impl Errors {
    pub(super) fn note(&mut self, session: SessionKey, error: LastError) {
        self.noted += 1;
        let age = self.noted;
        let own = self.of_sessions.entry(session).or_insert(SessionErrors {
            last: VecDeque::with_capacity(1),
            age,
        });
        self.by_age.remove(&own.age);
        self.by_age.insert(age, session);
        own.age = age;
        if own.last.len() >= ERRORS_TOLD {
            own.last.pop_front();
            self.count -= 1;
        }
        own.last.push_back(error);
        self.count += 1;
        while self.count > ERRORS_KEPT
            && let Some((_, oldest)) = self.by_age.first_key_value()
        {
            self.forget(*oldest);
        }
    }

    /// The oldest first.
    pub(super) fn of(&self, session: SessionKey) -> Vec<LastError> {
        let own = self.of_sessions.get(&session);
        own.map_or_else(Vec::new, |it| it.last.iter().cloned().collect())
    }

    pub(super) fn forget(&mut self, session: SessionKey) {
        if let Some(own) = self.of_sessions.remove(&session) {
            self.by_age.remove(&own.age);
            self.count -= own.last.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(at: u64) -> LastError {
        LastError {
            at,
            method: None,
            code: -32_602,
            message: "no".into(),
        }
    }

    fn told(errors: &Errors, session: u32) -> Vec<u64> {
        let own = errors.of(SessionKey::from_parts(session, 1));
        own.iter().map(|it| it.at).collect()
    }

    #[test]
    fn a_noisy_session_that_pushes_out_the_errors_of_others() {
        let mut errors = Errors::default();
        errors.note(SessionKey::from_parts(1, 1), error(7));
        for at in 0..2 * ERRORS_KEPT as u64 {
            errors.note(SessionKey::from_parts(2, 1), error(at));
        }
        assert_eq!(told(&errors, 1), [7]);
        let last = 2 * ERRORS_KEPT as u64;
        let expected: Vec<u64> = (last - ERRORS_TOLD as u64..last).collect();
        assert_eq!(told(&errors, 2), expected);
    }

    #[test]
    fn more_sessions_with_errors_than_have_a_place() {
        let mut errors = Errors::default();
        for session in 0..ERRORS_KEPT as u32 {
            errors.note(SessionKey::from_parts(session, 1), error(1));
        }
        // The first one has another one, and the second is the one that waits longest.
        errors.note(SessionKey::from_parts(0, 1), error(2));
        assert_eq!((told(&errors, 0), told(&errors, 1)), (vec![1, 2], vec![]));
        assert_eq!(errors.count, ERRORS_KEPT);
        errors.forget(SessionKey::from_parts(0, 1));
        assert_eq!(errors.count, ERRORS_KEPT - 2);
        assert_eq!(errors.by_age.len(), errors.of_sessions.len());
    }
}
