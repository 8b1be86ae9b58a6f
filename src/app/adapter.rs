//! Turns an [`App`] into the engine's [`Handler`]: decodes params, gates by capability, encodes results.

use std::rc::Rc;

use futures_util::future::{LocalBoxFuture, ready};
use serde::Serialize;
use serde_json::Value;
use tracing::{Instrument as _, Span};

use super::application::{App, Cacheable, ExtensionResult, ServerInfo};
use super::call::{Caching, Call, Handler, Lifecycle, Link, Outcome, ServerInfoJson};
use super::context::Logging;
use super::decode::{decode, digest, name_of_tool};
use super::envelope::CallEnvelope;
use super::{Context, Error, cursor, legacy_output, param_headers};
use crate::mcp::types::{CallToolRequest, CallToolResult, ReadResourceRequest};
use crate::mcp::{Capability, Era, RpcError, RpcMethod};
use crate::wire::trace_context::TraceContext;
use crate::wire::uri::{NotAUri, normal};

/// An application as one core of the engine holds it.
pub fn handler<A: App + 'static>(app: A) -> Rc<dyn Handler> {
    let info = app.info();
    let logging = Rc::new(Logging::of(info.capabilities.logging.is_some()));
    Rc::new(Adapter { app, info, logging })
}

struct Adapter<A> {
    app: A,
    info: ServerInfo,
    logging: Rc<Logging>,
}

impl<A: App + 'static> Handler for Adapter<A> {
    fn server_info(&self) -> ServerInfoJson {
        self.info.to_json()
    }

    fn own_uri(&self, uri: &str) -> Result<Box<str>, NotAUri> {
        self.app.own_uri(uri)
    }

    fn accepts_subscription(&self, uri: &str) -> bool {
        self.app.accepts_subscription(uri)
    }

    fn on_lifecycle(&self, event: &Lifecycle) {
        match event {
            Lifecycle::Opened(session) => self.app.session_opened(session),
            Lifecycle::Ended(session, why) => self.app.session_ended(*session, *why),
            Lifecycle::Subscribed(uri, by) => self.app.subscribed(uri, *by),
            Lifecycle::Unsubscribed(uri, by) => self.app.unsubscribed(uri, *by),
        }
    }

    fn call(
        self: Rc<Self>,
        mut call: Call,
        link: Rc<dyn Link>,
    ) -> LocalBoxFuture<'static, Outcome> {
        if call.is_large() {
            return Box::pin(async move {
                let envelope = CallEnvelope::of_large(&mut call, &*link).await;
                let logging = self.logging.clone();
                match envelope.and_then(|it| Context::new(call, link, it, logging)) {
                    Ok(context) => {
                        let trace = context.trace_context();
                        let span = trace.map_or_else(Span::none, |it| span_of(&context, it));
                        self.serve(context).instrument(span).await
                    }
                    Err(error) => Outcome::Error(error),
                }
            });
        }
        let envelope = CallEnvelope::of(
            call.era(),
            &call.method,
            call.params.as_deref(),
            call.principal(),
        );
        let logging = self.logging.clone();
        match envelope.and_then(|it| Context::new(call, link, it, logging)) {
            Ok(context) => match context.trace_context() {
                None => Box::pin(self.serve(context)),
                Some(trace) => {
                    let span = span_of(&context, trace);
                    Box::pin(self.serve(context).instrument(span))
                }
            },
            Err(error) => Box::pin(ready(Outcome::Error(error))),
        }
    }
}

impl<A: App> Adapter<A> {
    async fn serve(self: Rc<Self>, context: Context) -> Outcome {
        let _raised_at_the_end = context.cancellation().raise_on_drop();
        match self.dispatch(&context).await {
            Ok(outcome) => outcome,
            Err(Error::InputRequired(_)) => interim_result(&context).await,
            Err(error) => outcome_of(error, &context),
        }
    }

    async fn dispatch(&self, context: &Context) -> Result<Outcome, Error> {
        let app = &self.app;
        let method = context.method();
        if !self.declares(method) {
            return Err(RpcError::method_not_found(method).into());
        }
        match RpcMethod::of(method) {
            Some(RpcMethod::ToolsList) => {
                let request = cursor::opened(decode(context)?, context)?;
                let mut result = app.list_tools(request, context).await?;
                result.next_cursor = cursor::sealed(result.next_cursor, context);
                if context.era() == Era::Legacy {
                    let tools = result.tools.into_iter().map(legacy_output::tool);
                    result.tools = tools.collect();
                }
                Ok(encode_cached(&result, app.caching(Cacheable::Tools)))
            }
            Some(RpcMethod::ToolsCall) => self.call_tool(context).await,
            Some(RpcMethod::ResourcesList) => {
                let request = cursor::opened(decode(context)?, context)?;
                let mut result = app.list_resources(request, context).await?;
                result.next_cursor = cursor::sealed(result.next_cursor, context);
                Ok(encode_cached(&result, app.caching(Cacheable::Resources)))
            }
            Some(RpcMethod::ResourcesTemplatesList) => {
                let request = cursor::opened(decode(context)?, context)?;
                let mut result = app.list_resource_templates(request, context).await?;
                result.next_cursor = cursor::sealed(result.next_cursor, context);
                let caching = app.caching(Cacheable::ResourceTemplates);
                Ok(encode_cached(&result, caching))
            }
            Some(RpcMethod::ResourcesRead) => {
                let mut request: ReadResourceRequest = decode(context)?;
                if context.has_policy() {
                    request.uri = self.ruled_spelling(&request.uri)?;
                }
                let caching = app.caching(Cacheable::Resource(&request.uri));
                let result = app.read_resource(request, context).await?;
                Ok(encode_cached(&result, caching))
            }
            Some(RpcMethod::PromptsList) => {
                let request = cursor::opened(decode(context)?, context)?;
                let mut result = app.list_prompts(request, context).await?;
                result.next_cursor = cursor::sealed(result.next_cursor, context);
                Ok(encode_cached(&result, app.caching(Cacheable::Prompts)))
            }
            Some(RpcMethod::PromptsGet) => {
                Ok(encode(&app.get_prompt(decode(context)?, context).await?))
            }
            Some(RpcMethod::CompletionComplete) => {
                Ok(encode(&app.complete(decode(context)?, context).await?))
            }
            _ => match app.extension(method, decode(context)?, context).await? {
                ExtensionResult::Complete(result) => Ok(encode(&result)),
                ExtensionResult::Other(result) => Ok(Outcome::Other {
                    json: to_json(&result),
                }),
            },
        }
    }

