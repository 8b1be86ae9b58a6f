//! `message` of an item: what becomes `notifications/message` in the sessions that it goes to.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{MESSAGE_BYTES_MAX, PublishOutcome, refused};
use crate::app::call::{NoMessage, Notice};
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
    let MessageBody {
        level,
        logger,
        data,
    } = message;
    Notice::message(&level, logger.as_deref(), &data).map_err(|why| match why {
        NoMessage::UnknownLevel => {
            let levels = LoggingLevel::NAMES.join(", ");
            let sentence = format!("The message's level must be one of {levels}");
            refused("bad_message", sentence)
        }
        NoMessage::TooLong(length) => {
            let sentence =
                format!("The message has {length} bytes; at most {MESSAGE_BYTES_MAX} are allowed");
            refused("too_large", sentence)
        }
    })
}
