//! This node among the others: its heartbeat in Redis, and what the answers to it say about Redis's memory.
//!
//! A beat reads the node's own key before it writes it. Nothing there means that Redis lost what it knew (it was
//! flushed, restarted, or away for longer than a key lives). Then every session is announced again. For a while
//! nothing is concluded from what other keys do not say, because their owners may not have written them again yet.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::record::{FoundRecord, NodeRecord};

/// Three beats may be lost on the way, and one of them be late, before a node counts as dead.
pub(super) const BEAT_EVERY: Duration = Duration::from_millis(1_500);
pub(super) const NODE_LIFE: Duration = Duration::from_millis(5_000);
/// After that long every node that lives has written its key again.
pub(super) const MEMORY_TRUSTED_AFTER: Duration = Duration::from_millis(2 * 1_500);

const _: () = assert!(3 * BEAT_EVERY.as_millis() < NODE_LIFE.as_millis());

/// A Redis that took the first beat so soon was there before this process, and with it what the other nodes wrote.
const THERE_BEFORE: Duration = Duration::from_millis(1_000);

/// What the beats tell. A plain value.
#[derive(Debug)]
pub(super) struct Heartbeat {
    started: Instant,
    /// Of the connection of the last beat; 0 before the first.
    connection: u64,
    /// Redis has known since then whatever was written.
    remembers_since: Option<Instant>,
    /// When it was found last that Redis had forgotten something.
    forgot_at: Option<Instant>,
    /// Of the last beat that Redis took.
    taken: Option<Instant>,
    /// Of the first one.
    first_taken: Option<Instant>,
    /// Its number: the node's key has no lower one.
    beats: u64,
    /// Another process had this node's key at the last beat.
    other_seen: bool,
    /// The next connection goes on with one of the process before: nothing was lost with that.
    is_resumed: bool,
}

/// As it is written down: how long ago, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct HeartbeatState {
    age_ms: u64,
    remembers_for_ms: Option<u64>,
    taken_before_ms: Option<u64>,
    first_before_ms: Option<u64>,
    other_seen: bool,
}

/// What to do about a beat.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct HeartbeatOutcome {
    /// Redis may not know this node's sessions.
    pub(super) announce: bool,
    /// Another process that lives has this node's name.
    pub(super) duplicate: bool,
    /// What is there is not a node's record.
    pub(super) foreign: bool,
}

impl Heartbeat {
    pub(super) fn new(started: Instant) -> Self {
        Heartbeat {
            started,
            connection: 0,
            remembers_since: None,
            forgot_at: None,
            taken: None,
            first_taken: None,
            beats: 0,
            other_seen: false,
            is_resumed: false,
        }
    }

    /// None: Redis has not taken a beat yet.
    pub(super) fn state(&self, now: Instant) -> Option<HeartbeatState> {
        let Heartbeat {
            started,
            connection,
            remembers_since,
            // The next process claims nothing in its first seconds, and others ask again by then.
            forgot_at: _,
            taken,
            first_taken,
            // The record has it, and goes along.
            beats: _,
            other_seen,
            is_resumed: _,
        } = self;
        let age = |then: Instant| now.saturating_duration_since(then).as_millis() as u64;
        (*connection != 0).then(|| HeartbeatState {
            age_ms: age(*started),
            remembers_for_ms: remembers_since.map(age),
            taken_before_ms: taken.map(age),
            first_before_ms: first_taken.map(age),
            other_seen: *other_seen,
        })
    }

    /// Goes on with that of another process.
    pub(super) fn resumed(now: Instant, state: HeartbeatState) -> Self {
        let then = |ms: u64| now.checked_sub(Duration::from_millis(ms));
        Heartbeat {
            started: then(state.age_ms).unwrap_or(now),
            // No connection has this number.
            connection: u64::MAX,
            remembers_since: state.remembers_for_ms.and_then(then),
            forgot_at: None,
            taken: state.taken_before_ms.and_then(then),
            first_taken: state.first_before_ms.and_then(then),
            beats: 0,
            other_seen: state.other_seen,
            is_resumed: true,
        }
    }