    /// The spelling that rules were compared with: of another one an application might make something else, and read what its client
    /// may not.
    fn ruled_spelling(&self, uri: &str) -> Result<String, RpcError> {
        let own = self.app.own_uri(uri);
        let own = own.and_then(|own| Ok(normal(&own)?.into_owned()));
        own.map_err(|fault| RpcError::invalid_params(format!("Invalid params: {fault}.")))
    }

    async fn call_tool(&self, context: &Context) -> Result<Outcome, Error> {
        let call = context.call();
        let request: CallToolRequest = decode(context)?;
        if context.era() == Era::Modern {
            let tool = self.app.tool(&request.name, context).await?;
            if let Some(tool) = tool {
                param_headers::check(&tool.input_schema, &request.arguments, &call.caller.headers)?;
            }
        }
        let result = self.app.call_tool(request, context).await?;
        if context.era() == Era::Modern || result.structured_content.is_none() {
            return Ok(encode(&result));
        }
        // Few tools have such results; the calls of the others have no room for this.
        let result = Box::pin(self.legacy_result(result, context)).await?;
        Ok(encode(&result))
    }

    /// As clients up to 2025-11-25 were told that this tool answers.
    async fn legacy_result(
        &self,
        result: CallToolResult,
        context: &Context,
    ) -> Result<CallToolResult, Error> {
        let wraps = match &result.structured_content {
            None => return Ok(result),
            Some(Value::Object(_)) => {
                let name = name_of_tool(context).await?;
                let tool = self.app.tool(&name, context).await?;
                let schema = tool.as_ref().and_then(|it| it.output_schema.as_ref());
                schema.is_some_and(legacy_output::wraps)
            }
            Some(_) => true,
        };
        Ok(legacy_output::result(result, wraps))
    }

    fn declares(&self, method: &str) -> bool {
        let capabilities = &self.info.capabilities;
        match Capability::of(method) {
            Some(Capability::Tools) => capabilities.tools.is_some(),
            Some(Capability::Resources) => capabilities.resources.is_some(),
            Some(Capability::Prompts) => capabilities.prompts.is_some(),
            Some(Capability::Completions) => capabilities.completions.is_some(),
            None => true,
        }
    }
}

/// What a handler logs says which trace it belongs to.
fn span_of(context: &Context, trace: TraceContext) -> Span {
    let trace_id = format!("{:032x}", trace.trace_id());
    let parent_id = format!("{:016x}", trace.parent_id());
    tracing::info_span!("call", method = context.method(), trace_id, parent_id)
}

/// Asks the client for what is missing.
fn interim_result(context: &Context) -> LocalBoxFuture<'_, Outcome> {
    Box::pin(async move {
        let has_memory = context.rounds().borrow().has_memory();
        let digest = match has_memory {
            true => digest(context).await.map(Some),
            false => Ok(None),
        };
        match digest {
            Ok(digest) => Outcome::Other {
                json: to_json(
                    &context
                        .rounds()
                        .borrow()
                        .interim_result(digest, context.link()),
                ),
            },
            Err(error) => Outcome::Error(error),
        }
    })
}

fn outcome_of(error: Error, context: &Context) -> Outcome {
    match error {
        Error::Rpc(error) => Outcome::Error(error),
        Error::MissingScope(scopes) => Outcome::MissingScope { scopes },
        Error::InputRequired(_) => unreachable!("it has its interim result"),
        Error::Instead(result) => Outcome::Other {
            json: to_json(&result),
        },
        Error::WrongArguments(_) if !context.version().has_argument_results() => {
            Outcome::Error(RpcError::invalid_params(error.to_string()))
        }
        Error::Failed(_) | Error::Unanswered(_) | Error::WrongArguments(_)
            if context.method() == RpcMethod::ToolsCall.name() =>
        {
            encode(&CallToolResult::error(error.to_string()))
        }
        Error::WrongArguments(_) => Outcome::Error(RpcError::invalid_params(error.to_string())),
        Error::Failed(_) | Error::Unanswered(_) => {
            Outcome::Error(RpcError::internal(error.to_string()))
        }
    }
}

fn encode(result: &impl Serialize) -> Outcome {
    Outcome::Result {
        json: to_json(result),
        caching: None,
    }
}

fn encode_cached(result: &impl Serialize, caching: Caching) -> Outcome {
    Outcome::Result {
        json: to_json(result),
        caching: Some(caching),
    }
}

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("keys are strings, values are JSON")
}
