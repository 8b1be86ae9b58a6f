//! What this node has promised to others, and may have taken from them: a node that does not reach Redis asks all others whether
//! they take nothing over from it for the next two seconds, and has its sessions for as long as all say so. A plain value.
//!
//! A pledge holds for what is sent to Redis from then on. So none is given while a claim on that process is on its way, or broke
//! off and nobody knows what became of it, nor to a process that has lost something already and cannot have heard of that: what
//! counts is when it sent the last heartbeat that Redis took, since behind each it reads what was claimed from it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::lease::LEASE_LIFE;
use super::nodes::MEMORY_TRUSTED_AFTER;
use crate::wire::session_id::{NodeName, Process};

/// From when it is given. Who asked counts from when it asked, and less.
const PLEDGED_FOR: Duration = LEASE_LIFE;

/// Of a question on its way, with room to spare: whoever asked does not wait that long.
const ON_THE_WAY: Duration = Duration::from_secs(1);

/// A command that a connection took along when it broke is not carried out after Redis has answered on the next one for so long.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

/// Processes of which something is remembered: clusters have tens of nodes.
const PROCESSES_MAX: usize = 1024;

#[derive(Debug)]
pub(super) struct Pledges {
    /// What is remembered here is all that there was since then.
    begun: Instant,
    /// The process before may have pledged something, and this one does not know what.
    silent_until: Instant,
    given: HashMap<Process, Instant>,
    claims: HashMap<Process, ClaimsOnOne>,
}

/// On the sessions of one process.
#[derive(Debug, Default)]
struct ClaimsOnOne {
    under_way: usize,
    /// One broke off. Some: Redis answers again, and then it is over.
    is_unknown: bool,
    known_at: Option<Instant>,
    /// When the answer to the last one came that got something.
    got: Option<Instant>,
}

/// As it is written down: how long ago, in milliseconds.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct PledgesState {
    begun_before_ms: u64,
    /// When something was claimed from these, or may have been. None: nobody knows.
    claims: Vec<(String, u64, Option<u64>)>,
}

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClaimEnd {
    Got,
    Nothing,
    Unknown,
}

/// Why a node that asks is not told that nothing is taken over from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoPledge {
    UnderWay,
    Claimed,
    Young,
    Forgotten,
    Crowded,
}

impl NoPledge {
    pub(super) const fn sentence(self) -> &'static str {
        match self {
            NoPledge::UnderWay => "it may just be taking over a session",
            NoPledge::Claimed => "it has taken over a session",
            NoPledge::Young => {
                "it has started since, and does not know what the process before it took over"
            }
            NoPledge::Forgotten => "Redis has forgotten since what it knew of sessions",
            NoPledge::Crowded => "too many nodes have asked it",
        }
    }
}

/// Who asks for a pledge.
#[derive(Clone, Copy, Debug)]
pub(super) struct PledgeAsker {
    pub(super) process: Process,
    /// Of the last heartbeat that Redis took from it, when it asked.
    pub(super) beat_age: Duration,
    /// It has served no session since its lease was over.
    pub(super) is_lapsed: bool,
}

impl Pledges {
    pub(super) fn new(now: Instant) -> Self {
        Pledges {
            begun: now,
            silent_until: now + PLEDGED_FOR,
            given: HashMap::new(),
            claims: HashMap::new(),
        }
    }

    pub(super) fn state(&self, now: Instant) -> PledgesState {
        let ms = |at: Instant| now.saturating_duration_since(at).as_millis() as u64;
        let claims = self.claims.iter().filter_map(|((node, incarnation), it)| {
            let is_unknown = it.is_unknown || it.under_way > 0;
            let got = match is_unknown {
                true => None,
                false => Some(ms(it.got?)),
            };
            Some((node.to_string(), *incarnation, got))
        });
        PledgesState {
            begun_before_ms: ms(self.begun),
            claims: claims.collect(),
        }
    }

