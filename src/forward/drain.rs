//! What ends with time: answers that never come, sides that take nothing, idle connections, and the streams of a node that
//! drains.

use super::exchange::Passed;
use super::passage::{PassageKey, PassageState, Side};
use super::{ForwardEffect, Forwarder};
use crate::shard::{DrainTimes, Millis};

/// How often some of what is under way ends while the node drains.
const STEP_MS: Millis = 64;

/// The streams end, spread over the window: their clients come back through another node. Answers are waited for.
pub(super) struct ForwardDrain {
    next: Millis,
    /// Those that open later end at once, for as long as the process goes on: it stays 1.
    steps_left: u64,
}

impl Forwarder {
    /// The node drains. A second time changes nothing.
    pub fn handle_drain(&mut self, now: Millis, times: DrainTimes) {
        self.drain.get_or_insert(ForwardDrain {
            next: now + times.notice_ms,
            steps_left: times.window_ms / STEP_MS + 1,
        });
    }

    /// When [`handle_timeout`](Forwarder::handle_timeout) is due. Looks at every request under way: for a driver that has
    /// no clock of its own.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Millis> {
        let timed = self.timed.iter();
        let passages = timed.filter_map(|index| self.passages.get(*index as usize));
        let passages = passages.filter_map(|it| it.due(&self.limits)).min();
        let drain = self.drain.as_ref().filter(|_| !self.passages.is_empty());
        let drain = drain.map(|it| it.next);
        let all = [passages, drain, self.pool.due(), self.look_due()];
        all.into_iter().flatten().min()
    }

    /// Looks for what is due. A few times a second is often enough.
    pub fn handle_timeout(&mut self, now: Millis) {
        for idle in self.pool.take_stale(now) {
            self.effects.push_back(ForwardEffect::Discard(idle));
        }
        for key in self.due(now) {
            self.passage_timeout(now, key);
        }
        self.look_for_silent(now);
        while let Some(count) = self.drain_step(now) {
            self.end_streams(now, count);
        }
    }

    fn due(&self, now: Millis) -> Vec<PassageKey> {
        let key = |index: &u32| {
            let passage = self.passages.get(*index as usize)?;
            let is_due = passage.due(&self.limits).is_some_and(|due| now >= due);
            is_due.then_some(PassageKey {
                index: *index,
                generation: passage.generation,
            })
        };
        self.timed.iter().filter_map(key).collect()
    }

    fn passage_timeout(&mut self, now: Millis, key: PassageKey) {
        let limits = self.limits;
        let passed = self.passage(key).map(|passage| match &mut passage.state {
            PassageState::Exchange(exchange) => exchange.timeout(now, &limits),
            // Its client takes nothing.
            PassageState::Relay(_) => Passed::Over,
        });
        self.conclude(now, key, passed.unwrap_or(Passed::On));
    }

    /// How many of the streams end now, as it takes to be done in time.
    fn drain_step(&mut self, now: Millis) -> Option<u64> {
        let drain = self.drain.as_mut().filter(|it| now >= it.next)?;
        drain.next += STEP_MS;
        let steps = drain.steps_left;
        drain.steps_left = (steps - 1).max(1);
        Some(steps)
    }

    /// In good order: their clients come back, and do not count that as a fault. One in the middle of an event has until the last step.
    fn end_streams(&mut self, now: Millis, steps: u64) {
        let streams = self.passages.iter().filter_map(|(index, it)| {
            let index = index as u32;
            let generation = it.generation;
            match &it.state {
                PassageState::Relay(relay) if !relay.has_ended() => {
                    Some(PassageKey { index, generation })
                }
                PassageState::Relay(_) | PassageState::Exchange(_) => None,
            }
        });
        let streams: Vec<PassageKey> = streams.collect();
        let count = streams.len().div_ceil(steps as usize);
        for key in streams.into_iter().take(count) {
            let is_last = steps == 1;
            self.end_stream(now, key, is_last);
        }
    }

    fn end_stream(&mut self, now: Millis, key: PassageKey, is_last: bool) {
        let has_ended = self.passage(key).is_some_and(|it| match &mut it.state {
            PassageState::Relay(relay) => relay.end(now),
            PassageState::Exchange(_) => false,
        });
        if has_ended {
            self.lose_owner(key);
            self.transmits(key, Side::Client);
        } else if is_last {
            self.close(key);
        }
    }
}
