//! A client that sends nothing more: `nc -N`, some HTTP libraries, or one that is gone.
//!
//! A request that came whole is answered, and the connection closes behind the answer. But a client that closes its
//! connection looks the same at first, and to a modern one that is how a request is cancelled. The difference is what
//! becomes of the next bytes: who is gone answers them with a reset. So on a stream a comment goes out at once, and a
//! modern answer that is waited for becomes a stream to have one; the reset ends both as any broken connection does.
//! A legacy answer is waited for as it is, since nothing is cancelled by leaving: at its `keep_alive_ms` it becomes a
//! stream, and a dead connection is found then.

use super::call::CallState;
use super::connection::State;
use super::{Closed, ConnectionKey, Effect, Millis, Shard};
use crate::mcp::Era;

impl Shard {
    /// Nothing more will come from the client, which may still read. Said a second time it is gone.
    pub fn handle_input_end(&mut self, now: Millis, key: ConnectionKey) {
        self.now = now;
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        if std::mem::replace(&mut connection.input_ended, true) {
            self.close_connection(key, Closed::PeerLeft);
        }
        self.close_if_served(key, Closed::PeerLeft);
        self.go_on_after_input_end(key);
        self.arm_connection(key);
        self.serve_freed();
    }

    /// What was read ahead of a client was looked at. If it sends nothing more, that was all, or a stream has begun.
    pub(super) fn go_on_after_input_end(&mut self, key: ConnectionKey) {
        let Some(connection) = self.connections.get(key).filter(|it| it.input_ended) else {
            return;
        };
        match connection.state {
            State::ExpectHead | State::ExpectBody(_) | State::Lingering => {
                self.close_if_served(key, Closed::Answered);
            }
            State::ExpectAnswer(call) if self.calls.get(call).is_some_and(is_modern) => {
                // Of a client that takes no stream nothing can be found out before its answer.
                if self.stream_of(call).is_some() {
                    self.emit_keep_alive(key);
                }
            }
            State::Streaming(_) | State::Silent(_) | State::Listening(_) => {
                self.emit_keep_alive(key);
            }
            State::ExpectLook(_) | State::ExpectOwner | State::ExpectAnswer(_) => {}
        }
    }

    /// Closes the connection of a client that sends nothing more and has all of its answers.
    pub(super) fn close_if_served(&mut self, key: ConnectionKey, reason: Closed) {
        let Some(connection) = self.connections.get(key) else {
            return;
        };
        let expects_more = matches!(
            connection.state,
            State::ExpectHead | State::ExpectBody(_) | State::Lingering
        );
        if connection.input_ended && expects_more && !connection.is_writing() {
            self.close_connection(key, reason);
        }
    }

    /// The last of what the client is told was written.
    pub(super) fn end_output(&mut self, key: ConnectionKey) {
        match self.connections.get(key).is_some_and(|it| it.input_ended) {
            true => self.close_connection(key, Closed::Answered),
            false => self.effects.push_back(Effect::ShutdownWrite(key)),
        }
    }
}

fn is_modern(call: &CallState) -> bool {
    call.version.era() == Era::Modern
}
