//! Enough of a JSON-RPC message to route it: its kind, id and method; the rest stays text.
//!
//! The whole body is checked to be JSON, but no tree is built: `params`, `result` and `error` are slices of the body
//! that their reader parses. Of a message with doubled members nothing is believed. Members doubled further inside
//! are their reader's to refuse or to read in one way. How deep and how large a tree of it would be is found out
//! before, by a [`JsonScan`](super::json_scan::JsonScan).
//!
//! An invalid message is answered with its id wherever that could be read.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::envelope::{Elements, Envelope};
use super::integer::{is_integer, is_same_integer};

pub use super::rpc_emit::{emit_error, emit_notification, emit_request, emit_result};
use crate::limits::ID_BYTES_MAX;

const PARSE_ERROR: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;

#[derive(Clone, Debug)]
pub enum Message<'a> {
    Request {
        id: Id<'a>,
        method: Cow<'a, str>,
        params: Option<&'a RawValue>,
    },
    Notification {
        method: Cow<'a, str>,
        params: Option<&'a RawValue>,
    },
    Response {
        id: Id<'a>,
        /// The `result`, or the `error` object.
        outcome: Result<&'a RawValue, &'a RawValue>,
    },
}

/// The JSON text of a string or an integer, exactly as sent: `1` and `"1"` differ, and null is no id. `1.0` is an integer
/// (JSON Schema), the same as `1`, and comes back as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Id<'a>(&'a str);

#[derive(Clone, Debug)]
pub enum Parsed<'a> {
    One(Message<'a>),
    /// An array, not empty; legal in 2025-03-26 only, which is not decided here.
    Batch(Vec<Result<Message<'a>, Invalid<'a>>>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid<'a> {
    /// -32700 or -32600
    pub code: i32,
    /// `None` where it could not be read: the answer's id is null then.
    pub id: Option<Id<'a>>,
    /// A sentence for the person who reads the answer.
    pub fault: &'static str,
}

impl<'a> Id<'a> {
    /// Takes JSON text; `None` if it is not a string or an integer, or longer than [`ID_BYTES_MAX`].
    #[must_use]
    pub fn new(raw: &'a str) -> Option<Id<'a>> {
        if raw.len() > ID_BYTES_MAX {
            return None;
        }
        let valid = match raw.as_bytes() {
            // An escape may be half of a pair (`\ud800`), which is JSON but no text.
            [b'"', ..] => serde_json::from_str::<Cow<'_, str>>(raw).is_ok(),
            _ => is_integer(raw),
        };
        valid.then_some(Id(raw))
    }

    /// Whether both name one message, in whatever spelling.
    #[must_use]
    pub fn is_same(self, other: Id<'_>) -> bool {
        let text = |id: &str| serde_json::from_str::<String>(id).ok();
        match self.0.starts_with('"') {
            _ if self.0 == other.0 => true,
            true => other.0.starts_with('"') && text(self.0) == text(other.0),
            false => is_same_integer(self.0, other.0),
        }
    }

    /// The JSON text, to be spliced into an answer as it is.
    #[must_use]
    pub fn raw(self) -> &'a str {
        self.0
    }
}

/// Parses a request's whole body, which was scanned before: whoever reads on recurses over what is nested.
///
/// # Errors
/// It is not JSON, or no message.
pub fn parse(body: &[u8]) -> Result<Parsed<'_>, Invalid<'_>> {
    // RFC 8259, 8.1: a byte order mark may be ignored.
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    let Ok(text) = std::str::from_utf8(body) else {
        return Err(not_json("The body is not UTF-8."));
    };
    match text.trim_start_matches(JSON_SPACE).as_bytes().first() {
        None => Err(not_json("The body is empty.")),
        Some(b'{') => parse_message(text).map(Parsed::One),
        Some(b'[') => parse_batch(text),
        Some(_) if serde_json::from_str::<&RawValue>(text).is_ok() => Err(not_a_message()),
        Some(_) => Err(not_json("The body is not JSON.")),
    }
}

/// The id is there, and is none.
pub const NO_ID: Invalid<'static> = Invalid {
    code: INVALID_REQUEST,
    id: None,
    fault: "The id has to be a string or an integer of at most 256 bytes.",
};

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

