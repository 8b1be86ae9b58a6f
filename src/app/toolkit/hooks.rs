//! What a toolkit does when sessions and subscriptions begin and end.

use std::rc::Rc;

use super::Toolkit;
use crate::app::{OpenedSession, SessionEnd, SessionId, Subscriber};

type OnOpened = Rc<dyn Fn(&OpenedSession)>;
type OnEnded = Rc<dyn Fn(SessionId, SessionEnd)>;
pub(super) type TakesUri = Rc<dyn Fn(&str) -> bool>;
type OnSubscription = Rc<dyn Fn(&str, Subscriber)>;

#[derive(Clone, Default)]
pub(super) struct Hooks {
    pub(super) session_opened: Option<OnOpened>,
    pub(super) session_ended: Option<OnEnded>,
    pub(super) subscribed: Option<OnSubscription>,
    pub(super) unsubscribed: Option<OnSubscription>,
}

/// # When sessions and subscriptions come and go
/// What is given here is called on the core's thread, where everything waits for it: note what happened, and do the work
/// elsewhere. If it panics that is logged, and harms nobody.
///
/// ```
/// use std::cell::RefCell;
/// use std::collections::HashMap;
/// use std::rc::Rc;
///
/// use pinfold::app::{Context, NoArguments, SessionId, Toolkit};
///
/// // A session lives on one core, and so does what is kept of it: no lock, no Arc.
/// fn counter() -> Toolkit {
///     let counts: Rc<RefCell<HashMap<SessionId, u64>>> = Rc::default();
///     let ended = counts.clone();
///     Toolkit::new("counter", "1.0.0")
///         .tool("count", "Counts this session's calls.", move |_: NoArguments, context: Context| {
///             let counts = counts.clone();
///             async move {
///                 let session = context.session().ok_or("This client has no session")?;
///                 let mut counts = counts.borrow_mut();
///                 let count = counts.entry(session).or_default();
///                 *count += 1;
///                 Ok(count.to_string())
///             }
///         })
///         .on_session_ended(move |session, _| {
///             ended.borrow_mut().remove(&session);
///         })
/// }
/// ```
impl Toolkit {
    /// When a session has opened on this core. Clients of 2026-07-28 have none.
    #[must_use]
    pub fn on_session_opened(mut self, run: impl Fn(&OpenedSession) + 'static) -> Self {
        self.hooks.session_opened = Some(Rc::new(run));
        self
    }

    /// When a session of this core is over: what was kept of it can go.
    #[must_use]
    pub fn on_session_ended(mut self, run: impl Fn(SessionId, SessionEnd) + 'static) -> Self {
        self.hooks.session_ended = Some(Rc::new(run));
        self
    }

    /// When a client of this core has subscribed to a resource, with its URI.
    #[must_use]
    pub fn on_subscribed(mut self, run: impl Fn(&str, Subscriber) + 'static) -> Self {
        self.hooks.subscribed = Some(Rc::new(run));
        self
    }

    /// And when no longer, also because the session or the stream is over.
    #[must_use]
    pub fn on_unsubscribed(mut self, run: impl Fn(&str, Subscriber) + 'static) -> Self {
        self.hooks.unsubscribed = Some(Rc::new(run));
        self
    }

    /// Takes subscriptions to these URIs as well. Without this, to the toolkit's resources and to whatever is of one of
    /// its templates: nobody waits in vain for a change of what is not there.
    #[must_use]
    pub fn subscribable(mut self, takes: impl Fn(&str) -> bool + 'static) -> Self {
        self.subscribable = Some(Rc::new(takes));
        self
    }

    /// Handlers see `Authorization`, `Cookie` and `Proxy-Authorization` among the [headers](crate::app::Context::headers)
    /// of a request, which they do not otherwise.
    #[must_use]
    pub fn sees_credentials(mut self) -> Self {
        self.info = self.info.sees_credentials();
        self
    }
}
