//! What leaves: outboxes, and what a connection goes on with once its own is written.

use super::answer::Frame;
use super::connection::{Connection, ConnectionState};
use super::{Closed, ConnectionKey, ExchangeChange, Http, HttpOutput, UpperLayer};

impl<U: UpperLayer> Http<U> {
    /// The next connection with bytes to be written now, and the bytes. The driver writes what the kernel takes
    /// and calls [`Http::handle_written`].
    pub(in crate::shard) fn poll_transmit(&mut self, bytes: &mut Vec<u8>) -> Option<ConnectionKey> {
        while let Some(key) = self.dirty.pop_front() {
            let Some(connection) = self.connections.get_mut(key) else {
                continue;
            };
            connection.queued = false;
            if !connection.may_write() || connection.outbox.is_empty() {
                continue;
            }
            *bytes = std::mem::take(&mut connection.outbox);
            return Some(key);
        }
        None
    }

    /// Of what was given for this connection so many bytes are not written yet.
    pub(in crate::shard) fn handle_written(
        &mut self,
        key: ConnectionKey,
        rest: usize,
        upper: &mut U,
    ) {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        if rest == 0 {
            return self.go_on_writing(key);
        }
        self.stats.forget_write(connection.write_under_way());
        let is_new = !std::mem::replace(&mut connection.in_flight, true);
        connection.since = now;
        self.stats.count_write(rest);
        if is_new {
            self.note_unread(key);
        }
        self.hold_unwritten(key, rest, upper);
        self.arm(key);
    }

    /// All is written.
    pub(super) fn go_on_writing(&mut self, key: ConnectionKey) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        self.stats.forget_write(connection.write_under_way());
        if std::mem::replace(&mut connection.in_flight, false) {
            self.forget_unread(key);
        }
        self.settle_alone(key);
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        if connection.is_stream
            && let ConnectionState::ExpectAnswer(owner) = connection.state
        {
            self.tell_owner(key, owner, ExchangeChange::Writable);
        }
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        if !connection.outbox.is_empty() {
            self.mark_dirty(key);
        } else if connection.close_when_written {
            connection.close_when_written = false;
            self.end_output(key);
        } else if connection.has_read_ahead() {
            self.freed.push_back(key);
        } else if connection.input_ended {
            self.close_if_served(key, Closed::Answered);
        }
        self.arm(key);
    }

    pub(super) fn mark_dirty(&mut self, key: ConnectionKey) {
        if let Some(connection) = self.connections.get_mut(key)
            && !connection.queued
        {
            connection.queued = true;
            self.dirty.push_back(key);
        }
    }

    /// The last of what the client is told was written.
    pub(super) fn end_output(&mut self, key: ConnectionKey) {
        match self.connections.get(key).is_some_and(|it| it.input_ended) {
            true => self.close_connection(key, Closed::Answered),
            false => self.outputs.push_back(HttpOutput::ShutdownWrite(key)),
        }
    }
}

impl<U: UpperLayer> Connection<U> {
    pub(super) fn frame(&self) -> Frame {
        match self.http10 {
            true => Frame::Bare,
            false => Frame::Chunk,
        }
    }
}
