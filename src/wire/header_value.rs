//! The mirrored headers of MCP 2026-07-28 (`Mcp-Name`, `Mcp-Param-*`): `=?base64?…?=` around what a header cannot
//! carry as it is, and the comparison of a header with the body.
//!
//! Without the complete wrapper a value is literal, however much it looks like base64.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Number, Value};

const PREFIX: &str = "=?base64?";
const SUFFIX: &str = "?=";

/// What is wrong inside a complete wrapper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadHeaderValue {
    /// Not canonical base64 with padding.
    Base64,
    /// The decoded bytes are no text.
    Utf8,
}

impl BadHeaderValue {
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            BadHeaderValue::Base64 => "the header's =?base64?…?= is not valid base64 with padding",
            BadHeaderValue::Utf8 => "the header's =?base64?…?= is not UTF-8",
        }
    }
}

impl std::fmt::Display for BadHeaderValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.sentence())
    }
}

impl std::error::Error for BadHeaderValue {}

/// The text that a header stands for.
pub fn decode(header: &str) -> Result<Cow<'_, str>, BadHeaderValue> {
    let wrapped = header.strip_prefix(PREFIX);
    let Some(encoded) = wrapped.and_then(|rest| rest.strip_suffix(SUFFIX)) else {
        return Ok(Cow::Borrowed(header));
    };
    let bytes = STANDARD
        .decode(encoded)
        .map_err(|_| BadHeaderValue::Base64)?;
    let text = String::from_utf8(bytes).map_err(|_| BadHeaderValue::Utf8)?;
    Ok(Cow::Owned(text))
}

/// A header value that [`decode`]s to `text`: wrapped where a header could not carry it or would change it.
#[must_use]
pub fn encode(text: &str) -> Cow<'_, str> {
    let plain = text.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
    let trimmed = text.trim_matches(' ').len() == text.len();
    let looks_wrapped = text.starts_with(PREFIX) && text.ends_with(SUFFIX);
    if plain && trimmed && !looks_wrapped {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("{PREFIX}{}{SUFFIX}", STANDARD.encode(text)))
}

/// Whether a header says what the body says: strings by their text, booleans as `true` and `false`, numbers by their
/// value (`42` is `42.0`). A body value that no header can mirror (null, array, object) matches nothing.
pub fn matches_body(header: &str, body: &Value) -> Result<bool, BadHeaderValue> {
    let text = decode(header)?;
    Ok(match body {
        Value::String(string) => *string == *text,
        Value::Bool(true) => text == "true",
        Value::Bool(false) => text == "false",
        Value::Number(number) => number_matches(&text, number),
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    })
}

fn number_matches(text: &str, body: &Number) -> bool {
    // JSON's grammar, so that neither `inf` nor `+1` nor ` 1` is a number.
    let Ok(header) = serde_json::from_str::<Number>(text) else {
        return false;
    };
    if text.starts_with([' ', '\t', '\r', '\n']) || text.ends_with([' ', '\t', '\r', '\n']) {
        return false;
    }
    match (integer(&header), integer(body)) {
        (Some(header), Some(body)) => header == body,
        (None, None) => header.as_f64() == body.as_f64(),
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// The number as an integer, if it is one: exactly, not through a float that would take 2^53 + 1 for 2^53.
fn integer(number: &Number) -> Option<i128> {
    if let Some(value) = number.as_i64() {
        return Some(i128::from(value));
    }
    if let Some(value) = number.as_u64() {
        return Some(i128::from(value));
    }
    let float = number.as_f64()?;
    let exact = float.fract() == 0.0 && float.abs() < 1e30;
    exact.then_some(float as i128)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::wire::properties;

    #[test]
    fn a_complete_wrapper_is_decoded() {
        assert_eq!(decode("=?base64?SGVsbG8=?=").as_deref(), Ok("Hello"));
        assert_eq!(decode("=?base64?w6TDtg==?=").as_deref(), Ok("äö"));
        assert_eq!(decode("=?base64??=").as_deref(), Ok(""));
    }

    #[test]
    fn an_incomplete_wrapper_is_literal() {
        for value in [
            "",
            "SGVsbG8=",
            "=?base64?SGVsbG8=",
            "SGVsbG8=?=",
            "=?base64?=",
            "=?BASE64?SGVsbG8=?=",
        ] {
            assert_eq!(decode(value), Ok(Cow::Borrowed(value)));
            properties::header_value(value.as_bytes());
        }
    }

    #[test]
    fn base64_that_is_none() {
        for value in [
            "SGVsbG8",
            "SGVs!!!bG8=",
            "SGVsbG9=",
            "SGVs bG8=",
            "SGVsbG8==",
            "=",
            "A",
        ] {
            let header = format!("=?base64?{value}?=");
            assert_eq!(decode(&header), Err(BadHeaderValue::Base64), "{value}");
            properties::header_value(header.as_bytes());
        }
        assert_eq!(decode("=?base64?/w==?="), Err(BadHeaderValue::Utf8));
    }

    #[test]
    fn what_a_header_cannot_carry_is_wrapped() {
        assert_eq!(encode("a b"), "a b");
        for text in [" a", "a\n", "ä", "\t", "=?base64?SGVsbG8=?="] {
            let header = encode(text);
            assert_ne!(header, text);
            assert_eq!(decode(&header).as_deref(), Ok(text));
        }
    }

    #[test]
    fn a_header_that_mirrors_the_body() {
        for (header, body) in [
            ("a", json!("a")),
            ("=?base64?w6Q=?=", json!("ä")),
            ("42", json!("42")),
            ("42", json!(42)),
            ("42.0", json!(42)),
            ("42", json!(42.0)),
            ("4.2e1", json!(42)),
            ("-0", json!(0)),
            ("0.5", json!(0.5)),
            ("18446744073709551615", json!(u64::MAX)),
            ("true", json!(true)),
            ("false", json!(false)),
        ] {
            assert_eq!(matches_body(header, &body), Ok(true), "{header} {body}");
        }
    }

    #[test]
    fn a_header_that_says_something_else() {
        for (header, body) in [
            ("A", json!("a")),
            ("", json!("a")),
            ("43", json!(42)),
            ("042", json!(42)),
            ("+42", json!(42)),
            (" 42", json!(42)),
            ("42x", json!(42)),
            ("0x2a", json!(42)),
            ("NaN", json!(1)),
            ("9007199254740993", json!(9_007_199_254_740_992i64)),
            ("True", json!(true)),
            ("1", json!(true)),
            ("null", json!(null)),
            ("[]", json!([])),
            ("{}", json!({})),
        ] {
            assert_eq!(matches_body(header, &body), Ok(false), "{header} {body}");
        }
        let broken = matches_body("=?base64?SGVsbG8?=", &json!("Hello"));
        assert_eq!(broken, Err(BadHeaderValue::Base64));
    }
}
