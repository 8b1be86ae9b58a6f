//! Running calls: the application's futures, and the `Link` each of them speaks through.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{AbortHandle, Abortable, LocalBoxFuture};
use serde_json::value::RawValue;

use super::clock;
use super::engine::Engine;
use crate::app::call::{AskFailed, Call, Link, Outcome, Topic};
use crate::app::contents::{Change, Contents};
use crate::mcp::RpcError;
use crate::shard::CallKey;

struct CallLink<E> {
    core: Rc<E>,
    call: CallKey,
}

/// Each call is a task of its own, from its first poll on: monoio's timers keep the first waker they see, so a
/// future must never be polled outside of the task that it will wait in.
pub(super) fn start(core: &Rc<impl Engine>, key: CallKey, request: Call) {
    let link = Rc::new(CallLink {
        core: core.clone(),
        call: key,
    });
    let future = guarded(core.clone(), core.handler().clone().call(request, link));
    let (abort, registration) = AbortHandle::new_pair();
    core.calls().remember(key, abort);
    let core = core.clone();
    monoio::spawn(async move {
        if let Ok(outcome) = Abortable::new(future, registration).await {
            core.calls().forget(key);
            core.tell(|shard| shard.handle_outcome(clock::now(), key, &outcome));
        }
    });
}

/// An application that panics fails its own call and no other.
fn guarded(
    core: Rc<impl Engine>,
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

impl<E: Engine> Link for CallLink<E> {
    fn notify(&self, method: &str, params: &str) {
        let now = clock::now();
        self.core
            .tell(|shard| shard.handle_notify(now, self.call, method, params));
    }

    fn log(&self, level: u8, params: &str) {
        let now = clock::now();
        self.core
            .tell(|shard| shard.handle_log(now, self.call, level, params));
    }

    fn ask(
        &self,
        method: &str,
        params: &str,
    ) -> LocalBoxFuture<'static, Result<Box<RawValue>, AskFailed>> {
        let (now, core) = (clock::now(), &self.core);
        let answer = core.tell(|shard| {
            let ask = shard.handle_ask(now, self.call, method, params)?;
            core.calls().remember_ask(self.call, ask)
        });
        async move {
            match answer {
                Some(answer) => answer.await.unwrap_or(Err(AskFailed::SessionClosed)),
                None => Err(AskFailed::SessionClosed),
            }
        }
        .boxed_local()
    }

    fn close_stream(&self) {
        let now = clock::now();
        self.core
            .tell(|shard| shard.handle_close_stream(now, self.call));
    }

    fn publish(&self, topic: Topic) {
        self.core.publisher().publish_now(vec![topic]);
    }

    fn publish_contents(&self, uri: &str, contents: Option<&Contents>, change: Change) {
        self.core
            .publisher()
            .publish_contents(uri, contents, change);
    }

    fn seal(&self, plain: &[u8]) -> String {
        self.core.sealer().seal(plain)
    }

    fn unseal(&self, sealed: &str) -> Option<Vec<u8>> {
        self.core.sealer().unseal(sealed)
    }

    fn unix_ms(&self) -> u64 {
        clock::unix_ms()
    }

    fn sleep_ms(&self, ms: u64) -> LocalBoxFuture<'static, ()> {
        monoio::time::sleep(Duration::from_millis(ms)).boxed_local()
    }

    fn run_blocking(&self, work: Box<dyn FnOnce() + Send>) -> LocalBoxFuture<'static, ()> {
        self.core.blocking().run(work).boxed_local()
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
