//! The token in an `Authorization` field: RFC 6750, 2.1. A token in a query or a form is none.

use super::Reason;
use crate::limits::TOKEN_BYTES_MAX;

const SCHEME: &str = "bearer";

/// The token, if the field is of the scheme `Bearer`. Nothing of it is looked at yet but how long it is.
pub(super) fn bearer(value: &str) -> Result<&str, Reason> {
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return Err(Reason::Missing);
    }
    let token = token.trim_matches(' ');
    match token.len() {
        0 => Err(Reason::Malformed),
        1..=TOKEN_BYTES_MAX => Ok(token),
        _ => Err(Reason::TooLong),
    }
}

/// Whether it has the form that every token has.
pub(super) fn is_b64token(token: &str) -> bool {
    let body = token.trim_end_matches('=');
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    !body.is_empty() && body.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formed(token: &str) -> Result<&str, Reason> {
        is_b64token(token).then_some(token).ok_or(Reason::Malformed)
    }

    #[test]
    fn a_field_without_a_token() {
        for missing in ["", "Basic YTpi", "abc", "DPoP a.b.c"] {
            assert_eq!(bearer(missing), Err(Reason::Missing), "{missing:?}");
        }
        for malformed in [
            "Bearer",
            "Bearer ",
            "Bearer a b",
            "Bearer a,b",
            "Bearer \"a\"",
            "Bearer =",
            "Bearer ä",
        ] {
            assert_eq!(
                bearer(malformed).and_then(formed),
                Err(Reason::Malformed),
                "{malformed}"
            );
        }
        for right in [
            "Bearer a.b-c_d~e+/=",
            "bearer a.b-c_d~e+/=",
            "BEARER   a.b-c_d~e+/= ",
        ] {
            assert_eq!(bearer(right), Ok("a.b-c_d~e+/="), "{right}");
        }
    }

    #[test]
    fn a_token_of_100_kb_that_is_looked_at() {
        let token = format!("Bearer {}", "a".repeat(100_000));
        assert_eq!(bearer(&token), Err(Reason::TooLong));
        let longest = format!("Bearer {}", "a".repeat(TOKEN_BYTES_MAX));
        assert!(bearer(&longest).is_ok());
    }
}
