//! What was accepted under which idempotency key, for five minutes. A publisher that is not sure whether its item arrived
//! sends it again, with the same key, and nothing is published twice. A key that comes again with another item is a
//! mistake. The item's digest tells it from a repetition.
//!
//! Only what was accepted is remembered: whatever was refused may be tried again. Past its bounds the memory loses
//! the oldest first. What is under way is no more than the listener's connections have under way.
//! Invariants: `answered` has each remembered key once, oldest first; `bytes` is their sum.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use futures_channel::oneshot::{Receiver, Sender, channel};
use serde::{Deserialize, Serialize};

use super::PublishOutcome;
use super::digest::Digest;
use crate::app::call::KeptBy;

/// How long a key is remembered: longer than any client goes on trying.
const REMEMBERED_MS: u64 = 5 * 60 * 1000;

/// How much is remembered.
#[derive(Clone, Copy, Debug)]
pub(super) struct CacheBounds {
    pub(super) keys_max: usize,
    /// Of keys and what is kept beside them.
    pub(super) bytes_max: usize,
}

impl Default for CacheBounds {
    /// Three hundred keyed items a second for as long as they are remembered.
    fn default() -> Self {
        CacheBounds {
            keys_max: 100_000,
            bytes_max: 24 * 1024 * 1024,
        }
    }
}

/// A remembered key's share of the table, the queue and its allocation, about.
const ENTRY_BYTES: usize = 176;

#[derive(Default)]
pub(super) struct IdempotencyCache {
    bounds: CacheBounds,
    known: HashMap<Arc<str>, (Digest, KeyState)>,
    /// When it was accepted, and under which key.
    answered: VecDeque<(u64, Arc<str>)>,
    bytes: usize,
}

enum KeyState {
    /// Who else waits for the answer.
    UnderWay(Vec<Sender<PublishOutcome>>),
    Accepted(PublishOutcome),
}

/// What is known of a key whose item arrives.
pub(super) enum Begun {
    /// Nothing. Whoever gets this says [`IdempotencyCache::finish`] or [`IdempotencyCache::forget`].
    First,
    /// The answer that the item got.
    Before(PublishOutcome),
    /// The answer that it will get; none if it is forgotten.
    UnderWay(Receiver<PublishOutcome>),
    /// It stands for another item.
    Reused,
}

/// As it is written down, oldest first: what was accepted under which key, and when.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct CacheState {
    keys: Vec<KeyFacts>,
}

#[derive(Serialize, Deserialize)]
struct KeyFacts {
    key: Arc<str>,
    item: [u8; 16],
    at_ms: u64,
    offset: Option<u64>,
    kept: Option<KeptBy>,
}

impl IdempotencyCache {
    /// Without what is under way: there is nothing of that when a node is handed over.
    pub(super) fn state(&self) -> CacheState {
        let facts = |(at_ms, key): &(u64, Arc<str>)| match self.known.get(key) {
            Some((item, KeyState::Accepted(PublishOutcome::Accepted { offset, kept }))) => {
                Some(KeyFacts {
                    key: key.clone(),
                    item: (*item).into(),
                    at_ms: *at_ms,
                    offset: *offset,
                    kept: *kept,
                })
            }
            _ => None,
        };
        CacheState {
            keys: self.answered.iter().filter_map(facts).collect(),
        }
    }

    /// What another process had, before anything else.
    pub(super) fn resume(&mut self, state: CacheState) {
        for facts in state.keys {
            let KeyFacts {
                key,
                item,
                at_ms,
                offset,
                kept,
            } = facts;
            let accepted = KeyState::Accepted(PublishOutcome::Accepted { offset, kept });
            let before = self.known.insert(key.clone(), (item.into(), accepted));
            if before.is_none() {
                self.bytes += size(&key);
                self.answered.push_back((at_ms, key));
            }
        }
        self.trim();
    }

