//! What sessions get besides topics, and the one way to make a `notifications/message`.

use serde::{Deserialize, Serialize};

use super::topic::Topic;
use crate::limits::MESSAGE_BYTES_MAX;
use crate::mcp::types::LoggingLevel;

/// What sessions get besides topics. Modern clients have no session and get topics only.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Notice {
    /// As if the topic had changed, for this session alone.
    Changed(Topic),
    /// `notifications/message`, if the session wants messages of this level.
    Message {
        /// 0 debug … 7 emergency
        level: u8,
        /// The notification's params (`level`, `logger`, `data`), an object in JSON.
        params: Box<str>,
    },
}

/// Why a message from outside of any call is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoMessage {
    /// No level has this name.
    UnknownLevel,
    /// It would have so many bytes, more than [`MESSAGE_BYTES_MAX`].
    TooLong(usize),
}

impl Notice {
    /// A message from outside of any call.
    ///
    /// # Errors
    /// [`NoMessage`]
    pub(crate) fn message(
        level: &str,
        logger: Option<&str>,
        data: &impl Serialize,
    ) -> Result<Notice, NoMessage> {
        let severity = LoggingLevel::severity_of(level).ok_or(NoMessage::UnknownLevel)?;
        let params = message_params(level, logger, data);
        match params.len() {
            length if length > MESSAGE_BYTES_MAX => Err(NoMessage::TooLong(length)),
            _ => Ok(Notice::Message {
                level: severity,
                params: params.into(),
            }),
        }
    }
}

/// The params of `notifications/message`: an object in JSON, in one line.
pub(super) fn message_params(level: &str, logger: Option<&str>, data: &impl Serialize) -> String {
    #[derive(Serialize)]
    struct Params<'a, T> {
        level: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        logger: Option<&'a str>,
        data: T,
    }
    let params = Params {
        level,
        logger,
        data,
    };
    let params = serde_json::to_string(&params).expect("text and JSON");
    // What came as JSON may have line ends between two tokens, which in SSE would end the event's data. In a string
    // none is left as it is.
    match params.contains(['\n', '\r']) {
        true => params.replace(['\n', '\r'], " "),
        false => params,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    #[test]
    fn a_message_that_breaks_its_event_or_is_too_long() {
        let data = RawValue::from_string("{\"a\":\r\n\"\\n\"}".to_owned()).expect("it is JSON");
        let message = Notice::message("info", Some("a\"b"), &data);
        let params = r#"{"level":"info","logger":"a\"b","data":{"a":  "\n"}}"#.into();
        assert_eq!(message, Ok(Notice::Message { level: 1, params }));
        let wrong = Notice::message("loud", None, &data);
        assert_eq!(wrong, Err(NoMessage::UnknownLevel));
        let around = message_params("info", None, &"").len();
        let of = |length: usize| Notice::message("info", None, &"x".repeat(length - around));
        assert!(of(MESSAGE_BYTES_MAX).is_ok());
        let length = MESSAGE_BYTES_MAX + 1;
        assert_eq!(of(length), Err(NoMessage::TooLong(length)));
    }
}