    /// The node's own key was read as `found`, and then written with that number of beats, on the connection of that number.
    pub(super) fn beat(
        &mut self,
        now: Instant,
        connection: u64,
        (own_incarnation, beats): (u64, u64),
        found: &FoundRecord<NodeRecord>,
    ) -> HeartbeatOutcome {
        let is_first = self.connection == 0;
        let is_resumed = std::mem::take(&mut self.is_resumed);
        let is_new = self.connection != connection && !is_resumed;
        let is_own =
            matches!(found, FoundRecord::Record(record) if record.incarnation == own_incarnation);
        let other =
            matches!(found, FoundRecord::Record(record) if record.incarnation != own_incarnation);
        // Redis may have gone back to what it had saved, or to another server that had not heard of everything.
        let went_back = match found {
            FoundRecord::Record(record) if is_own => record.beats < self.beats,
            // On the connection that stands it is another process that lives.
            FoundRecord::Record(_) => !is_first && is_new,
            FoundRecord::Nothing | FoundRecord::Foreign => false,
        };
        let forgot = (!is_own && !other) || went_back;
        self.beats = beats;
        if forgot && !is_first {
            self.forgot_at = Some(now);
        }
        if is_first && now.saturating_duration_since(self.started) < THERE_BEFORE {
            self.remembers_since = now.checked_sub(MEMORY_TRUSTED_AFTER);
        } else if forgot || self.remembers_since.is_none() {
            self.remembers_since = Some(now);
        }
        self.taken = Some(now);
        self.first_taken.get_or_insert(now);
        self.connection = connection;
        // An earlier process of this node may have left its key; one that writes it again is another one that lives.
        let duplicate = other && !is_first && !is_new && self.other_seen;
        self.other_seen = other;
        HeartbeatOutcome {
            announce: !is_first && (is_new || forgot),
            duplicate,
            foreign: *found == FoundRecord::Foreign,
        }
    }

    /// Redis answers, and takes no beats: nobody's.
    pub(super) fn miss(&mut self) {
        self.remembers_since = None;
    }

    /// No other process had this node's key at the last beat.
    pub(super) fn is_alone(&self) -> bool {
        self.taken.is_some() && !self.other_seen
    }

    /// Whether the lack of a key tells that it was not written, or was removed.
    pub(super) fn trusts_absence(&self, now: Instant) -> bool {
        lasts(self.remembers_since, MEMORY_TRUSTED_AFTER, now) && !lasts(self.taken, NODE_LIFE, now)
    }

    /// Whether Redis has said on this connection what it remembers: it may be another one, or the same after a restart.
    pub(super) fn is_of(&self, connection: u64) -> bool {
        self.connection == connection
    }

    pub(super) fn forgot_at(&self) -> Option<Instant> {
        self.forgot_at
    }

    /// Whether every process that lives has had the time to write its key. A Redis that was there before this process may have
    /// hung until just now: those that started meanwhile, however long ago, it has not heard of.
    pub(super) fn has_heard_all(&self, now: Instant) -> bool {
        lasts(self.first_taken, MEMORY_TRUSTED_AFTER, now) && self.trusts_absence(now)
    }
}

