//! An application put together from closures: tools, resources, templates and prompts that stay the same while
//! the server runs. Lists keep the order of registration. Start with [`Toolkit`].
//!
//! A closure gets its arguments as a Rust type (whose schema becomes the tool's) and an owned [`Context`], and
//! answers with whatever becomes the result: text, contents, a whole result, or an error by `?`.
//!
//! | a closure for | gets | answers with |
//! |---|---|---|
//! | a [tool](Toolkit::tool) | its arguments, a [`Context`] | [`IntoToolResult`]: text, [`Structured`] data, [`Content`](crate::mcp::types::Content)s, a [`CallToolResult`] |
//! | a [resource](Toolkit::resource) | a [`Context`] | [`IntoContents`]: text, bytes, a [`ReadResourceResult`] |
//! | a [template](Toolkit::resource_template) | the [`Variables`] of the URI, a [`Context`] | the same |
//! | a [prompt](Toolkit::prompt) | its arguments, a [`Context`] | [`IntoMessages`]: the user's text, messages, a [`GetPromptResult`] |
//!
//! or a `Result` of these with [`Error`].
//!
//! ```
//! use pinfold::app::{Context, Error, Toolkit};
//! use pinfold::mcp::types::{ElicitRequest, ElicitSchema};
//!
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! struct Order {
//!     /// How many loaves.
//!     count: u32,
//! }
//!
//! async fn bake(order: Order, context: Context) -> Result<String, Error> {
//!     let form = ElicitSchema::new().choice("flour", &["rye", "wheat"]);
//!     let question = ElicitRequest::form("Which flour?", form);
//!     let answer = context.elicit("flour", question).await?;
//!     let flour = answer.text("flour").ok_or_else(|| Error::failed("No order then"))?;
//!     Ok(format!("{} loaves of {flour} bread", order.count))
//! }
//!
//! let app = Toolkit::new("bakery", "1.0.0").tool("bake", "Bakes bread.", bake);
//! ```
//!
//! # A tool that asks runs anew
//! For a client of 2026-07-28 `bake` runs twice: once to ask, and once more from its beginning with the answer, which
//! `elicit` then gives at once. A tool that acts before it asks acts twice. Ask first and act when you know, or do what
//! comes first by [`Context::once`]; see [asking the client](Context#asking-the-client).
//!
//! # State
//! The function that makes the toolkit is called once on each core: what it makes is of that core, and a client sees the
//! core that its connection, or its session, is on. What all of them are to see is made outside of it, and shared: an
//! `Arc` of something with a lock or an atomic, or a channel to a thread that owns it.
//!
//! ```no_run
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU64, Ordering};
//!
//! use pinfold::app::{NoArguments, Toolkit};
//!
//! let orders = Arc::new(AtomicU64::new(0)); // one for the server
//! let app = move || {
//!     let orders = orders.clone(); // of this core, and the same count
//!     Toolkit::new("bakery", "1.0.0").tool("order", "Takes an order.", move |_: NoArguments, _| {
//!         let number = orders.fetch_add(1, Ordering::Relaxed) + 1;
//!         async move { format!("Order {number}") }
//!     })
//! };
//! pinfold::Node::builder(app).run()?;
//! # Ok::<(), pinfold::NodeError>(())
//! ```
//!
//! Several nodes share nothing of this: what they are to share is in a database, or published (see
//! [`crate::guide::publishing`]).

mod answer;
mod app;
mod hooks;
mod uri_template;

use std::borrow::Cow;
use std::rc::Rc;

use futures_util::future::LocalBoxFuture;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use answer::{IntoContents, IntoMessages, IntoToolResult};
pub(super) use uri_template::percent_decode;
pub use uri_template::{UriTemplate, Variables};

use hooks::{Hooks, TakesUri};

use super::application::{ExtensionResult, ServerInfo};
use super::schema::{prompt_arguments_of, schema_of};
use super::{Caching, Context, Error, param_headers};
use crate::mcp::read::read_value;
use crate::mcp::types::{
    CallToolResult, CompleteRequest, Completion, GetPromptResult, JsonObject, Prompt,
    ReadResourceResult, Resource, ResourceTemplate, Tool,
};
use crate::wire::uri::normal;

/// A handler with its types erased: arguments as JSON in, the method's result out.
type Closure<A, R> = Rc<dyn Fn(A, Context) -> LocalBoxFuture<'static, Result<R, Error>>>;

/// Entries in a page of a list, unless [`Toolkit::page_size`] says otherwise.
const PAGE_SIZE: usize = 100;

