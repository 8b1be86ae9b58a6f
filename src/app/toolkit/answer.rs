//! What a closure may answer with, and how it becomes a result.

use schemars::JsonSchema;
use serde::Serialize;

use super::Structured;
use crate::app::{Error, output_schema_of};
use crate::mcp::types::{
    CallToolResult, Content, GetPromptResult, JsonObject, PromptMessage, ReadResourceResult,
    ResourceContents,
};

/// A tool's answer: text, content, [`Structured`] data, a whole result, or a `Result` of these.
pub trait IntoToolResult {
    /// # Errors
    /// The answer is one.
    fn into_tool_result(self) -> Result<CallToolResult, Error>;

    /// What the tool's definition says of `structuredContent`, unless its author does.
    #[must_use]
    fn output_schema() -> Option<JsonObject> {
        None
    }
}

impl IntoToolResult for CallToolResult {
    fn into_tool_result(self) -> Result<CallToolResult, Error> {
        Ok(self)
    }
}

impl IntoToolResult for String {
    fn into_tool_result(self) -> Result<CallToolResult, Error> {
        Ok(CallToolResult::text(self))
    }
}

impl IntoToolResult for &str {
    fn into_tool_result(self) -> Result<CallToolResult, Error> {
        Ok(CallToolResult::text(self))
    }
}

impl IntoToolResult for Content {
    fn into_tool_result(self) -> Result<CallToolResult, Error> {
        Ok(CallToolResult::new(vec![self]))
    }
}

impl IntoToolResult for Vec<Content> {
    fn into_tool_result(self) -> Result<CallToolResult, Error> {
        Ok(CallToolResult::new(self))
    }
}

impl<T: Serialize + JsonSchema> IntoToolResult for Structured<T> {
    fn into_tool_result(self) -> Result<CallToolResult, Error> {
        Ok(CallToolResult::structured(serde_json::to_value(self.0)?))
    }

    fn output_schema() -> Option<JsonObject> {
        output_schema_of::<T>()
    }
}

impl<T: IntoToolResult> IntoToolResult for Result<T, Error> {
    fn into_tool_result(self) -> Result<CallToolResult, Error> {
        self?.into_tool_result()
    }

    fn output_schema() -> Option<JsonObject> {
        T::output_schema()
    }
}

/// A resource's contents: text, bytes, or what is said in full, or a `Result` of these.
pub trait IntoContents {
    /// # Errors
    /// The answer is one.
    fn into_contents(self, uri: &str, mime_type: Option<&str>)
    -> Result<ReadResourceResult, Error>;
}

impl IntoContents for ReadResourceResult {
    fn into_contents(self, _: &str, _: Option<&str>) -> Result<ReadResourceResult, Error> {
        Ok(self)
    }
}

impl IntoContents for ResourceContents {
    fn into_contents(
        mut self,
        _: &str,
        mime_type: Option<&str>,
    ) -> Result<ReadResourceResult, Error> {
        let own = self.mime_type_mut();
        if own.is_none() {
            *own = mime_type.map(str::to_owned);
        }
        Ok(self.into())
    }
}

impl IntoContents for String {
    fn into_contents(
        self,
        uri: &str,
        mime_type: Option<&str>,
    ) -> Result<ReadResourceResult, Error> {
        ResourceContents::text(uri, self).into_contents(uri, mime_type)
    }
}

impl IntoContents for &str {
    fn into_contents(
        self,
        uri: &str,
        mime_type: Option<&str>,
    ) -> Result<ReadResourceResult, Error> {
        self.to_owned().into_contents(uri, mime_type)
    }
}

impl IntoContents for Vec<u8> {
    fn into_contents(
        self,
        uri: &str,
        mime_type: Option<&str>,
    ) -> Result<ReadResourceResult, Error> {
        ResourceContents::blob(uri, &self).into_contents(uri, mime_type)
    }
}

impl<T: IntoContents> IntoContents for Result<T, Error> {
    fn into_contents(
        self,
        uri: &str,
        mime_type: Option<&str>,
    ) -> Result<ReadResourceResult, Error> {
        self?.into_contents(uri, mime_type)
    }
}

/// A prompt's messages: the user's text, one message, several, a whole result, or a `Result` of these.
pub trait IntoMessages {
    /// # Errors
    /// The answer is one.
    fn into_messages(self) -> Result<GetPromptResult, Error>;
}

impl IntoMessages for GetPromptResult {
    fn into_messages(self) -> Result<GetPromptResult, Error> {
        Ok(self)
    }
}

impl IntoMessages for Vec<PromptMessage> {
    fn into_messages(self) -> Result<GetPromptResult, Error> {
        Ok(GetPromptResult::new(self))
    }
}

impl IntoMessages for PromptMessage {
    fn into_messages(self) -> Result<GetPromptResult, Error> {
        vec![self].into_messages()
    }
}

impl IntoMessages for String {
    fn into_messages(self) -> Result<GetPromptResult, Error> {
        PromptMessage::user(self).into_messages()
    }
}

impl IntoMessages for &str {
    fn into_messages(self) -> Result<GetPromptResult, Error> {
        PromptMessage::user(self).into_messages()
    }
}

impl<T: IntoMessages> IntoMessages for Result<T, Error> {
    fn into_messages(self) -> Result<GetPromptResult, Error> {
        self?.into_messages()
    }
}
