//! What the admin listener asks of whoever uses it.

use std::net::SocketAddr;

use super::{AdminTokens, BODY_BYTES_MAX};

/// Who may publish, and what.
#[derive(Clone, Debug)]
pub struct AdminPolicy {
    /// Who may do what.
    pub tokens: AdminTokens,
    /// The listener's address is a loopback address: `Host` must be one, too.
    pub loopback: bool,
    /// `Limits::uri_bytes_max`.
    pub uri_bytes_max: usize,
    /// Bytes of one line of NDJSON.
    pub line_bytes_max: usize,
}

impl AdminPolicy {
    /// The policy of a listener at `address`, which needs tokens unless it is on loopback.
    #[must_use]
    pub fn new(address: SocketAddr, tokens: AdminTokens, uri_bytes_max: usize) -> Self {
        let loopback = address.ip().is_loopback();
        let is_asked_for = tokens.operate.is_some();
        assert!(loopback || is_asked_for, "checked by the configuration");
        AdminPolicy {
            tokens,
            loopback,
            uri_bytes_max,
            line_bytes_max: BODY_BYTES_MAX,
        }
    }

    /// Makes lines long enough for contents of this many bytes, as base64 or with half of their characters escaped.
    #[must_use]
    pub fn for_contents(mut self, bytes_max: usize) -> Self {
        self.line_bytes_max = BODY_BYTES_MAX + bytes_max.saturating_mul(3) / 2;
        self
    }
}
