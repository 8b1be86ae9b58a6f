//! What must not happen, counted.

use serde::Serialize;

#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Faults {
    pub(super) events_missing: u64,
    /// That came twice, or after a later one.
    pub(super) events_wrong: u64,
    pub(super) streams_ended: u64,
    pub(super) connections_refused: u64,
    /// Reset, or closed before the answer.
    pub(super) connections_broken: u64,
    /// Answered with something else than success.
    pub(super) requests_failed: u64,
    pub(super) publications_failed: u64,
    /// Hand-overs that came to nothing.
    pub(super) refusals: u64,
    /// For slow readers, with a later one of the same topic: no fault.
    pub(super) merged: u64,
    /// The first of them, in words.
    pub(super) first: Vec<String>,
}

const KEPT: usize = 8;

impl Faults {
    pub(super) fn say(&mut self, what: String) {
        if self.first.len() < KEPT {
            self.first.push(what);
        }
    }

    pub(super) fn sum(&self) -> u64 {
        let Faults {
            events_missing,
            events_wrong,
            streams_ended,
            connections_refused,
            connections_broken,
            requests_failed,
            publications_failed,
            refusals,
            merged: _,
            first: _,
        } = self;
        events_missing
            + events_wrong
            + streams_ended
            + connections_refused
            + connections_broken
            + requests_failed
            + publications_failed
            + refusals
    }
}