/// An application put together from closures; see the [module](self) for what they get and give, and where state goes.
///
/// ```
/// use pinfold::app::{NoArguments, Structured, Toolkit};
/// use pinfold::mcp::types::Resource;
///
/// #[derive(serde::Serialize, schemars::JsonSchema)]
/// struct Loaf {
///     flour: String,
///     grams: u32,
/// }
///
/// let app = Toolkit::new("bakery", "1.0.0")
///     .instructions("Read bakery://opening before you order.")
///     .resource(Resource::new("bakery://opening", "Opening hours"), |_| async { "6 to 12" })
///     .tool("loaf", "Today's loaf.", |_: NoArguments, _| async {
///         Structured(Loaf { flour: "rye".into(), grams: 750 })
///     });
/// ```
#[derive(Clone)]
pub struct Toolkit {
    info: ServerInfo,
    page_size: usize,
    caching: Caching,
    tools: Vec<(Tool, Closure<JsonObject, CallToolResult>)>,
    resources: Vec<(Resource, Closure<(), ReadResourceResult>)>,
    templates: Vec<TemplateEntry>,
    prompts: Vec<(Prompt, Closure<JsonObject, GetPromptResult>)>,
    completion: Option<Closure<CompleteRequest, Completion>>,
    methods: Vec<(String, Closure<JsonObject, ExtensionResult>)>,
    subscribable: Option<TakesUri>,
    hooks: Hooks,
}

#[derive(Clone)]
struct TemplateEntry {
    definition: ResourceTemplate,
    template: UriTemplate,
    read: Closure<(String, Variables), ReadResourceResult>,
}

