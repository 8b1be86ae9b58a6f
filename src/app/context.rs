//! What a method of an application gets beside its request: who asks, and ways to reach them meanwhile.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::ask::Rounds;
use super::call::{Call, Headers, Link, Topic, WorkLost};
use super::contents::{Change, Contents};
use super::envelope::{CallEnvelope, meta_text};
use super::notice::message_params;
use super::params::blocking;
use super::state::RequestState;
use super::{Error, SessionId};
use crate::mcp::types::{ElicitRequest, InputRequest, JsonObject, LoggingLevel, ProgressToken};
use crate::mcp::{Era, ProtocolVersion, RpcError, RpcMethod};
use crate::principal::{Action, Decision, Identity, PrincipalId};
use crate::wire::trace_context::TraceContext;

/// One running call. Cheap to clone; a clone may outlive the call, and what it sends to the client then is lost.
#[derive(Clone)]
pub struct Context(Rc<ContextInner>);

struct ContextInner {
    call: Call,
    link: Rc<dyn Link>,
    progress_token: Option<ProgressToken>,
    trace: Option<TraceContext>,
    /// Of large params.
    meta: Option<Box<RawValue>>,
    rounds: RefCell<Rounds>,
    /// What was read of large params already.
    read_ahead: Cell<Option<Box<dyn Any + Send>>>,
    cancellation: Cancellation,
    logging: Rc<Logging>,
}

/// Whether an application may send log messages: it may if it says so.
pub(super) struct Logging {
    declared: bool,
    /// Whoever wrote it was told.
    complained: Cell<bool>,
}

impl Logging {
    pub(super) fn of(declared: bool) -> Self {
        Logging {
            declared,
            complained: Cell::new(false),
        }
    }

    fn allows(&self) -> bool {
        if !self.declared && !self.complained.replace(true) {
            tracing::warn!(
                "a handler logs to its client, and the application does not declare `logging`: nothing is sent \
                 (Toolkit::logging, Capabilities::logging)"
            );
        }
        self.declared
    }
}

impl Context {
    /// # Errors
    /// `_meta` or `requestState` is wrong.
    pub(super) fn new(
        call: Call,
        link: Rc<dyn Link>,
        envelope: CallEnvelope,
        logging: Rc<Logging>,
    ) -> Result<Self, RpcError> {
        let memory = match &envelope.request_state {
            None => RequestState::default(),
            Some((sealed, digest)) => RequestState::unseal(sealed, digest, &*link)?,
        };
        let sent = envelope.trace.or(call.caller.trace.as_deref().copied());
        let trace = link.trace_context(sent);
        Ok(Context(Rc::new(ContextInner {
            call,
            link,
            progress_token: envelope.progress_token,
            trace,
            meta: envelope.meta,
            rounds: RefCell::new(Rounds::new(envelope.input_responses, memory)),
            read_ahead: Cell::new(envelope.request),
            cancellation: Cancellation::default(),
            logging,
        })))
    }

    /// Whether the client has a session (legacy) or sends its metadata with every request (modern).
    #[must_use]
    pub fn era(&self) -> Era {
        self.0.call.era()
    }

    /// The revision that the client speaks.
    #[must_use]
    pub fn version(&self) -> ProtocolVersion {
        self.0.call.version
    }

    /// The session that this call belongs to: a key for what the application keeps of it, until
    /// [`session_ended`](super::App::session_ended). Clients of 2026-07-28 have none.
    #[must_use]
    pub fn session(&self) -> Option<SessionId> {
        self.0.call.caller.session
    }