/// Whether something has been so for as long as that.
fn lasts(since: Option<Instant>, than: Duration, now: Instant) -> bool {
    since.is_some_and(|since| now.saturating_duration_since(since) >= than)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::session_id::NodeName;

    const OWN: u64 = 7;

    fn record(incarnation: u64) -> FoundRecord<NodeRecord> {
        FoundRecord::Record(NodeRecord::of(
            (NodeName::new("node-a").unwrap(), incarnation),
            None,
        ))
    }

    fn start() -> (Heartbeat, Instant) {
        let now = Instant::now();
        (Heartbeat::new(now), now)
    }

    fn announced(beat: &HeartbeatOutcome) -> bool {
        assert!(!beat.duplicate);
        beat.announce
    }

    #[test]
    fn sessions_are_announced_again_when_redis_may_have_forgotten_them() {
        let (mut heartbeat, now) = start();
        let first = heartbeat.beat(now, 1, (OWN, 0), &FoundRecord::Nothing);
        assert!(!announced(&first), "nothing was said that could be lost");
        assert!(!announced(&heartbeat.beat(now, 1, (OWN, 0), &record(OWN))));
        assert!(
            announced(&heartbeat.beat(now, 1, (OWN, 0), &FoundRecord::Nothing)),
            "flushed"
        );
        assert!(!announced(&heartbeat.beat(now, 1, (OWN, 0), &record(OWN))));
        assert!(
            announced(&heartbeat.beat(now, 2, (OWN, 0), &record(OWN))),
            "came back"
        );
        let foreign = heartbeat.beat(now, 2, (OWN, 0), &FoundRecord::Foreign);
        assert!(announced(&foreign) && foreign.foreign);
    }

    #[test]
    fn a_process_that_goes_on_for_another_one_and_announces_everything() {
        let (mut before, now) = start();
        assert!(before.state(now).is_none());
        before.beat(now, 1, (OWN, 0), &FoundRecord::Nothing);
        let later = now + NODE_LIFE;
        before.beat(later, 1, (OWN, 0), &record(OWN));
        let mut after = Heartbeat::resumed(later, before.state(later).expect("it beats"));
        assert!(after.has_heard_all(later));
        assert!(!announced(&after.beat(later, 1, (OWN, 0), &record(OWN))));
        assert!(
            announced(&after.beat(later, 2, (OWN, 0), &record(OWN))),
            "lost"
        );
        let mut after = Heartbeat::resumed(later, before.state(later).expect("it beats"));
        let emptied = after.beat(later, 1, (OWN, 0), &FoundRecord::Nothing);
        assert!(announced(&emptied), "Redis was emptied meanwhile");
    }

    fn beaten(incarnation: u64, beats: u64) -> FoundRecord<NodeRecord> {
        let FoundRecord::Record(it) = record(incarnation) else {
            unreachable!("it is one");
        };
        FoundRecord::Record(NodeRecord { beats, ..it })
    }

    /// It has what it had saved once: an earlier heartbeat, or the process before this one.
    #[test]
    fn a_redis_that_went_back_to_what_it_had_saved() {
        for (connection, saved) in [(1, beaten(OWN, 1)), (2, beaten(OWN, 1)), (2, beaten(3, 8))] {
            let (mut heartbeat, now) = start();
            heartbeat.beat(now, 1, (OWN, 1), &FoundRecord::Nothing);
            let later = now + MEMORY_TRUSTED_AFTER;
            heartbeat.beat(later, 1, (OWN, 2), &beaten(OWN, 1));
            assert_eq!(heartbeat.forgot_at(), None);
            assert!(heartbeat.trusts_absence(later) && heartbeat.has_heard_all(later));
            let back = heartbeat.beat(later, connection, (OWN, 3), &saved);
            assert!(announced(&back), "{connection} {saved:?}");
            assert_eq!(heartbeat.forgot_at(), Some(later), "{connection} {saved:?}");
            assert!(!heartbeat.trusts_absence(later) && !heartbeat.has_heard_all(later));
        }
    }

    #[test]
    fn a_beat_that_redis_did_not_take_before_the_next_one() {
        let (mut heartbeat, now) = start();
        heartbeat.beat(now, 1, (OWN, 1), &FoundRecord::Nothing);
        heartbeat.beat(now, 1, (OWN, 2), &beaten(OWN, 1));
        assert!(!announced(&heartbeat.beat(
            now,
            1,
            (OWN, 3),
            &beaten(OWN, 2)
        )));
        assert_eq!(heartbeat.forgot_at(), None);
    }

    #[test]
    fn two_processes_of_one_name_are_told_from_one_that_came_again() {
        let (mut heartbeat, now) = start();
        let beat = |heartbeat: &mut Heartbeat, incarnation| {
            heartbeat
                .beat(now, 1, (OWN, 0), &record(incarnation))
                .duplicate
        };
        assert!(!beat(&mut heartbeat, 3), "the process before this one");
        assert!(!beat(&mut heartbeat, OWN));
        assert!(!beat(&mut heartbeat, 9), "perhaps it died just now");
        assert!(beat(&mut heartbeat, 9), "it writes again and again");
    }

    #[test]
    fn absence_tells_something_when_everybody_had_time_to_write() {
        let (mut heartbeat, now) = start();
        assert!(!heartbeat.trusts_absence(now), "never connected");
        heartbeat.beat(now, 1, (OWN, 0), &FoundRecord::Nothing);
        assert!(heartbeat.trusts_absence(now), "Redis was there before");
        let heard_all = |after| heartbeat.has_heard_all(now + after);
        assert!(!heard_all(Duration::ZERO), "it may have hung");
        assert!(heard_all(MEMORY_TRUSTED_AFTER) && !heard_all(NODE_LIFE));

        let (mut heartbeat, start) = start();
        let now = start + THERE_BEFORE;
        let later = now + MEMORY_TRUSTED_AFTER;
        heartbeat.beat(now, 1, (OWN, 0), &FoundRecord::Nothing);
        assert!(!heartbeat.trusts_absence(now) && heartbeat.trusts_absence(later));
        heartbeat.beat(later, 1, (OWN, 0), &record(OWN));
        assert!(heartbeat.trusts_absence(later));
        assert!(
            !heartbeat.trusts_absence(later + NODE_LIFE),
            "no beat since"
        );
        heartbeat.miss();
        assert!(!heartbeat.trusts_absence(later));
        heartbeat.beat(later, 1, (OWN, 0), &record(OWN));
        assert!(
            !heartbeat.trusts_absence(later),
            "what others wrote may be gone"
        );
        heartbeat.beat(now, 1, (OWN, 0), &record(OWN));
        heartbeat.beat(later, 1, (OWN, 0), &FoundRecord::Nothing);
        assert!(!heartbeat.trusts_absence(later));
    }
}
