//! When an issuer is asked for its keys: regularly, sooner if it says so, and when somebody shows a token of a key that
//! nobody knows. The last is whoever sends requests who decides, so it is bounded.
//!
//! Nodes that were started together, or whose issuer was away for all of them, would ask in the same second ever after. So each
//! of them asks a little before it is time, by lot.

use crate::clients::Millis;
use crate::limits::{
    KEY_RETRY_MAX_MS, KEY_RETRY_MIN_MS, KEY_SEARCH_EVERY_MS, KEYS_AGE_MAX_MS, KEYS_AGE_MIN_MS,
    KEYS_AGE_MS,
};

/// Of one issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refresh {
    due_at: Millis,
    /// The last time that it was asked for a key that nobody knew.
    searched_at: Option<Millis>,
    failures: u32,
    /// The last number that was drawn.
    lot: u64,
}

/// Of the time until an issuer is asked again, the part that is drawn by lot: a fifth.
const SPREAD: u64 = 5;

/// What becomes of a question for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// The issuer is to be asked now.
    Now,
    /// It was asked a moment ago: what is known is all that there was then.
    TooSoon,
    /// It does not answer, and was tried a moment ago.
    Away,
}

impl Refresh {
    /// It is asked at once. The seed is another one on each node.
    #[must_use]
    pub fn new(now: Millis, seed: u64) -> Refresh {
        Refresh {
            due_at: now,
            searched_at: None,
            failures: 0,
            lot: seed,
        }
    }

    #[must_use]
    pub fn poll_timeout(&self) -> Millis {
        self.due_at
    }

    /// Somebody has a token of a key that is not known.
    pub fn handle_unknown_key(&mut self, now: Millis) -> Search {
        if self.failures > 0 && now < self.due_at {
            return Search::Away;
        }
        let is_soon = |at: Millis| now.saturating_sub(at) < KEY_SEARCH_EVERY_MS;
        if self.searched_at.is_some_and(is_soon) {
            return Search::TooSoon;
        }
        self.searched_at = Some(now);
        Search::Now
    }

    /// The keys are here, and good for so many seconds if the issuer said so.
    pub fn handle_fetched(&mut self, now: Millis, max_age_s: Option<u64>) {
        let told = max_age_s.map_or(KEYS_AGE_MS, |seconds| seconds.saturating_mul(1_000));
        self.failures = 0;
        let age = told.clamp(KEYS_AGE_MIN_MS, KEYS_AGE_MAX_MS);
        self.due_at = now + self.a_little_less(age);
    }

    /// It did not answer, or with something else than keys. Returns in how many milliseconds it is asked again.
    pub fn handle_failed(&mut self, now: Millis) -> Millis {
        let doubled = KEY_RETRY_MIN_MS << self.failures.min(16);
        let wait = self.a_little_less(doubled.min(KEY_RETRY_MAX_MS));
        self.failures = self.failures.saturating_add(1);
        self.due_at = now + wait;
        wait
    }

    /// Knuth's generator of 64 bits (MMIX); its upper bits are good enough for a lot.
    fn a_little_less(&mut self, ms: Millis) -> Millis {
        self.lot = self
            .lot
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ms - (self.lot >> 32) % (ms / SPREAD + 1)
    }
}

