//! One client: it calls, answers questions in the way of its era, and remembers its notifications.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::link::raw;
use super::{Logged, Progressed, TestLink, World};
use crate::app::call::{
    AskFailed, Call, Caller, Handler, Headers, Lifecycle, Link, OpenedSession, Outcome, SessionEnd,
    Subscriber,
};
use crate::mcp::types::{
    CallToolResult, GetPromptResult, Prompt, ReadResourceResult, Resource, ResourceTemplate, Tool,
};
use crate::mcp::{Era, ProtocolVersion, RpcError, RpcMethod};
use crate::principal::{Action, Decision, Identity, Permits};
use crate::wire::session_id::{Locator, NodeName, SessionId};
use crate::wire::trace_context::TraceContext;

/// Rounds of one request after which a handler is taken for one that asks for ever.
const ROUNDS_MAX: usize = 64;

struct Decides<F>(F);

impl<F: Fn(&Identity, Action<'_>) -> Decision<'static>> Permits for Decides<F> {
    fn decide(&self, who: &Identity, action: Action<'_>) -> Decision<'_> {
        (self.0)(who, action)
    }
}

impl<F> std::fmt::Debug for Decides<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Decides")
    }
}

/// A client of one revision; see [`TestServer::client`](super::TestServer::client).
pub struct TestClient {
    handler: Rc<dyn Handler>,
    link: Rc<TestLink>,
    version: ProtocolVersion,
    capabilities: Arc<Value>,
    headers: Vec<(String, String)>,
    meta: Map<String, Value>,
    address: Option<IpAddr>,
    identity: Option<Rc<Identity>>,
    policy: Option<Rc<dyn Permits>>,
    subscriber: Subscriber,
}

impl TestClient {
    pub(super) fn new(
        handler: Rc<dyn Handler>,
        world: Rc<World>,
        version: ProtocolVersion,
    ) -> Self {
        let number = world.next_client();
        let capabilities = json!({
            "sampling": {}, "elicitation": { "form": {}, "url": {} }, "roots": {},
        });
        let client = TestClient {
            handler,
            link: Rc::new(TestLink::of(world)),
            version,
            capabilities: Arc::new(capabilities),
            headers: Vec::new(),
            meta: Map::from_iter([("progressToken".to_owned(), json!("progress"))]),
            address: Some([192, 0, 2, 1].into()),
            identity: None,
            policy: None,
            subscriber: match version.era() {
                Era::Legacy => Subscriber::Session(session_id(number)),
                Era::Modern => Subscriber::Stream(number.into()),
            },
        };
        if let Some(id) = client.session() {
            client
                .handler
                .on_lifecycle(&Lifecycle::Opened(OpenedSession::new(
                    id,
                    version,
                    None,
                    client.capabilities.clone(),
                    client.address,
                )));
        }
        client
    }

    /// What it declares instead of everything, as an object: `json!({})` is a client that can be asked nothing.
    #[must_use]
    pub fn declaring(mut self, capabilities: Value) -> Self {
        self.capabilities = Arc::new(capabilities);
        self
    }

    /// Sends a header field with each request.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends this in the `_meta` of each request.
    #[must_use]
    pub fn meta(mut self, key: &str, value: Value) -> Self {
        self.meta.insert(key.to_owned(), value);
        self
    }

    /// Where it comes from, if not from 192.0.2.1.
    #[must_use]
    pub fn address(mut self, address: IpAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// Who it is: what a handler finds by [`Context::identity`](crate::app::Context::identity). Nobody, unless it is said.
    ///
    /// ```
    /// use pinfold::Identity;
    /// use pinfold::app::{Context, NoArguments, Toolkit};
    /// use pinfold::testing::TestServer;
    /// use serde_json::json;
    ///
    /// async fn who(_: NoArguments, context: Context) -> String {
    ///     context.identity().map_or("nobody", |it| it.subject()).to_owned()
    /// }
    ///
    /// let server = TestServer::new(Toolkit::new("s", "1").tool("who", "Who am I?", who));
    /// let alice = server.modern().identity(Identity::new("https://login.example", "alice"));
    /// assert_eq!(alice.call_tool("who", json!({})).unwrap().first_text(), Some("alice"));
    /// ```
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(Rc::new(identity));
        self
    }

