//! Where the nodes of sessions are: asked for, remembered, and looked for again when they say nothing.

use std::collections::BTreeMap;

use super::exchange::{ExchangeStep, Passed, silence_max_ms, silence_of_two_ms};
use super::owners::{Learned, SessionOwner};
use super::passage::{PassageKey, PassageState};
use super::{CONNECT_MS, ForwardEffect, Forwarder};
use crate::shard::{ConnectionKey, Located, Millis, MissReason};
use crate::wire::session_id::SessionId;

/// How long an owner is looked for before the client gets the answer that it cannot be found: by then a session of one that is
/// gone is taken over, or was not to be had.
const LOCATE_MS: Millis = 3_000;
/// How often silent owners of streams are looked for.
const LOOK_EVERY_MS: Millis = 1_000;

/// A question that is answered once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    asker: usize,
    session: SessionId,
}

/// Who asked where a session is.
pub(super) enum Asker {
    /// A connection of the shard, before it leaves.
    Connection(ConnectionKey),
    /// A request that has left already.
    Passage(PassageKey),
    /// One whose owner took no connection.
    Unconnected(PassageKey),
    /// One whose owner broke off before it answered, and is gone.
    Unanswered(PassageKey),
    /// One whose owner is silent.
    Silent(PassageKey),
    /// Streams whose owner is silent.
    Streams,
    /// Whoever it was asks for another session by now.
    Nobody,
}

impl Forwarder {
    /// Finds out where a session's node is: at once if that is remembered.
    pub fn handle_locate(&mut self, now: Millis, connection: ConnectionKey, session: SessionId) {
        // The shard did not wait for the answer to its last question.
        if let Some(asker) = self.asking.remove(&connection) {
            self.askers[asker] = Asker::Nobody;
        }
        if self.secret.is_some() && self.owners.is_fresh(now, session) {
            let located = Located::There;
            let effect = ForwardEffect::Located {
                connection,
                located,
            };
            return self.effects.push_back(effect);
        }
        let asker = self.ask(session, Asker::Connection(connection));
        self.asking.insert(connection, asker);
    }

    pub(super) fn ask(&mut self, session: SessionId, asker: Asker) -> usize {
        let asker = self.askers.insert(asker);
        self.effects.push_back(ForwardEffect::Ask {
            question: Question { asker, session },
            session,
            within_ms: LOCATE_MS,
        });
        asker
    }

    /// What came of [`ForwardEffect::Ask`]. That nobody answered is [`MissReason::CannotTell`].
    pub fn handle_owner(&mut self, now: Millis, question: Question, owner: SessionOwner) {
        let session = question.session;
        let Some(asker) = self.askers.try_remove(question.asker) else {
            return;
        };
        let learned = match self.owners.learn(now, session, owner) {
            Learned::There if self.secret.is_none() => Learned::Gone(MissReason::Misrouted),
            learned => learned,
        };
        match asker {
            Asker::Connection(connection) => {
                self.asking.remove(&connection);
                let located = match learned {
                    Learned::There => Located::There,
                    Learned::Here { core } => Located::Here { core },
                    Learned::Gone(gone) => Located::Gone(gone),
                };
                self.effects.push_back(ForwardEffect::Located {
                    connection,
                    located,
                });
            }
            Asker::Passage(key) => self.go_there(now, key, learned),
            Asker::Unconnected(key) => match self.is_tried(key) {
                true if learned == Learned::There => {
                    self.owners.forget(session);
                    self.not_there(key, MissReason::OwnerUnreachable);
                }
                _ => self.go_there(now, key, learned),
            },
            Asker::Unanswered(key) => {
                let is_tried = learned == Learned::There && self.is_tried(key);
                let gone = match learned {
                    Learned::Gone(gone) if gone != MissReason::CannotTell => true,
                    _ => is_tried,
                };
                self.unanswered(now, key, gone.then_some(MissReason::OwnerUnreachable));
                self.settle(key);
            }
            // What its node had of the request nobody knows, and the next one goes elsewhere.
            Asker::Silent(key) if self.has_moved(key, learned) => {
                self.unanswered(now, key, None);
                self.settle(key);
            }
            Asker::Silent(key) => {
                let passed = self.exchange(key).map(|it| it.looked(now, learned.lost()));
                self.conclude(now, key, passed.unwrap_or(Passed::On));
            }
            Asker::Nobody => {}
            Asker::Streams => {
                if learned.lost().is_some() {
                    self.close_silent_of(now, session);
                }
            }
        }
    }

    fn go_there(&mut self, now: Millis, key: PassageKey, learned: Learned) {
        match learned {
            Learned::There => self.connect(now, key),
            Learned::Gone(gone) => self.not_there(key, gone),
            Learned::Here { .. } => self.come_back(key, None),
        }
    }

    /// Another process has its session than the one that was sent the request.
    fn has_moved(&self, key: PassageKey, learned: Learned) -> bool {
        match learned {
            Learned::Here { .. } => true,
            Learned::There => !self.is_tried(key),
            Learned::Gone(_) => false,
        }
    }