    /// Goes on with what another process remembered. What that one has pledged this one keeps by claiming nothing for as long.
    pub(super) fn resumed(now: Instant, state: &PledgesState) -> Self {
        let then = |ms| now.checked_sub(Duration::from_millis(ms)).unwrap_or(now);
        let claims = state.claims.iter().filter_map(|(node, incarnation, got)| {
            let claims = ClaimsOnOne {
                is_unknown: got.is_none(),
                got: got.map(then),
                ..ClaimsOnOne::default()
            };
            Some(((NodeName::new(node)?, *incarnation), claims))
        });
        Pledges {
            begun: then(state.begun_before_ms),
            claims: claims.collect(),
            ..Pledges::new(now)
        }
    }

    /// Whether anything may be claimed from it now.
    pub(super) fn allow_claim(&self, from: Process, now: Instant) -> bool {
        let is_pledged = self.given.get(&from).is_some_and(|&until| now < until);
        now >= self.silent_until && !is_pledged
    }

    /// One is about to be sent. False: it is not to be.
    pub(super) fn begin_claim(&mut self, from: Process, now: Instant) -> bool {
        let may =
            self.allow_claim(from, now) && make_room(&mut self.claims, from, |it| !it.is_over(now));
        if may {
            self.claims.entry(from).or_default().under_way += 1;
        }
        may
    }

    pub(super) fn end_claim(&mut self, from: Process, end: ClaimEnd, now: Instant) {
        let claims = self.claims.entry(from).or_default();
        claims.under_way = claims.under_way.saturating_sub(1);
        match end {
            ClaimEnd::Got => claims.got = Some(now),
            ClaimEnd::Nothing => {}
            ClaimEnd::Unknown => (claims.is_unknown, claims.known_at) = (true, None),
        }
        if claims.is_nothing() {
            self.claims.remove(&from);
        }
    }

    /// Redis has answered on a connection that stands.
    pub(super) fn redis_answers(&mut self, now: Instant) {
        for claims in self.claims.values_mut().filter(|it| it.is_unknown) {
            let known_at = *claims.known_at.get_or_insert(now + FORGOTTEN_AFTER);
            if now >= known_at {
                (claims.is_unknown, claims.known_at) = (false, None);
                // What it may have got.
                claims.got = Some(now);
            }
        }
    }

    /// The connection broke, and what was sent on it may be carried out later.
    pub(super) fn redis_is_away(&mut self) {
        for claims in self.claims.values_mut() {
            claims.known_at = None;
        }
    }

    /// `forgot_at` is when it was found last that Redis had lost something: records may name earlier owners until each node has
    /// reached it again. Nobody claims in the first moment after that, in which the others are to come back.
    ///
    /// # Errors
    /// Why it cannot be promised.
    pub(super) fn pledge(
        &mut self,
        asker: PledgeAsker,
        forgot_at: Option<Instant>,
        now: Instant,
    ) -> Result<(), NoPledge> {
        let PledgeAsker {
            process,
            beat_age,
            is_lapsed,
        } = asker;
        let is_since = |at: Instant| now.saturating_duration_since(at) < beat_age + ON_THE_WAY;
        if let Some(claims) = self.claims.get(&process) {
            if claims.under_way > 0 || claims.is_unknown {
                return Err(NoPledge::UnderWay);
            }
            if claims.got.is_some_and(is_since) {
                return Err(NoPledge::Claimed);
            }
        }
        let claims_again =
            |at| now.saturating_duration_since(at) + PLEDGED_FOR > MEMORY_TRUSTED_AFTER;
        if forgot_at.is_some_and(|at| is_since(at) && claims_again(at)) {
            return Err(NoPledge::Forgotten);
        }
        if is_lapsed && is_since(self.begun) {
            return Err(NoPledge::Young);
        }
        if !make_room(&mut self.given, process, |&until| now < until) {
            return Err(NoPledge::Crowded);
        }
        self.given.insert(process, now + PLEDGED_FOR);
        Ok(())
    }
}

