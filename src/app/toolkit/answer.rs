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
///
/// Implement it for a type of your own that several tools answer with:
///
/// ```
/// use pinfold::app::{Error, IntoToolResult, NoArguments, Toolkit};
/// use pinfold::mcp::types::{CallToolResult, Content};
/// use pinfold::testing::TestServer;
///
/// /// The first column of each line is a name.
/// struct Table(Vec<[String; 2]>);
///
/// impl IntoToolResult for Table {
///     fn into_tool_result(self) -> Result<CallToolResult, Error> {
///         let rows = self.0.iter().map(|[name, value]| format!("| {name} | {value} |"));
///         Ok(CallToolResult::new(vec![Content::text(rows.collect::<Vec<_>>().join("\n"))]))
///     }
/// }
///
/// let kit = Toolkit::new("weather", "1.0.0").tool("today", "The weather.", |_: NoArguments, _| async {
///     Table(vec![["wind".into(), "west".into()]])
/// });
/// let answer = TestServer::new(kit).modern().call_tool("today", serde_json::json!({})).unwrap();
/// assert_eq!(answer.first_text(), Some("| wind | west |"));
/// ```
pub trait IntoToolResult {
    /// The result as MCP has it.
    ///
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
///
/// ```
/// use pinfold::app::{Error, IntoContents, Toolkit};
/// use pinfold::mcp::types::{ReadResourceResult, Resource};
/// use pinfold::testing::TestServer;
///
/// /// Two columns, which become CSV.
/// struct Csv(Vec<(u32, u32)>);
///
/// impl IntoContents for Csv {
///     fn into_contents(self, uri: &str, _: Option<&str>) -> Result<ReadResourceResult, Error> {
///         let lines: String = self.0.iter().map(|(a, b)| format!("{a},{b}\n")).collect();
///         lines.into_contents(uri, Some("text/csv"))
///     }
/// }
///
/// let squares = Resource::new("table://squares", "Squares");
/// let kit = Toolkit::new("tables", "1.0.0").resource(squares, |_| async { Csv(vec![(2, 4), (3, 9)]) });
/// let read = TestServer::new(kit).modern().read_resource("table://squares").unwrap();
/// assert_eq!(read.contents[0].as_text(), Some("2,4\n3,9\n"));
/// ```
pub trait IntoContents {
    /// What is read at this URI; `mime_type` is that of the resource's definition.
    ///
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
///
/// ```
/// use pinfold::app::{Error, IntoMessages, NoArguments, Toolkit};
/// use pinfold::mcp::types::{GetPromptResult, PromptMessage};
/// use pinfold::testing::TestServer;
///
/// /// A question, and how its answer begins.
/// struct Begun(&'static str, &'static str);
///
/// impl IntoMessages for Begun {
///     fn into_messages(self) -> Result<GetPromptResult, Error> {
///         Ok(GetPromptResult::new(vec![PromptMessage::user(self.0), PromptMessage::assistant(self.1)]))
///     }
/// }
///
/// let kit = Toolkit::new("poems", "1.0.0")
///     .prompt("poem", "Begins a poem.", |_: NoArguments, _| async { Begun("A poem, please", "The sea") });
/// let prompt = TestServer::new(kit).modern().get_prompt("poem", serde_json::json!({})).unwrap();
/// assert_eq!(prompt.messages.len(), 2);
/// ```
pub trait IntoMessages {
    /// The messages as MCP has them.
    ///
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
