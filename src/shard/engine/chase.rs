//! Two GETs for one stream: the newest has it, since the one before may be half-open, and only its client knows.
//!
//! The one before ends, so that its client does not believe in it. But a client may have two on purpose or by mistake: that of
//! TypeScript opens a second standalone stream when it comes back to an answer and finds no event id there. Each of the two
//! comes back when it ends, so they would take the stream from each other once a second for ever. The end keeps this chase
//! going. So a stream that is taken from a connection which itself got it lately ([`CHASE_MS`]) does not end
//! there. That connection stays open and silent, and its client has no reason to come back. Nothing is sent on it, since a
//! message goes out on one stream only. Once the connection that has the stream is lost, the silent ones end. A client that
//! is there comes back with the last event it saw, and has the stream. So two GETs become three at most, a network
//! that was changed costs none, and no client is refused its stream.

use std::collections::HashMap;

use super::keys::StreamKey;
use super::{Engine, Exchange, ExchangeOwner, Wire};
use crate::limits::{CHASE_MS, SILENT_CONNECTIONS_MAX};

/// Of streams that are chased, the connections that do not have them, oldest first.
pub(super) type SilentStreams = HashMap<StreamKey, Vec<Exchange>>;

impl Engine {
    /// The stream is about to have another connection.
    pub(super) fn take_over(&mut self, wire: &mut impl Wire<ExchangeOwner>, key: StreamKey) {
        let now = self.now;
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        let Some(connection) = stream.exchange else {
            return;
        };
        let chased = stream.interrupted_at != 0 && now < stream.interrupted_at + CHASE_MS;
        stream.interrupt(now);
        self.disconnect_listener(key);
        match chased {
            true => self.silence(wire, key, connection),
            false => wire.end_stream(connection),
        }
    }

    fn silence(&mut self, wire: &mut impl Wire<ExchangeOwner>, stream: StreamKey, key: Exchange) {
        wire.set_owner(key, ExchangeOwner::Silent(stream));
        let silent = self.silent.entry(stream).or_default();
        silent.push(key);
        if silent.len() > SILENT_CONNECTIONS_MAX {
            let oldest = silent.remove(0);
            wire.end_stream(oldest);
        }
    }

    /// The stream has no connection any more: those that are silent for its sake end.
    pub(super) fn end_silent(&mut self, wire: &mut impl Wire<ExchangeOwner>, stream: StreamKey) {
        if self.silent.is_empty() {
            return;
        }
        for key in self.silent.remove(&stream).unwrap_or_default() {
            // A node that drains keeps nobody's connection.
            if self.is_draining() {
                wire.end_after_answer(key);
            }
            wire.end_stream(key);
        }
    }

    /// A silent connection is over.
    pub(super) fn forget_silent(&mut self, stream: StreamKey, connection: Exchange) {
        if let Some(silent) = self.silent.get_mut(&stream) {
            silent.retain(|&other| other != connection);
            if silent.is_empty() {
                self.silent.remove(&stream);
            }
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "whoever asks for them sorts them"
    )]
    pub(super) fn silent_exchanges(&self) -> impl Iterator<Item = (Exchange, ExchangeOwner)> {
        let exchanges = self.silent.iter();
        exchanges.flat_map(|(&stream, keys)| {
            keys.iter()
                .map(move |&it| (it, ExchangeOwner::Silent(stream)))
        })
    }

    /// Panics if an exchange is silent for a stream that nobody has.
    pub(super) fn chase_invariants(&self) {
        #[expect(clippy::iter_over_hash_type, reason = "the order does not matter")]
        for (&stream, exchanges) in &self.silent {
            let taken = self.streams.get(stream).and_then(|it| it.exchange);
            assert!(taken.is_some() && !exchanges.is_empty());
        }
    }
}
