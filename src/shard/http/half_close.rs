//! A client that sends nothing more: `nc -N`, some HTTP libraries, or one that is gone.
//!
//! A request that came whole is answered, and the connection closes behind the answer. But a client that closes its
//! connection looks the same at first, and to a modern client that is how a request is cancelled. The difference is what
//! becomes of the next bytes: a client that is gone answers them with a reset. So the owner of the request that is served
//! learns of it ([`Happened::InputEnded`]), and writes something if that is worth it.

use super::connection::ConnectionState;
use super::{Closed, ConnectionKey, ExchangeChange, Http, HttpOutput, UpperLayer};

impl<U: UpperLayer> Http<U> {
    /// Nothing more will come from the client, which may still read. Said a second time it is gone.
    pub(in crate::shard) fn handle_input_end(&mut self, key: ConnectionKey) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        if std::mem::replace(&mut connection.input_ended, true) {
            self.close_connection(key, Closed::PeerLeft);
        }
        self.close_if_served(key, Closed::PeerLeft);
        self.go_on_after_input_end(key);
        self.arm(key);
    }

    /// Whether bytes wait on a connection that became free.
    pub(in crate::shard) fn has_inbox(&self, key: ConnectionKey) -> bool {
        let connection = self.connections.get(key);
        connection.is_some_and(|connection| !connection.inbox().is_empty())
    }

    /// What was read ahead of a client was looked at.
    pub(in crate::shard) fn go_on_reading(&mut self, key: ConnectionKey) {
        self.go_on_after_input_end(key);
        let paused = self.connections.get(key).is_some_and(|it| it.paused.get());
        if paused && self.wants_bytes(key) {
            self.outputs.push_back(HttpOutput::Read(key));
        }
        self.arm(key);
    }

    /// If it sends nothing more, that was all, or a stream has begun.
    fn go_on_after_input_end(&mut self, key: ConnectionKey) {
        let Some(connection) = self.connections.get(key).filter(|it| it.input_ended) else {
            return;
        };
        match connection.state {
            ConnectionState::ExpectHead(_)
            | ConnectionState::ExpectBody(_)
            | ConnectionState::Lingering(_) => {
                self.close_if_served(key, Closed::Answered);
            }
            ConnectionState::ExpectAnswer(owner) => {
                self.tell_owner(key, owner, ExchangeChange::InputEnded)
            }
            ConnectionState::ExpectLook(_)
            | ConnectionState::ExpectWord
            | ConnectionState::ExpectOperators => {}
        }
    }

    /// Closes the connection of a client that sends nothing more and has all of its answers.
    pub(super) fn close_if_served(&mut self, key: ConnectionKey, reason: Closed) {
        let Some(connection) = self.connections.get(key) else {
            return;
        };
        let expects_more = matches!(
            connection.state,
            ConnectionState::ExpectHead(_)
                | ConnectionState::ExpectBody(_)
                | ConnectionState::Lingering(_)
        );
        if connection.input_ended && expects_more && !connection.is_writing() {
            self.close_connection(key, reason);
        }
    }
}
