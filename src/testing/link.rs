//! The client's side of a running call: what it received, what it was asked, and what it answers.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use futures_util::future::{LocalBoxFuture, ready};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::World;
use crate::app::call::{AskFailed, Link, Topic, WorkLost};
use crate::mcp::types::LoggingLevel;
use crate::principal::PrincipalId;

/// A `notifications/progress`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Progressed {
    /// How far it is; it only grows.
    pub progress: f64,
    /// Where it ends, if that is known.
    pub total: Option<f64>,
    /// What it is at.
    pub message: Option<String>,
}

/// A `notifications/message`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Logged {
    /// How bad it is.
    pub level: LoggingLevel,
    /// What part of the server says it.
    pub logger: Option<String>,
    /// What it says: any value.
    pub data: Value,
}

type Answerer = Box<dyn FnMut(&str, &Value) -> Result<Value, AskFailed>>;

#[derive(Default)]
pub(crate) struct TestLink {
    pub(crate) world: Rc<World>,
    pub(crate) notified: RefCell<Vec<(String, Value)>>,
    pub(crate) logged: RefCell<Vec<(u8, Value)>>,
    pub(crate) asked: RefCell<Vec<(String, Value)>>,
    /// What the client will answer, one after the other; then whatever the answerer says; silence afterwards.
    pub(crate) answers: RefCell<VecDeque<Result<Value, AskFailed>>>,
    pub(super) answerer: RefCell<Option<Answerer>>,
    pub(crate) stream_closed: Cell<bool>,
}

impl TestLink {
    pub(crate) fn of(world: Rc<World>) -> Self {
        TestLink {
            world,
            ..TestLink::default()
        }
    }

    /// The client is asked. `None`: it keeps silent.
    pub(super) fn answer(&self, method: &str, params: Value) -> Option<Result<Value, AskFailed>> {
        let answer = self.answers.borrow_mut().pop_front();
        let mut answerer = self.answerer.borrow_mut();
        let answer = answer.or_else(|| Some(answerer.as_mut()?(method, &params)));
        self.asked.borrow_mut().push((method.to_owned(), params));
        answer
    }
}

impl Link for TestLink {
    fn notify(&self, method: &str, params: &str) {
        let params = serde_json::from_str(params).expect("params are JSON");
        self.notified.borrow_mut().push((method.to_owned(), params));
    }

    fn log(&self, level: u8, params: &str) {
        let params = serde_json::from_str(params).expect("params are JSON");
        self.logged.borrow_mut().push((level, params));
    }

    fn ask(
        &self,
        method: &str,
        params: &str,
    ) -> LocalBoxFuture<'static, Result<Box<RawValue>, AskFailed>> {
        let params = serde_json::from_str(params).expect("params are JSON");
        let answer = self.answer(method, params);
        let answer = answer.unwrap_or(Err(AskFailed::TimedOut));
        Box::pin(ready(answer.map(|answer| raw(&answer))))
    }

    fn close_stream(&self) {
        self.stream_closed.set(true);
    }

    fn publish(&self, topic: Topic) {
        self.world.published.borrow_mut().push(topic);
    }

    fn publish_to(&self, principal: PrincipalId, topic: Topic) {
        let mut published = self.world.published_to.borrow_mut();
        published.push((principal, topic));
    }

    fn seal(&self, plain: &[u8]) -> String {
        let mut sealed = self.world.sealed.borrow_mut();
        let name = format!("sealed-{}", sealed.len());
        sealed.insert(name.clone(), plain.to_vec());
        name
    }

    fn unseal(&self, sealed: &str) -> Option<Vec<u8>> {
        self.world.sealed.borrow().get(sealed).cloned()
    }

    fn unix_ms(&self) -> u64 {
        self.world.now_ms()
    }

    fn sleep_ms(&self, ms: u64) -> LocalBoxFuture<'static, ()> {
        Box::pin(self.world.sleep(ms))
    }

    fn run_blocking(
        &self,
        work: Box<dyn FnOnce() + Send>,
    ) -> LocalBoxFuture<'static, Result<(), WorkLost>> {
        let done = std::thread::spawn(work).join();
        Box::pin(ready(done.map_err(|_| WorkLost::Panicked)))
    }

    fn spawn(&self, work: LocalBoxFuture<'static, ()>) {
        self.world.spawn(work);
    }
}

pub(crate) fn raw(value: &Value) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).expect("a value is JSON")
}