    /// What is said of the owner now is what was said when it was not there.
    fn is_tried(&self, key: PassageKey) -> bool {
        let Some(passage) = self.passage_ref(key) else {
            return true;
        };
        let PassageState::Exchange(exchange) = &passage.state else {
            return true;
        };
        let known = self.owners.known(passage.session).map(|it| it.process);
        exchange.owner.as_ref().map(|it| it.process) == known
    }

    pub(super) fn connect(&mut self, now: Millis, key: PassageKey) {
        let Some(session) = self.passage_ref(key).map(|it| it.session) else {
            return;
        };
        let known = self.owners.known(session).cloned();
        let Some(exchange) = self.exchange(key) else {
            return;
        };
        exchange.step = ExchangeStep::Connecting;
        // Looked for again it may be another one.
        exchange.owner = known.or(exchange.owner.take());
        let owner = exchange.owner.as_ref();
        let Some((address, process)) = owner.map(|it| (it.address, it.process)) else {
            return self.not_there(key, MissReason::OwnerUnreachable);
        };
        let effect = match self.pool.take(now, address) {
            Some(idle) => ForwardEffect::Reuse { key, idle },
            None => ForwardEffect::Connect {
                key,
                session,
                process,
                address,
                within_ms: CONNECT_MS,
            },
        };
        self.effects.push_back(effect);
    }

    /// There is a connection to the owner.
    pub fn handle_connected(&mut self, now: Millis, key: PassageKey) {
        let path = self.path.clone();
        let Some(exchange) = self
            .exchange(key)
            .filter(|it| it.step == ExchangeStep::Connecting)
        else {
            return;
        };
        exchange.begin(now, &path);
        self.transmits(key, super::Side::Owner);
    }

    /// The idle connection was not idle any more.
    pub fn handle_stale(&mut self, now: Millis, key: PassageKey) {
        self.connect(now, key);
    }

    /// No connection to the owner came about: for a reason that tells something of it (`of_the_peer`), or for want of
    /// something on this machine.
    pub fn handle_unconnected(&mut self, key: PassageKey, of_the_peer: bool) {
        let Some(session) = self.passage_ref(key).map(|it| it.session) else {
            return;
        };
        if of_the_peer {
            self.owners.forget(session);
            // Somebody else may have taken it over, or this node does.
            self.ask(session, Asker::Unconnected(key));
        } else {
            self.not_there(key, MissReason::CannotTell);
        }
    }

    /// The request is answered here, with the reason.
    fn not_there(&mut self, key: PassageKey, gone: MissReason) {
        self.come_back(key, Some(gone));
    }

    fn come_back(&mut self, key: PassageKey, gone: Option<MissReason>) {
        let read = self.exchange(key).and_then(|it| it.take_all());
        if let Some(read) = read {
            self.give_back(key, read, gone);
        }
    }

    /// Looks for the owner of a request that has been silent.
    pub(super) fn look(&mut self, now: Millis, key: PassageKey) {
        let Some(session) = self.passage_ref(key).map(|it| it.session) else {
            return;
        };
        if self.owners.is_fresh(now, session) {
            let passed = self.exchange(key).map(|it| it.looked(now, None));
            debug_assert_eq!(passed, Some(Passed::On));
            return;
        }
        self.ask(session, Asker::Silent(key));
    }

    pub(super) fn look_due(&self) -> Option<Millis> {
        let streams = self.passages.len() > self.timed.len();
        streams.then_some(self.looked_at + LOOK_EVERY_MS)
    }

    /// Ends the streams whose owner was silent for too long, and looks now and then which were for so long that it is
    /// worth a look: a session of each of their nodes.
    pub(super) fn look_for_silent(&mut self, now: Millis) {
        if now < self.looked_at + LOOK_EVERY_MS {
            return;
        }
        self.looked_at = now;
        let silence_max = silence_max_ms(&self.limits);
        for key in self.streams_silent_for(now, silence_max, None) {
            self.close(key);
        }
        let worth_a_look = silence_of_two_ms(&self.limits);
        let mut of_each = BTreeMap::new();
        for key in self.streams_silent_for(now, worth_a_look, None) {
            if let Some(passage) = self.passage_ref(key) {
                of_each.insert(passage.session.process(), passage.session);
            }
        }
        for session in of_each.into_values() {
            if !self.owners.is_fresh(now, session) {
                self.ask(session, Asker::Streams);
            }
        }
    }

    /// The process of this session is gone, and with it the streams on which it said nothing for so long.
    fn close_silent_of(&mut self, now: Millis, session: SessionId) {
        let worth_a_look = silence_of_two_ms(&self.limits);
        for key in self.streams_silent_for(now, worth_a_look, Some(session)) {
            self.close(key);
        }
    }

    fn streams_silent_for(
        &self,
        now: Millis,
        silence: Millis,
        of: Option<SessionId>,
    ) -> Vec<PassageKey> {
        let process = of.map(|session| session.process());
        let silent = self.passages.iter().filter(|(_, it)| {
            let is_its = process.is_none_or(|process| it.session.process() == process);
            is_its && matches!(&it.state, PassageState::Relay(it) if it.is_silent(now, silence))
        });
        let key = |(index, it): (usize, &super::Passage)| PassageKey {
            index: index as u32,
            generation: it.generation,
        };
        silent.map(key).collect()
    }
}
