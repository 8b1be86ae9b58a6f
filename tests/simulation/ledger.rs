//! What publishers were told is accepted, and who has it: of the accepted writes to a resource the last one stands, unless
//! all that had it are gone.

use std::collections::BTreeMap;

use pinfold::internals::cluster::bus::outbox::PATIENCE_MS;

use crate::fake_redis::FakeRedis;
use crate::member::Member;
use crate::world::other_name;

#[derive(Default)]
pub(crate) struct Ledger {
    writes: BTreeMap<String, Vec<Write>>,
}

struct Write {
    accepted_ms: u64,
    /// None: it takes the resource away.
    text: Option<String>,
    /// The process of a node, or another program.
    by: Option<String>,
    /// Perhaps nobody has it any more.
    is_lost: bool,
}

impl Ledger {
    pub(crate) fn accept(
        &mut self,
        now_ms: u64,
        uri: &str,
        text: Option<String>,
        by: Option<String>,
    ) {
        self.writes.entry(uri.to_owned()).or_default().push(Write {
            accepted_ms: now_ms,
            text,
            by,
            is_lost: false,
        });
    }

    /// Redis forgot something, or a process ended: writes that only those had need not stand in the end.
    pub(crate) fn forget_what_is_nowhere(&mut self, redis: &FakeRedis, members: &[Member]) {
        for (uri, writes) in &mut self.writes {
            // Earlier ones give way to the last one that is not lost.
            let last = writes.iter_mut().rfind(|write| !write.is_lost);
            let mut last = last.filter(|write| !write.is_somewhere(uri, redis, members));
            while let Some(write) = last {
                write.is_lost = true;
                last = writes.iter_mut().rfind(|write| !write.is_lost);
                last = last.filter(|write| !write.is_somewhere(uri, redis, members));
            }
        }
    }

    /// Writes that were accepted within a quarter of a second may have come to Redis in any order.
    pub(crate) fn check(&self, members: &[Member]) {
        for (uri, writes) in &self.writes {
            let Some(last) = writes.iter().rfind(|write| !write.is_lost) else {
                continue;
            };
            let found = members[0].text(uri);
            // Who had not heard of a deletion that was lost brings the resource back.
            let stands = |write: &Write| {
                write.text == found && write.accepted_ms + PATIENCE_MS >= last.accepted_ms
            };
            assert!(
                writes.iter().any(stands),
                "{uri} is {found:?}, but {:?} was accepted by {:?} at {}",
                last.text,
                last.by,
                last.accepted_ms
            );
        }
    }
}

impl Write {
    fn is_somewhere(&self, uri: &str, redis: &FakeRedis, members: &[Member]) -> bool {
        let lives = |member: &Member| Some(&member.process) == self.by.as_ref();
        if members.iter().any(lives) {
            return true;
        }
        let Some(text) = &self.text else {
            // An older node's, by another name, is there when a node has heard of it.
            let gone = redis.gone.get(uri);
            return gone.is_some_and(|gone| gone.ms >= self.accepted_ms);
        };
        let ending = format!("{{\"text\":\"{text}\"}}");
        let has = |name: &str| {
            let value = redis.board.get(name.as_bytes());
            value.is_some_and(|value| value.ends_with(ending.as_bytes()))
                || redis.brings(name, text)
        };
        let mut boards = members.iter().map(|member| member.text(uri));
        has(uri) || has(&other_name(uri)) || boards.any(|own| own.as_ref() == Some(text))
    }
}
