//! Streams of notifications that a node ended for what their clients are no longer, or may no longer: counted by why.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why such a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyEnded {
    /// Its token was over.
    TokenExpired,
    /// Its token was taken back.
    TokenRevoked,
    /// The policy is another one, or the scopes are.
    NoLongerAllowed,
}

/// As many ended for each of the reasons, in their order.
#[derive(Debug, Default)]
pub struct EndedStreams([AtomicU64; 3]);

impl EndedStreams {
    const WORDS: [&'static str; 3] = ["token_expired", "token_revoked", "no_longer_allowed"];

    pub(crate) fn count(&self, why: WhyEnded) {
        if let Some(count) = self.0.get(why as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Each reason in a word, and how many.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let counts = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        EndedStreams::WORDS.into_iter().zip(counts)
    }
}