/// How many seconds an answer is good for: RFC 9111, 5.2.2 and 5.1. What must not be kept is asked for as often as the
/// bounds allow. None: it does not say.
#[must_use]
pub fn max_age_s(cache_control: Option<&str>, age: Option<&str>) -> Option<u64> {
    let directives = cache_control?
        .split(',')
        .map(|it| it.trim().to_ascii_lowercase());
    let mut max_age = None;
    for directive in directives {
        match directive.split_once('=') {
            None if ["no-store", "no-cache"].contains(&directive.as_str()) => return Some(0),
            Some(("max-age", seconds)) => max_age = seconds.trim_matches('"').parse::<u64>().ok(),
            _ => {}
        }
    }
    let age = age.and_then(|age| age.trim().parse().ok()).unwrap_or(0);
    max_age.map(|seconds| seconds.saturating_sub(age))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_that_make_this_server_ask_the_issuer_all_the_time() {
        let mut refresh = Refresh::new(0, 7);
        refresh.handle_fetched(0, None);
        let mut asked = 0;
        for now in (0..600_000).step_by(10) {
            asked += u32::from(refresh.handle_unknown_key(now) == Search::Now);
        }
        assert_eq!(u64::from(asked), 600_000 / KEY_SEARCH_EVERY_MS);
    }

    #[test]
    fn an_issuer_that_does_not_answer_and_is_asked_all_the_time() {
        let mut refresh = Refresh::new(0, 7);
        let (mut now, mut asked) = (0, 0);
        while now < 600_000 {
            asked += 1;
            let wait = refresh.handle_failed(now);
            assert_eq!(refresh.handle_unknown_key(now), Search::Away);
            now = refresh.poll_timeout();
            let least = KEY_RETRY_MIN_MS - KEY_RETRY_MIN_MS / SPREAD;
            assert!((least..=KEY_RETRY_MAX_MS).contains(&wait));
        }
        assert!(asked < 25, "{asked}");
        refresh.handle_fetched(now, None);
        assert_eq!(refresh.handle_unknown_key(now), Search::Now, "it is back");
    }

    #[test]
    fn an_issuer_that_wants_its_keys_kept_for_a_year_or_not_at_all() {
        for (told, kept) in [
            (Some(31_536_000), KEYS_AGE_MAX_MS),
            (Some(u64::MAX), KEYS_AGE_MAX_MS),
            (Some(0), KEYS_AGE_MIN_MS),
            (Some(300), 300_000),
            (None, KEYS_AGE_MS),
        ] {
            let mut refresh = Refresh::new(0, 7);
            refresh.handle_fetched(1_000, told);
            let due = refresh.poll_timeout() - 1_000;
            assert!(
                (kept - kept / SPREAD..=kept).contains(&due),
                "{told:?}: {due}"
            );
        }
    }

    /// Each time another tenth of a fleet, not the same one ahead of the others.
    #[test]
    fn a_hundred_nodes_that_ask_their_issuer_in_the_same_second() {
        let mut nodes: Vec<Refresh> = (0..100).map(|seed| Refresh::new(0, seed << 40)).collect();
        let most_at_once = |nodes: &[Refresh]| {
            let mut seconds = std::collections::BTreeMap::new();
            for node in nodes {
                *seconds.entry(node.poll_timeout() / 1_000).or_insert(0) += 1;
            }
            seconds.into_values().max()
        };
        for node in &mut nodes {
            node.handle_fetched(0, Some(600));
        }
        assert!(
            most_at_once(&nodes) < Some(10),
            "{:?}",
            most_at_once(&nodes)
        );
        // Its issuer is away, and comes back.
        for node in &mut nodes {
            (0..8).for_each(|_| {
                node.handle_failed(0);
            });
        }
        assert!(
            most_at_once(&nodes) < Some(30),
            "{:?}",
            most_at_once(&nodes)
        );
    }

    #[test]
    fn a_cache_control_that_is_misread() {
        for (text, age, seconds) in [
            (Some("max-age=300"), None, Some(300)),
            (
                Some("public, MAX-AGE=300, must-revalidate"),
                Some("100"),
                Some(200),
            ),
            (Some("max-age=300"), Some("900"), Some(0)),
            (Some("no-store, max-age=300"), None, Some(0)),
            (Some("no-cache"), None, Some(0)),
            (Some("public"), None, None),
            (Some("max-age=soon"), None, None),
            (Some("s-maxage=300"), None, None),
            (None, Some("100"), None),
        ] {
            assert_eq!(max_age_s(text, age), seconds, "{text:?}");
        }
    }
}
