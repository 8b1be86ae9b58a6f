//! The trait that users of the crate implement: one value per core, so nothing in it needs to be `Send`.

use std::borrow::Cow;

use super::call::{Caching, OpenedSession, ServerInfoJson, SessionEnd, Subscriber};
use super::{Context, Error, SessionId};
use crate::mcp::RpcError;
use crate::mcp::types::{
    CallToolRequest, CallToolResult, Capabilities, CompleteRequest, CompleteResult,
    GetPromptRequest, GetPromptResult, Implementation, JsonObject, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequest,
    ReadResourceRequest, ReadResourceResult, Tool,
};
use crate::wire::uri::{NotAUri, normal};

/// An MCP server's application. Every method but [`info`](App::info) has a default; the methods of a capability
/// that `info` does not declare are never called (the client gets -32601).
///
/// A method's future is dropped when the client cancels the request or goes away.
///
/// ```
/// use pinfold::app::{App, Context, Error, ServerInfo};
/// use pinfold::mcp::types::{
///     CallToolRequest, CallToolResult, Capabilities, ListToolsResult, PaginatedRequest, Tool,
/// };
/// use pinfold::testing::TestServer;
///
/// /// A tool for each animal of a farm, whose list is known only when it runs.
/// struct Farm(Vec<&'static str>);
///
/// impl App for Farm {
///     fn info(&self) -> ServerInfo {
///         ServerInfo::new("farm", "1.0.0").capabilities(Capabilities::default().tools())
///     }
///
///     async fn list_tools(&self, _: PaginatedRequest, _: &Context) -> Result<ListToolsResult, Error> {
///         let tool = |animal: &&str| Tool::new(*animal, format!("Calls the {animal}."));
///         Ok(ListToolsResult { tools: self.0.iter().map(tool).collect(), ..ListToolsResult::default() })
///     }
///
///     async fn call_tool(&self, request: CallToolRequest, _: &Context) -> Result<CallToolResult, Error> {
///         match self.0.contains(&request.name.as_str()) {
///             true => Ok(CallToolResult::text(format!("The {} comes", request.name))),
///             false => Err(Error::unknown("tool", &request.name)),
///         }
///     }
/// }
///
/// let server = TestServer::new(Farm(vec!["cow", "hen"]));
/// for client in server.both_eras() {
///     assert_eq!(client.list_tools().unwrap().len(), 2);
///     let answer = client.call_tool("hen", serde_json::json!({})).unwrap();
///     assert_eq!(answer.first_text(), Some("The hen comes"));
///     assert!(client.call_tool("wolf", serde_json::json!({})).is_err());
/// }
/// ```
#[allow(
    async_fn_in_trait,
    reason = "an application lives on one core: its futures need not be Send"
)]
#[allow(unused_variables, reason = "the defaults need none of what they get")]
pub trait App {
    /// Who this is and what it can do; asked once, at start.
    fn info(&self) -> ServerInfo;

    /// `tools/list`: the tools that there are now, a page of them if they are many.
    async fn list_tools(
        &self,
        request: PaginatedRequest,
        context: &Context,
    ) -> Result<ListToolsResult, Error> {
        Ok(ListToolsResult::default())
    }

