//! The application of one core, behind a wall: whatever panics in its code, when it is called, when it goes on or when
//! it is dropped, takes no more than the call that it was done for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_util::future::LocalBoxFuture;

use super::clock;
use crate::app::call::{Call, Handler, Link, Outcome};
use crate::line_limit::Complaints;

pub(super) struct Application {
    /// Some until it is dropped.
    handler: Option<Rc<dyn Handler>>,
    complaints: Complaints,
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
            complaints: Complaints::default(),
        }
    }

    /// A URI that it panics about is none that it accepts.
    pub(super) fn accepts_subscription(&self, uri: &str) -> bool {
        let handler = self.handler.as_ref();
        let asked = || handler.is_some_and(|handler| handler.accepts_subscription(uri));
        catch_unwind(AssertUnwindSafe(asked)).unwrap_or_else(|_| {
            self.complain(
                "accepts_subscription panicked; the client was told that there is no such resource",
            );
            false
        })
    }

    pub(super) fn call(self: &Rc<Self>, call: Call, link: Rc<dyn Link>) -> Guarded<Outcome> {
        let handler = self.handler.clone();
        let begun = catch_unwind(AssertUnwindSafe(|| {
            handler.map(|handler| handler.call(call, link))
        }));
        if begun.is_err() {
            self.complain(CALL);
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

    fn complain(&self, what: &'static str) {
        if let Some(unlogged) = self.complaints.admit(what, clock::now()) {
            tracing::error!(unlogged, "{what}");
        }
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let handler = self.handler.take();
        if catch_unwind(AssertUnwindSafe(|| drop(handler))).is_err() {
            self.complain("the application panicked when it was dropped, at the end of its core");
        }
    }
}

impl<T> Guarded<T> {
    fn end(&mut self) {
        let future = self.future.take();
        if catch_unwind(AssertUnwindSafe(|| drop(future))).is_err() {
            self.application.complain(self.what);
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
                this.application.complain(this.what);
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
    use crate::app::call::About;

    struct Fragile;

    impl Handler for Fragile {
        fn about(&self) -> About {
            panic!("about");
        }

        fn accepts_subscription(&self, uri: &str) -> bool {
            assert_ne!(uri, "bad", "as a bug would");
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
        assert!(application.accepts_subscription("good"));
        assert!(!application.accepts_subscription("bad"));
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