/// Whether `process` has a place, once those are gone that need none any more.
fn make_room<T>(
    places: &mut HashMap<Process, T>,
    process: Process,
    is_needed: impl Fn(&T) -> bool,
) -> bool {
    let is_full =
        |it: &HashMap<Process, T>| it.len() >= PROCESSES_MAX && !it.contains_key(&process);
    if is_full(places) {
        places.retain(|_, it| is_needed(it));
    }
    !is_full(places)
}

impl ClaimsOnOne {
    fn is_nothing(&self) -> bool {
        self.under_way == 0 && !self.is_unknown && self.got.is_none()
    }

    /// Whoever lost something so long ago has heard of it, or has had no lease since: as a rule it is gone.
    fn is_over(&self, now: Instant) -> bool {
        let long_ago = |at| now.saturating_duration_since(at) > 10 * FORGOTTEN_AFTER;
        self.under_way == 0 && !self.is_unknown && self.got.is_none_or(long_ago)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(incarnation: u64) -> Process {
        (NodeName::new("b").expect("a name"), incarnation)
    }

    fn asker(beat_age: Duration, is_lapsed: bool) -> PledgeAsker {
        PledgeAsker {
            process: process(1),
            beat_age,
            is_lapsed,
        }
    }

    const SECOND: Duration = Duration::from_secs(1);
    const MOMENT: Duration = Duration::from_millis(1);

    /// For an hour already.
    fn pledges(now: Instant) -> Pledges {
        Pledges::new(now.checked_sub(3600 * SECOND).unwrap_or(now))
    }

    #[test]
    fn a_session_that_is_taken_over_from_who_was_promised_otherwise() {
        let now = Instant::now() + 3600 * SECOND;
        let mut pledges = pledges(now);
        assert!(pledges.allow_claim(process(1), now));
        assert_eq!(pledges.pledge(asker(SECOND, false), None, now), Ok(()));
        let within = now + PLEDGED_FOR - MOMENT;
        assert!(!pledges.begin_claim(process(1), within));
        assert!(pledges.allow_claim(process(2), within), "of another one");
        assert!(pledges.begin_claim(process(1), now + PLEDGED_FOR));
    }

    #[test]
    fn a_promise_of_what_is_being_broken() {
        let now = Instant::now() + 3600 * SECOND;
        let mut pledges = pledges(now);
        let ask = |pledges: &mut Pledges, age| pledges.pledge(asker(age, false), None, now);
        assert!(pledges.begin_claim(process(1), now) && pledges.begin_claim(process(1), now));
        pledges.end_claim(process(1), ClaimEnd::Nothing, now);
        assert_eq!(ask(&mut pledges, SECOND), Err(NoPledge::UnderWay));
        pledges.end_claim(process(1), ClaimEnd::Nothing, now);
        assert_eq!(ask(&mut pledges, SECOND), Ok(()));
        let now = now + PLEDGED_FOR;
        let ask = |pledges: &mut Pledges, age| pledges.pledge(asker(age, false), None, now);
        assert!(pledges.begin_claim(process(1), now));
        pledges.end_claim(process(1), ClaimEnd::Got, now);
        assert_eq!(ask(&mut pledges, 5 * SECOND), Err(NoPledge::Claimed));
        // A heartbeat later it has read what it lost.
        let later = now + 5 * SECOND;
        let asked = |age| asker(age, true);
        assert_eq!(
            pledges.pledge(asked(4 * SECOND + MOMENT), None, later),
            Err(NoPledge::Claimed)
        );
        assert_eq!(pledges.pledge(asked(4 * SECOND), None, later), Ok(()));
        let forgot_at = Some(later - 3 * SECOND);
        let said = pledges.pledge(asked(4 * SECOND), forgot_at, later);
        assert_eq!(said, Err(NoPledge::Forgotten));
        assert_eq!(pledges.pledge(asked(2 * SECOND), forgot_at, later), Ok(()));
        let just_now = Some(later - SECOND);
        assert_eq!(pledges.pledge(asked(4 * SECOND), just_now, later), Ok(()));
    }

    #[test]
    fn a_claim_that_redis_carries_out_when_nobody_thinks_of_it_any_more() {
        let mut now = Instant::now() + 3600 * SECOND;
        let mut pledges = pledges(now);
        let asked = asker(SECOND, false);
        assert!(pledges.begin_claim(process(1), now));
        pledges.end_claim(process(1), ClaimEnd::Unknown, now);
        for _ in 0..1_000 {
            now += SECOND;
            assert_eq!(pledges.pledge(asked, None, now), Err(NoPledge::UnderWay));
        }
        pledges.redis_answers(now);
        pledges.redis_is_away();
        now += FORGOTTEN_AFTER;
        pledges.redis_answers(now);
        assert_eq!(pledges.pledge(asked, None, now), Err(NoPledge::UnderWay));
        now += FORGOTTEN_AFTER;
        pledges.redis_answers(now);
        now += 3 * SECOND;
        assert_eq!(pledges.pledge(asked, None, now), Ok(()));
    }

    #[test]
    fn a_process_that_vouches_for_the_one_before_it() {
        let now = Instant::now();
        let mut young = Pledges::new(now);
        assert!(!young.allow_claim(process(1), now + PLEDGED_FOR - MOMENT));
        assert!(young.allow_claim(process(1), now + PLEDGED_FOR));
        let later = now + 10 * SECOND;
        let ask =
            |pledges: &mut Pledges, age, lapsed| pledges.pledge(asker(age, lapsed), None, later);
        let long = 60 * SECOND;
        assert_eq!(ask(&mut young, long, true), Err(NoPledge::Young));
        assert_eq!(ask(&mut young, long, false), Ok(()), "it lost nothing yet");
        assert_eq!(ask(&mut young, 8 * SECOND, true), Ok(()));
    }

    #[test]
    fn a_hand_over_that_forgets_what_was_taken() {
        let now = Instant::now() + 3600 * SECOND;
        let mut before = pledges(now);
        for number in 1..4 {
            assert!(before.begin_claim(process(number), now));
        }
        before.end_claim(process(1), ClaimEnd::Got, now);
        before.end_claim(process(2), ClaimEnd::Unknown, now);
        let later = now + 10 * SECOND;
        let mut next = Pledges::resumed(later, &before.state(later));
        assert!(
            !next.allow_claim(process(9), later),
            "it may have been promised"
        );
        let mut ask = |number, age| {
            let asked = asker(age, true);
            let process = process(number);
            next.pledge(PledgeAsker { process, ..asked }, None, later)
        };
        assert_eq!(ask(1, 9 * SECOND + MOMENT), Err(NoPledge::Claimed));
        assert_eq!(ask(1, 9 * SECOND), Ok(()));
        assert_eq!(ask(2, SECOND), Err(NoPledge::UnderWay));
        assert_eq!(ask(3, SECOND), Err(NoPledge::UnderWay));
        assert_eq!(ask(4, 60 * SECOND), Ok(()), "it remembers that long");
    }

    #[test]
    fn more_processes_than_anybody_has() {
        let now = Instant::now() + 3600 * SECOND;
        let mut pledges = pledges(now);
        let many = 0..2 * PROCESSES_MAX as u64;
        let mut refused = 0;
        for number in many.clone() {
            let process = process(number);
            let asked = asker(SECOND, false);
            let said = pledges.pledge(PledgeAsker { process, ..asked }, None, now);
            refused += usize::from(said == Err(NoPledge::Crowded));
        }
        assert_eq!(
            (pledges.given.len(), refused),
            (PROCESSES_MAX, PROCESSES_MAX)
        );
        let later = now + PLEDGED_FOR;
        for number in many {
            if pledges.begin_claim(process(number), later) {
                pledges.end_claim(process(number), ClaimEnd::Got, later);
            }
        }
        assert_eq!(pledges.claims.len(), PROCESSES_MAX);
        assert!(!pledges.begin_claim(process(5_000), later));
        let much_later = later + 11 * FORGOTTEN_AFTER;
        assert!(pledges.begin_claim(process(5_000), much_later));
    }
}
