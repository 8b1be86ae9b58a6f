//! Who asks, as whoever drives a shard says it and hears of it. What is done about it is the wire's (`http::identify`).

use std::sync::Arc;

use super::{ConnectionKey, IdentityAnswer, Millis, Shard};
use crate::auth::{Identifier, Rules};

impl Shard {
    /// From now on it is asked who sends a request. `unix_ms` is what time it is now, for everybody else.
    pub fn identify_by(&mut self, identifier: Identifier, unix_ms: u64) {
        self.engine.identify_by(identifier.shared_rules(), unix_ms);
        self.http.identify_by(identifier, unix_ms);
    }

    /// Other rules hold from now on, on who is let in and on what they may do.
    pub fn handle_rules(&mut self, rules: Arc<Rules>) {
        self.http.handle_rules(rules.clone());
        self.engine.handle_rules(&mut self.http, rules);
        self.go_on();
    }

    /// What time it is, for everybody else: told now and then, since clocks are set.
    pub fn handle_clock(&mut self, now: Millis, unix_ms: u64) {
        self.at(now);
        self.http.handle_clock(unix_ms);
        self.engine.handle_clock(unix_ms);
    }

    /// Who sent a request ([`Effect::Identify`](super::Effect::Identify) asked for it). Too late if the client is gone.
    pub fn handle_identified(
        &mut self,
        now: Millis,
        key: ConnectionKey,
        number: u64,
        answer: IdentityAnswer,
    ) {
        self.at(now);
        self.http.handle_identified(key, number, answer);
        self.go_on();
    }
}
