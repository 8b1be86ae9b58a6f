//! The program's default application: resources at `board://…`, whose contents come from outside. Subscribers are notified
//! of changes.
//!
//! All cores share one store. Clients list, read and subscribe. A model can also post and remove, unless the
//! board is read-only.

mod store;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

pub use store::BoardLimits;
use store::{Store, own_uri};

use super::application::{App, ServerInfo};
use super::contents::{Body, Change, ContentStore, Contents, StoreRefused};
use super::page::{cursor_after, key_of, no_cursor};
use super::toolkit::percent_decode;
use super::{Context, Error, Toolkit};
use crate::mcp::RpcError;
use crate::mcp::types::{
    CallToolRequest, CallToolResult, Capabilities, CompleteRequest, CompleteResult, Completion,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequest,
    ReadResourceRequest, ReadResourceResult, Reference, ResourceContents, ResourceTemplate,
};
use crate::principal::Action;
use crate::wire::uri::{NotAUri, mended};

/// Every URI of a board begins with this.
const SCHEME: &str = "board://";

/// `+`: a path keeps its slashes.
const TEMPLATE: &str = "board://{+path}";
/// As it was before, for clients that have it from then.
const OLD_TEMPLATE: &str = "board://{path}";

const PAGE_SIZE: usize = 100;

/// One board for all cores: clones share what is on it.
#[derive(Clone)]
pub struct Board {
    store: Arc<Store>,
    read_only: bool,
}

impl Board {
    /// An empty board.
    #[must_use]
    pub fn new(limits: BoardLimits) -> Self {
        Board {
            store: Arc::new(Store::new(limits)),
            read_only: false,
        }
    }

    /// Without the tools: contents come from outside only.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// The application for one core.
    #[must_use]
    pub fn app(&self) -> impl App + use<> {
        BoardApp {
            store: Arc::clone(&self.store),
            tools: (!self.read_only).then(|| tools(&self.store)),
        }
    }

    /// The door for contents from outside.
    #[must_use]
    pub fn store(&self) -> Arc<dyn ContentStore> {
        Arc::<Store>::clone(&self.store)
    }
}

struct BoardApp {
    store: Arc<Store>,
    tools: Option<Toolkit>,
}

impl App for BoardApp {
    fn info(&self) -> ServerInfo {
        let mut capabilities = Capabilities::default().resources().completions().logging();
        if self.tools.is_some() {
            capabilities = capabilities.tools();
        }
        ServerInfo::new("pinfold", env!("CARGO_PKG_VERSION"))
            .instructions(
                "A board of resources (board://…) that other programs keep up to date. \
                 Subscribe to a resource to be told when it changes, then read it.",
            )
            .capabilities(capabilities)
            // Boards are alike on all nodes, and nothing is kept of a session.
            .portable_sessions()
    }

    async fn list_tools(
        &self,
        request: PaginatedRequest,
        context: &Context,
    ) -> Result<ListToolsResult, Error> {
        match &self.tools {
            Some(tools) => tools.list_tools(request, context).await,
            None => {
                no_cursor(request.cursor.as_deref())?;
                Ok(ListToolsResult::default())
            }
        }
    }

    async fn call_tool(
        &self,
        request: CallToolRequest,
        context: &Context,
    ) -> Result<CallToolResult, Error> {
        match &self.tools {
            Some(tools) => tools.call_tool(request, context).await,
            None => Err(Error::unknown("tool", &request.name)),
        }
    }

    async fn list_resources(
        &self,
        request: PaginatedRequest,
        context: &Context,
    ) -> Result<ListResourcesResult, Error> {
        let after = request.cursor.as_deref().map(key_of).transpose()?;
        let is_shown = |uri: &str| context.is_allowed(Action::ReadResource(uri));
        let (resources, last) = self.store.list(after.as_deref(), PAGE_SIZE, is_shown);
        Ok(ListResourcesResult {
            next_cursor: last.map(|last| cursor_after(&last)),
            resources,
            meta: None,
        })
    }

    async fn list_resource_templates(
        &self,
        request: PaginatedRequest,
        _: &Context,
    ) -> Result<ListResourceTemplatesResult, Error> {
        no_cursor(request.cursor.as_deref())?;
        let template = ResourceTemplate::new(TEMPLATE, "entry")
            .title("Board entry")
            .description("What was posted at this path");
        Ok(ListResourceTemplatesResult {
            resource_templates: vec![template],
            ..ListResourceTemplatesResult::default()
        })
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequest,
        context: &Context,
    ) -> Result<ReadResourceResult, Error> {
        let uri = own_uri(&request.uri)
            .map_err(|fault| RpcError::invalid_params(format!("Invalid params: {fault}.")))?;
        let found = self.store.get(&uri);
        let contents =
            found.ok_or_else(|| RpcError::resource_not_found(context.era(), &request.uri))?;
        let uri = String::from(uri);
        let read = match contents.body {
            Body::Text(text) => ResourceContents::text(uri, text),
            Body::Blob(bytes) => ResourceContents::blob(uri, &bytes),
        };
        Ok(match contents.mime_type {
            Some(mime_type) => read.mime_type(mime_type),
            None => read,
        }
        .into())
    }

