//! The values that stand in requests and results, under the specification's names.
//!
//! One set serves every revision: a field that is newer than a client's revision is an extra property to it,
//! which every revision's schema allows. Required fields are those of the oldest revision that has the type.
//! Setters take and give the value, so that a definition reads as one expression. A revision to come may add fields: make
//! these values by their functions, or end a literal with `..Default::default()`.

mod capabilities;
mod common;
mod completion;
mod content;
mod elicitation;
mod input;
mod prompt;
mod resource;
mod roots;
mod sampling;
mod tool;

pub use capabilities::{Capabilities, PromptsCapability, ResourcesCapability, ToolsCapability};
pub use common::{
    Annotations, Icon, Implementation, JsonObject, LoggingLevel, Meta, PaginatedRequest,
    ProgressToken, Role,
};
pub use completion::{
    ArgumentInfo, CompleteRequest, CompleteResult, Completion, CompletionContext, Reference,
};
pub use content::{
    AudioContent, BlobResourceContents, Content, EmbeddedResource, ImageContent, ResourceContents,
    TextContent, TextResourceContents,
};
pub use elicitation::{
    ElicitAction, ElicitRequest, ElicitResult, ElicitSchema, FormRequest, UrlRequest,
};
pub use input::{InputRequest, InputRequests, InputRequiredResult, InputResponse, InputResponses};
pub use prompt::{
    GetPromptRequest, GetPromptResult, ListPromptsResult, Prompt, PromptArgument, PromptMessage,
};
pub use resource::{
    ListResourceTemplatesResult, ListResourcesResult, ReadResourceRequest, ReadResourceResult,
    Resource, ResourceTemplate,
};
pub use roots::{ListRootsRequest, ListRootsResult, Root};
pub use sampling::{
    CreateMessageRequest, CreateMessageResult, ModelHint, ModelPreferences, OneOrMany,
    SamplingContent, SamplingMessage, ToolChoice, ToolResultContent, ToolUseContent,
};
pub use tool::{CallToolRequest, CallToolResult, ListToolsResult, Tool, ToolAnnotations};
