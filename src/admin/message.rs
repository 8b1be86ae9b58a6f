//! `message` of an item: what becomes `notifications/message` in the sessions that it goes to.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{MESSAGE_BYTES_MAX, PublishOutcome, refused};
use crate::app::call::Notice;
use crate::mcp::read::read;
use crate::mcp::types::LoggingLevel;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MessageBody<'a> {
    level: String,
    logger: Option<String>,
    #[serde(borrow)]
    data: &'a RawValue,
}

pub(super) fn parse(raw: &RawValue) -> Result<Notice, PublishOutcome> {
    let message: MessageBody = read(raw.get()).map_err(|error| {
        let sentence = format!(
            "The message cannot be read (it needs a level and data, and may have a logger): {error}"
        );
        refused("bad_message", sentence)
    })?;
    let name = &message.level;
    let Some(level) = LoggingLevel::severity_of(name) else {
        let levels = LoggingLevel::NAMES.join(", ");
        let sentence = format!("The message's level must be one of {levels}");
        return Err(refused("bad_message", sentence));
    };
    let logger = message
        .logger
        .map(|logger| format!("\"logger\":{},", serde_json::Value::String(logger)))
        .unwrap_or_default();
    // A line end between two tokens of JSON is white space; in SSE it would end the event's data.
    let data = message.data.get().replace(['\n', '\r'], " ");
    let params = format!("{{\"level\":\"{name}\",{logger}\"data\":{data}}}");
    if params.len() > MESSAGE_BYTES_MAX {
        let sentence = format!(
            "The message has {} bytes; at most {MESSAGE_BYTES_MAX} are allowed",
            params.len()
        );
        return Err(refused("too_large", sentence));
    }
    Ok(Notice::Message {
        level,
        params: params.into(),
    })
}
