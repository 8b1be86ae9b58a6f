//! All cores of a node stand still at the same place in the log, for another process to take over.

use std::collections::HashSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use super::core_message::CoreMessage;
use super::publisher::Publisher;
use super::standstill_orders::{
    CORE_ANSWERS_WITHIN, FreezeOrder, FrozenCore, QuiesceOrder, StillHeldUp,
};
use crate::shard::{ConnectionKey, HeldUp};

/// Cores that stand still, and nothing can be published meanwhile. Dropped, they go on.
pub(crate) struct Standing<'a> {
    publisher: &'a Publisher,
    /// In the order in which they stood still.
    pub(crate) cores: Vec<(u16, FrozenCore)>,
    /// Dropped when the cores were told to go on.
    thaws: Vec<Sender<()>>,
    /// The first of them has read nothing since then, by the monotonic clock of the machine.
    pub(crate) since_ns: u64,
    last_offset: MutexGuard<'a, u64>,
}

/// Why they do not.
pub(crate) enum NotStanding {
    HeldUp(HeldUp),
    /// A sentence.
    Fault(String),
}

impl<'a> Standing<'a> {
    /// Blocks until all cores stand still. They read nothing from its beginning on, and wait so long for what is under way.
    /// `ahead` has the connections of each core whose sockets need not be sent any more.
    ///
    /// # Errors
    /// Why they go on.
    pub(crate) fn begin(
        publisher: &'a Publisher,
        within: Duration,
        ahead: &[Arc<HashSet<ConnectionKey>>],
    ) -> Result<Self, NotStanding> {
        let since_ns = quiesce(publisher, within).inspect_err(|_| go_on(publisher))?;
        let last_offset = publisher.lock();
        let count = publisher.mailboxes().len();
        let mut standing = Standing {
            publisher,
            cores: Vec::with_capacity(count),
            thaws: Vec::with_capacity(count),
            since_ns,
            last_offset,
        };
        let (answer, answers) = channel();
        for (core, mailbox) in publisher.mailboxes().iter().enumerate() {
            let (thaw, thawed) = channel();
            standing.thaws.push(thaw);
            mailbox.post_beyond(CoreMessage::Freeze(FreezeOrder {
                core: core as u16,
                ahead: ahead.get(core).cloned().unwrap_or_default(),
                answer: answer.clone(),
                thaw: thawed,
            }));
        }
        drop(answer);
        standing.collect(&answers)?;
        // What came after the order would be lost with this process.
        match publisher.mailboxes().iter().all(|it| it.len() == 0) {
            true => Ok(standing),
            false => Err(NotStanding::Fault(
                "something came for a core in the last moment".to_owned(),
            )),
        }
    }

    /// The newest offset that was given.
    pub(crate) fn last_offset(&self) -> u64 {
        *self.last_offset
    }

    /// They never go on: another process has taken their places.
    pub(crate) fn leave(self) {
        std::mem::forget(self);
    }

    fn collect(
        &mut self,
        answers: &Receiver<(u16, Result<FrozenCore, StillHeldUp>)>,
    ) -> Result<(), NotStanding> {
        let until = Instant::now() + CORE_ANSWERS_WITHIN;
        let mut held_up = HeldUp::default();
        for _ in 0..self.thaws.len() {
            match answers.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok((core, Ok(frozen))) => self.cores.push((core, frozen)),
                Ok((_, Err(StillHeldUp::By(other)))) => held_up.add(&other),
                Ok((core, Err(StillHeldUp::System(fault)))) => {
                    let sentence = format!("what core {core} has cannot be written down: {fault}");
                    return Err(NotStanding::Fault(sentence));
                }
                Err(why) => return Err(no_answer(why)),
            }
        }
        match held_up.is_empty() {
            true => Ok(()),
            false => Err(NotStanding::HeldUp(held_up)),
        }
    }
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        // What the cores lent is theirs again before they look for it.
        self.cores.clear();
        // The order is there when they look: a core that is thawed and still quiet would look at its timers first, and end who
        // was late while nobody read. And one that has not come to its order to stand still need not do so any more.
        go_on(self.publisher);
        self.thaws.clear();
    }
}

/// Since when the first core reads nothing.
fn quiesce(publisher: &Publisher, within: Duration) -> Result<u64, NotStanding> {
    let (answer, answers) = channel();
    for mailbox in publisher.mailboxes() {
        mailbox.post_urgent(CoreMessage::Quiesce(QuiesceOrder {
            within,
            answer: answer.clone(),
        }));
    }
    drop(answer);
    let until = Instant::now() + within + CORE_ANSWERS_WITHIN;
    let (mut held_up, mut first_ns) = (HeldUp::default(), u64::MAX);
    for _ in publisher.mailboxes() {
        let answer = answers.recv_timeout(until.saturating_duration_since(Instant::now()));
        let quiet = answer.map_err(no_answer)?;
        held_up.add(&quiet.held_up);
        first_ns = first_ns.min(quiet.since_ns);
    }
    match held_up.is_empty() {
        true => Ok(first_ns),
        false => Err(NotStanding::HeldUp(held_up)),
    }
}

fn go_on(publisher: &Publisher) {
    for mailbox in publisher.mailboxes() {
        mailbox.post_beyond(CoreMessage::GoOn);
    }
}

fn no_answer(why: RecvTimeoutError) -> NotStanding {
    NotStanding::Fault(match why {
        RecvTimeoutError::Timeout => "a core does not come to its messages".to_owned(),
        RecvTimeoutError::Disconnected => "a core is gone".to_owned(),
    })
}

#[cfg(test)]
mod tests;
