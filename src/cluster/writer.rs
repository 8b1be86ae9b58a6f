//! Sends what Redis does not know yet: some hundred changes a round trip, one batch at a time, and what was not
//! answered once more.

use std::pin::pin;
use std::time::Instant;

use futures_util::future::{Either, select};
use monoio::time::{sleep, timeout};

use super::once_a_minute::OnceAMinute;
use super::pending::RecordChange;
use super::shared::ClusterContext;
use crate::redis::{Backoff, RedisConnection, RedisError, Reply, random};

/// Changes in one round trip: 100 KB.
const BATCH_MAX: usize = 256;

pub(super) struct RecordWriter<'a> {
    shared: &'a ClusterContext,
    backoff: Backoff,
    /// Announcing all sessions: not again and again, should there be more than it takes each time.
    announcing: OnceAMinute,
    announces_because: &'static str,
}

/// Why some of a batch is still to happen.
enum WriteFailed {
    /// The link itself tells of it.
    Fault,
    Refused(RedisError),
}

impl<'a> RecordWriter<'a> {
    pub(super) fn new(shared: &'a ClusterContext) -> Self {
        RecordWriter {
            shared,
            backoff: Backoff::default(),
            announcing: OnceAMinute::default(),
            announces_because: "",
        }
    }

    /// Ends when the node leaves, and all is written that can be.
    pub(super) async fn run(mut self) {
        loop {
            self.shared.gates.work.pass().await;
            let pending = self.shared.pending.borrow().len();
            self.shared.metrics.presence_pending.set(pending as i64);
            let connection = self.shared.link.connection();
            if self.announcing.is_due(Instant::now()) {
                self.shared.announce(self.announces_because);
            }
            let is_done = pending == 0 || connection.is_err();
            let waiting = self.shared.leaving.borrow_mut().take_if(|_| is_done);
            if let Some(waiting) = waiting {
                self.shared.remove_own_key().await;
                // Whoever waited may have given up.
                let _ = waiting.send(());
                return;
            }
            match connection {
                Ok(connection) if pending > 0 && self.shared.may_write_sessions() => {
                    self.send_some(&connection).await;
                }
                Ok(_) => self.listen().await,
                Err(_) => {
                    let came_up = pin!(self.shared.link.came_up(self.shared.link.number()));
                    select(pin!(self.listen()), came_up).await;
                }
            }
        }
    }

    /// Until something is said, or owed.
    async fn listen(&mut self) {
        let shared = self.shared;
        let said = pin!(shared.membership.said.collect());
        let news = pin!(shared.news.wait());
        let heard = select(said, news);
        let heard = match self.announcing.wait(Instant::now()) {
            None => Some(heard.await),
            Some(wait) => timeout(wait, heard).await.ok(),
        };
        if let Some(Either::Left((collected, _))) = heard {
            shared.hear(collected);
        }
    }

    async fn send_some(&mut self, connection: &RedisConnection) {
        let shared = self.shared;
        shared.hear(shared.membership.said.take());
        match self.send(connection).await {
            Ok(()) => {
                self.backoff.reset();
                let mut pending = shared.pending.borrow_mut();
                if pending.is_empty() && pending.take_lost() {
                    self.announces_because = "more changed than could wait for Redis";
                    self.announcing.ask();
                }
            }
            Err(unsent) => {
                self.complain(&unsent, connection);
                sleep(self.backoff.next(random())).await;
            }
        }
    }

    async fn send(&mut self, connection: &RedisConnection) -> Result<(), WriteFailed> {
        let shared = self.shared;
        let commands = shared.pending.borrow_mut().take(BATCH_MAX);
        let answer = shared.send_on(connection, "presence", &commands);
        let replies = answer.await;
        shared.gates.answers.pass().await;
        let batch = shared.pending.borrow_mut().answered();
        let replies = match replies {
            Ok(replies) => replies,
            Err(_) => {
                shared.pending.borrow_mut().put_back(batch);
                return Err(WriteFailed::Fault);
            }
        };
        let mut first = None;
        for ((session, change), reply) in batch.into_iter().zip(replies) {
            match (&change, &reply) {
                (RecordChange::Refresh, Reply::Integer(0)) => {
                    self.announces_because = "Redis has lost the record of a session";
                    self.announcing.ask();
                }
                (RecordChange::Write(info), Reply::Integer(0)) => {
                    shared.lost_to_another(session, info.fence);
                }
                _ => {}
            }
            if let Reply::Error(error) = reply {
                shared.pending.borrow_mut().put_back([(session, change)]);
                first.get_or_insert(error);
            }
        }
        first.map_or(Ok(()), |error| Err(WriteFailed::Refused(error)))
    }

    fn complain(&self, unsent: &WriteFailed, connection: &RedisConnection) {
        let WriteFailed::Refused(error) = unsent else {
            return;
        };
        let Some(unlogged) = self.shared.may_log("presence") else {
            return;
        };
        let pending = self.shared.pending.borrow().len();
        let advice = error.advice();
        tracing::warn!(%error, pending, unlogged, "Redis takes no presence records: {advice}; trying again until it does");
        if error.is("READONLY") {
            // The primary may have moved: its name leads there if it is looked up again.
            connection.close();
        }
    }
}
