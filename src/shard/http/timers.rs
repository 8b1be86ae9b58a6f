//! Time limits of the wire: each connection computes its own deadline when its timer fires, and is armed again or comes to
//! its end.

use super::connection::{Connection, ConnectionState};
use super::{Closed, ConnectionKey, ExchangeChange, Http, Millis, Refused, UpperLayer};
use crate::limits::Limits;

/// How long a connection that was answered and half-closed may go on sending before it is cut.
const LINGER_MS: Millis = 2_000;

impl<U: UpperLayer> Http<U> {
    /// Ends what ran out of time, and tells the owners of silent streams.
    pub(in crate::shard) fn handle_timeout(&mut self) {
        self.forget_unused();
        while let Some((tick, key)) = self.wheel.poll(self.now) {
            let connection = self.connections.get_mut(key);
            if connection.is_some_and(|it| it.timer.fired(tick)) {
                self.due(key);
                self.arm(key);
            }
        }
    }

    pub(in crate::shard) fn arm(&mut self, key: ConnectionKey) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        let deadline = connection.deadline(&self.limits, key.index);
        self.wheel.arm(&mut connection.timer, key, deadline);
    }

    fn due(&mut self, key: ConnectionKey) {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        if connection.deadline(&self.limits, key.index) > now {
            return;
        }
        if connection.in_flight {
            return self.close_connection(key, Closed::WriteStalled);
        }
        match connection.state {
            ConnectionState::Lingering(_) => self.close_connection(key, Closed::Answered),
            ConnectionState::ExpectHead(_) if connection.scanned == 0 => {
                self.close_connection(key, Closed::Idle)
            }
            ConnectionState::ExpectHead(_) | ConnectionState::ExpectBody(_) => {
                let sentence = "The request did not arrive in time.";
                self.refuse_and_close(key, 408, sentence);
            }
            // The look under way comes to nothing.
            ConnectionState::ExpectLook(_) => {
                let sentence = "This node is too busy to look at a body of this size.";
                self.refuse_request_and_close(key, &Refused::busy(sentence, 1));
            }
            ConnectionState::ExpectWord => {
                if !self.give_up_asking(key) {
                    self.handle_word(key, U::NO_WORD);
                }
            }
            ConnectionState::ExpectOperators => self.refuse_busy(key),
            ConnectionState::ExpectAnswer(owner) => {
                connection.since = now;
                self.tell_owner(key, owner, ExchangeChange::Quiet);
            }
        }
    }
}

impl<U: UpperLayer> Connection<U> {
    /// When this connection is to be looked at next. `index` spreads the keep-alives of many streams.
    fn deadline(&self, limits: &Limits, index: u32) -> Millis {
        if self.in_flight {
            return self.since + limits.write_stall_ms;
        }
        self.since
            + match self.state {
                ConnectionState::Lingering(_) => LINGER_MS,
                ConnectionState::ExpectHead(_) if self.scanned == 0 && self.is_new => {
                    limits.head_timeout_ms.min(limits.connection_idle_ms)
                }
                ConnectionState::ExpectHead(_) if self.scanned == 0 => limits.connection_idle_ms,
                ConnectionState::ExpectHead(_)
                | ConnectionState::ExpectWord
                | ConnectionState::ExpectOperators => limits.head_timeout_ms,
                ConnectionState::ExpectBody(_) | ConnectionState::ExpectLook(_) => {
                    limits.body_timeout_ms
                }
                ConnectionState::ExpectAnswer(_) => {
                    let spread = limits.keep_alive_ms / 8;
                    // Knuth's multiplicative hash: neighbours land far from each other.
                    let jitter = (u64::from(index.wrapping_mul(2_654_435_761)) * spread) >> 32;
                    limits.keep_alive_ms - jitter
                }
            }
    }
}
