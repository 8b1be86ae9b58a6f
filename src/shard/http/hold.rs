//! A moment's wait before the first bytes of a long answer to a POST that came through a proxy: a stream, or a large one.
//!
//! Go's reverse proxy (Traefik, Caddy) writes a request's body, then asks its client's connection once more whether that
//! was all. An answer that begins before it has asked closes the body, the question fails, and the proxy closes the
//! connection to this node (golang/go#40747). What it has read by then it still passes on: a small answer is whole, the
//! rest of a stream or of a large answer is lost. So these begin [`STREAM_HOLD_MS`] after their request was complete, and
//! not before. Where programs wait for their CPU, the proxy's among them, it is [`STREAM_HOLD_BUSY_MS`]. Whether this node
//! read the body apart from the head says nothing: the proxy writes them apart, whatever its client did.
//!
//! ```text
//! handle_bytes ──Hold──▶ (the driver waits) ──▶ handle_released
//! ```
//!
//! What is added meanwhile leaves in the same write. A node that passes a request on passes the proxy's fields on with
//! it, and has the body before the session's own node has. So it is enough for both that the own node waits.

use super::connection::{ConnectionState, Hold};
use super::{ConnectionKey, Http, HttpOutput, Millis, UpperLayer};
use crate::limits::{BUSY_FOR_MS, STREAM_HOLD_BUSY_MS, STREAM_HOLD_MS};

impl<U: UpperLayer> Http<U> {
    /// The driver has waited as long as [`HttpOutput::Hold`] said: what is held may leave.
    pub(in crate::shard) fn handle_released(&mut self, key: ConnectionKey) {
        self.begin(key);
    }

    /// The driver was woken later than it asked to be: there is more to do on this machine than it can do now.
    pub(in crate::shard) fn handle_late(&mut self, now: Millis) {
        self.busy_until = now + BUSY_FOR_MS;
    }

    /// A stream, or a large answer, is about to begin on this connection.
    pub(super) fn hold(&mut self, key: ConnectionKey) {
        let now = self.now;
        let hold_ms = match now < self.busy_until {
            true => STREAM_HOLD_BUSY_MS,
            false => STREAM_HOLD_MS,
        };
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        if connection.hold != Hold::IfLong {
            return;
        }
        // Its request was worked on for this long, less what the clock's milliseconds hide.
        let since = match connection.state {
            ConnectionState::ExpectAnswer(_) => now.saturating_sub(connection.since + 1),
            _ => 0,
        };
        connection.hold = match hold_ms.saturating_sub(since) {
            0 => Hold::No,
            ms => {
                self.outputs.push_back(HttpOutput::Hold {
                    connection: key,
                    ms,
                });
                Hold::Now
            }
        };
    }

    pub(super) fn begin(&mut self, key: ConnectionKey) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        if connection.hold == Hold::Now {
            connection.hold = Hold::No;
            // A write under way goes on with what is here when it is done.
            if !connection.in_flight {
                self.go_on_writing(key);
            }
        }
    }
}
