//! The application: tools from a [`Toolkit`], resources from the directory. A toolkit's resources are fixed; those of a
//! directory come and go, so this is an [`App`] that has a toolkit for its tools.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use pinfold::app::{
    App, Context, Error, ServerInfo, SessionEnd, SessionId, Structured, Toolkit, UriTemplate, page,
};
use pinfold::mcp::RpcError;
use pinfold::mcp::types::{
    CallToolRequest, CallToolResult, ElicitRequest, ElicitSchema, ListResourceTemplatesResult,
    ListResourcesResult, ListToolsResult, PaginatedRequest, ReadResourceRequest,
    ReadResourceResult, Resource, ResourceContents, ResourceTemplate, Tool, ToolAnnotations,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::directory::{Directory, TEMPLATE, is_name, uri_of};

/// Notes in a page of the list.
const PAGE_SIZE: usize = 100;

/// Of one core.
pub(crate) struct Notes {
    directory: Directory,
    template: UriTemplate,
    tools: Toolkit,
}

/// What each session has pinned. A session lives on one core, and so does this: no lock.
type Pins = Rc<RefCell<HashMap<SessionId, BTreeSet<String>>>>;

#[derive(Deserialize, JsonSchema)]
struct Find {
    /// What to look for, in names and in lines.
    text: String,
    /// How many places at most; 20 if nothing is said.
    limit: Option<usize>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Found {
    uri: String,
    /// From 1. Absent, with the text, if it is the name that was found.
    line: Option<usize>,
    text: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct Name {
    /// A note's name: the last part of its URI.
    name: String,
}

#[derive(Serialize, JsonSchema)]
struct Imported {
    uri: String,
    bytes: usize,
    /// As the source says it.
    content_type: Option<String>,
}

impl Notes {
    pub(crate) fn new(directory: Directory, source: &str) -> Self {
        let pins = Pins::default();
        let of_ended = pins.clone();
        let (of_find, of_discard) = (directory.clone(), directory.clone());
        let (of_import, source) = (directory.clone(), source.to_owned());
        let hints = ToolAnnotations {
            destructive_hint: Some(true),
            ..ToolAnnotations::default()
        };
        let discard_tool = Tool::new("discard", "Throws a note away, if the user agrees.")
            .input_schema(pinfold::app::schema_of::<Name>())
            .annotations(hints);
        let tools = Toolkit::new("notes", "1.0.0")
            .instructions(
                "Notes are resources: read them by their URI, and subscribe to hear of changes.",
            )
            .tool(
                "find",
                "Finds a text in the notes.",
                move |wanted: Find, context| find(of_find.clone(), wanted, context),
            )
            .add_tool(discard_tool, move |note: Name, context| {
                discard(of_discard.clone(), note.name, context)
            })
            .tool(
                "import",
                "Fetches a note from the source.",
                move |note: Name, context| {
                    import(of_import.clone(), source.clone(), note.name, context)
                },
            )
            .tool(
                "pin",
                "Pins a note for this session; answers with all pins.",
                {
                    move |note: Name, context| {
                        let pinned = pin(&pins, note.name, &context);
                        async move { pinned }
                    }
                },
            )
            .on_session_ended(move |session, _| {
                of_ended.borrow_mut().remove(&session);
            });
        Notes {
            directory,
            template: UriTemplate::new(TEMPLATE),
            tools,
        }
    }

    fn name_of(&self, uri: &str) -> Option<String> {
        let variables = self.template.matches(uri)?;
        Some(variables.value("name").to_owned()).filter(|name| is_name(name))
    }
}

async fn find(
    directory: Directory,
    wanted: Find,
    context: Context,
) -> Result<Structured<Vec<Found>>, Error> {
    let limit = wanted.limit.unwrap_or(20);
    let of_names = directory.clone();
    let names = context.blocking(move || of_names.names()).await??;
    let (count, mut found) = (names.len(), Vec::new());
    for (number, name) in names.into_iter().enumerate() {
        let (directory, text) = (directory.clone(), wanted.text.clone());
        // One after the other: the call can be cancelled between two, and others have their turn.
        let places = context
            .blocking(move || places_in(&directory, &name, &text))
            .await?;
        found.extend(places);
        context.progress((number + 1) as f64, Some(count as f64), None);
        if found.len() >= limit {
            break;
        }
    }
    found.truncate(limit);
    Ok(Structured(found))
}

fn places_in(directory: &Directory, name: &str, wanted: &str) -> Vec<Found> {
    let in_name = name.contains(wanted).then(|| Found {
        uri: uri_of(name),
        line: None,
        text: None,
    });
    // It may be gone since it was listed.
    let text = directory.read(name).unwrap_or_default();
    let lines = text
        .lines()
        .zip(1..)
        .filter(|(line, _)| line.contains(wanted));
    let in_lines = lines.map(|(line, number)| Found {
        uri: uri_of(name),
        line: Some(number),
        text: Some(line.to_owned()),
    });
    in_name.into_iter().chain(in_lines).collect()
}

/// Asks first and acts then: for a client of 2026-07-28 this runs once to ask, and anew when the answer is there.
async fn discard(directory: Directory, name: String, context: Context) -> Result<String, Error> {
    let form = ElicitSchema::new().boolean("sure");
    let question = ElicitRequest::form(format!("Throw {name} away?"), form);
    let answer = context.elicit("sure", question).await?;
    #[derive(Deserialize)]
    struct Answer {
        sure: bool,
    }
    if !answer.parse()?.is_some_and(|Answer { sure }| sure) {
        return Ok(format!("{name} stays"));
    }
    let gone = name.clone();
    context.blocking(move || directory.remove(&gone)).await??;
    Ok(format!("{name} is gone"))
}

async fn import(
    directory: Directory,
    source: String,
    name: String,
    context: Context,
) -> Result<Structured<Imported>, Error> {
    if !is_name(&name) {
        return Err(Error::failed(format!("{name:?} is no name of a note")));
    }
    let answer = reqwest::get(format!("{source}/{name}"))
        .await?
        .error_for_status()?;
    let content_type = answer
        .headers()
        .get("content-type")
        .and_then(|it| it.to_str().ok());
    let content_type = content_type.map(str::to_owned);
    let text = answer.text().await?;
    let imported = Imported {
        uri: uri_of(&name),
        bytes: text.len(),
        content_type,
    };
    // Whoever listens is told by the watcher, as of any other change.
    context
        .blocking(move || directory.write(&name, &text))
        .await??;
    Ok(Structured(imported))
}

fn pin(pins: &Pins, name: String, context: &Context) -> Result<Structured<Vec<String>>, Error> {
    let session = context.session();
    let session = session.ok_or("This client has no session, so nothing can be pinned for it")?;
    let mut pins = pins.borrow_mut();
    let own = pins.entry(session).or_default();
    own.insert(name);
    Ok(Structured(own.iter().cloned().collect()))
}

impl App for Notes {
    fn info(&self) -> ServerInfo {
        let info = self.tools.info();
        let capabilities = info.capabilities.clone().resources();
        info.capabilities(capabilities)
    }

    async fn list_tools(
        &self,
        request: PaginatedRequest,
        context: &Context,
    ) -> Result<ListToolsResult, Error> {
        self.tools.list_tools(request, context).await
    }

    async fn tool(&self, name: &str, context: &Context) -> Result<Option<Cow<'_, Tool>>, Error> {
        // `Toolkit::tool` adds one.
        App::tool(&self.tools, name, context).await
    }

    async fn call_tool(
        &self,
        request: CallToolRequest,
        context: &Context,
    ) -> Result<CallToolResult, Error> {
        self.tools.call_tool(request, context).await
    }

    async fn list_resources(
        &self,
        request: PaginatedRequest,
        context: &Context,
    ) -> Result<ListResourcesResult, Error> {
        let directory = self.directory.clone();
        let names = context.blocking(move || directory.names()).await??;
        let (names, next_cursor) = page(&names, |name| name, request.cursor.as_deref(), PAGE_SIZE)?;
        let resources = names
            .iter()
            .map(|name| Resource::new(uri_of(name), name).mime_type("text/plain"));
        Ok(ListResourcesResult {
            resources: resources.collect(),
            next_cursor,
            meta: None,
        })
    }

    async fn list_resource_templates(
        &self,
        _: PaginatedRequest,
        _: &Context,
    ) -> Result<ListResourceTemplatesResult, Error> {
        Ok(ListResourceTemplatesResult {
            resource_templates: vec![ResourceTemplate::new(TEMPLATE, "A note by its name")],
            ..ListResourceTemplatesResult::default()
        })
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequest,
        context: &Context,
    ) -> Result<ReadResourceResult, Error> {
        let not_found = || RpcError::resource_not_found(context.era(), &request.uri);
        let name = self.name_of(&request.uri).ok_or_else(not_found)?;
        let directory = self.directory.clone();
        let text = match context.blocking(move || directory.read(&name)).await? {
            Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => {
                return Err(not_found().into());
            }
            text => text?,
        };
        Ok(ResourceContents::text(&request.uri, text).into())
    }

    /// Also before there is such a note.
    fn accepts_subscription(&self, uri: &str) -> bool {
        self.name_of(uri).is_some()
    }

    fn session_ended(&self, session: SessionId, why: SessionEnd) {
        self.tools.session_ended(session, why);
    }
}
