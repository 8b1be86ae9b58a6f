//! What [`crate::testing`] is made of, closer to the wire: one round of a call at a time, and its JSON.

use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::call::{Caching, Call, Caller, Handler, Headers, Link, Outcome};
use super::{App, handler};
use crate::mcp::{ProtocolVersion, RpcError};
use crate::principal::{Identity, Permits};
use crate::testing::{TestLink, World};

/// A client of one revision, talking to one application.
pub(super) struct Peer {
    pub(super) link: Rc<TestLink>,
    pub(super) world: Rc<World>,
    pub(super) handler: Rc<dyn Handler>,
    version: ProtocolVersion,
    capabilities: Arc<Value>,
    headers: Vec<(Box<str>, Box<str>)>,
    /// Who it is, and what decides on what they may do.
    governed: Option<(Rc<Identity>, Rc<dyn Permits>)>,
}

impl Peer {
    pub(super) fn legacy(app: impl App + 'static) -> Self {
        Self::new(app, ProtocolVersion::V2025_11_25)
    }

    pub(super) fn modern(app: impl App + 'static) -> Self {
        Self::new(app, ProtocolVersion::V2026_07_28)
    }

    pub(super) fn new(app: impl App + 'static, version: ProtocolVersion) -> Self {
        let world = Rc::<World>::default();
        Peer {
            link: Rc::new(TestLink::of(world.clone())),
            world,
            handler: handler(app),
            version,
            capabilities: Arc::new(json!({ "sampling": {}, "elicitation": {}, "roots": {} })),
            headers: Vec::new(),
            governed: None,
        }
    }

    /// Somebody, under a policy.
    pub(super) fn governed(mut self, subject: &str, policy: impl Permits + 'static) -> Self {
        let identity = Identity::new("https://login.example", subject);
        self.governed = Some((Rc::new(identity), Rc::new(policy)));
        self
    }

    pub(super) fn declaring(mut self, capabilities: Value) -> Self {
        self.capabilities = Arc::new(capabilities);
        self
    }

    pub(super) fn sending(mut self, header: &str, value: &str) -> Self {
        self.headers.push((header.into(), value.into()));
        self
    }

    /// What a legacy client will answer next.
    pub(super) fn will_answer(&self, answer: Value) {
        self.link.answers.borrow_mut().push_back(Ok(answer));
    }

    pub(super) fn start(
        &self,
        method: &str,
        params: Option<&Value>,
    ) -> LocalBoxFuture<'static, Outcome> {
        let fields = self.headers.iter().map(|(name, value)| (&**name, &**value));
        let mut caller = Caller::new(None, None, Headers::of(fields, 0, false));
        if let Some((identity, policy)) = self.governed.clone() {
            (caller.identity, caller.policy) = (Some(identity), Some(policy));
        }
        let call = Call {
            version: self.version,
            method: Call::method_of(method),
            params: params.map(raw),
            client_capabilities: Arc::clone(&self.capabilities),
            client_info: None,
            tree_bytes: 0,
            caller,
        };
        let link: Rc<dyn Link> = Rc::<TestLink>::clone(&self.link);
        Rc::clone(&self.handler).call(call, link)
    }

    pub(super) fn outcome(&self, method: &str, params: &Value) -> Outcome {
        self.world.run(self.start(method, Some(params)))
    }

    pub(super) fn result(&self, method: &str, params: &Value) -> Value {
        match self.outcome(method, params) {
            Outcome::Result { json, .. } => serde_json::from_str(&json).unwrap(),
            other => panic!("no result: {other:?}"),
        }
    }

    pub(super) fn caching(&self, method: &str, params: &Value) -> Option<Caching> {
        match self.outcome(method, params) {
            Outcome::Result { caching, .. } => caching,
            other => panic!("no result: {other:?}"),
        }
    }

    /// A result with a `resultType` of its own.
    pub(super) fn other(&self, method: &str, params: &Value) -> Value {
        match self.outcome(method, params) {
            Outcome::Other { json } => serde_json::from_str(&json).unwrap(),
            other => panic!("no such result: {other:?}"),
        }
    }

    pub(super) fn error(&self, method: &str, params: &Value) -> RpcError {
        match self.outcome(method, params) {
            Outcome::Error(error) => error,
            other => panic!("no error: {other:?}"),
        }
    }

    pub(super) fn tool(&self, name: &str, arguments: Value) -> Value {
        let params = json!({ "name": name, "arguments": arguments });
        self.result("tools/call", &params)
    }

    /// The text of a tool's first content.
    pub(super) fn tool_text(&self, name: &str, arguments: Value) -> String {
        let result = self.tool(name, arguments);
        result["content"][0]["text"].as_str().unwrap().to_owned()
    }
}

fn raw(value: &Value) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).unwrap()
}