    async fn complete(
        &self,
        request: CompleteRequest,
        context: &Context,
    ) -> Result<CompleteResult, Error> {
        let is_ours = matches!(&request.reference, Reference::Resource { uri }
            if [TEMPLATE, OLD_TEMPLATE].contains(&uri.as_str()));
        if !is_ours || request.argument.name != "path" {
            return Err(Error::invalid_params("There is nothing to complete there"));
        }
        let typed = format!("{SCHEME}{}", request.argument.value);
        let beginning = mended(&typed).unwrap_or(Cow::Borrowed(&typed));
        let paths = |uris: &[String]| uris.iter().filter_map(|uri| path_of(uri)).collect();
        if context.has_policy() {
            let is_shown = |uri: &str| context.is_allowed(Action::ReadResource(uri));
            let shown = self
                .store
                .shown_with(&beginning, Completion::VALUES_MAX, is_shown);
            return Ok(CompleteResult::from(Completion {
                values: paths(&shown.0),
                total: None,
                has_more: Some(shown.1),
            }));
        }
        let (uris, total) = self.store.starting_with(&beginning, Completion::VALUES_MAX);
        let values: Vec<String> = paths(&uris);
        Ok(CompleteResult::from(Completion {
            has_more: Some(total > values.len()),
            total: Some(total as u64),
            values,
        }))
    }

    fn own_uri(&self, uri: &str) -> Result<Box<str>, NotAUri> {
        own_uri(uri)
    }

    /// An entry may be waited for before it is there.
    fn accepts_subscription(&self, uri: &str) -> bool {
        uri.starts_with(SCHEME)
    }
}

/// What stands for `path` in an entry's URI, not encoded where whoever fills it in encodes it to the same.
fn path_of(uri: &str) -> Option<String> {
    let decoded = percent_decode(uri).filter(|it| mended(it).is_ok_and(|mended| mended == uri));
    let path = decoded.as_deref().unwrap_or(uri).strip_prefix(SCHEME)?;
    Some(path.to_owned())
}

#[derive(Deserialize, JsonSchema)]
struct PostArguments {
    /// Where to post: board:// and a path.
    uri: String,
    /// What to post; it replaces what was there.
    text: String,
    /// The text's media type; text/plain if absent.
    #[serde(rename = "mimeType")]
    mime_type: Option<String>,
    /// A short name for lists; the URI if absent.
    name: Option<String>,
    /// What this entry is about.
    description: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct Remove {
    /// The entry to remove.
    uri: String,
}

fn tools(store: &Arc<Store>) -> Toolkit {
    let (of_post, of_remove) = (Arc::clone(store), Arc::clone(store));
    Toolkit::new("board", env!("CARGO_PKG_VERSION"))
        .tool(
            "post",
            "Posts text at a board:// URI and tells its subscribers.",
            move |post: PostArguments, context| {
                let store = Arc::clone(&of_post);
                async move {
                    let contents = Contents {
                        mime_type: Some(post.mime_type.unwrap_or_else(|| "text/plain".to_owned())),
                        name: post.name,
                        description: post.description,
                        body: Body::Text(post.text),
                    };
                    let uri =
                        own_uri(&post.uri).map_err(|fault| Error::failed(fault.to_string()))?;
                    may(&context, Action::Publish(&uri), &uri)?;
                    let change = put(&store, &context, &uri, Some(contents))?;
                    Ok(match change.contents || change.list {
                        true => format!("Posted {uri}"),
                        false => format!("{uri} says so already"),
                    })
                }
            },
        )
        .tool(
            "remove",
            "Removes an entry from the board and tells its subscribers.",
            move |remove: Remove, context| {
                let store = Arc::clone(&of_remove);
                async move {
                    let uri =
                        own_uri(&remove.uri).map_err(|fault| Error::failed(fault.to_string()))?;
                    may(&context, Action::Remove(&uri), &uri)?;
                    let change = put(&store, &context, &uri, None)?;
                    if !change.list {
                        return Err(there_is_no(&uri));
                    }
                    Ok(format!("Removed {uri}"))
                }
            },
        )
}

/// What is somebody else's is not there.
fn may(context: &Context, action: Action<'_>, uri: &str) -> Result<(), Error> {
    context.may(action).map_err(|error| match error {
        Error::MissingScope(_) => error,
        _ => there_is_no(uri),
    })
}

fn there_is_no(uri: &str) -> Error {
    Error::failed(format!("There is no {uri}"))
}

/// A write, and the news of it.
fn put(
    store: &Store,
    context: &Context,
    uri: &str,
    contents: Option<Contents>,
) -> Result<Change, Error> {
    let change = store.put(uri, contents.clone()).map_err(|refused| {
        Error::failed(match refused {
            StoreRefused::Full => "The board is full: remove something first",
            StoreRefused::TooLarge => "This is more than one entry may hold",
            StoreRefused::WrongUri => "A URI on the board is board:// and a path",
            StoreRefused::Failed => "The board failed",
        })
    })?;
    context.publish_contents(uri, contents.as_ref(), change);
    Ok(change)
}
