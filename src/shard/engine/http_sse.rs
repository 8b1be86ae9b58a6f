//! HTTP+SSE, the transport of 2024-11-05, which the specification replaced by Streamable HTTP. Off unless it is asked for.
//!
//! ```text
//! GET /mcp/sse ───────────────▶ a session opens; its stream: event: endpoint, data: /mcp/messages?sessionId=…
//! POST /mcp/messages?sessionId=… ─▶ 202 at once; what is to be said to it: event: message, on that stream
//! ```
//!
//! So a session is its stream. It begins with the GET, before `initialize`, and ends with the stream, and with it all calls:
//! nobody could hear of their answers. Otherwise it is a session as all others. What a POST is refused for (no such session, a
//! body that is none, too much at once) is its answer; what its message is refused for is said on the stream, but for a
//! challenge, which clients read nowhere else.

use serde_json::value::RawValue;

use super::call::AnswerTo;
use super::fields::MessagesAt;
use super::keys::StreamKey;
use super::legacy::Dispatched;
use super::messages::{error_message, result_message};
use super::params::{self, Initialize};
use super::post::{Post, not_acceptable};
use super::session_lifecycle::SessionEnding;
use super::{Closed, Engine, ExchangeOwner, Refused, Request, SessionKey, Wire};
use crate::mcp::{ProtocolVersion, RpcMethod};
use crate::wire::json_rpc::Parsed;
use crate::wire::sse::{self, Event};

/// The one revision of this transport: whatever a client asks for, it speaks this one too, or it would not be here.
const VERSION: ProtocolVersion = ProtocolVersion::V2024_11_05;

impl Engine {
    /// Opens a session with its stream.
    pub(super) fn open_http_sse(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        request: &Request<'_>,
        reference: MessagesAt,
    ) {
        let key = request.exchange;
        let session = match self.admit_http_sse(wire, request) {
            Ok(session) => session,
            Err(refused) => return wire.refuse(key, None, &refused),
        };
        let Some(stream) = self.standalone(session) else {
            return;
        };
        self.trace_named(wire, key, |it| it.session_name(session));
        wire.open_stream(key);
        self.connect(wire, stream, key);
        let id = self.session_id(session).text();
        let paths = self.http_sse.as_ref();
        let messages = paths.map_or_else(String::new, |it| it.messages_of(reference, &id));
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        let endpoint = Event {
            event: Some("endpoint"),
            data: Some(messages.as_bytes()),
            ..Event::default()
        };
        sse::emit_event(&mut events, &endpoint);
        wire.emit_events(key, &events);
        self.events = events;
        if let Some(session) = self.sessions.get(session) {
            self.fanout.name_events(session.listener, true);
            self.fanout.attach(session.listener, key);
        }
        self.announce_opened(session);
    }

    fn admit_http_sse(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        request: &Request<'_>,
    ) -> Result<SessionKey, Refused> {
        if !request.fields.accepts_stream() {
            let sentence = "GET is answered with text/event-stream: Accept must name it.";
            return Err(not_acceptable(sentence));
        }
        self.take_rate(request.client, 1)?;
        if self.is_loading {
            let sentence = "This node is reading its board: try again.";
            return Err(Refused::busy(sentence, 1));
        }
        wire.count_stream(request.exchange)?;
        // `initialize` will tell.
        let nothing = serde_json::from_str::<&RawValue>("{}").expect("it is an object");
        let client_info = self
            .profiles
            .intern(nothing, None)
            .map_err(|error| Refused::rpc(400, error))?;
        self.make_session(wire, request, (VERSION, client_info))
    }

    /// A POST's body was read: what is in it is answered on the session's stream.
    pub(super) fn serve_http_sse(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        post: Post<'_>,
        parsed: Parsed<'_>,
    ) {
        match parsed {
            // 2024-11-05 has none, which is what it is told.
            Parsed::Batch(messages) => self.serve_batch(wire, post, messages),
            Parsed::One(message) => self.serve_legacy(wire, post, message),
        }
    }

