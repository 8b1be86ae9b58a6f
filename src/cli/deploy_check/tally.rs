//! Sessions, counted: of a page nothing is kept but numbers.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::cli::table::{cut, plain};

/// Reasons that are told apart at a node. There are some five; what a node of another version says beyond that is one more.
const REASONS_MAX: usize = 32;
const OTHER_REASONS: &str = "other";
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
    /// Those of which the node does not say: its version does not know.
    pub(super) unsaid: u64,
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
        match &row["portable"] {
            Value::Bool(true) => self.portable += 1,
            Value::String(why) => self.note_bound(why),
            _ => self.unsaid += 1,
        }
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
            unsaid: 3,
            listen_streams: 1,
            streams: 2,
            calls: 3,
            calling: 2,
        };
        assert_eq!(tally, expected);
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
