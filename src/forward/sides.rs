//! What comes from the two sockets of a passage, and what they take.

use super::exchange::Passed;
use super::passage::{PassageKey, PassageState, Side};
use super::relay::RelayBuffer;
use super::{ForwardEffect, Forwarder};
use crate::budget::Charge;
use crate::shard::Millis;

/// How bytes of an owner go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassMode {
    /// As [`Forwarder::poll_transmit`] says, if at all.
    Buffered,
    /// All of them, as they are and at once. What the client did not take goes to [`Forwarder::handle_passed`].
    AsTheyAre,
}

impl Forwarder {
    pub fn handle_owner_bytes(&mut self, now: Millis, key: PassageKey, bytes: &[u8]) -> PassMode {
        let mut sink = std::mem::take(&mut self.sink);
        let passed = self.passage(key).map(|passage| match &mut passage.state {
            PassageState::Exchange(exchange) => Some(exchange.owner_bytes(now, bytes, &mut sink)),
            PassageState::Relay(relay) => match relay.owner_bytes(now, bytes, &mut sink) {
                true => None,
                false => Some(Passed::Over),
            },
        });
        self.sink = sink;
        match passed {
            Some(None) => return PassMode::AsTheyAre,
            Some(Some(passed)) => {
                self.conclude(now, key, passed);
                self.transmits(key, Side::Client);
            }
            None => {}
        }
        PassMode::Buffered
    }

    /// A stream's bytes went on, but for these.
    pub fn handle_passed(&mut self, now: Millis, key: PassageKey, unsent: &[u8]) {
        let Some(passage) = self.passage(key) else {
            return;
        };
        let PassageState::Relay(relay) = &mut passage.state else {
            return;
        };
        if !unsent.is_empty() {
            relay.keep_unsent(now, unsent);
            let (what, count) = (RelayBuffer::Unsent, unsent.len());
            self.effects
                .push_back(ForwardEffect::Hold { key, what, count });
            self.settle(key);
        } else if relay.is_whole() {
            self.finish(key);
        }
    }

    pub fn handle_client_bytes(&mut self, now: Millis, key: PassageKey, bytes: &[u8]) {
        let mut sink = std::mem::take(&mut self.sink);
        let ahead_max = self.ahead_max();
        let mut passed = Passed::On;
        let mut hold = None;
        if let Some(passage) = self.passage(key) {
            match &mut passage.state {
                PassageState::Exchange(exchange) => {
                    passed = exchange.client_bytes(now, bytes, &mut sink)
                }
                // Once for as much as may be read ahead.
                PassageState::Relay(relay) => {
                    hold = relay.client_bytes(bytes).then_some(ForwardEffect::Hold {
                        key,
                        what: RelayBuffer::Ahead,
                        count: ahead_max,
                    });
                }
            }
        }
        self.sink = sink;
        self.effects.extend(hold);
        self.conclude(now, key, passed);
        self.transmits(key, Side::Owner);
    }

    /// The client sends nothing more.
    pub fn handle_client_end(&mut self, now: Millis, key: PassageKey) {
        let Some(passage) = self.passage(key) else {
            return;
        };
        let passed = match &passage.state {
            PassageState::Exchange(exchange) => exchange.client_end(passage.ended),
            PassageState::Relay(_) if passage.ended => Passed::Over,
            // It reads on, or is gone: the owner says something at once, and a reset is the answer to that.
            PassageState::Relay(_) => Passed::On,
        };
        if passed == Passed::On {
            passage.ended = true;
            let side = Side::Owner;
            self.effects
                .push_back(ForwardEffect::EndSending { key, side });
        }
        self.conclude(now, key, passed);
    }

    /// The owner sends nothing more.
    pub fn handle_owner_end(&mut self, now: Millis, key: PassageKey) {
        self.owner_is_gone(now, key, true);
    }

    /// A read failed: the connection is broken.
    pub fn handle_fault(&mut self, now: Millis, key: PassageKey, side: Side) {
        match side {
            Side::Client => self.client_is_gone(now, key),
            Side::Owner => self.owner_is_gone(now, key, false),
        }
    }

    /// A write failed.
    pub fn handle_unsendable(&mut self, now: Millis, key: PassageKey, side: Side) {
        match side {
            Side::Client => self.client_is_gone(now, key),
            Side::Owner => {
                if let Some(exchange) = self.exchange(key) {
                    exchange.owner_takes_no_more();
                }
                self.settle(key);
            }
        }
    }

    fn client_is_gone(&mut self, now: Millis, key: PassageKey) {
        let passed = self.exchange(key).map(|it| it.client_fault());
        self.conclude(now, key, passed.unwrap_or(Passed::Over));
    }

    fn owner_is_gone(&mut self, now: Millis, key: PassageKey, in_order: bool) {
        let passed = self.exchange(key).map(|exchange| match in_order {
            true => exchange.owner_end(),
            false => exchange.owner_fault(),
        });
        self.conclude(now, key, passed.unwrap_or(Passed::Over));
    }

    /// This side took so many of its unsent bytes.
    pub fn handle_sent(&mut self, now: Millis, key: PassageKey, side: Side, count: usize) {
        let Some(passage) = self.passage(key) else {
            return;
        };
        let mut passed = Passed::On;
        match (&mut passage.state, side) {
            (PassageState::Exchange(it), Side::Client) => {
                passed = it.sent_to_client(now, count);
                if it.is_lingering() && it.to_client.is_empty() {
                    let side = Side::Client;
                    self.effects
                        .push_back(ForwardEffect::EndSending { key, side });
                }
            }
            (PassageState::Exchange(it), Side::Owner) => it.sent_to_owner(now, count),
            (PassageState::Relay(it), Side::Client) => {
                it.sent(now, count);
                if it.is_whole() {
                    return self.finish(key);
                }
            }
            (PassageState::Relay(_), Side::Owner) => {}
        }
        self.conclude(now, key, passed);
    }

    /// What came of [`ForwardEffect::Hold`]. None: there is no room.
    pub fn handle_held(&mut self, key: PassageKey, what: RelayBuffer, charge: Option<Charge>) {
        let Some(passage) = self.passage(key) else {
            return;
        };
        match (&mut passage.state, charge) {
            (PassageState::Relay(relay), Some(charge)) => relay.charge(what, charge),
            (_, None) => self.close(key),
            (PassageState::Exchange(_), Some(_)) => {}
        }
    }

    /// The driver cannot wait for what it should.
    pub fn handle_unwatched(&mut self, key: PassageKey) {
        if self.passage_ref(key).is_some() {
            self.announce_if_deleted(key);
            self.close(key);
        }
    }
}
