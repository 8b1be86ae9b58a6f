//! What the admin listener asks of whoever uses it.

use std::net::SocketAddr;

use super::{BODY_BYTES_MAX, Token};

/// Who may publish, and what.
#[derive(Clone, Debug)]
pub struct AdminPolicy {
    /// What publishing asks for; `None` on loopback addresses only.
    pub token: Option<Token>,
    /// The listener's address is a loopback address: `Host` must be one, too.
    pub loopback: bool,
    /// `Limits::uri_bytes_max`.
    pub uri_bytes_max: usize,
    /// Bytes of one line of NDJSON.
    pub line_bytes_max: usize,
}

impl AdminPolicy {
    /// The policy of a listener at `address`, which needs a token unless it is on loopback.
    #[must_use]
    pub fn new(address: SocketAddr, token: Option<Token>, uri_bytes_max: usize) -> Self {
        let loopback = address.ip().is_loopback();
        assert!(loopback || token.is_some(), "checked by the configuration");
        AdminPolicy {
            token,
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
