//! An engine of strings and cells: it plays the client and remembers what a handler did.
//!
//! Everything it promises is ready at once, so a call runs to its end in one poll. Sleeping moves the clock.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, ready};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::call::{AskFailed, Caching, Call, Handler, Link, Outcome, Topic, WorkLost};
use super::{App, handler};
use crate::mcp::{ProtocolVersion, RpcError};

#[derive(Default)]
pub(super) struct FakeLink {
    pub(super) notified: RefCell<Vec<(String, Value)>>,
    pub(super) logged: RefCell<Vec<(u8, Value)>>,
    pub(super) asked: RefCell<Vec<(String, Value)>>,
    /// What the client will answer, one after the other; silence afterwards.
    pub(super) answers: RefCell<VecDeque<Result<Value, AskFailed>>>,
    pub(super) published: RefCell<Vec<Topic>>,
    pub(super) stream_closed: Cell<bool>,
    pub(super) now_ms: Cell<u64>,
    sealed: RefCell<HashMap<String, Vec<u8>>>,
    spawned: RefCell<Vec<LocalBoxFuture<'static, ()>>>,
}

impl FakeLink {
    pub(super) fn run_spawned(&self) {
        for work in self.spawned.take() {
            work.now_or_never().expect("nothing in it waits");
        }
    }
}

impl Link for FakeLink {
    fn notify(&self, method: &str, params: &str) {
        let params = serde_json::from_str(params).unwrap();
        self.notified.borrow_mut().push((method.to_owned(), params));
    }

    fn log(&self, level: u8, params: &str) {
        let params = serde_json::from_str(params).unwrap();
        self.logged.borrow_mut().push((level, params));
    }

    fn ask(
        &self,
        method: &str,
        params: &str,
    ) -> LocalBoxFuture<'static, Result<Box<RawValue>, AskFailed>> {
        let params = serde_json::from_str(params).unwrap();
        self.asked.borrow_mut().push((method.to_owned(), params));
        let answer = self.answers.borrow_mut().pop_front();
        let answer = answer.unwrap_or(Err(AskFailed::TimedOut));
        Box::pin(ready(answer.map(|answer| raw(&answer))))
    }

    fn close_stream(&self) {
        self.stream_closed.set(true);
    }

    fn publish(&self, topic: Topic) {
        self.published.borrow_mut().push(topic);
    }

    fn seal(&self, plain: &[u8]) -> String {
        let mut sealed = self.sealed.borrow_mut();
        let name = format!("sealed-{}", sealed.len());
        sealed.insert(name.clone(), plain.to_vec());
        name
    }

    fn unseal(&self, sealed: &str) -> Option<Vec<u8>> {
        self.sealed.borrow().get(sealed).cloned()
    }

    fn unix_ms(&self) -> u64 {
        self.now_ms.get()
    }

    fn sleep_ms(&self, ms: u64) -> LocalBoxFuture<'static, ()> {
        self.now_ms.set(self.now_ms.get() + ms);
        Box::pin(ready(()))
    }

    fn run_blocking(
        &self,
        work: Box<dyn FnOnce() + Send>,
    ) -> LocalBoxFuture<'static, Result<(), WorkLost>> {
        let done = std::thread::spawn(work).join();
        Box::pin(ready(done.map_err(|_| WorkLost::Panicked)))
    }

    fn spawn(&self, work: LocalBoxFuture<'static, ()>) {
        self.spawned.borrow_mut().push(work);
    }
}

/// A client of one revision, talking to one application.
pub(super) struct Peer {
    pub(super) link: Rc<FakeLink>,
    pub(super) handler: Rc<dyn Handler>,
    version: ProtocolVersion,
    capabilities: Arc<Value>,
    headers: Vec<(Box<str>, Box<str>)>,
}

impl Peer {
    pub(super) fn legacy(app: impl App + 'static) -> Self {
        Self::new(app, ProtocolVersion::V2025_11_25)
    }

    pub(super) fn modern(app: impl App + 'static) -> Self {
        Self::new(app, ProtocolVersion::V2026_07_28)
    }

    pub(super) fn new(app: impl App + 'static, version: ProtocolVersion) -> Self {
        Peer {
            link: Rc::default(),
            handler: handler(app),
            version,
            capabilities: Arc::new(json!({ "sampling": {}, "elicitation": {}, "roots": {} })),
            headers: Vec::new(),
        }
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
        let call = Call {
            version: self.version,
            method: method.into(),
            params: params.map(raw),
            client_capabilities: Arc::clone(&self.capabilities),
            client_info: None,
            tree_bytes: 0,
            param_headers: self.headers.clone(),
        };
        let link: Rc<dyn Link> = Rc::<FakeLink>::clone(&self.link);
        Rc::clone(&self.handler).call(call, link)
    }

    pub(super) fn outcome(&self, method: &str, params: &Value) -> Outcome {
        let running = self.start(method, Some(params));
        running.now_or_never().expect("nothing in it waits")
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
