//! Who may ask the admin listener: a token where one is configured, and never a web page from elsewhere.
//!
//! A page in a browser on this machine can reach a loopback address. It cannot help but send its `Origin`. If
//! it hides behind a name of its own that resolves to 127.0.0.1 (DNS rebinding), its `Host` gives it away.

use std::fmt;
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

    /// Whether both are the same text, in a time that depends on lengths only.
    pub(super) fn is(&self, other: &Token) -> bool {
        let other = other.expose();
        self.lock().as_bytes().ct_eq(other.as_bytes()).into()
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

#[cfg(test)]
mod tests {
    use super::*;

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
