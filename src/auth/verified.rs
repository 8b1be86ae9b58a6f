//! Tokens that were verified, so that the next request with one of them costs a look.
//!
//! A core has one, for itself. A token is known by a keyed digest of it (SipHash-2-4, 128 bits): nothing here can be made
//! into a token again, and nobody without the key, which is new at each start, finds a text that passes for one.
//!
//! SipHash takes 350 ns for a token of a kilobyte, which is most of what a known token costs. What nobody knows of a signed
//! token but who has it is its signature: of that, the end goes into the digest, with a fast keyed checksum of all of the token.
//! So whoever would pass for somebody else has to have their signature, and with it their token; and with a changed token
//! they meet the checksum with a chance of 2^-64. Of any other text all goes into the digest.
//!
//! Who has not shown a token for a while has it verified anew, so that streams that do nothing keep nothing here. Past its
//! bounds whoever holds most of it loses first: a principal with a thousand tokens costs itself, not the others.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{BuildHasher as _, BuildHasherDefault, Hasher};
use std::rc::Rc;

use foldhash::quality::FixedState;
use siphasher::sip128::{Hasher128 as _, SipHasher24};

use super::{Identity, PrincipalId, UnixSeconds};
use crate::limits::{VERIFIED_BYTES_MAX, VERIFIED_TOKENS_MAX, VERIFIED_UNUSED_S};

/// How many are looked at for one that goes. Of so many, chosen by nobody, some are of whoever has most.
const LOOKS: usize = 16;

/// How many are looked at for whether anybody uses them, each time: of those that all have a place, each in half a minute.
const UNUSED_LOOKS: usize = 64;

/// What an entry takes beside its identity: itself, and its place in the index.
const ENTRY_BYTES: usize = 96;

pub struct VerifiedTokens {
    key: [u8; 16],
    checksum: FixedState,
    bounds: VerifiedBounds,
    /// In no order; the index says where each is.
    entries: Vec<Verified>,
    index: HashMap<u128, u32, BuildHasherDefault<Prehashed>>,
    /// How many entries each principal has: at least one.
    held: BTreeMap<PrincipalId, u32>,
    bytes: usize,
    /// Where the next look for one that goes begins.
    hand: usize,
    /// The next one of which it is looked whether anybody uses it.
    looked_at: usize,
}

/// What a core remembers at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifiedBounds {
    pub tokens_max: usize,
    pub bytes_max: usize,
}

struct Verified {
    digest: u128,
    identity: Rc<Identity>,
    used: UnixSeconds,
}

/// A digest under a secret key is a hash as it is.
#[derive(Default)]
struct Prehashed(u64);

impl Hasher for Prehashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, digest: u128) {
        self.0 = digest as u64;
    }
}

impl Default for VerifiedBounds {
    fn default() -> Self {
        VerifiedBounds {
            tokens_max: VERIFIED_TOKENS_MAX,
            bytes_max: VERIFIED_BYTES_MAX,
        }
    }
}

impl VerifiedTokens {
    /// The key and the seed are random, and known to nobody else.
    #[must_use]
    pub fn new((key, seed): ([u8; 16], u64), bounds: VerifiedBounds) -> VerifiedTokens {
        VerifiedTokens {
            key,
            checksum: FixedState::with_seed(seed),
            bounds,
            entries: Vec::new(),
            index: HashMap::default(),
            held: BTreeMap::new(),
            bytes: 0,
            hand: 0,
            looked_at: 0,
        }
    }

    /// Whose token it is, if it was verified before and is still valid.
    pub fn find(&mut self, token: &[u8], now: UnixSeconds) -> Option<Rc<Identity>> {
        let place = *self.index.get(&self.digest(token))?;
        let entry = self.entries.get_mut(place as usize)?;
        if !entry.identity.is_valid(now) {
            self.remove(place as usize);
            return None;
        }
        entry.used = now;
        Some(entry.identity.clone())
    }

    /// It was verified just now.
    pub fn remember(&mut self, token: &[u8], identity: Rc<Identity>, now: UnixSeconds) {
        let digest = self.digest(token);
        if let Some(&place) = self.index.get(&digest) {
            self.remove(place as usize);
        }
        let bytes = ENTRY_BYTES + identity.bytes();
        if bytes > self.bounds.bytes_max || self.bounds.tokens_max == 0 {
            return;
        }
        while self.entries.len() >= self.bounds.tokens_max
            || self.bytes + bytes > self.bounds.bytes_max
        {
            self.remove(self.one_that_goes(now));
        }
        *self.held.entry(identity.id()).or_insert(0) += 1;
        self.bytes += bytes;
        self.index.insert(digest, self.entries.len() as u32);
        self.entries.push(Verified {
            digest,
            identity,
            used: now,
        });
    }

    /// From now on tokens of others than these are looked at anew.
    pub fn retain(&mut self, keep: impl Fn(&Identity) -> bool) {
        let mut place = 0;
        while let Some(entry) = self.entries.get(place) {
            match keep(&entry.identity) {
                true => place += 1,
                false => self.remove(place),
            }
        }
    }

