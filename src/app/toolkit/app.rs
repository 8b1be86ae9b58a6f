//! The toolkit as an application: lists, look-ups, and calls of the closures.

use std::borrow::Cow;

use super::{Closure, Toolkit};
use crate::app::application::{App, Cacheable, ExtensionResult, ServerInfo};
use crate::app::page::page;
use crate::app::{Caching, Context, Error, OpenedSession, SessionEnd, SessionId, Subscriber};
use crate::mcp::RpcError;
use crate::mcp::types::{
    CallToolRequest, CallToolResult, CompleteRequest, CompleteResult, GetPromptRequest,
    GetPromptResult, JsonObject, ListPromptsResult, ListResourceTemplatesResult,
    ListResourcesResult, ListToolsResult, PaginatedRequest, ReadResourceRequest,
    ReadResourceResult, Tool,
};
use crate::wire::uri::normal;

impl App for Toolkit {
    fn info(&self) -> ServerInfo {
        self.info.clone()
    }

    async fn list_tools(
        &self,
        request: PaginatedRequest,
        _: &Context,
    ) -> Result<ListToolsResult, Error> {
        let (tools, next_cursor) = self.page(&self.tools, |(tool, _)| &tool.name, &request)?;
        Ok(ListToolsResult {
            tools,
            next_cursor,
            meta: None,
        })
    }

    async fn tool(&self, name: &str, _: &Context) -> Result<Option<Cow<'_, Tool>>, Error> {
        Ok(self.find_tool(name).map(|(tool, _)| Cow::Borrowed(tool)))
    }

    async fn call_tool(
        &self,
        request: CallToolRequest,
        context: &Context,
    ) -> Result<CallToolResult, Error> {
        let Some((_, run)) = self.find_tool(&request.name) else {
            return Err(Error::unknown("tool", &request.name));
        };
        run(request.arguments, context.clone()).await
    }

    async fn list_resources(
        &self,
        request: PaginatedRequest,
        _: &Context,
    ) -> Result<ListResourcesResult, Error> {
        let (resources, next_cursor) =
            self.page(&self.resources, |(resource, _)| &resource.uri, &request)?;
        Ok(ListResourcesResult {
            resources,
            next_cursor,
            meta: None,
        })
    }

    async fn list_resource_templates(
        &self,
        request: PaginatedRequest,
        _: &Context,
    ) -> Result<ListResourceTemplatesResult, Error> {
        let (entries, next_cursor) = page(
            &self.templates,
            |entry| &entry.definition.uri_template,
            request.cursor.as_deref(),
            self.page_size,
        )?;
        let definitions = entries.iter().map(|entry| entry.definition.clone());
        Ok(ListResourceTemplatesResult {
            resource_templates: definitions.collect(),
            next_cursor,
            meta: None,
        })
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequest,
        context: &Context,
    ) -> Result<ReadResourceResult, Error> {
        let uri = request.uri;
        let normal = normal(&uri)
            .map_err(|fault| RpcError::invalid_params(format!("Invalid params: {fault}.")))?
            .into_owned();
        if let Some((_, read)) = self.resources.iter().find(|(other, _)| other.uri == normal) {
            return read((), context.clone()).await;
        }
        for entry in &self.templates {
            // Literals of a template are as its author wrote them.
            let matched = entry.template.matches(&uri);
            if let Some(variables) = matched.or_else(|| entry.template.matches(&normal)) {
                return (entry.read)((uri, variables), context.clone()).await;
            }
        }
        Err(RpcError::resource_not_found(context.era(), &uri).into())
    }

    async fn list_prompts(
        &self,
        request: PaginatedRequest,
        _: &Context,
    ) -> Result<ListPromptsResult, Error> {
        let (prompts, next_cursor) =
            self.page(&self.prompts, |(prompt, _)| &prompt.name, &request)?;
        Ok(ListPromptsResult {
            prompts,
            next_cursor,
            meta: None,
        })
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequest,
        context: &Context,
    ) -> Result<GetPromptResult, Error> {
        let found = self.prompts.iter().find(|(p, _)| p.name == request.name);
        let Some((prompt, write)) = found else {
            return Err(Error::unknown("prompt", &request.name));
        };
        let arguments: JsonObject = request
            .arguments
            .into_iter()
            .map(|(name, value)| (name, value.into()))
            .collect();
        let mut result = write(arguments, context.clone()).await?;
        if result.description.is_none() {
            result.description.clone_from(&prompt.description);
        }
        Ok(result)
    }

    async fn complete(
        &self,
        request: CompleteRequest,
        context: &Context,
    ) -> Result<CompleteResult, Error> {
        match &self.completion {
            Some(complete) => Ok(complete(request, context.clone()).await?.into()),
            None => Ok(CompleteResult::default()),
        }
    }

    fn accepts_subscription(&self, uri: &str) -> bool {
        self.resources
            .iter()
            .any(|(resource, _)| resource.uri == uri)
            || self
                .templates
                .iter()
                .any(|entry| entry.template.matches(uri).is_some())
            || self.subscribable.as_ref().is_some_and(|takes| takes(uri))
    }

    fn session_opened(&self, session: &OpenedSession) {
        if let Some(run) = &self.hooks.session_opened {
            run(session);
        }
    }

    fn session_ended(&self, session: SessionId, why: SessionEnd) {
        if let Some(run) = &self.hooks.session_ended {
            run(session, why);
        }
    }

    fn subscribed(&self, uri: &str, subscriber: Subscriber) {
        if let Some(run) = &self.hooks.subscribed {
            run(uri, subscriber);
        }
    }

    fn unsubscribed(&self, uri: &str, subscriber: Subscriber) {
        if let Some(run) = &self.hooks.unsubscribed {
            run(uri, subscriber);
        }
    }

    fn caching(&self, what: Cacheable<'_>) -> Caching {
        match what {
            Cacheable::Resource(_) => Caching {
                ttl_ms: 0,
                public: self.caching.public,
            },
            _ => self.caching,
        }
    }

    async fn extension(
        &self,
        method: &str,
        params: JsonObject,
        context: &Context,
    ) -> Result<ExtensionResult, Error> {
        match self.methods.iter().find(|(name, _)| name == method) {
            Some((_, serve)) => serve(params, context.clone()).await,
            None => Err(RpcError::method_not_found(method).into()),
        }
    }
}

impl Toolkit {
    fn find_tool(&self, name: &str) -> Option<&(Tool, Closure<JsonObject, CallToolResult>)> {
        self.tools.iter().find(|(tool, _)| tool.name == name)
    }

    /// A page of definitions that stand beside their closures.
    fn page<D: Clone, C>(
        &self,
        entries: &[(D, C)],
        key: impl Fn(&(D, C)) -> &str,
        request: &PaginatedRequest,
    ) -> Result<(Vec<D>, Option<String>), Error> {
        let (entries, next) = page(entries, key, request.cursor.as_deref(), self.page_size)?;
        let definitions = entries.iter().map(|(definition, _)| definition.clone());
        Ok((definitions.collect(), next))
    }
}
