//! Sends what Redis does not know yet: some hundred changes a round trip, one batch at a time, and what was not
//! answered once more.

use std::pin::pin;
use std::sync::mpsc;
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::future::{Either, select};
use monoio::time::{sleep, timeout};

use super::dead_processes;
use super::membership::ClusterMessage;
use super::misses::{self, InRedis};
use super::once_a_minute::OnceAMinute;
use super::pending::{ChangeBatch, RecordChange};
use super::record::{FoundRecord, found_session};
use super::shared::ClusterContext;
use crate::mailbox::Collected;
use crate::redis::{Backoff, RedisConnection, RedisError, Reply, random};
use crate::shard::{MissReason, SessionEvent};
use crate::tasks;
use crate::wire::session_id::SessionId;

/// Changes in one round trip: 100 KB.
const BATCH_MAX: usize = 256;

pub(super) struct RecordWriter<'a> {
    shared: &'a ClusterContext,
    backoff: Backoff,
    /// Announcing all sessions, because a record to be refreshed was gone.
    forgotten: OnceAMinute,
    /// Nothing more will be said; who waits for that to be written.
    leaving: Option<mpsc::Sender<()>>,
}

/// Why some of a batch is still to happen.
enum WriteFailed {
    /// The link itself tells of it.
    Fault,
    Refused(RedisError),
}

impl ClusterContext {
    /// What cores have said of sessions waits for Redis from now on.
    pub(super) fn take_said(&self) {
        let Some(collected) = self.membership.said.collect().now_or_never() else {
            return;
        };
        let mut pending = self.pending.borrow_mut();
        if collected.lost {
            pending.lose();
        }
        for said in collected.messages {
            match said {
                ClusterMessage::SessionEvent(event) => {
                    if let Some((session, change)) = change_of(event) {
                        pending.add(session, change);
                    }
                }
                other => self.membership.said.post_beyond(other),
            }
        }
    }
}

/// None: it is for the log alone.
fn change_of(event: SessionEvent) -> Option<(SessionId, RecordChange)> {
    match event {
        SessionEvent::Opened { session, info } => Some((session, RecordChange::Write(info))),
        SessionEvent::Active { session } => Some((session, RecordChange::Refresh)),
        SessionEvent::Ended { session } => Some((session, RecordChange::Remove)),
        SessionEvent::Restarting { session } => Some((session, RecordChange::MarkTerminated)),
        SessionEvent::Missed { .. } | SessionEvent::BrokeOff { .. } | SessionEvent::Forged => None,
    }
}

impl<'a> RecordWriter<'a> {
    pub(super) fn new(shared: &'a ClusterContext) -> Self {
        RecordWriter {
            shared,
            backoff: Backoff::default(),
            forgotten: OnceAMinute::default(),
            leaving: None,
        }
    }

    /// Ends when the node leaves, and all is written that can be.
    pub(super) async fn run(mut self) {
        loop {
            self.shared.gates.work.pass().await;
            let pending = self.shared.pending.borrow().len();
            self.shared.metrics.presence_pending.set(pending as i64);
            let connection = self.shared.link.connection();
            if self.forgotten.is_due(Instant::now()) {
                self.shared
                    .announce("Redis has lost the record of a session");
            }
            if let Some(waiting) = self
                .leaving
                .take_if(|_| pending == 0 || connection.is_err())
            {
                self.shared.remove_own_key().await;
                // Whoever waited may have given up.
                let _ = waiting.send(());
                return;
            }
            match connection {
                Ok(connection) if pending > 0 => self.send_some(&connection).await,
                Ok(_) => self.listen().await,
                Err(_) => self.listen_until_up().await,
            }
        }
    }

    /// Until something is said, or owed.
    async fn listen(&mut self) {
        let collected = self.shared.membership.said.collect();
        let collected = match self.forgotten.wait(Instant::now()) {
            None => Some(collected.await),
            Some(wait) => timeout(wait, collected).await.ok(),
        };
        if let Some(collected) = collected {
            self.take(collected);
        }
    }

    async fn listen_until_up(&mut self) {
        let shared = self.shared;
        let came_up = pin!(shared.link.came_up(shared.link.number()));
        let collected = pin!(shared.membership.said.collect());
        if let Either::Left((collected, _)) = select(collected, came_up).await {
            self.take(collected);
        }
    }