    /// One tool's definition: its `x-mcp-header` annotations are checked against the request's header fields.
    /// The default looks through the pages of [`list_tools`](App::list_tools); an application with many tools
    /// knows a shorter way.
    async fn tool(&self, name: &str, context: &Context) -> Result<Option<Cow<'_, Tool>>, Error> {
        let mut request = PaginatedRequest::default();
        loop {
            let page = self.list_tools(request, context).await?;
            if let Some(tool) = page.tools.into_iter().find(|tool| tool.name == name) {
                return Ok(Some(Cow::Owned(tool)));
            }
            if page.next_cursor.is_none() {
                return Ok(None);
            }
            request = PaginatedRequest {
                cursor: page.next_cursor,
            };
        }
    }

    /// `tools/call`. An [`Error`] that the model should see is a result with `isError`; others are protocol errors.
    async fn call_tool(
        &self,
        request: CallToolRequest,
        context: &Context,
    ) -> Result<CallToolResult, Error> {
        Err(Error::unknown("tool", &request.name))
    }

    /// `resources/list`: what clients may read, a page of it if it is much.
    async fn list_resources(
        &self,
        request: PaginatedRequest,
        context: &Context,
    ) -> Result<ListResourcesResult, Error> {
        Ok(ListResourcesResult::default())
    }

    /// `resources/templates/list`: URIs with variables in them.
    async fn list_resource_templates(
        &self,
        request: PaginatedRequest,
        context: &Context,
    ) -> Result<ListResourceTemplatesResult, Error> {
        Ok(ListResourceTemplatesResult::default())
    }

    /// `resources/read`: the contents of one URI.
    async fn read_resource(
        &self,
        request: ReadResourceRequest,
        context: &Context,
    ) -> Result<ReadResourceResult, Error> {
        Err(RpcError::resource_not_found(context.era(), &request.uri).into())
    }

    /// `prompts/list`: the prompts that there are now.
    async fn list_prompts(
        &self,
        request: PaginatedRequest,
        context: &Context,
    ) -> Result<ListPromptsResult, Error> {
        Ok(ListPromptsResult::default())
    }

    /// `prompts/get`: the messages of one prompt, its arguments filled in.
    async fn get_prompt(
        &self,
        request: GetPromptRequest,
        context: &Context,
    ) -> Result<GetPromptResult, Error> {
        Err(Error::unknown("prompt", &request.name))
    }

    /// `completion/complete`: suggestions for the argument that a user is typing.
    async fn complete(
        &self,
        request: CompleteRequest,
        context: &Context,
    ) -> Result<CompleteResult, Error> {
        Ok(CompleteResult::default())
    }

    /// The spelling by which the application calls this URI, and publishes it: subscribers are notified by whichever
    /// they used. The normal form, unless the application takes more spellings for one, and then a normal form, too.
    ///
    /// # Errors
    /// [`NotAUri`]
    fn own_uri(&self, uri: &str) -> Result<Box<str>, NotAUri> {
        Ok(normal(uri)?.into())
    }

    /// Whether a client may subscribe to this URI, which need not exist yet, and is in the application's own spelling.
    fn accepts_subscription(&self, uri: &str) -> bool {
        true
    }

    /// How long a client of 2026-07-28 may keep a list or a resource's contents. The scope of a list must not
    /// differ between its pages. By default nothing may be kept.
    fn caching(&self, what: Cacheable<'_>) -> Caching {
        Caching {
            ttl_ms: 0,
            public: false,
        }
    }

    /// A session has opened on this core. This and the other three hooks are called on the core's thread, where
    /// everything waits for them: note what happened, and do the work elsewhere. A hook that panics is logged, and
    /// harms nobody. Clients of 2026-07-28 have no sessions.
    fn session_opened(&self, session: &OpenedSession) {}

    /// A session of this core is over, and its state can go. Of each that was opened this comes once; not if the process
    /// is killed.
    fn session_ended(&self, session: SessionId, why: SessionEnd) {}

    /// A client of this core is subscribed to this resource from now on: by `resources/subscribe`, or on the stream of
    /// a `subscriptions/listen`.
    fn subscribed(&self, uri: &str, subscriber: Subscriber) {}

    /// And no longer: by `resources/unsubscribe`, or because the session or the stream is over.
    fn unsubscribed(&self, uri: &str, subscriber: Subscriber) {}

    /// A method of none of the above: one of an extension that [`info`](App::info) declares.
    async fn extension(
        &self,
        method: &str,
        params: JsonObject,
        context: &Context,
    ) -> Result<ExtensionResult, Error> {
        Err(RpcError::method_not_found(method).into())
    }
}

/// What [`App::info`] gives.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ServerInfo {
    /// The name and version that clients are shown.
    pub implementation: Implementation,
    /// How a model should use this server.
    pub instructions: Option<String>,
    /// What the server can do: a method of a capability that stands not here is answered "method not found".
    pub capabilities: Capabilities,
    /// See [`sees_credentials`](ServerInfo::sees_credentials).
    pub sees_credentials: bool,
    /// See [`portable_sessions`](ServerInfo::portable_sessions).
    pub portable_sessions: bool,
}

impl ServerInfo {
    /// A server of this name and version that can do nothing yet.
    #[must_use]
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        ServerInfo {
            implementation: Implementation::new(name, version),
            ..Self::default()
        }
    }

    /// Says what the server can do.
    #[must_use]
    pub fn capabilities(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// Tells models how to use this server.
    #[must_use]
    pub fn instructions(mut self, text: impl Into<String>) -> Self {
        self.instructions = Some(text.into());
        self
    }

    /// Handlers see `Authorization`, `Cookie` and `Proxy-Authorization` among the [`Headers`](super::Headers) of a request,
    /// which they do not otherwise.
    #[must_use]
    pub fn sees_credentials(mut self) -> Self {
        self.sees_credentials = true;
        self
    }

    /// A session may go on in another process than the one that opened it: the application keeps nothing of it that the other one
    /// would miss. So it is taken over when its node is gone, where nodes share a Redis and are told to
    /// (`NodeBuilder::adopt_sessions`); else it ends with its node.
    #[must_use]
    pub fn portable_sessions(mut self) -> Self {
        self.portable_sessions = true;
        self
    }

    pub(super) fn to_json(&self) -> ServerInfoJson {
        let legacy = Capabilities {
            extensions: JsonObject::new(),
            ..self.capabilities.clone()
        };
        let to_value = |capabilities: &Capabilities| {
            serde_json::to_value(capabilities).expect("keys are strings, values are JSON")
        };
        ServerInfoJson {
            implementation: serde_json::to_value(&self.implementation)
                .expect("keys are strings, values are text"),
            instructions: self.instructions.clone(),
            legacy_capabilities: to_value(&legacy),
            modern_capabilities: to_value(&self.capabilities),
            sees_credentials: self.sees_credentials,
            portable_sessions: self.portable_sessions,
        }
    }
}

/// What a client may be allowed to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cacheable<'a> {
    /// `tools/list`.
    Tools,
    /// `prompts/list`.
    Prompts,
    /// `resources/list`.
    Resources,
    /// `resources/templates/list`.
    ResourceTemplates,
    /// The contents of the resource at this URI.
    Resource(&'a str),
}

/// The result of an extension's method.
#[derive(Clone, Debug, PartialEq)]
pub enum ExtensionResult {
    /// A plain result: `resultType` is `complete`.
    Complete(JsonObject),
    /// A result that names its own `resultType`.
    Other(JsonObject),
}