    /// Some of those that nobody showed for so long are forgotten, the next ones each time.
    pub fn forget_unused(&mut self, now: UnixSeconds) {
        for _ in 0..UNUSED_LOOKS.min(self.entries.len()) {
            match self.entries.get(self.looked_at) {
                None => self.looked_at = 0,
                // Another one takes its place.
                Some(entry) if now.saturating_sub(entry.used) > VERIFIED_UNUSED_S => {
                    self.remove(self.looked_at);
                }
                Some(_) => self.looked_at += 1,
            }
        }
        // What a crowd needed does not stay when it is gone.
        if self.entries.capacity() > 4 * self.entries.len().max(LOOKS) {
            self.entries.shrink_to(2 * self.entries.len());
            self.index.shrink_to(2 * self.entries.len());
        }
    }

    /// From now on every token is looked at anew.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.index.clear();
        self.held.clear();
        self.bytes = 0;
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Memory, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn digest(&self, token: &[u8]) -> u128 {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        match end_of_signature(token) {
            Some(end) => {
                hasher.write(end);
                // Of no text that goes in whole: eight bytes that nobody knows stand at its end.
                hasher.write_u64(self.checksum.hash_one(token));
            }
            None => hasher.write(token),
        }
        hasher.finish128().as_u128()
    }

    /// One whose time is over, or else one of whoever has most among some; of equal ones the one that was used longest
    /// ago.
    fn one_that_goes(&self, now: UnixSeconds) -> usize {
        let count = self.entries.len();
        let place = |step: usize| {
            let spread = (self.hand as u64 + step as u64).wrapping_mul(SPREAD) >> 32;
            spread as usize % count
        };
        let looked_at = (0..LOOKS.min(count)).map(place);
        let rank = |place: &usize| {
            let entry = self.entries.get(*place)?;
            let held = self.held.get(&entry.identity.id()).copied().unwrap_or(0);
            Some((!entry.identity.is_valid(now), held, u64::MAX - entry.used))
        };
        looked_at.max_by_key(rank).unwrap_or(0)
    }

    fn remove(&mut self, place: usize) {
        if place >= self.entries.len() {
            return;
        }
        let entry = self.entries.swap_remove(place);
        self.index.remove(&entry.digest);
        if let Some(moved) = self.entries.get(place) {
            self.index.insert(moved.digest, place as u32);
        }
        self.bytes -= ENTRY_BYTES + entry.identity.bytes();
        if let Some(held) = self.held.get_mut(&entry.identity.id()) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&entry.identity.id());
            }
        }
        self.hand = self.hand.wrapping_add(LOOKS);
    }
}

/// The last bytes of the signature of a signed token (RFC 7515, 3.1). None: it is not one, or has a short one.
fn end_of_signature(token: &[u8]) -> Option<&[u8]> {
    let end = token.last_chunk::<SIGNATURE_END_BYTES>()?;
    // The words of a proxy have no secret, and a line end behind each.
    let is_of_signature = !end.contains(&b'.') && !end.contains(&b'\n') && token.contains(&b'.');
    is_of_signature.then_some(end)
}

/// 384 bits of it.
const SIGNATURE_END_BYTES: usize = 64;

