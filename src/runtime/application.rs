//! The application of one core, behind a wall. Its code may panic when it is called, when it goes on or when it is dropped:
//! that takes no more than the call that it was done for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_util::future::LocalBoxFuture;

use super::clock;
use crate::app::call::{Call, Handler, Lifecycle, Link, Outcome};
use crate::log_throttle::LogThrottles;
use crate::wire::uri::{NotAUri, normal};

pub(super) struct Application {
    /// Some until it is dropped.
    handler: Option<Rc<dyn Handler>>,
    throttles: LogThrottles,
}

/// A future of the application's; it resolves to `None` if it has panicked.
pub(super) struct Guarded<T> {
    future: Option<LocalBoxFuture<'static, T>>,
    application: Rc<Application>,
    what: &'static str,
}

const CALL: &str = "a handler panicked; its client got an internal error";
const BACKGROUND: &str = "work in the background of a handler panicked";

impl Application {
    pub(super) fn new(handler: Rc<dyn Handler>) -> Self {
        Application {
            handler: Some(handler),
            throttles: LogThrottles::default(),
        }
    }

    /// The spelling by which a publication names this resource. None: clients may not subscribe to it, also if the
    /// application panics about it.
    ///
    /// # Errors
    /// [`NotAUri`]
    pub(super) fn accepts(&self, uri: &str) -> Result<Option<Box<str>>, NotAUri> {
        self.ask_about(uri, |handler, own| handler.accepts_subscription(own))
    }

    /// The same of any resource, whether or not clients may subscribe to it.
    ///
    /// # Errors
    /// [`NotAUri`]
    pub(super) fn spelling(&self, uri: &str) -> Result<Option<Box<str>>, NotAUri> {
        self.ask_about(uri, |_, _| true)
    }

    fn ask_about(
        &self,
        uri: &str,
        takes: impl Fn(&dyn Handler, &str) -> bool,
    ) -> Result<Option<Box<str>>, NotAUri> {
        let asked = || {
            let Some(handler) = &self.handler else {
                return Ok(None);
            };
            let own = handler.own_uri(uri)?;
            // Whatever an application makes of it, this is how a publication names it.
            let own: Box<str> = normal(&own)?.into();
            Ok(takes(&**handler, &own).then_some(own))
        };
        catch_unwind(AssertUnwindSafe(asked)).unwrap_or_else(|_| {
            self.log_panic(
                "accepts_subscription or own_uri panicked; the client was told that there is no such resource",
            );
            Ok(None)
        })
    }

    /// Runs the hook of what happened to a session or a subscription.
    pub(super) fn run_hook(&self, event: &Lifecycle) {
        let hook = || {
            if let Some(handler) = &self.handler {
                handler.on_lifecycle(event);
            }
        };
        if catch_unwind(AssertUnwindSafe(hook)).is_err() {
            self.log_panic("what an application does about a session or a subscription panicked");
        }
    }

    pub(super) fn call(self: &Rc<Self>, call: Call, link: Rc<dyn Link>) -> Guarded<Outcome> {
        let handler = self.handler.clone();
        let begun = catch_unwind(AssertUnwindSafe(|| {
            handler.map(|handler| handler.call(call, link))
        }));
        if begun.is_err() {
            self.log_panic(CALL);
        }
        self.guarded(begun.unwrap_or(None), CALL)
    }

    pub(super) fn background(self: &Rc<Self>, work: LocalBoxFuture<'static, ()>) -> Guarded<()> {
        self.guarded(Some(work), BACKGROUND)
    }

    fn guarded<T>(
        self: &Rc<Self>,
        future: Option<LocalBoxFuture<'static, T>>,
        what: &'static str,
    ) -> Guarded<T> {
        Guarded {
            future,
            application: self.clone(),
            what,
        }
    }

    fn log_panic(&self, what: &'static str) {
        if let Some(unlogged) = self.throttles.admit(what, clock::now()) {
            tracing::error!(unlogged, "{what}");
        }
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let handler = self.handler.take();
        if catch_unwind(AssertUnwindSafe(|| drop(handler))).is_err() {
            self.log_panic("the application panicked when it was dropped, at the end of its core");
        }
    }
}

impl<T> Guarded<T> {
    fn end(&mut self) {
        let future = self.future.take();
        if catch_unwind(AssertUnwindSafe(|| drop(future))).is_err() {
            self.application.log_panic(self.what);
        }
    }
}

impl<T> Future for Guarded<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let this = &mut *self;
        let Some(future) = &mut this.future else {
            return Poll::Ready(None);
        };
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        let value = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(value)) => Some(value),
            Err(_) => {
                this.application.log_panic(this.what);
                None
            }
        };
        this.end();
        Poll::Ready(value)
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures_util::FutureExt;

    use super::*;
    use crate::app::call::ServerInfoJson;

    struct Fragile;

    impl Handler for Fragile {
        fn server_info(&self) -> ServerInfoJson {
            panic!("about");
        }

        fn accepts_subscription(&self, uri: &str) -> bool {
            assert_ne!(uri, "x:bad", "as a bug would");
            true
        }

        fn call(self: Rc<Self>, _: Call, _: Rc<dyn Link>) -> LocalBoxFuture<'static, Outcome> {
            panic!("before there is a future");
        }
    }

    impl Drop for Fragile {
        fn drop(&mut self) {
            panic!("at the end");
        }
    }

    #[test]
    fn a_panic_wherever_an_application_may_have_one() {
        let application = Rc::new(Application::new(Rc::new(Fragile)));
        assert_eq!(application.accepts("X:good"), Ok(Some("x:good".into())));
        assert_eq!(application.accepts("x:bad"), Ok(None));
        assert_eq!(application.spelling("X:bad"), Ok(Some("x:bad".into())));
        assert!(application.accepts("no uri").is_err());
        let panics = application.background(async { panic!("as it goes on") }.boxed_local());
        assert_eq!(panics.now_or_never(), Some(None));
        let sound = application.background(ready(()).boxed_local());
        assert_eq!(sound.now_or_never(), Some(Some(())));
        let held = Fragile;
        let dropped = application.background(
            async move {
                let _held = held;
                pending::<()>().await;
            }
            .boxed_local(),
        );
        assert_eq!(dropped.now_or_never(), None);
        drop(application);
    }
}
