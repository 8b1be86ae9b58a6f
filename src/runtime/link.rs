//! Running calls: the application's futures, and the `Link` each of them speaks through.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{AbortHandle, Abortable, LocalBoxFuture};
use monoio::time::{Instant, sleep_until};
use serde_json::value::RawValue;

use super::clock;
use super::engine::CoreDriver;
use super::spans::CallSpan;
use crate::app::call::{AskFailed, Call, Link, Outcome, Topic, WorkLost};
use crate::app::contents::{Change, Contents};
use crate::mcp::RpcError;
use crate::principal::PrincipalId;
use crate::shard::CallKey;
use crate::tasks;
use crate::wire::trace_context::TraceContext;

struct CallHandle<E> {
    core: Rc<E>,
    call: CallKey,
    span: CallSpan,
}

/// Each call is a task of its own, from its first poll on: monoio's timers keep the first waker they see, so a
/// future must never be polled outside of the task that it will wait in.
pub(super) fn start(core: &Rc<impl CoreDriver>, key: CallKey, request: Call) {
    let link = Rc::new(CallHandle {
        core: core.clone(),
        call: key,
        span: core.calls().spans.begin(core.shard(), key, &request),
    });
    let future = core.application().call(request, link.clone());
    let (abort, registration) = AbortHandle::new_pair();
    core.calls().remember(key, abort);
    let core = core.clone();
    tasks::spawn(async move {
        let ended = Abortable::new(future, registration).await;
        let outcome = ended.ok().map(|it| it.unwrap_or_else(panicked));
        core.calls().spans.end(&link.span, outcome.as_ref());
        if let Some(outcome) = outcome {
            core.calls().forget(key);
            core.with_shard(|shard| shard.handle_outcome(clock::now(), key, &outcome));
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

/// An application that panics fails its own call and no other.
fn panicked() -> Outcome {
    Outcome::Error(RpcError::internal(
        "The server failed while it worked on this request.",
    ))
}

impl<E: CoreDriver> Link for CallHandle<E> {
    fn notify(&self, method: &str, params: &str) {
        let now = clock::now();
        self.core
            .with_shard(|shard| shard.handle_notify(now, self.call, method, params));
    }

    fn log(&self, level: u8, params: &str) {
        let now = clock::now();
        self.core
            .with_shard(|shard| shard.handle_log(now, self.call, level, params));
    }

    fn ask(
        &self,
        method: &str,
        params: &str,
    ) -> LocalBoxFuture<'static, Result<Box<RawValue>, AskFailed>> {
        let (now, core) = (clock::now(), &self.core);
        let answer = core.with_shard(|shard| {
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

    fn peer(&self) -> Option<SocketAddr> {
        self.core.peer_of(self.call)
    }

    fn trace_context(&self, sent: Option<TraceContext>) -> Option<TraceContext> {
        self.core.calls().spans.enter(&self.span, sent)
    }

    fn close_stream(&self) {
        let now = clock::now();
        self.core
            .with_shard(|shard| shard.handle_close_stream(now, self.call));
    }

    fn publish(&self, topic: Topic) {
        self.core.publisher().publish_now(vec![topic]);
    }

    fn publish_to(&self, principal: PrincipalId, topic: Topic) {
        self.core.publisher().publish_to_now(principal, topic);
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
        Box::pin(sleep(Duration::from_millis(ms)))
    }

    fn run_blocking(
        &self,
        work: Box<dyn FnOnce() + Send>,
    ) -> LocalBoxFuture<'static, Result<(), WorkLost>> {
        self.core.blocking().run(work).boxed_local()
    }

    fn spawn(&self, work: LocalBoxFuture<'static, ()>) {
        tasks::spawn(self.core.application().background(work));
    }
}