    fn take(&mut self, collected: Collected<ClusterMessage>) {
        let shared = self.shared;
        if collected.lost {
            shared.pending.borrow_mut().lose();
        }
        for said in collected.messages {
            let add = |session, change| shared.pending.borrow_mut().add(session, change);
            match said {
                ClusterMessage::SessionEvent(SessionEvent::Opened { session, info }) => {
                    add(session, RecordChange::Write(info));
                }
                ClusterMessage::SessionEvent(SessionEvent::Active { session }) => {
                    add(session, RecordChange::Refresh)
                }
                ClusterMessage::SessionEvent(SessionEvent::Ended { session }) => {
                    add(session, RecordChange::Remove)
                }
                ClusterMessage::SessionEvent(SessionEvent::Restarting { session }) => {
                    add(session, RecordChange::MarkTerminated)
                }
                ClusterMessage::SessionEvent(SessionEvent::Missed { session, gone }) => {
                    self.missed(session, gone)
                }
                ClusterMessage::SessionEvent(SessionEvent::BrokeOff { session }) => {
                    self.broke_off(session)
                }
                ClusterMessage::SessionEvent(SessionEvent::Forged) => self.forged(),
                ClusterMessage::Draining => shared.announce_draining(),
                ClusterMessage::Suspect(process) => {
                    let now = Instant::now();
                    if shared.peers.borrow_mut().suspect(process, now) {
                        dead_processes::show(shared);
                    }
                }
                ClusterMessage::Leaving => shared.announce_leaving(),
                ClusterMessage::Leave(waiting) => self.leaving = Some(waiting),
            }
        }
    }

    /// Of a session that should be here, Redis may know: that it does not is worth to be told from that it does.
    /// The question is on its way before any change that was said later.
    fn missed(&self, session: SessionId, gone: MissReason) {
        let shared = self.shared;
        let Some(unlogged) = shared.misses.count(gone, Instant::now()) else {
            return;
        };
        let here = shared.node;
        if session.node != here {
            return misses::log(&session, gone, here, InRedis::NotAsked, unlogged);
        }
        let answer = shared.send("miss", &[shared.keys.read_session(&session)]);
        tasks::spawn(async move {
            let replies = answer.await.unwrap_or_default();
            let found = replies.first().map(|reply| found_session(reply, &session));
            let in_redis = match found {
                Some(FoundRecord::Record(_)) => InRedis::Yes,
                Some(FoundRecord::Nothing | FoundRecord::Foreign) => InRedis::No,
                None => InRedis::NotAsked,
            };
            misses::log(&session, gone, here, in_redis, unlogged);
        });
    }

    fn broke_off(&self, session: SessionId) {
        let shared = self.shared;
        let unlogged = shared.misses.count_broken_off(Instant::now());
        if let Some(unlogged) = unlogged {
            misses::log_broken_off(&session, shared.node, unlogged);
        }
    }

    fn forged(&self) {
        self.shared.metrics.forged_forwards.inc();
        if let Some(unlogged) = self.shared.may_log("forged") {
            tracing::warn!(
                unlogged,
                "a request that claims to come from another node does not, and was refused: either somebody tries to \
                get in, or a node has another --peer-secret-file"
            );
        }
    }

    async fn send_some(&mut self, connection: &RedisConnection) {
        let shared = self.shared;
        if let Some(collected) = shared.membership.said.collect().now_or_never() {
            self.take(collected);
        }
        let batch = shared.pending.borrow_mut().take(BATCH_MAX);
        match self.send(connection, batch).await {
            Ok(()) => {
                self.backoff.reset();
                let mut pending = shared.pending.borrow_mut();
                let announce = pending.is_empty() && pending.take_lost();
                drop(pending);
                if announce {
                    shared.announce("more changed than could wait for Redis");
                }
            }
            Err(unsent) => {
                self.complain(&unsent, connection);
                sleep(self.backoff.next(random())).await;
            }
        }
    }

    async fn send(
        &mut self,
        connection: &RedisConnection,
        batch: ChangeBatch,
    ) -> Result<(), WriteFailed> {
        let shared = self.shared;
        let commands = shared.pending.borrow().commands(&batch);
        let answer = shared.send_on(connection, "presence", &commands);
        let replies = answer.await;
        shared.gates.answers.pass().await;
        shared.pending.borrow_mut().answered();
        let replies = match replies {
            Ok(replies) => replies,
            Err(_) => {
                shared.pending.borrow_mut().put_back(batch.into_changes());
                return Err(WriteFailed::Fault);
            }
        };
        let mut first = None;
        for ((session, change), reply) in batch.into_changes().into_iter().zip(replies) {
            if change == RecordChange::Refresh && reply == Reply::Integer(0) {
                self.forgotten.ask();
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