    /// What the server's policy says of what it wants to do, which a handler asks by [`Context::may`](crate::app::Context::may).
    /// Everything is allowed, unless it is said. (Whether a call is served at all is asked by the server itself, and not here.)
    ///
    /// ```
    /// use pinfold::app::{Context, Error, NoArguments, Toolkit};
    /// use pinfold::testing::TestServer;
    /// use pinfold::{Action, Decision};
    /// use serde_json::json;
    ///
    /// async fn close(_: NoArguments, context: Context) -> Result<&'static str, Error> {
    ///     context.may(Action::Publish("shop://hours"))?;
    ///     Ok("Closed")
    /// }
    ///
    /// let server = TestServer::new(Toolkit::new("shop", "1").tool("close", "Closes it.", close));
    /// assert!(server.modern().call_tool("close", json!({})).is_ok());
    /// let clerk = server.modern().policy(|_, action| match action {
    ///     Action::Publish(_) => Decision::MissingScope("shop:close"),
    ///     _ => Decision::Allow,
    /// });
    /// let error = clerk.call_tool("close", json!({})).unwrap_err();
    /// assert!(error.message.contains("shop:close"));
    /// ```
    #[must_use]
    pub fn policy(
        mut self,
        decide: impl Fn(&Identity, Action<'_>) -> Decision<'static> + 'static,
    ) -> Self {
        self.policy = Some(Rc::new(Decides(decide)));
        self
    }

    /// Its session, if its revision has them.
    #[must_use]
    pub fn session(&self) -> Option<SessionId> {
        match self.subscriber {
            Subscriber::Session(id) => Some(id),
            Subscriber::Stream(_) => None,
        }
    }

    /// What the user, or the model, answers to the next question: the result of an `elicitation/create`,
    /// `sampling/createMessage` or `roots/list`. Several are given one after the other.
    pub fn will_answer(&self, result: Value) {
        self.link.answers.borrow_mut().push_back(Ok(result));
    }

    /// The next question fails. Clients of 2026-07-28 that cannot answer do not come back, so this is for those with
    /// a session.
    pub fn will_fail(&self, why: AskFailed) {
        self.link.answers.borrow_mut().push_back(Err(why));
    }

    /// Answers all questions that [`will_answer`](TestClient::will_answer) has nothing for: method and params in, the
    /// result out.
    pub fn answers(&self, mut answer: impl FnMut(&str, &Value) -> Value + 'static) {
        let answerer = Box::new(move |method: &str, params: &Value| Ok(answer(method, params)));
        *self.link.answerer.borrow_mut() = Some(answerer);
    }

    /// Calls a tool and answers what it asks.
    ///
    /// # Errors
    /// The JSON-RPC error that the client gets. A tool's own failure is a result with `is_error`.
    ///
    /// # Panics
    /// The call waits for what never comes, or asks a client of 2026-07-28 that has no answer.
    pub fn call_tool(&self, name: &str, arguments: Value) -> Result<CallToolResult, RpcError> {
        self.typed(
            RpcMethod::ToolsCall.name(),
            json!({ "name": name, "arguments": arguments }),
        )
    }

    /// # Errors
    /// # Panics
    /// As [`call_tool`](TestClient::call_tool).
    pub fn read_resource(&self, uri: &str) -> Result<ReadResourceResult, RpcError> {
        self.typed(RpcMethod::ResourcesRead.name(), json!({ "uri": uri }))
    }

    /// # Errors
    /// # Panics
    /// As [`call_tool`](TestClient::call_tool).
    pub fn get_prompt(&self, name: &str, arguments: Value) -> Result<GetPromptResult, RpcError> {
        self.typed(
            RpcMethod::PromptsGet.name(),
            json!({ "name": name, "arguments": arguments }),
        )
    }

    /// All pages of the list.
    ///
    /// # Errors
    /// # Panics
    /// As [`call_tool`](TestClient::call_tool).
    pub fn list_tools(&self) -> Result<Vec<Tool>, RpcError> {
        self.all_pages(RpcMethod::ToolsList, "tools")
    }

    /// All pages of the list.
    ///
    /// # Errors
    /// # Panics
    /// As [`call_tool`](TestClient::call_tool).
    pub fn list_resources(&self) -> Result<Vec<Resource>, RpcError> {
        self.all_pages(RpcMethod::ResourcesList, "resources")
    }

    /// All pages of the list.
    ///
    /// # Errors
    /// # Panics
    /// As [`call_tool`](TestClient::call_tool).
    pub fn list_resource_templates(&self) -> Result<Vec<ResourceTemplate>, RpcError> {
        self.all_pages(RpcMethod::ResourcesTemplatesList, "resourceTemplates")
    }

    /// All pages of the list.
    ///
    /// # Errors
    /// # Panics
    /// As [`call_tool`](TestClient::call_tool).
    pub fn list_prompts(&self) -> Result<Vec<Prompt>, RpcError> {
        self.all_pages(RpcMethod::PromptsList, "prompts")
    }

    /// Any method, through all of its rounds; `params` is an object.
    ///
    /// # Errors
    /// # Panics
    /// As [`call_tool`](TestClient::call_tool).
    pub fn request(&self, method: &str, params: Value) -> Result<Value, RpcError> {
        let mut next = params.clone();
        for _ in 0..ROUNDS_MAX {
            match self.round(method, next) {
                Outcome::Result { json, .. } => return Ok(parsed(&json)),
                Outcome::Error(error) => return Err(error),
                Outcome::MissingScope { scopes } => return Err(RpcError::missing_scope(&scopes)),
                Outcome::Other { json } => {
                    let result: Value = parsed(&json);
                    if result["resultType"] != "input_required" {
                        return Ok(result);
                    }
                    next = self.answered(params.clone(), &result);
                }
            }
        }
        panic!("{method} goes on asking after {ROUNDS_MAX} rounds")
    }

    /// One round of a request, and how it ended: for what a client that does not behave might send.
    ///
    /// # Panics
    /// The call waits for what never comes.
    #[must_use]
    pub fn round(&self, method: &str, params: Value) -> Outcome {
        self.start(method, params).finish()
    }

    /// One round of a request, to be looked at in its midst. To drop it is to cancel it.
    #[must_use]
    pub fn start(&self, method: &str, mut params: Value) -> TestCall {
        if let Value::Object(params) = &mut params {
            let mut meta = self.meta.clone();
            if self.version.era() == Era::Modern {
                meta.insert(
                    "io.modelcontextprotocol/protocolVersion".to_owned(),
                    self.version.as_str().into(),
                );
            }
            params.entry("_meta").or_insert_with(|| meta.into());
        }
        let fields = self.headers.iter();
        let fields = fields.map(|(name, value)| (name.as_str(), value.as_str()));
        let server_info = self.handler.server_info();
        let headers = Headers::of(fields, 0, server_info.sees_credentials);
        let params = raw(&params);
        let mut caller = Caller::new(self.session(), self.address, headers);
        let trace = caller.headers.get("traceparent");
        caller.trace = trace.and_then(TraceContext::parse).map(Box::new);
        caller.identity.clone_from(&self.identity);
        if let Some(policy) = &self.policy {
            let anybody = || Rc::new(Identity::anonymous());
            caller.identity.get_or_insert_with(anybody);
            caller.policy = Some(policy.clone());
        }
        let call = Call {
            version: self.version,
            method: Call::method_of(method),
            tree_bytes: 0,
            params: Some(params),
            client_capabilities: self.capabilities.clone(),
            client_info: None,
            caller,
        };
        let link: Rc<dyn Link> = self.link.clone();
        TestCall {
            future: self.handler.clone().call(call, link),
            world: self.link.world.clone(),
        }
    }

    /// Subscribes to a resource. False: the application takes no subscription to it.
    #[must_use]
    pub fn subscribe(&self, uri: &str) -> bool {
        let own = self.handler.own_uri(uri).ok();
        let own = own.filter(|own| self.handler.accepts_subscription(own));
        if let Some(own) = &own {
            let event = Lifecycle::Subscribed((&**own).into(), self.subscriber);
            self.handler.on_lifecycle(&event);
        }
        own.is_some()
    }

    /// Ends a subscription.
    pub fn unsubscribe(&self, uri: &str) {
        if let Ok(own) = self.handler.own_uri(uri) {
            let event = Lifecycle::Unsubscribed((&*own).into(), self.subscriber);
            self.handler.on_lifecycle(&event);
        }
    }

    /// Ends the session of a client that has one.
    pub fn end_session(self, why: SessionEnd) {
        if let Some(id) = self.session() {
            self.handler.on_lifecycle(&Lifecycle::Ended(id, why));
        }
    }

    /// What it was asked so far: methods and params.
    #[must_use]
    pub fn asked(&self) -> Vec<(String, Value)> {
        self.link.asked.borrow().clone()
    }

    /// The progress that it received so far.
    #[must_use]
    pub fn progress(&self) -> Vec<Progressed> {
        let notified = self.link.notified.borrow();
        let progress = notified
            .iter()
            .filter(|(method, _)| method == RpcMethod::Progress.name());
        progress.map(|(_, params)| typed(params.clone())).collect()
    }

    /// What log messages it was sent so far, of every level. None, if the application does not declare `logging`.
    #[must_use]
    pub fn logs(&self) -> Vec<Logged> {
        let logged = self.link.logged.borrow();
        logged
            .iter()
            .map(|(_, params)| typed(params.clone()))
            .collect()
    }

    /// Whether [`close_stream`](crate::app::Context::close_stream) was called.
    #[must_use]
    pub fn stream_closed(&self) -> bool {
        self.link.stream_closed.get()
    }

    fn typed<T: DeserializeOwned>(&self, method: &str, params: Value) -> Result<T, RpcError> {
        self.request(method, params).map(typed)
    }

    fn all_pages<T: DeserializeOwned>(
        &self,
        method: RpcMethod,
        member: &str,
    ) -> Result<Vec<T>, RpcError> {
        let mut all = Vec::new();
        let mut params = json!({});
        loop {
            let mut page = self.request(method.name(), params)?;
            all.extend(typed::<Vec<T>>(page[member].take()));
            match page["nextCursor"].take() {
                Value::Null => return Ok(all),
                cursor => params = json!({ "cursor": cursor }),
            }
        }
    }

    /// The same request again, with answers to what the interim result asks.
    fn answered(&self, mut params: Value, interim: &Value) -> Value {
        let asked = interim["inputRequests"].as_object().cloned();
        let answers = asked.unwrap_or_default().into_iter().map(|(key, request)| {
            let method = request["method"].as_str().unwrap_or_default();
            let answer = self.link.answer(method, request["params"].clone());
            match answer {
                Some(Ok(answer)) => (key, answer),
                Some(Err(why)) => panic!("{key}: {why:?} ends the call of a client of 2026-07-28"),
                None => panic!("{key}: nobody answers {method}; see TestClient::will_answer"),
            }
        });
        params["inputResponses"] = answers.collect::<Map<_, _>>().into();
        if let Some(state) = interim.get("requestState") {
            params["requestState"] = state.clone();
        }
        params
    }
}

/// A call under way.
pub struct TestCall {
    future: LocalBoxFuture<'static, Outcome>,
    world: Rc<World>,
}

impl TestCall {
    /// Runs until it waits, without moving time. Some: it has ended.
    #[must_use]
    pub fn poll(&mut self) -> Option<Outcome> {
        self.world.poll(&mut self.future)
    }

    /// Runs to its end, moving time whenever it waits for that.
    ///
    /// # Panics
    /// It waits for what never comes.
    #[must_use]
    pub fn finish(self) -> Outcome {
        self.world.run(self.future)
    }
}

fn parsed<T: DeserializeOwned>(json: &str) -> T {
    serde_json::from_str(json)
        .unwrap_or_else(|fault| panic!("not what it should be ({fault}): {json}"))
}

fn typed<T: DeserializeOwned>(value: Value) -> T {
    parsed(&value.to_string())
}

fn session_id(number: u32) -> SessionId {
    SessionId {
        node: NodeName::new("test").expect("letters"),
        locator: Locator {
            core: 0,
            slot: number,
            generation: 0,
            incarnation: 0,
        },
        secret: [0; 16],
    }
}