impl Toolkit {
    /// A server with nothing to offer yet; what is added is declared as a capability.
    #[must_use]
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        Toolkit {
            info: ServerInfo::new(name, version),
            page_size: PAGE_SIZE,
            caching: Caching {
                ttl_ms: 0,
                public: false,
            },
            tools: Vec::new(),
            resources: Vec::new(),
            templates: Vec::new(),
            prompts: Vec::new(),
            completion: None,
            methods: Vec::new(),
            subscribable: None,
            hooks: Hooks::default(),
        }
    }

    /// How a model should use this server.
    #[must_use]
    pub fn instructions(mut self, text: impl Into<String>) -> Self {
        self.info.instructions = Some(text.into());
        self
    }

    /// The name that people are shown.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.info.implementation.title = Some(title.into());
        self
    }

    /// Declares log messages; needed by handlers that call [`Context::log`].
    #[must_use]
    pub fn logging(mut self) -> Self {
        self.info.capabilities = self.info.capabilities.logging();
        self
    }

    /// Entries in a page of a list.
    ///
    /// # Panics
    /// If it is 0.
    #[must_use]
    pub fn page_size(mut self, entries: usize) -> Self {
        assert!(entries > 0, "a page holds at least one entry");
        self.page_size = entries;
        self
    }

    /// How long clients of 2026-07-28 may keep the lists. What resources hold is never to be kept.
    #[must_use]
    pub fn lists_cached(mut self, caching: Caching) -> Self {
        self.caching = caching;
        self
    }

    /// Adds a tool whose input schema is that of the arguments' type.
    ///
    /// # Panics
    /// If the name is taken, or the type is not an object.
    #[must_use]
    pub fn tool<A, F, R>(
        self,
        name: impl Into<String>,
        description: impl Into<String>,
        run: impl Fn(A, Context) -> F + 'static,
    ) -> Self
    where
        A: DeserializeOwned + JsonSchema,
        F: Future<Output = R> + 'static,
        R: IntoToolResult,
    {
        self.add_tool(
            Tool::new(name, description).input_schema(schema_of::<A>()),
            run,
        )
    }

    /// Adds a tool with everything its definition can say.
    ///
    /// # Panics
    /// If the name is taken, or an `x-mcp-header` of the schema is one that clients would refuse.
    #[must_use]
    pub fn add_tool<A, F, R>(
        mut self,
        mut tool: Tool,
        run: impl Fn(A, Context) -> F + 'static,
    ) -> Self
    where
        A: DeserializeOwned,
        F: Future<Output = R> + 'static,
        R: IntoToolResult,
    {
        let taken = self.tools.iter().any(|(other, _)| other.name == tool.name);
        assert!(!taken, "there is a tool {} already", tool.name);
        param_headers::assert_valid(&tool.name, &tool.input_schema);
        tool.output_schema = tool.output_schema.or_else(R::output_schema);
        let run = Rc::new(run);
        self.tools.push((
            tool,
            Rc::new(move |arguments, context| {
                let run = Rc::clone(&run);
                Box::pin(async move {
                    let arguments = typed(arguments)?;
                    run(arguments, context).await.into_tool_result()
                })
            }),
        ));
        self.info.capabilities = self.info.capabilities.tools();
        self
    }

    /// Adds a resource at a fixed URI, which is listed in its normal form.
    ///
    /// # Panics
    /// If the URI is taken, or none.
    #[must_use]
    pub fn resource<F, R>(
        mut self,
        mut resource: Resource,
        read: impl Fn(Context) -> F + 'static,
    ) -> Self
    where
        F: Future<Output = R> + 'static,
        R: IntoContents,
    {
        let own = normal(&resource.uri).map(Cow::into_owned);
        resource.uri = own.unwrap_or_else(|fault| panic!("{}: {fault}", resource.uri));
        let taken = self
            .resources
            .iter()
            .any(|(other, _)| other.uri == resource.uri);
        assert!(!taken, "there is a resource {} already", resource.uri);
        let (uri, mime_type) = (resource.uri.clone(), resource.mime_type.clone());
        self.resources.push((
            resource,
            Rc::new(move |(), context| {
                let (uri, mime_type) = (uri.clone(), mime_type.clone());
                let answer = read(context);
                Box::pin(async move { answer.await.into_contents(&uri, mime_type.as_deref()) })
            }),
        ));
        self.info.capabilities = self.info.capabilities.resources();
        self
    }

    /// Adds the resources of a URI template: `{name}` stands for one path segment, `{+name}` for any text.
    ///
    /// # Panics
    /// If the template is not of this form.
    #[must_use]
    pub fn resource_template<F, R>(
        mut self,
        definition: ResourceTemplate,
        read: impl Fn(Variables, Context) -> F + 'static,
    ) -> Self
    where
        F: Future<Output = R> + 'static,
        R: IntoContents,
    {
        let mime_type = definition.mime_type.clone();
        self.templates.push(TemplateEntry {
            template: UriTemplate::new(&definition.uri_template),
            definition,
            read: Rc::new(move |(uri, variables), context| {
                let mime_type = mime_type.clone();
                let answer = read(variables, context);
                Box::pin(async move { answer.await.into_contents(&uri, mime_type.as_deref()) })
            }),
        });
        self.info.capabilities = self.info.capabilities.resources();
        self
    }

    /// Adds a prompt whose arguments are the text fields of a type.
    ///
    /// # Panics
    /// If the name is taken, or the type is not an object.
    #[must_use]
    pub fn prompt<A, F, R>(
        self,
        name: impl Into<String>,
        description: impl Into<String>,
        write: impl Fn(A, Context) -> F + 'static,
    ) -> Self
    where
        A: DeserializeOwned + JsonSchema,
        F: Future<Output = R> + 'static,
        R: IntoMessages,
    {
        let mut prompt = Prompt::new(name, description);
        prompt.arguments = prompt_arguments_of::<A>();
        self.add_prompt(prompt, write)
    }

    /// Adds a prompt with everything its definition can say.
    ///
    /// # Panics
    /// If the name is taken.
    #[must_use]
    pub fn add_prompt<A, F, R>(
        mut self,
        prompt: Prompt,
        write: impl Fn(A, Context) -> F + 'static,
    ) -> Self
    where
        A: DeserializeOwned,
        F: Future<Output = R> + 'static,
        R: IntoMessages,
    {
        let taken = self
            .prompts
            .iter()
            .any(|(other, _)| other.name == prompt.name);
        assert!(!taken, "there is a prompt {} already", prompt.name);
        let write = Rc::new(write);
        self.prompts.push((
            prompt,
            Rc::new(move |arguments, context| {
                let write = Rc::clone(&write);
                Box::pin(async move {
                    let arguments = typed(arguments)?;
                    write(arguments, context).await.into_messages()
                })
            }),
        ));
        self.info.capabilities = self.info.capabilities.prompts();
        self
    }

    /// Answers `completion/complete` for all prompts and templates.
    #[must_use]
    pub fn completion<F>(
        mut self,
        complete: impl Fn(CompleteRequest, Context) -> F + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Completion, Error>> + 'static,
    {
        self.completion = Some(Rc::new(move |request, context| {
            Box::pin(complete(request, context))
        }));
        self.info.capabilities = self.info.capabilities.completions();
        self
    }

    /// Declares an extension, by its identifier, with its settings (an empty object if it has none).
    #[must_use]
    pub fn extension(mut self, identifier: impl Into<String>, settings: JsonObject) -> Self {
        self.info.capabilities = self.info.capabilities.extension(identifier, settings);
        self
    }

    /// Adds a method of an extension.
    #[must_use]
    pub fn method<A, F>(
        mut self,
        method: impl Into<String>,
        serve: impl Fn(A, Context) -> F + 'static,
    ) -> Self
    where
        A: DeserializeOwned,
        F: Future<Output = Result<ExtensionResult, Error>> + 'static,
    {
        let serve = Rc::new(serve);
        self.methods.push((
            method.into(),
            Rc::new(move |params, context| {
                let serve = Rc::clone(&serve);
                Box::pin(async move { serve(typed(params)?, context).await })
            }),
        ));
        self
    }
}

/// Arguments as a Rust type.
fn typed<A: DeserializeOwned>(arguments: JsonObject) -> Result<A, Error> {
    read_value(Value::Object(arguments)).map_err(Error::WrongArguments)
}

/// A tool's answer that has a structure: it becomes `structuredContent`, and its JSON the text. The tool declares the
/// [schema](super::output_schema_of) of the type, if its author gave it none.
///
/// It may be a list or a number: clients up to 2025-11-25, which know objects only, get it as `{"result": …}`. For a type
/// without a schema there is [`CallToolResult::structured`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Structured<T>(pub T);

/// For tools and prompts that take nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
pub struct NoArguments {}

/// Not derived: this type's own comment would be the description of every tool that takes nothing.
impl JsonSchema for NoArguments {
    fn schema_name() -> Cow<'static, str> {
        "NoArguments".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "properties": {} })
    }
}
