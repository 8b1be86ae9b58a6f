//! What an item says, in a few bytes: enough to know whether a key that comes again comes with the same item.
//!
//! It is taken of what was understood. So white space between an item's fields, or their order, makes no other item.
//! Digests never leave the process: nothing but this program, as it is now, has to agree on them.

use std::hash::{Hash, Hasher};

use sha2::{Digest as _, Sha256};

use super::PublishItem;

/// Half of SHA-256: nobody finds two items for one of these either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digest([u8; 16]);

impl From<[u8; 16]> for Digest {
    fn from(bytes: [u8; 16]) -> Digest {
        Digest(bytes)
    }
}

impl From<Digest> for [u8; 16] {
    fn from(digest: Digest) -> [u8; 16] {
        digest.0
    }
}

impl Digest {
    pub(super) fn of(item: &PublishItem) -> Self {
        let mut hashing = Hashing(Sha256::new());
        item.hash(&mut hashing);
        let whole: [u8; 32] = hashing.0.finalize().into();
        let mut half = [0; 16];
        half.copy_from_slice(&whole[..16]);
        Digest(half)
    }
}

/// `Hash` says where each field begins and ends; this keeps all of it, not 64 bits.
struct Hashing(Sha256);

impl Hasher for Hashing {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Of no use: what is asked for is the whole.
    fn finish(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::item;

    fn digest(json: &str) -> Digest {
        Digest::of(&item::parse(json.as_bytes(), 64).unwrap())
    }

    #[test]
    fn two_items_that_differ_in_one_place() {
        let all = [
            r#"{"topic":"tools"}"#,
            r#"{"topic":"prompts"}"#,
            r#"{"uri":"board://a"}"#,
            r#"{"uri":"board://b"}"#,
            r#"{"uri":"board://a","contents":null}"#,
            r#"{"uri":"board://a","contents":""}"#,
            r#"{"uri":"board://a","contents":"soup"}"#,
            r#"{"uri":"board://a","contents":"stew"}"#,
            r#"{"uri":"board://a","contents":{"blob":"c291cA=="}}"#,
            r#"{"uri":"board://a","contents":{"text":"soup","mimeType":"text/plain"}}"#,
            r#"{"uri":"board://a","contents":{"text":"soup","name":"text/plain"}}"#,
            r#"{"uri":"board://a","contents":{"text":"soup","name":"a","description":"bc"}}"#,
            r#"{"uri":"board://a","contents":{"text":"soup","name":"ab","description":"c"}}"#,
            r#"{"uri":"board://a","principal":{"issuer":"i","subject":"a"}}"#,
            r#"{"uri":"board://a","principal":{"issuer":"i","subject":"b"}}"#,
            r#"{"uri":"board://b","principal":{"issuer":"i","subject":"a"}}"#,
            r#"{"topic":"tools","principal":{"issuer":"i","subject":"a"}}"#,
            r#"{"session":"s","uri":"board://a"}"#,
            r#"{"session":"t","uri":"board://a"}"#,
            r#"{"session":"s","message":{"level":"info","data":1}}"#,
            r#"{"session":"s","message":{"level":"error","data":1}}"#,
            r#"{"session":"s","message":{"level":"info","data":2}}"#,
            r#"{"all":true,"message":{"level":"info","data":1}}"#,
        ];
        for (at, one) in all.iter().enumerate() {
            let same = |other: &&&str| digest(one) == digest(other);
            assert_eq!(all.iter().filter(same).collect::<Vec<_>>(), [&all[at]]);
        }
    }

    #[test]
    fn one_item_written_in_two_ways() {
        let one = r#"{"uri":"board://a","contents":"soup","key":"k"}"#;
        let other = r#"{ "key": "k", "contents": {"text": "soup"}, "uri": "board:\/\/a" }"#;
        assert_eq!(digest(one), digest(other));
    }
}
