//! Who may ask the admin listener: a token where one is configured, and never a web page from elsewhere.
//!
//! A page in a browser on this machine can reach a loopback address. It cannot help but send its `Origin`, and
//! if it hides behind a name of its own that resolves to 127.0.0.1 (DNS rebinding), its `Host` gives it away.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use subtle::ConstantTimeEq;

/// Longer than any token in use; it has to fit a header line.
const TOKEN_BYTES_MAX: usize = 1024;

/// A bearer token: visible ASCII, and never shown. Clones are one token: what replaces it replaces it for all of them.
#[derive(Clone)]
pub struct Token(Arc<Mutex<Box<str>>>);

impl Token {
    /// # Errors
    /// What is wrong, as the end of a sentence that begins with the token.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("is empty".into());
        }
        if text.len() > TOKEN_BYTES_MAX {
            return Err(format!("is longer than {TOKEN_BYTES_MAX} bytes"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("must be visible ASCII characters without spaces, on one line".into());
        }
        Ok(Token(Arc::new(Mutex::new(text.into()))))
    }

    /// From now on another one is asked for.
    pub fn replace(&self, new: &Token) {
        let new = new.expose();
        *self.lock() = new;
    }

    /// For the `Authorization` header of our own clients.
    #[must_use]
    pub fn expose(&self) -> Box<str> {
        self.lock().clone()
    }

    /// Compares an `Authorization` value in a time that depends on lengths only.
    pub(super) fn admits(&self, authorization: Option<&[u8]>) -> bool {
        let Some((scheme, offered)) = authorization.and_then(|value| value.split_at_checked(7))
        else {
            return false;
        };
        scheme.eq_ignore_ascii_case(b"bearer ")
            && offered.trim_ascii().ct_eq(self.lock().as_bytes()).into()
    }

    fn lock(&self) -> MutexGuard<'_, Box<str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Whether an `Origin` names a page of this machine; `null` does not.
pub(super) fn is_loopback_origin(origin: &str) -> bool {
    ["http://", "https://"]
        .iter()
        .filter_map(|scheme| origin.strip_prefix(scheme))
        .any(is_loopback_host)
}

/// Whether a `Host` value, with or without a port, names this machine and nothing else.
pub(super) fn is_loopback_host(authority: &str) -> bool {
    if let Some(rest) = authority.strip_prefix('[') {
        let Some((inner, port)) = rest.split_once(']') else {
            return false;
        };
        return is_port(port) && inner.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback());
    }
    let colon = authority.find(':').unwrap_or(authority.len());
    let (host, port) = authority.split_at(colon);
    is_port(port)
        && (host.eq_ignore_ascii_case("localhost")
            || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()))
}

/// Nothing, or a colon and a port.
fn is_port(text: &str) -> bool {
    text.is_empty()
        || text
            .strip_prefix(':')
            .is_some_and(|port| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_only_looks_like_this_machine() {
        for wrong in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evil.example:9464",
            "localhost:evil",
            "localhost@evil.example",
            "[::1",
            "[::2]:9464",
            "[::1]evil",
            "0.0.0.0",
            "2130706433",
        ] {
            assert!(!is_loopback_host(wrong), "{wrong}");
        }
        for right in [
            "localhost",
            "LocalHost:1",
            "127.0.0.1:9464",
            "127.9.9.9",
            "[::1]:9464",
        ] {
            assert!(is_loopback_host(right), "{right}");
        }
    }

    #[test]
    fn an_origin_from_elsewhere() {
        for wrong in [
            "null",
            "",
            "https://evil.example",
            "localhost",
            "file://localhost",
            "http://localhost/x",
        ] {
            assert!(!is_loopback_origin(wrong), "{wrong}");
        }
        assert!(is_loopback_origin("http://localhost:3000"));
    }

    #[test]
    fn a_token_that_is_nearly_right() {
        let token = Token::parse("s3cret").unwrap();
        for wrong in [
            &b""[..],
            b"s3cret",
            b"Bearer",
            b"Bearer ",
            b"Bearer s3cre",
            b"Bearer s3crett",
            b"Bearer S3CRET",
            b"Basic s3cret!",
            b"Bearer \xff\xff",
        ] {
            assert!(!token.admits(Some(wrong)), "{}", wrong.escape_ascii());
        }
        assert!(!token.admits(None));
        assert!(token.admits(Some(b"Bearer s3cret")));
        assert!(token.admits(Some(b"bearer s3cret")));
    }

    #[test]
    fn a_token_that_would_break_a_header() {
        for wrong in ["", "two words", "two\nlines", "ümlaut", &"x".repeat(1025)] {
            assert!(Token::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(format!("{:?}", Token::parse("s3cret").unwrap()), "Token(…)");
    }
}
