//! How a passage ends: back to the shard, as a stream, answered here, or with its connection.

use super::exchange::{ExchangeStep, Passed};
use super::passage::{Passage, PassageKey, PassageState, Side, SocketInterest};
use super::relay::Relay;
use super::{CONNECT_MS, ForwardEffect, Forwarder, Returning};
use crate::shard::{Millis, MissReason};

impl Forwarder {
    pub(super) fn conclude(&mut self, now: Millis, key: PassageKey, passed: Passed) {
        if self.passage_ref(key).is_none() {
            return;
        }
        match passed {
            Passed::On => {}
            Passed::Whole => self.answered(now, key),
            Passed::Opened => self.opened(now, key),
            Passed::Broken { unstarted: true } => self.probe(now, key),
            Passed::Lost(gone) => self.unanswered(now, key, Some(gone)),
            Passed::Malformed(fault) if self.is_unanswered(key) => self.refuse(now, key, fault),
            Passed::Broken { .. } | Passed::ClientLeft | Passed::Malformed(_) => {
                self.counts.broke_off += u64::from(self.is_exchange(key));
                self.announce_if_deleted(key);
                self.close(key);
            }
            Passed::Over => self.close(key),
            Passed::Look => self.look(now, key),
        }
        self.settle(key);
    }

    fn is_exchange(&self, key: PassageKey) -> bool {
        let state = self.passage_ref(key).map(|it| &it.state);
        matches!(state, Some(PassageState::Exchange(_)))
    }

    fn answered(&mut self, now: Millis, key: PassageKey) {
        self.counts.answered += 1;
        let ended = self.passage_ref(key).is_some_and(|it| it.ended);
        let Some(exchange) = self.exchange(key).filter(|it| it.takes_the_next()) else {
            return match ended {
                true => self.close(key),
                false => self.linger(now, key),
            };
        };
        let (ahead, owner) = (exchange.take_ahead(), exchange.owner.take());
        let address = owner.map(|it| it.address).filter(|_| !ended);
        if let Some(idle) = address.and_then(|it| self.pool.put(now, it)) {
            self.unwatch(key, Side::Owner);
            self.effects.push_back(ForwardEffect::Keep { key, idle });
        }
        self.give_back(key, ahead, None);
    }

    fn opened(&mut self, now: Millis, key: PassageKey) {
        let Some(passage) = self.passage(key) else {
            return;
        };
        if let PassageState::Exchange(exchange) = &mut passage.state {
            let (body, ahead) = (exchange.take_body(), exchange.take_ahead());
            passage.state = PassageState::Relay(Relay::new(now, body, ahead));
            self.counts.answered += 1;
        }
    }

    /// Nothing was answered: is anybody there?
    fn probe(&mut self, now: Millis, key: PassageKey) {
        let Some(session) = self.passage_ref(key).map(|it| it.session) else {
            return;
        };
        self.owners.forget(session);
        self.lose_owner(key);
        let Some(exchange) = self.exchange(key) else {
            return;
        };
        exchange.step = ExchangeStep::Probing;
        exchange.to_owner.clear();
        let owner = exchange.owner.as_ref();
        let Some((process, address)) = owner.map(|it| (it.process, it.address)) else {
            return self.unanswered(now, key, None);
        };
        self.effects.push_back(ForwardEffect::Probe {
            key,
            process,
            address,
            within_ms: CONNECT_MS,
        });
    }

    /// The stream is whole, and the client has all of it: its connection takes the next request. Of a node that drains it ends if
    /// there is none yet, so that the client comes back elsewhere.
    pub(super) fn finish(&mut self, key: PassageKey) {
        let drains = self.drain.is_some();
        let Some(passage) = self.passage(key) else {
            return;
        };
        if let PassageState::Relay(relay) = &mut passage.state {
            match relay.take_ahead() {
                ahead if drains && ahead.is_empty() => self.close(key),
                ahead => self.give_back(key, ahead, None),
            }
        }
    }

    pub(super) fn give_back(&mut self, key: PassageKey, bytes: Vec<u8>, gone: Option<MissReason>) {
        self.unwatch(key, Side::Client);
        if let Some(Passage { ticket, .. }) = self.remove(key) {
            let returning = Returning {
                bytes,
                gone,
                ticket,
            };
            self.effects
                .push_back(ForwardEffect::Return { key, returning });
        }
    }

    /// Each of the two sees the other one leave.
    pub(super) fn close(&mut self, key: PassageKey) {
        if self.remove(key).is_some() {
            self.effects.push_back(ForwardEffect::Close(key));
        }
    }

    pub(super) fn lose_owner(&mut self, key: PassageKey) {
        if let Some(passage) = self.passage(key) {
            // Closed, it is watched no more.
            passage.owner_watched = SocketInterest::Nothing;
            self.effects.push_back(ForwardEffect::LoseOwner(key));
        }
    }

    /// The socket outlives the passage.
    fn unwatch(&mut self, key: PassageKey, side: Side) {
        let Some(passage) = self.passage(key) else {
            return;
        };
        let to = SocketInterest::Nothing;
        let from = std::mem::replace(passage.watched(side), to);
        if from != to {
            self.effects.push_back(ForwardEffect::Watch {
                key,
                side,
                from,
                to,
            });
        }
    }

    fn remove(&mut self, key: PassageKey) -> Option<Passage> {
        self.passage_ref(key)?;
        self.timed.remove(&key.index);
        Some(self.passages.remove(key.index as usize))
    }
}