    /// The other end of the connection that the request came on, as the kernel has it: the client, or a proxy, or another
    /// node that passes the request on. `None` once it is gone, and in a test without a network.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        self.0.link.peer()
    }

    /// The client's address, as limits go by it: its connection's, or the one that a trusted proxy names. Of an IPv6 client
    /// it is the first of its /64; in full it is the [`peer`](Context::peer)'s, or behind a proxy in `X-Forwarded-For` among
    /// the [`headers`](Context::headers).
    #[must_use]
    pub fn client_address(&self) -> Option<IpAddr> {
        self.0.call.caller.address
    }

    /// Who the client is: issuer and subject, scopes, and the claims of its token. `None`: the server asks nobody who they are
    /// (`--auth none`).
    ///
    /// ```
    /// # use pinfold::app::{Context, Error};
    /// fn may_close(context: &Context) -> Result<(), Error> {
    ///     let granted = context.identity().is_some_and(|it| it.scopes().has("shop:close"));
    ///     granted.then_some(()).ok_or_else(|| Error::from("You may not close the shop"))
    /// }
    /// ```
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.0.call.caller.identity.as_deref()
    }

    /// The same in sixteen bytes: a key for what the application keeps of a client, whichever token it shows.
    #[must_use]
    pub fn principal(&self) -> Option<PrincipalId> {
        self.identity().map(Identity::id)
    }

    /// Whether the client may do this, by the server's policy as it was when this call began (`[policy]` in the configuration
    /// file). What a client asks for itself was asked already: its tool, prompt or resource. This is for what a tool does
    /// beyond that.
    ///
    /// URIs are compared in the spelling by which the application publishes them. Where there is no policy, everybody may do
    /// everything.
    ///
    /// ```
    /// use pinfold::Action;
    /// use pinfold::app::{Context, Error};
    ///
    /// fn rename(from: &str, to: &str, context: &Context) -> Result<String, Error> {
    ///     context.may(Action::Remove(from))?;
    ///     context.may(Action::Publish(to))?;
    ///     Ok(format!("{from} is {to} now"))
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Error::MissingScope`], which becomes 403 and a challenge if nothing was sent before; or what is said of a tool, prompt or
    /// resource that is not there, if nothing that this client could get would help.
    pub fn may(&self, action: Action<'_>) -> Result<(), Error> {
        match self.0.call.caller.decision(action) {
            Decision::Allow => Ok(()),
            Decision::MissingScope(scopes) => Err(Error::MissingScope(scopes.to_owned())),
            Decision::Unknown => Err(Error::Rpc(RpcError::not_there(self.era(), action))),
        }
    }

    /// The same, for one of many.
    pub(super) fn is_allowed(&self, action: Action<'_>) -> bool {
        self.0.call.caller.decision(action) == Decision::Allow
    }

    /// There is a policy: what others may see is not what this client may.
    pub(super) fn has_policy(&self) -> bool {
        self.0.call.caller.policy.is_some()
    }

    /// The header fields of the request, without `Authorization`, `Cookie` and `Proxy-Authorization` unless the application
    /// [asks for them](super::ServerInfo::sees_credentials). They are what the client or a proxy says: proof of nothing.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.0.call.caller.headers
    }

    /// The trace that the request belongs to: `traceparent` of its `_meta`, or of its header if there is none. What a handler asks of
    /// other servers goes on with it, and lines that it logs by `tracing` have the trace's id. A node that sends spans
    /// (`NodeBuilder::otlp`) gives the call's own span as the parent, and begins a trace where there is none.
    ///
    /// ```
    /// # use pinfold::app::Context;
    /// fn header(context: &Context) -> Option<(&'static str, String)> {
    ///     context.trace_context().map(|trace| ("traceparent", trace.to_string()))
    /// }
    /// ```
    #[must_use]
    pub fn trace_context(&self) -> Option<TraceContext> {
        self.0.trace
    }

    /// `_meta` of the request: what a client or an extension says beside the method's own params, as a `traceparent`.
    /// Read anew each time. Empty if there is none.
    #[must_use]
    pub fn meta(&self) -> JsonObject {
        let text = match &self.0.meta {
            Some(text) => Some(&**text),
            None if self.0.call.is_large() => None,
            None => meta_text(self.0.call.params.as_deref()),
        };
        let object = text.map(|text| serde_json::from_str(text.get()));
        object.and_then(Result::ok).unwrap_or_default()
    }

    /// `name`, `title` and `version` of `clientInfo`, an object, if the client gave it: 128 bytes of each.
    #[must_use]
    pub fn client_info(&self) -> Option<&Value> {
        self.0.call.client_info.as_deref()
    }

    /// What the client declared, an object: the capabilities that MCP names, and `extensions` and `experimental` with
    /// settings of 4 KiB at most. The rest of what it sent is not kept.
    #[must_use]
    pub fn client_capabilities(&self) -> &Value {
        &self.0.call.client_capabilities
    }

    /// Whether the client can be asked for a completion of a model ([`sample`](Context::sample)).
    #[must_use]
    pub fn supports_sampling(&self) -> bool {
        self.client_capabilities().get("sampling").is_some()
    }

    /// Whether the client can be asked for its roots ([`list_roots`](Context::list_roots)).
    #[must_use]
    pub fn supports_roots(&self) -> bool {
        self.client_capabilities().get("roots").is_some()
    }

    /// Forms; a client that declares no mode at all means them.
    #[must_use]
    pub fn supports_elicitation(&self) -> bool {
        let declared = self.client_capabilities().get("elicitation");
        declared.is_some_and(|modes| modes.get("form").is_some() || modes.get("url").is_none())
    }

    /// Whether the client can send its user to a URL.
    #[must_use]
    pub fn supports_url_elicitation(&self) -> bool {
        self.client_capabilities()
            .pointer("/elicitation/url")
            .is_some()
    }

    /// The client's settings for an extension, if it declared it.
    #[must_use]
    pub fn client_extension(&self, identifier: &str) -> Option<&Value> {
        self.client_capabilities()
            .get("extensions")?
            .get(identifier)
    }

    /// Whether the client declared what a question needs.
    #[must_use]
    pub fn supports(&self, request: &InputRequest) -> bool {
        match request {
            InputRequest::Elicit(ElicitRequest::Form(_)) => self.supports_elicitation(),
            _ => covers(self.client_capabilities(), &request.required_capabilities()),
        }
    }

    /// Tells how far this call is, if the client asked for that. `progress` must grow from call to call.
    pub fn progress(&self, progress: f64, total: Option<f64>, message: Option<&str>) {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Params<'a> {
            progress_token: &'a RawValue,
            progress: Value,
            #[serde(skip_serializing_if = "Option::is_none")]
            total: Option<Value>,
            #[serde(skip_serializing_if = "Option::is_none")]
            message: Option<&'a str>,
        }

        let Some(token) = &self.0.progress_token else {
            return;
        };
        let params = Params {
            progress_token: token,
            progress: number(progress),
            total: total.map(number),
            message,
        };
        let params = serde_json::to_string(&params).expect("numbers and text");
        self.0.link.notify(RpcMethod::Progress.name(), &params);
    }

    /// What the client wants this call's progress to be called, as it wrote it.
    #[must_use]
    pub fn progress_token(&self) -> Option<&str> {
        self.0.progress_token.as_deref().map(RawValue::get)
    }

    /// Sends a log message to the client, if it wants messages of this level: a session says so by `logging/setLevel`
    /// (`info` and above, until then), a client of 2026-07-28 in each request or gets none.
    ///
    /// The application has to declare it, by [`Toolkit::logging`](super::Toolkit::logging) or
    /// [`Capabilities::logging`](crate::mcp::types::Capabilities::logging): without that, nothing is sent, and the server's
    /// own log says so once. That log is another matter: handlers write to it by the `tracing` crate.
    pub fn log(&self, level: LoggingLevel, logger: Option<&str>, data: impl Serialize) {
        if !self.0.logging.allows() {
            return;
        }
        let Ok(data) = serde_json::to_value(data) else {
            return;
        };
        let params = message_params(level.name(), logger, &data);
        self.0.link.log(level.severity(), &params);
    }

    /// Tells every subscriber, on all cores and nodes, that something changed.
    pub fn publish(&self, topic: Topic) {
        self.0.link.publish(topic);
    }

    /// Tells a principal's subscribers that something changed for them: of all its clients, on all cores and nodes. To everybody
    /// else it is as if nothing had been published.
    ///
    /// ```
    /// # use pinfold::app::{Context, Topic};
    /// fn cart_changed(context: &Context) {
    ///     let cart = Topic::Resource("shop://cart".into());
    ///     if let Some(caller) = context.principal() {
    ///         context.publish_to(caller, cart); // the caller's other clients as well
    ///     }
    /// }
    /// ```
    pub fn publish_to(&self, principal: PrincipalId, topic: Topic) {
        self.0.link.publish_to(principal, topic);
    }

    /// Tells what a write to a content store changed, with the contents for the stores of other nodes.
    pub fn publish_contents(&self, uri: &str, contents: Option<&Contents>, change: Change) {
        self.0.link.publish_contents(uri, contents, change);
    }

    /// Ends the response stream before the result, where the revision allows it (2025-11-25); the client comes
    /// back for the result. For long work behind proxies that do not keep connections.
    pub fn close_stream(&self) {
        self.0.link.close_stream();
    }

    /// Waits for so long without holding up anybody else. Milliseconds count.
    pub async fn sleep(&self, duration: Duration) {
        let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.0.link.sleep_ms(ms).await;
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn unix_ms(&self) -> u64 {
        self.0.link.unix_ms()
    }

    /// Runs work that would stall the core (hashing, images, files) on the node's blocking threads. If the call is
    /// cancelled before the work has begun, it is not run; once it runs it is not stopped: give it the
    /// [`cancellation`](Context::cancellation) to look at.
    ///
    /// # Errors
    /// The work panicked, or as many jobs as may wait, some hundred, wait for a thread already.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        blocking(&*self.0.link, work).await.map_err(|lost| {
            Error::failed(match lost {
                WorkLost::Panicked => "The work did not finish",
                WorkLost::TooMuchWaits => {
                    "The server has too much work of this kind waiting; try again in a moment"
                }
            })
        })
    }

    /// Runs work on this core that outlives the call. It may have been begun within the call: what it waits for finds it
    /// here as well.
    ///
    /// ```
    /// # async fn handler(context: pinfold::app::Context) {
    /// use pinfold::app::Topic;
    ///
    /// let later = context.clone();
    /// context.spawn(async move {
    ///     later.sleep(std::time::Duration::from_secs(60)).await;
    ///     later.publish(Topic::Tools);
    /// });
    /// # }
    /// ```
    pub fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        self.0.link.spawn(Box::pin(work));
    }

    /// A flag that is raised when the call has ended: answered, cancelled, or its client gone.
    #[must_use]
    pub fn cancellation(&self) -> Cancellation {
        self.0.cancellation.clone()
    }

    pub(super) fn call(&self) -> &Call {
        &self.0.call
    }

    pub(super) fn take_read_ahead(&self) -> Option<Box<dyn Any + Send>> {
        self.0.read_ahead.take()
    }

    pub(super) fn method(&self) -> &str {
        &self.0.call.method
    }

    pub(super) fn link(&self) -> &dyn Link {
        &*self.0.link
    }

    pub(super) fn rounds(&self) -> &RefCell<Rounds> {
        &self.0.rounds
    }
}

/// Seen from any thread; see [`Context::cancellation`].
#[derive(Clone, Debug, Default)]
pub struct Cancellation(Arc<AtomicBool>);

impl Cancellation {
    /// The client does not want the result any more, or is gone.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn raise_on_drop(self) -> impl Drop {
        struct Raise(Cancellation);
        impl Drop for Raise {
            fn drop(&mut self) {
                self.0.0.store(true, Ordering::Relaxed);
            }
        }
        Raise(self)
    }
}

/// Whether every capability of `required`, an object of objects, is declared.
fn covers(declared: &Value, required: &Value) -> bool {
    required.as_object().is_none_or(|parts| {
        parts
            .iter()
            .all(|(name, inner)| declared.get(name).is_some_and(|value| covers(value, inner)))
    })
}

/// Whole numbers without a fraction: some clients read `50.0` as text for people.
fn number(value: f64) -> Value {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT_MAX {
        #[allow(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
        return Value::from(value as i64);
    }
    Value::from(value)
}
