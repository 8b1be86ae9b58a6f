//! One item of a publisher: whom it is for, and what it says.
//!
//! An item that is wrong comes back as the answer it deserves. A field nobody knows makes an item wrong, so that no
//! typo goes unnoticed.
//!
//! ```json
//! {"uri": "board://lunch", "contents": {"text": "soup", "mimeType": "text/plain"}, "key": "lunch-17"}
//! {"uri": "mail://inbox", "principal": {"issuer": "https://login.example.com", "subject": "alice"}}
//! {"session": "n1.…", "message": {"level": "info", "data": "Your export is ready"}}
//! ```

use std::sync::Arc;

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{
    KEY_BYTES_MAX, PublishItem, PublishOutcome, Target, item_contents, item_principal, message,
    refused,
};
use crate::app::call::{LIST_NAMES, Notice, Topic};
use crate::mcp::read::read;
use crate::wire::uri::{NotAUri, normal};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ItemBody<'a> {
    uri: Option<String>,
    topic: Option<String>,
    /// `null` is present, and no principal.
    #[serde(borrow, default, deserialize_with = "present")]
    principal: Option<&'a RawValue>,
    session: Option<String>,
    all: Option<bool>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    /// `null` is present and means delete.
    #[serde(borrow, default, deserialize_with = "present")]
    contents: Option<&'a RawValue>,
    key: Option<Value>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Reads an item, which must be JSON and nothing else.
pub(super) fn parse(json: &[u8], uri_bytes_max: usize) -> Result<PublishItem, PublishOutcome> {
    let body: ItemBody = std::str::from_utf8(json)
        .map_err(|_| "it is not UTF-8".to_owned())
        .and_then(read)
        .map_err(|error| refused("bad_item", format!("The item cannot be read: {error}")))?;
    let key = body.key.map(key).transpose()?;
    let topic = topic(body.uri, body.topic, uri_bytes_max)?;
    let message = body.message.map(message::parse).transpose()?;
    let target = target(body.session, body.all, topic, message)?;
    let contents = body.contents.map(item_contents::parse).transpose()?;
    let target = match body.principal.map(item_principal::parse).transpose()? {
        Some(principal) => item_principal::directed(principal, target, contents.is_some())?,
        None => target,
    };
    if contents.is_some() && !matches!(target, Target::Topic(Topic::Resource(_))) {
        return Err(refused(
            "bad_item",
            "Contents belong to a uri that is told to everyone; leave session, all, topic and message out",
        ));
    }
    Ok(PublishItem {
        target,
        contents,
        key,
    })
}

fn key(key: Value) -> Result<Arc<str>, PublishOutcome> {
    match key {
        Value::String(key) if (1..=KEY_BYTES_MAX).contains(&key.len()) => Ok(key.into()),
        _ => Err(refused(
            "bad_key",
            format!("The key must be a string of 1 to {KEY_BYTES_MAX} bytes"),
        )),
    }
}

fn topic(
    uri: Option<String>,
    topic: Option<String>,
    uri_bytes_max: usize,
) -> Result<Option<Topic>, PublishOutcome> {
    match (uri, topic) {
        (None, None) => Ok(None),
        (Some(uri), None) => resource(uri, uri_bytes_max).map(Some),
        (None, Some(topic)) => list(&topic).map(Some),
        (Some(_), Some(_)) => Err(refused(
            "bad_item",
            "The item has a uri and a topic; give one of them",
        )),
    }
}

/// Who is notified of what: a table of what goes together.
fn target(
    session: Option<String>,
    all: Option<bool>,
    topic: Option<Topic>,
    message: Option<Notice>,
) -> Result<Target, PublishOutcome> {
    let bad = |sentence: &str| Err(refused("bad_item", sentence));
    match (session, all, topic, message) {
        (None, None, Some(topic), None) => Ok(Target::Topic(topic)),
        (Some(session), None, Some(topic), None) => {
            Ok(Target::Session(session.into(), Notice::Changed(topic)))
        }
        (Some(session), None, None, Some(message)) => Ok(Target::Session(session.into(), message)),
        (None, Some(true), None, Some(message)) => Ok(Target::All(message)),
        (None, Some(true), Some(_), _) => bad(
            "A uri or a topic goes to everyone who subscribed to it; leave all out, or send a message",
        ),
        (None, Some(_), ..) => bad("all must be true, and needs a message"),
        (Some(_), Some(_), ..) => bad("The item is for a session and for all; give one of them"),
        (Some(_), None, None, None) => {
            bad("The item for this session has neither a topic nor a uri nor a message")
        }
        (_, None, Some(_), Some(_)) => {
            bad("The item has a message and a uri or topic; give one of them")
        }
        (None, None, None, Some(_)) => {
            bad("A message goes to a session or to all of them: add \"session\" or \"all\": true")
        }
        (None, None, None, None) => bad("The item has neither a uri nor a topic"),
    }
}

/// As it was spelled: the application may have a spelling of its own.
fn resource(uri: String, uri_bytes_max: usize) -> Result<Topic, PublishOutcome> {
    let long = |length: usize| {
        let sentence = format!("The uri has {length} bytes; at most {uri_bytes_max} are allowed");
        refused("bad_uri", sentence)
    };
    if uri.len() > uri_bytes_max {
        return Err(long(uri.len()));
    }
    match normal(&uri).map(|normal| normal.len()) {
        Ok(length) if length > uri_bytes_max => Err(long(length)),
        Ok(_) => Ok(Topic::Resource(uri.into_boxed_str())),
        Err(fault) => Err(no_uri(fault)),
    }
}

pub(crate) fn no_uri(fault: NotAUri) -> PublishOutcome {
    refused("bad_uri", format!("This is refused: {fault}"))
}

fn list(topic: &str) -> Result<Topic, PublishOutcome> {
    Topic::list_named(topic).ok_or_else(|| {
        let sentence = format!("The topic must be {LIST_NAMES}; one resource is named by its uri");
        refused("unknown_topic", sentence)
    })
}

#[cfg(test)]
mod tests;
