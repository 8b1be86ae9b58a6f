//! What cores say happens to sessions, on its way to what waits for Redis and to the log.

use std::time::Instant;

use super::membership::ClusterMessage;
use super::misses::{self, InRedis};
use super::pending::{PendingState, RecordChange};
use super::record::FoundRecord;
use super::session_record::found_session;
use super::shared::ClusterContext;
use crate::mailbox::Collected;
use crate::shard::{MissReason, SessionEvent};
use crate::tasks;
use crate::wire::session_id::SessionId;

impl ClusterContext {
    /// What Redis does not know yet, with what cores have said and nobody has heard. Nothing is taken: it may go on
    /// with all of that itself.
    pub(super) fn pending_state(&self) -> PendingState {
        let mut state = self.pending.borrow().state();
        self.membership.said.look(|waiting, lost| {
            let events = waiting.iter().filter_map(|it| match it {
                ClusterMessage::SessionEvent(event) => change_of(event.clone()),
                _ => None,
            });
            state.also(events, lost);
        });
        state
    }

    /// All that was said so far is among what waits for Redis from now on: for whoever answers a core by that.
    pub(super) fn hear_all(&self) {
        let said = self.membership.said.take();
        if !said.messages.is_empty() || said.lost {
            self.hear(said);
            // The writer was woken for what is not there any more.
            self.news.give();
        }
    }

    /// From now on it is among what waits for Redis.
    pub(super) fn hear(&self, collected: Collected<ClusterMessage>) {
        if collected.lost {
            self.pending.borrow_mut().lose();
        }
        for said in collected.messages {
            match said {
                ClusterMessage::SessionEvent(event) => self.hear_event(event),
                ClusterMessage::Draining => self.announce_draining(),
                ClusterMessage::Leaving => self.announce_leaving(),
                ClusterMessage::Leave(waiting) => *self.leaving.borrow_mut() = Some(waiting),
            }
        }
    }

    fn hear_event(&self, event: SessionEvent) {
        match event {
            SessionEvent::Missed { session, gone } => self.missed(session, gone),
            SessionEvent::BrokeOff { session } => self.broke_off(session),
            SessionEvent::Forged => self.forged(),
            other => {
                if let Some((session, change)) = change_of(other) {
                    if change.is_end() {
                        self.adopted.borrow_mut().remove(&session);
                    }
                    self.pending.borrow_mut().add(session, change);
                }
            }
        }
    }

    /// Of a session that should be here, Redis may know: that it does not is worth to be told from that it does.
    /// The question is on its way before any change that was said later.
    fn missed(&self, session: SessionId, gone: MissReason) {
        let Some(unlogged) = self.misses.count(gone, Instant::now()) else {
            return;
        };
        let here = self.node;
        if session.node != here {
            return misses::log(&session, gone, here, InRedis::NotAsked, unlogged);
        }
        let answer = self.send("miss", &[self.keys.read_session(&session)]);
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
        let unlogged = self.misses.count_broken_off(Instant::now());
        if let Some(unlogged) = unlogged {
            misses::log_broken_off(&session, self.node, unlogged);
        }
    }

    fn forged(&self) {
        self.metrics.forged_forwards.inc();
        if let Some(unlogged) = self.may_log("forged") {
            tracing::warn!(
                unlogged,
                "a request that claims to come from another node does not, and was refused: either somebody tries to \
                get in, or a node has another --peer-secret-file"
            );
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
        SessionEvent::LetGo { session, info } => Some((session, RecordChange::Release(info))),
        SessionEvent::Missed { .. } | SessionEvent::BrokeOff { .. } | SessionEvent::Forged => None,
    }
}
