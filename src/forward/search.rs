//! Where the nodes of sessions are: asked for, remembered, and looked for again when they say nothing.

use std::collections::BTreeMap;

use super::exchange::{ExchangeStep, Passed, silence_max_ms, silence_of_two_ms};
use super::owners::SessionOwner;
use super::passage::{PassageKey, PassageState};
use super::{CONNECT_MS, ForwardEffect, Forwarder};
use crate::shard::{ConnectionKey, Located, Millis, MissReason};
use crate::wire::session_id::SessionId;

/// How long an owner is looked for before the client gets the answer that it cannot be found.
const LOCATE_MS: Millis = 1_000;
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
        let gone = self.owners.learn(now, session, owner);
        let misrouted = self.secret.is_none().then_some(MissReason::Misrouted);
        let gone = gone.or(misrouted);
        match asker {
            Asker::Connection(connection) => {
                self.asking.remove(&connection);
                let located = gone.map_or(Located::There, Located::Gone);
                self.effects.push_back(ForwardEffect::Located {
                    connection,
                    located,
                });
            }
            Asker::Passage(key) => match gone {
                Some(gone) => self.not_there(key, gone),
                None => self.connect(now, key),
            },
            Asker::Silent(key) => {
                let gone = gone.filter(|gone| *gone != MissReason::CannotTell);
                let passed = self.exchange(key).map(|it| it.looked(now, gone));
                self.conclude(now, key, passed.unwrap_or(Passed::On));
            }
            Asker::Nobody => {}
            Asker::Streams => {
                if gone.is_some_and(|gone| gone != MissReason::CannotTell) {
                    self.close_silent_of(now, session);
                }
            }
        }
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
        exchange.owner = exchange.owner.take().or(known);
        let Some(address) = exchange.owner.as_ref().map(|it| it.address) else {
            return self.not_there(key, MissReason::OwnerUnreachable);
        };
        let effect = match self.pool.take(now, address) {
            Some(idle) => ForwardEffect::Reuse { key, idle },
            None => ForwardEffect::Connect {
                key,
                session,
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
            self.not_there(key, MissReason::OwnerUnreachable);
        } else {
            self.not_there(key, MissReason::CannotTell);
        }
    }

    /// The request is answered here, with the reason.
    fn not_there(&mut self, key: PassageKey, gone: MissReason) {
        let read = self.exchange(key).and_then(|it| it.take_all());
        if let Some(read) = read {
            self.give_back(key, read, Some(gone));
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
