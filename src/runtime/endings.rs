//! What an operator hears of what a core ended, or lost: streams of notifications that ended for what their clients are no
//! longer, and each session. The metrics tell how many.
//!
//! A session has a line of its own, up to so many a second. Of more a line tells how many there were and why: of a hundred
//! thousand that end in a drain nobody reads each, and none is passed over in silence.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::clock;
use crate::log_throttle::LogThrottles;
use crate::shard::view::EndedRow;
use crate::shard::{Closed, Millis, Shard};

/// Where the log has the ends of sessions.
const SESSIONS_LOG: &str = "pinfold::sessions";

/// Of sessions of one core that have a line of their own, and in which time.
const LINES_MAX: u32 = 20;
const WITHIN_MS: Millis = 1_000;

pub(super) fn note(core: u16, why: Closed, throttles: &LogThrottles) {
    if let Some(unlogged) = throttles.admit("ended", clock::now()) {
        tracing::info!(
            reason = why.word(),
            core,
            unlogged,
            "a stream of notifications was ended"
        );
    }
}

/// What is still to be said of sessions that ended.
#[derive(Default)]
pub(super) struct SessionEndings(RefCell<EndingsState>);

#[derive(Default)]
struct EndingsState {
    since: Millis,
    lines: u32,
    /// Those without a line since then.
    others: BTreeMap<&'static str, u64>,
    requests: u64,
    events: u64,
}

impl EndingsState {
    /// Whether one more has a line of its own. If not, it is counted.
    fn admit(&mut self, ended: &EndedRow) -> bool {
        if self.lines < LINES_MAX {
            self.lines += 1;
            return true;
        }
        self.count(ended.reason.word(), 1);
        self.requests += u64::from(ended.requests);
        self.events += u64::from(ended.events);
        false
    }

    fn count(&mut self, reason: &'static str, count: u64) {
        *self.others.entry(reason).or_default() += count;
    }

    /// The others, once their time is over.
    fn due(&mut self, now: Millis) -> Option<EndingsState> {
        if now < self.since + WITHIN_MS {
            return None;
        }
        self.take(now)
    }

    fn take(&mut self, now: Millis) -> Option<EndingsState> {
        let before = std::mem::take(self);
        self.since = now;
        (!before.others.is_empty()).then_some(before)
    }

    fn say(&self, core: u16) {
        let count: u64 = self.others.values().sum();
        let mut reasons = String::new();
        for (reason, count) in &self.others {
            let comma = if reasons.is_empty() { "" } else { ", " };
            // Writing to a text cannot fail.
            let _ = write!(reasons, "{comma}{reason} {count}");
        }
        let (requests, events) = (self.requests, self.events);
        tracing::info!(target: SESSIONS_LOG, count, reasons, requests, events, core, "further sessions ended");
    }
}

impl SessionEndings {
    /// Says which sessions ended since the last time; with `is_last` also what would be said later.
    pub(super) fn log(&self, shard: &mut Shard, core: u16, is_last: bool) {
        let mut state = self.0.borrow_mut();
        let now = clock::now();
        if let Some(others) = state.due(now) {
            others.say(core);
        }
        while let Some(ended) = shard.poll_ended() {
            // Listen streams come and go with their connections.
            if !ended.name.is_stream && state.admit(&ended) {
                say(&ended, core);
            }
        }
        for (reason, count) in shard.take_untold() {
            state.count(reason.word(), count);
        }
        if is_last && let Some(others) = state.take(now) {
            others.say(core);
        }
    }
}

fn say(ended: &EndedRow, core: u16) {
    tracing::info!(
        target: SESSIONS_LOG,
        session = %ended.name,
        reason = ended.reason.word(),
        version = ended.version.as_str(),
        principal = ended.principal.map(tracing::field::display),
        lasted_ms = ended.ended_at.saturating_sub(ended.created_at),
        requests = ended.requests,
        events = ended.events,
        core,
        "a session ended"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::ProtocolVersion;
    use crate::shard::view::EndReason;
    use crate::wire::operator_name::OperatorName;

    fn ended(reason: EndReason) -> EndedRow {
        let name: Result<OperatorName, _> = "n1.AAEAAAACAAAAAwAAAAAAAAAE".parse();
        EndedRow {
            name: name.expect("a name"),
            version: ProtocolVersion::LATEST_LEGACY,
            client: None,
            principal: None,
            created_at: 0,
            ended_at: 1,
            reason,
            requests: 2,
            events: 3,
        }
    }

    #[test]
    fn a_hundred_thousand_that_end_at_once() {
        let mut state = EndingsState::default();
        assert!(state.due(5_000).is_none());
        let lines = (0..100_000).filter(|number| {
            let reason = if number % 4 == 0 {
                EndReason::Idle
            } else {
                EndReason::Draining
            };
            state.admit(&ended(reason))
        });
        assert_eq!(lines.count(), LINES_MAX as usize);
        assert!(state.due(5_999).is_none());
        let others = state.due(6_000).expect("they are told of");
        let counted: Vec<(&str, u64)> = others.others.into_iter().collect();
        assert_eq!(counted, [("draining", 75_000 - 15), ("idle", 25_000 - 5)]);
        assert_eq!((others.requests, others.events), (2 * 99_980, 3 * 99_980));
        assert!(state.due(7_000).is_none(), "they are told of once");
        assert!(state.admit(&ended(EndReason::Idle)));
    }
}