const JSON_SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

fn parse_batch(text: &str) -> Result<Parsed<'_>, Invalid<'_>> {
    let Ok(elements) = serde_json::from_str::<Elements<'_>>(text) else {
        return Err(not_json("The body is not JSON."));
    };
    if elements.overflow {
        return Err(invalid(None, "The batch has too many messages."));
    }
    if elements.texts.is_empty() {
        return Err(invalid(None, "The batch is empty."));
    }
    let messages = elements.texts.into_iter().map(parse_element).collect();
    Ok(Parsed::Batch(messages))
}

fn parse_element(element: &RawValue) -> Result<Message<'_>, Invalid<'_>> {
    if element.get().starts_with('{') {
        parse_message(element.get())
    } else {
        Err(not_a_message())
    }
}

/// `text` is an object, or starts like one.
fn parse_message(text: &str) -> Result<Message<'_>, Invalid<'_>> {
    let Ok(envelope) = serde_json::from_str::<Envelope<'_>>(text) else {
        return Err(not_json("The body is not JSON."));
    };
    let id = envelope.id.and_then(|raw| Id::new(raw.get()));
    if envelope.doubled {
        let id = id.filter(|_| !envelope.id_doubled);
        return Err(invalid(id, "A member of the message appears twice."));
    }
    if envelope.jsonrpc.and_then(string).as_deref() != Some("2.0") {
        return Err(invalid(id, "The member \"jsonrpc\" has to be \"2.0\"."));
    }
    if envelope.id.is_some() && id.is_none() {
        return Err(NO_ID);
    }
    match envelope.method {
        Some(method) => parse_call(&envelope, id, method),
        None => parse_response(&envelope, id),
    }
}

fn parse_call<'a>(
    envelope: &Envelope<'a>,
    id: Option<Id<'a>>,
    method: &'a RawValue,
) -> Result<Message<'a>, Invalid<'a>> {
    let Some(method) = string(method) else {
        return Err(invalid(id, "The method has to be a string."));
    };
    if envelope.result.is_some() || envelope.error.is_some() {
        return Err(invalid(
            id,
            "A message with a method has no result and no error.",
        ));
    }
    let params = envelope.params;
    if params.is_some_and(|params| !params.get().starts_with(['{', '['])) {
        return Err(invalid(id, "The params have to be an object or an array."));
    }
    Ok(match id {
        Some(id) => Message::Request { id, method, params },
        None => Message::Notification { method, params },
    })
}

fn parse_response<'a>(
    envelope: &Envelope<'a>,
    id: Option<Id<'a>>,
) -> Result<Message<'a>, Invalid<'a>> {
    let is_null = |member: &RawValue| member.get() == "null";
    let outcome = match (envelope.result, envelope.error) {
        // Whoever writes both members writes null into the one that is not meant.
        (Some(result), Some(error)) if is_null(error) => Ok(result),
        (Some(result), Some(error)) if is_null(result) && error.get().starts_with('{') => {
            Err(error)
        }
        (Some(result), None) => Ok(result),
        (None, Some(error)) if error.get().starts_with('{') => Err(error),
        (None, Some(_)) => return Err(invalid(id, "The error has to be an object.")),
        (Some(_), Some(_)) => {
            return Err(invalid(
                id,
                "A response has a result or an error, not both.",
            ));
        }
        (None, None) => {
            return Err(invalid(
                id,
                "The message has no method, no result and no error.",
            ));
        }
    };
    match id {
        Some(id) => Ok(Message::Response { id, outcome }),
        None => Err(invalid(None, "A response needs the id of its request.")),
    }
}

/// The value of a JSON string; borrowed if it has no escapes.
fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(raw.get()).ok().map(Cow::Owned)
}

fn not_json(fault: &'static str) -> Invalid<'static> {
    Invalid {
        code: PARSE_ERROR,
        id: None,
        fault,
    }
}

fn not_a_message() -> Invalid<'static> {
    invalid(None, "A message is a JSON object.")
}

fn invalid<'a>(id: Option<Id<'a>>, fault: &'static str) -> Invalid<'a> {
    Invalid {
        code: INVALID_REQUEST,
        id,
        fault,
    }
}

#[cfg(test)]
mod tests;