    pub(super) fn begin(&mut self, key: &Arc<str>, item: Digest, now_ms: u64) -> Begun {
        self.expire(now_ms);
        match self.known.entry(key.clone()) {
            Entry::Vacant(vacant) => {
                vacant.insert((item, KeyState::UnderWay(Vec::new())));
                Begun::First
            }
            Entry::Occupied(mut occupied) => match occupied.get_mut() {
                (first, _) if *first != item => Begun::Reused,
                (_, KeyState::Accepted(answer)) => Begun::Before(answer.clone()),
                (_, KeyState::UnderWay(waiting)) => {
                    let (sender, receiver) = channel();
                    waiting.push(sender);
                    Begun::UnderWay(receiver)
                }
            },
        }
    }

    pub(super) fn finish(&mut self, key: &Arc<str>, answer: &PublishOutcome, now_ms: u64) {
        let Some((item, KeyState::UnderWay(waiting))) = self.known.remove(key) else {
            unreachable!("what is finished has begun");
        };
        for sender in waiting {
            // Whoever waited may be gone.
            let _ = sender.send(answer.clone());
        }
        if matches!(answer, PublishOutcome::Accepted { .. }) {
            let accepted = KeyState::Accepted(answer.clone());
            self.known.insert(key.clone(), (item, accepted));
            self.answered.push_back((now_ms, key.clone()));
            self.bytes += size(key);
        }
        self.trim();
    }

    /// The item under this key got no answer. Without effect if it got one.
    pub(super) fn forget(&mut self, key: &Arc<str>) {
        if let Some((_, KeyState::UnderWay(_))) = self.known.get(key) {
            self.known.remove(key);
        }
    }

    fn expire(&mut self, now_ms: u64) {
        while let Some((answered_ms, _)) = self.answered.front()
            && answered_ms + REMEMBERED_MS <= now_ms
        {
            self.drop_oldest();
        }
    }

