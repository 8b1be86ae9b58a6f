//! Running calls: the application's futures, and the `Link` each of them speaks through.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{AbortHandle, Abortable, LocalBoxFuture};
use monoio::time::{Instant, sleep_until};
use serde_json::value::RawValue;

use super::clock;
use super::core::Core;
use crate::app::call::{AskFailed, Call, Lifecycle, Link, Outcome, Topic};
use crate::app::contents::{Change, Contents};
use crate::mcp::RpcError;
use crate::shard::CallKey;

struct CallLink {
    core: Rc<Core>,
    call: CallKey,
}

/// Each call is a task of its own, from its first poll on: monoio's timers keep the first waker they see, so a
/// future must never be polled outside of the task that it will wait in.
pub(super) fn start(core: &Rc<Core>, key: CallKey, request: Call) {
    let link = Rc::new(CallLink {
        core: core.clone(),
        call: key,
    });
    let future = guarded(core.clone(), core.handler.clone().call(request, link));
    let (abort, registration) = AbortHandle::new_pair();
    core.remember_abort(key, abort);
    let core = core.clone();
    monoio::spawn(async move {
        if let Ok(outcome) = Abortable::new(future, registration).await {
            core.forget_call(key);
            core.shard
                .borrow_mut()
                .handle_outcome(clock::now(), key, &outcome);
            core.pump();
        }
    });
}

/// A sleep that may be moved: polled within a call first and in a task of its own afterwards, it wakes that one.
async fn sleep(duration: Duration) {
    let until = Instant::now() + duration;
    let mut timer = pin!(sleep_until(until));
    let mut known: Option<Waker> = None;
    poll_fn(|context| {
        let waker = context.waker();
        if !known.as_ref().is_some_and(|it| it.will_wake(waker)) {
            if known.is_some() {
                // This one would go on waking whom it saw first.
                timer.set(sleep_until(until));
            }
            known = Some(waker.clone());
        }
        timer.as_mut().poll(context)
    })
    .await;
}

/// Tells the application, whose mistakes are its own.
pub(super) fn tell(core: &Core, event: &Lifecycle) {
    let told = AssertUnwindSafe(|| core.handler.on_lifecycle(event));
    if catch_unwind(told).is_err()
        && let Some(unlogged) = core.may_log("hook panic")
    {
        tracing::error!(
            unlogged,
            "what an application does about a session or a subscription panicked"
        );
    }
}

/// An application that panics fails its own call and no other.
fn guarded(
    core: Rc<Core>,
    future: LocalBoxFuture<'static, Outcome>,
) -> LocalBoxFuture<'static, Outcome> {
    let caught = AssertUnwindSafe(future).catch_unwind();
    let outcome = caught.map(move |outcome| {
        outcome.unwrap_or_else(|_| {
            if let Some(unlogged) = core.may_log("panic") {
                tracing::error!(
                    unlogged,
                    "a handler panicked; its client got an internal error"
                );
            }
            Outcome::Error(RpcError::internal(
                "The server failed while it worked on this request.",
            ))
        })
    });
    outcome.boxed_local()
}

impl Link for CallLink {
    fn notify(&self, method: &str, params: &str) {
        self.core
            .shard
            .borrow_mut()
            .handle_notify(clock::now(), self.call, method, params);
        self.core.pump();
    }

    fn log(&self, level: u8, params: &str) {
        self.core
            .shard
            .borrow_mut()
            .handle_log(clock::now(), self.call, level, params);
        self.core.pump();
    }

    fn ask(
        &self,
        method: &str,
        params: &str,
    ) -> LocalBoxFuture<'static, Result<Box<RawValue>, AskFailed>> {
        let ask = self
            .core
            .shard
            .borrow_mut()
            .handle_ask(clock::now(), self.call, method, params);
        let Some(ask) = ask else {
            self.core.pump();
            return async { Err(AskFailed::SessionClosed) }.boxed_local();
        };
        let answer = self.core.remember_ask(self.call, ask);
        self.core.pump();
        async move {
            match answer {
                Some(answer) => answer.await.unwrap_or(Err(AskFailed::SessionClosed)),
                None => Err(AskFailed::SessionClosed),
            }
        }
        .boxed_local()
    }

    fn peer(&self) -> Option<SocketAddr> {
        self.core.peer_of(self.call)
    }

    fn close_stream(&self) {
        self.core
            .shard
            .borrow_mut()
            .handle_close_stream(clock::now(), self.call);
        self.core.pump();
    }

    fn publish(&self, topic: Topic) {
        self.core.publisher.publish_now(vec![topic]);
    }

    fn publish_contents(&self, uri: &str, contents: Option<&Contents>, change: Change) {
        self.core.publisher.publish_contents(uri, contents, change);
    }

    fn seal(&self, plain: &[u8]) -> String {
        self.core.sealer.seal(plain)
    }

    fn unseal(&self, sealed: &str) -> Option<Vec<u8>> {
        self.core.sealer.unseal(sealed)
    }

    fn unix_ms(&self) -> u64 {
        clock::unix_ms()
    }

    fn sleep_ms(&self, ms: u64) -> LocalBoxFuture<'static, ()> {
        Box::pin(sleep(Duration::from_millis(ms)))
    }

    fn run_blocking(&self, work: Box<dyn FnOnce() + Send>) -> LocalBoxFuture<'static, ()> {
        self.core.blocking.run(work).boxed_local()
    }

    fn spawn(&self, work: LocalBoxFuture<'static, ()>) {
        let core = self.core.clone();
        monoio::spawn(async move {
            if AssertUnwindSafe(work).catch_unwind().await.is_err()
                && let Some(unlogged) = core.may_log("background panic")
            {
                tracing::error!(unlogged, "work in the background of a handler panicked");
            }
        });
    }
}