/// 2^64 by the golden ratio: numbers that follow each other come out far apart, and evenly so.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Neither tokens, which it does not have, nor whose they are.
impl fmt::Debug for VerifiedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tokens = self.entries.len();
        f.debug_struct("VerifiedTokens")
            .field("tokens", &tokens)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(tokens_max: usize) -> VerifiedTokens {
        let bounds = VerifiedBounds {
            tokens_max,
            ..VerifiedBounds::default()
        };
        VerifiedTokens::new(([7; 16], 7), bounds)
    }

    fn identity(subject: &str) -> Rc<Identity> {
        Rc::new(Identity::new("issuer", subject).with_valid_until(1_000))
    }

    #[test]
    fn a_token_that_is_remembered_beyond_its_time() {
        let mut tokens = tokens(8);
        tokens.remember(b"a", identity("alice"), 0);
        assert!(tokens.find(b"a", 999).is_some());
        assert!(tokens.find(b"a", 1_000).is_none());
        assert!(tokens.is_empty() && tokens.bytes() == 0);
    }

    #[test]
    fn a_crowd_that_has_left_and_whose_tokens_stay() {
        let mut tokens = tokens(10_000);
        for number in 0..10_000 {
            tokens.remember(format!("{number}").as_bytes(), identity("alice"), 0);
        }
        let is_used = |number: u32| number.is_multiple_of(1_000);
        for now in 1..200 {
            for number in (0..10_000).filter(|number| is_used(*number)) {
                assert!(tokens.find(format!("{number}").as_bytes(), now).is_some());
            }
            if now <= VERIFIED_UNUSED_S {
                assert_eq!(tokens.len(), 10_000);
            }
            tokens.forget_unused(now);
        }
        assert_eq!(tokens.len(), 10);
        assert!(tokens.entries.capacity() <= 4 * LOOKS && tokens.index.capacity() <= 8 * LOOKS);
    }

    /// All of what has no signature goes into the digest, whatever it looks like.
    #[test]
    fn words_of_a_proxy_that_are_taken_for_a_signed_token() {
        let words = format!("alice.smith\nAlice\n{}\n", "x".repeat(100));
        assert_eq!(end_of_signature(words.as_bytes()), None);
        let signed = words.replace('\n', "");
        assert!(end_of_signature(signed.as_bytes()).is_some());
    }

    #[test]
    fn a_token_that_passes_for_another_one() {
        let mut tokens = tokens(8);
        let opaque = "o".repeat(1_000);
        let signed = format!("{}.{}.{}", "h".repeat(40), "p".repeat(900), "s".repeat(86));
        for token in ["token", &opaque, &signed] {
            tokens.remember(token.as_bytes(), identity("alice"), 0);
            assert!(tokens.find(token.as_bytes(), 0).is_some());
            for place in 0..token.len() {
                let mut other = token.as_bytes().to_vec();
                other[place] ^= 1;
                assert!(tokens.find(&other, 0).is_none(), "{place}");
                assert!(tokens.find(&token.as_bytes()[place + 1..], 0).is_none());
            }
            assert!(tokens.find(&[token.as_bytes(), b" "].concat(), 0).is_none());
        }
        // Another core's, or another process's, key.
        let mut others = VerifiedTokens::new(([8; 16], 8), VerifiedBounds::default());
        assert_ne!(
            others.digest(signed.as_bytes()),
            tokens.digest(signed.as_bytes())
        );
        assert!(others.find(signed.as_bytes(), 0).is_none());
        assert!(!format!("{tokens:?}").contains("alice"));
    }

    #[test]
    fn a_principal_with_a_thousand_tokens_that_costs_the_others_theirs() {
        let mut tokens = tokens(512);
        let others = 0..256;
        for other in others.clone() {
            let text = format!("other {other}");
            tokens.remember(text.as_bytes(), identity(&text), 0);
        }
        for number in 0..10_000 {
            tokens.remember(format!("greedy {number}").as_bytes(), identity("greedy"), 0);
        }
        assert_eq!(tokens.len(), 512);
        let is_there = |other: &u32| {
            tokens
                .find(format!("other {other}").as_bytes(), 0)
                .is_some()
        };
        let left = others.filter(is_there).count();
        assert!(left >= 250, "{left}");
    }

    #[test]
    fn tokens_that_take_more_memory_than_they_may() {
        let bounds = VerifiedBounds {
            tokens_max: 1_000,
            bytes_max: 4_000,
        };
        let mut tokens = VerifiedTokens::new(([7; 16], 7), bounds);
        for number in 0..100 {
            tokens.remember(
                format!("{number}").as_bytes(),
                identity(&format!("{number}")),
                0,
            );
            assert!(tokens.bytes() <= 4_000);
        }
        assert!(tokens.len() > 4);
        let huge = Identity::new("issuer", &"x".repeat(4_000));
        tokens.remember(b"huge", Rc::new(huge), 0);
        assert!(tokens.find(b"huge", 0).is_none());
    }

    #[test]
    fn a_principal_whose_tokens_are_found_after_they_were_taken_back() {
        let mut tokens = tokens(64);
        for number in 0..32 {
            let subject = if number % 2 == 0 { "alice" } else { "bob" };
            tokens.remember(format!("{number}").as_bytes(), identity(subject), 0);
        }
        tokens.retain(|identity| identity.subject() != "alice");
        let found = |number: &u32| tokens.find(format!("{number}").as_bytes(), 0).is_some();
        let left: Vec<u32> = (0..32).filter(found).collect();
        assert!(left.len() == 16 && left.iter().all(|number| number % 2 == 1));
    }

    /// Against a plain list, in any order of steps.
    #[test]
    fn an_index_that_names_the_wrong_place() {
        let mut tokens = tokens(20);
        let mut random = 1_u64;
        for step in 0..20_000_u64 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let (number, kind) = (random >> 33 & 63, random >> 60);
            let text = number.to_string();
            match kind {
                0..8 => tokens.remember(text.as_bytes(), identity(&text), 0),
                8 => tokens.retain(|identity| identity.subject() != text),
                _ => {
                    let found = tokens.find(text.as_bytes(), 0);
                    assert!(found.is_none_or(|it| it.subject() == text), "{step}");
                }
            }
            assert_eq!(tokens.index.len(), tokens.entries.len());
            assert_eq!(
                tokens.held.values().sum::<u32>() as usize,
                tokens.entries.len()
            );
            let bytes = tokens
                .entries
                .iter()
                .map(|it| ENTRY_BYTES + it.identity.bytes());
            assert_eq!(tokens.bytes, bytes.sum::<usize>());
        }
    }
}