    /// A request of a session that is its stream.
    pub(super) fn serve_on_stream(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        post: Post<'_>,
        session: SessionKey,
        (id, method, params): (&str, &str, Option<&RawValue>),
    ) {
        let key = post.request.exchange;
        let Some(stream) = self.sessions.get(session).and_then(|it| it.standalone) else {
            return wire.refuse(key, Some(id), &Refused::out_of_memory());
        };
        if let Err(refused) = self.check_unheard(session, stream) {
            let known = RpcMethod::of(method);
            self.count_refused(known, Some(VERSION), &refused);
            return wire.refuse(key, Some(id), &refused);
        }
        let done = self.work_on_stream(wire, post, (session, stream), (id, method, params));
        let answer = match done {
            Ok(None) => None,
            Ok(Some(result)) => Some(result_message(id, &result)),
            Err(refused) => {
                self.note_error(session, Some(method), &refused.error);
                if refused.challenge.is_some() {
                    return wire.refuse(key, Some(id), &refused);
                }
                Some(error_message(Some(id), &refused.error))
            }
        };
        self.trace_answered_on(wire, key, stream);
        wire.answer(key, 202, &[], b"");
        if let Some(answer) = answer {
            self.push_answer(wire, stream, &answer);
        }
    }

    /// None: a call began, and will answer on the stream.
    fn work_on_stream(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        post: Post<'_>,
        (session, stream): (SessionKey, StreamKey),
        (id, method, params): (&str, &str, Option<&RawValue>),
    ) -> Result<Option<String>, Refused> {
        if !self.is_begun(session) {
            let known = RpcMethod::of(method);
            let done = self.serve_before(post.request, session, (known, params));
            match &done {
                Ok(_) => self.count_answered(known, Some(VERSION)),
                Err(refused) => self.count_refused(known, Some(VERSION), refused),
            }
            return done.map(Some);
        }
        let known = match self.dispatch(post, session, (method, params)) {
            Dispatched::Result(result) => return Ok(Some(result.into_owned())),
            Dispatched::Refused(refused) => return Err(refused),
            Dispatched::Application(known) => known,
        };
        let client = self.caller(post.request, session);
        let (call, tree_bytes) = ((id, (known, method), params), post.tree_bytes);
        let answer_to = AnswerTo::Stream(stream);
        let started = self.check_calls(client, 1).and_then(|()| {
            self.start_legacy(wire, post.request, session, call, tree_bytes, answer_to)
        });
        started.map(|_| None).inspect_err(|refused| {
            self.count_refused(known, Some(VERSION), refused);
        })
    }

    /// Before `initialize` there is nothing but that, and a ping (2024-11-05, lifecycle, "Initialization").
    fn serve_before(
        &mut self,
        request: &Request<'_>,
        session: SessionKey,
        (method, params): (Option<RpcMethod>, Option<&RawValue>),
    ) -> Result<String, Refused> {
        match method {
            Some(RpcMethod::Ping) => Ok("{}".to_owned()),
            Some(RpcMethod::Initialize) => self.initialize_http_sse(request, session, params),
            _ => {
                let sentence = "This session is not initialized: initialize comes first.";
                Err(Refused::new(400, sentence))
            }
        }
    }

    fn initialize_http_sse(
        &mut self,
        request: &Request<'_>,
        session: SessionKey,
        params: Option<&RawValue>,
    ) -> Result<String, Refused> {
        let client_info = params::parse::<Initialize<'_>>(params).and_then(|it| {
            let said = (it.capabilities, it.client_info);
            self.profiles.intern(said.0, said.1)
        });
        let client_info = client_info.map_err(|error| Refused::rpc(400, error))?;
        if let Some(session) = self.sessions.get_mut(session) {
            session.settled = Some(VERSION);
            let unknown = std::mem::replace(&mut session.client_info, client_info);
            self.profiles.release(unknown);
        }
        self.begin_session(session, request);
        Ok(self.initialize_result(VERSION))
    }

    /// An answer that waits for its client to read is one under way: as many as a session has room for, of whatever size.
    fn check_unheard(&self, session: SessionKey, stream: StreamKey) -> Result<(), Refused> {
        let calls = self.sessions.get(session).map_or(0, |it| it.calls.len());
        let unheard = self.streams.get(stream).map_or(0, |it| it.waiting().0);
        self.check_under_way(calls + unheard)
    }

    /// It is there, and `initialize` has come.
    pub(super) fn is_begun(&self, session: SessionKey) -> bool {
        let session = self.sessions.get(session);
        session.is_some_and(|it| it.settled.is_some())
    }

    /// A session that is its stream is over with it. False: this stream is another's.
    pub(super) fn end_with_stream(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        stream: StreamKey,
        why: Closed,
    ) -> bool {
        let session = self.streams.get(stream).and_then(|it| it.session);
        let is_its_stream = |key: &SessionKey| {
            let session = self.sessions.get(*key);
            session.is_some_and(|it| it.is_its_stream())
        };
        let Some(session) = session.filter(is_its_stream) else {
            return false;
        };
        self.end_session(wire, session, SessionEnding::WithItsStream(why))
    }
}