    fn trim(&mut self) {
        while self.answered.len() > self.bounds.keys_max || self.bytes > self.bounds.bytes_max {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((_, key)) = self.answered.pop_front() {
            self.known.remove(&key);
            self.bytes -= size(&key);
        }
    }
}

fn size(key: &str) -> usize {
    key.len() + ENTRY_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::{PublishItem, Target};
    use crate::app::call::Topic;

    const ACCEPTED: PublishOutcome = PublishOutcome::Accepted {
        offset: Some(7),
        kept: None,
    };

    fn key(text: &str) -> Arc<str> {
        text.into()
    }

    /// Of the item that all keys here stand for.
    fn item() -> Digest {
        digest_of(Topic::Tools)
    }

    fn digest_of(topic: Topic) -> Digest {
        Digest::of(&PublishItem {
            target: Target::Topic(topic),
            contents: None,
            key: None,
        })
    }

    fn bounded(keys_max: usize, bytes_max: usize) -> IdempotencyCache {
        IdempotencyCache {
            bounds: CacheBounds {
                keys_max,
                bytes_max,
            },
            ..IdempotencyCache::default()
        }
    }

    fn accept(memory: &mut IdempotencyCache, text: &str, now_ms: u64) {
        assert!(is_new(memory, text, now_ms), "{text}");
        memory.finish(&key(text), &ACCEPTED, now_ms);
    }

    /// Whether an item under this key would be published. If so it is under way.
    fn is_new(memory: &mut IdempotencyCache, text: &str, now_ms: u64) -> bool {
        matches!(memory.begin(&key(text), item(), now_ms), Begun::First)
    }

    #[test]
    fn a_key_is_known_for_five_minutes() {
        let mut memory = IdempotencyCache::default();
        accept(&mut memory, "a", 1000);
        accept(&mut memory, "b", 2000);
        let before = memory.begin(&key("a"), item(), 300_999);
        assert!(matches!(before, Begun::Before(ACCEPTED)));
        assert!(is_new(&mut memory, "a", 301_000));
        assert!(!is_new(&mut memory, "b", 301_000));
        assert_eq!((memory.answered.len(), memory.bytes), (1, 1 + ENTRY_BYTES));
    }

    #[test]
    fn a_key_that_another_process_knew_and_this_one_does_not() {
        let mut before = IdempotencyCache::default();
        accept(&mut before, "a", 1000);
        accept(&mut before, "b", 2000);
        assert!(is_new(&mut before, "under way", 2000));
        let bytes = rmp_serde::to_vec_named(&before.state()).expect("it is written");
        let mut after = bounded(2, usize::MAX);
        after.resume(rmp_serde::from_slice(&bytes).expect("it is read"));
        assert_eq!(after.bytes, 2 * (1 + ENTRY_BYTES));
        let same = after.begin(&key("a"), item(), 300_999);
        assert!(matches!(same, Begun::Before(ACCEPTED)));
        let other = after.begin(&key("a"), digest_of(Topic::Prompts), 300_999);
        assert!(matches!(other, Begun::Reused));
        assert!(is_new(&mut after, "a", 301_000), "five minutes since then");
        assert!(is_new(&mut after, "under way", 301_000));
        let mut small = bounded(1, usize::MAX);
        small.resume(rmp_serde::from_slice(&bytes).expect("it is read"));
        assert_eq!(small.answered.len(), 1, "the newest");
        small.resume(rmp_serde::from_slice(&[0x80]).expect("an empty map"));
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        let mut memory = bounded(2, usize::MAX);
        for text in ["a", "b", "c"] {
            accept(&mut memory, text, 0);
        }
        assert!(!is_new(&mut memory, "b", 0) && !is_new(&mut memory, "c", 0));
        assert!(is_new(&mut memory, "a", 0));
    }

    #[test]
    fn the_oldest_go_when_they_are_too_long() {
        let mut memory = bounded(usize::MAX, 2 * ENTRY_BYTES + 10);
        accept(&mut memory, "short", 0);
        accept(&mut memory, "longer", 0);
        assert_eq!(memory.bytes, 6 + ENTRY_BYTES);
        accept(&mut memory, &"x".repeat(2 * ENTRY_BYTES), 0);
        assert_eq!((memory.bytes, memory.known.len()), (0, 0));
    }

    #[test]
    fn what_was_refused_may_be_tried_again() {
        let mut memory = IdempotencyCache::default();
        assert!(is_new(&mut memory, "a", 0));
        let refused = PublishOutcome::Refused {
            reason: "busy",
            sentence: "no".into(),
        };
        memory.finish(&key("a"), &refused, 0);
        assert!(is_new(&mut memory, "a", 0));
    }

    #[test]
    fn a_key_that_stands_for_another_item() {
        let mut memory = IdempotencyCache::default();
        let other = digest_of(Topic::Prompts);
        assert!(is_new(&mut memory, "a", 0));
        let begin = |memory: &mut IdempotencyCache| memory.begin(&key("a"), other, 0);
        assert!(matches!(begin(&mut memory), Begun::Reused));
        memory.finish(&key("a"), &ACCEPTED, 0);
        assert!(matches!(begin(&mut memory), Begun::Reused));
        assert!(matches!(
            memory.begin(&key("a"), item(), 0),
            Begun::Before(ACCEPTED)
        ));
        assert_eq!((memory.answered.len(), memory.known.len()), (1, 1));
    }

    #[test]
    fn a_key_whose_first_item_is_under_way() {
        let mut memory = IdempotencyCache::default();
        assert!(is_new(&mut memory, "a", 0));
        let Begun::UnderWay(mut second) = memory.begin(&key("a"), item(), 0) else {
            panic!("the first is under way");
        };
        assert_eq!(second.try_recv(), Ok(None));
        memory.finish(&key("a"), &ACCEPTED, 0);
        assert_eq!(second.try_recv(), Ok(Some(ACCEPTED)));
        memory.forget(&key("a"));
        assert!(!is_new(&mut memory, "a", 0));
    }

    #[test]
    fn a_key_whose_first_item_never_got_an_answer() {
        let mut memory = IdempotencyCache::default();
        assert!(is_new(&mut memory, "a", 0));
        let Begun::UnderWay(mut second) = memory.begin(&key("a"), item(), 0) else {
            panic!("the first is under way");
        };
        memory.forget(&key("a"));
        assert!(second.try_recv().is_err());
        assert!(is_new(&mut memory, "a", 0));
    }
}
