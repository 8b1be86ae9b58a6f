//! Sessions, counted: of a page nothing is kept but numbers.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::cli::table::{cut, plain};

/// Reasons that are told apart at a node. There are some five; what a node of another version says beyond that is one more.
const REASONS_MAX: usize = 32;
const OTHER_REASONS: &str = "other";
/// The node's sessions end with it, all of them.
const OFF: &str = "off";
/// Of a reason: it is a word.
const REASON_CHARS: usize = 40;

/// The sessions and listen streams of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SessionTally {
    pub(super) sessions: u64,
    /// Those of them that another node can go on with.
    pub(super) portable: u64,
    /// Those that end with their node, by the reason.
    pub(super) bound: BTreeMap<String, u64>,
    /// Those of which nothing is said.
    pub(super) unsaid: u64,
    /// Those of which something is said that this version does not know.
    pub(super) unclear: u64,
    /// Of clients that have no session.
    pub(super) listen_streams: u64,
    /// Streams of sessions.
    pub(super) streams: u64,
    /// Of sessions.
    pub(super) calls: u64,
    /// Sessions that have a call under way.
    pub(super) calling: u64,
}

impl SessionTally {
    /// A row of `GET /sessions`.
    pub(super) fn add(&mut self, row: &Value) {
        if row["era"] == "modern" {
            self.listen_streams += 1;
            return;
        }
        self.sessions += 1;
        self.streams += row["streams"].as_u64().unwrap_or(0);
        let calls = row["calls"].as_u64().unwrap_or(0);
        self.calls += calls;
        self.calling += u64::from(calls > 0);
        match row.get("portable") {
            Some(Value::Bool(true)) => self.portable += 1,
            Some(Value::String(why)) => self.note_bound(why),
            Some(_) => self.unclear += 1,
            None => self.unsaid += 1,
        }
    }

    /// Those that end with their node, by the reason. A node that says nothing of any session is of a version that hands none on.
    pub(super) fn ending(&self) -> BTreeMap<String, u64> {
        match self.is_silent() {
            true => BTreeMap::from([(OFF.to_owned(), self.unsaid)]),
            false => self.bound.clone(),
        }
    }

    /// Those that end with their node, or do not.
    pub(super) fn unknown(&self) -> u64 {
        let unsaid = if self.is_silent() { 0 } else { self.unsaid };
        unsaid + self.unclear
    }

    /// Its sessions end with it, and it takes none of others.
    pub(super) fn is_off(&self) -> bool {
        self.is_silent() || self.bound.contains_key(OFF)
    }

    fn is_silent(&self) -> bool {
        self.unsaid > 0 && self.unsaid == self.sessions
    }

    fn note_bound(&mut self, why: &str) {
        let why = cut(&plain(why), REASON_CHARS);
        let is_known = self.bound.contains_key(&why) || self.bound.len() < REASONS_MAX;
        let why = if is_known {
            why
        } else {
            OTHER_REASONS.to_owned()
        };
        *self.bound.entry(why).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_session_that_counts_as_another_kind() {
        let mut tally = SessionTally::default();
        for row in [
            json!({"era": "modern", "calls": 3, "streams": 1}),
            json!({"era": "legacy", "portable": true, "streams": 2, "calls": 2}),
            json!({"era": "legacy", "portable": "too_large", "calls": 1}),
            json!({"era": "legacy", "portable": "too_large"}),
            json!({"era": "legacy", "portable": "off\u{1b}[2J"}),
            json!({"era": "legacy"}),
            json!({"era": "legacy", "portable": false}),
            json!({"era": "legacy", "portable": null}),
        ] {
            tally.add(&row);
        }
        let bound = [("too_large", 2), ("off\u{fffd}[2J", 1)];
        let bound = bound.map(|(why, count)| (why.to_owned(), count));
        let expected = SessionTally {
            sessions: 7,
            portable: 1,
            bound: bound.into(),
            unsaid: 1,
            unclear: 2,
            listen_streams: 1,
            streams: 2,
            calls: 3,
            calling: 2,
        };
        assert_eq!(tally, expected);
        assert_eq!((tally.unknown(), tally.is_off()), (3, false));
        assert_eq!(tally.ending(), tally.bound);
    }

    #[test]
    fn a_node_that_says_nothing_and_one_that_says_what_nobody_understands() {
        let of = |rows: &[Value]| {
            let mut tally = SessionTally::default();
            rows.iter().for_each(|row| tally.add(row));
            let ending: Vec<_> = tally.ending().into_iter().collect();
            (ending, tally.unknown(), tally.is_off())
        };
        let silent = json!({"era": "legacy"});
        let says = |portable: Value| json!({"era": "legacy", "portable": portable});
        let off = |count| vec![("off".to_owned(), count)];
        assert_eq!(of(&[silent.clone(), silent.clone()]), (off(2), 0, true));
        assert_eq!(of(&[says(json!("off"))]), (off(1), 0, true));
        assert_eq!(of(&[says(json!({"new": 1}))]), (vec![], 1, false));
        assert_eq!(of(&[silent, says(json!(true))]), (vec![], 1, false));
        assert_eq!(of(&[]), (vec![], 0, false));
    }

    #[test]
    fn a_node_that_has_a_reason_of_its_own_for_each_session() {
        let mut tally = SessionTally::default();
        for number in 0..10_000 {
            tally
                .add(&json!({"era": "legacy", "portable": format!("{number}{}", "x".repeat(500))}));
        }
        assert!(
            tally.bound.len() <= REASONS_MAX + 1,
            "{}",
            tally.bound.len()
        );
        assert!(
            tally
                .bound
                .keys()
                .all(|it| it.chars().count() <= REASON_CHARS)
        );
        assert_eq!(tally.bound.values().sum::<u64>(), 10_000);
    }
}
