//! Messages of a session: 2025-03-26 to 2025-11-25, and of 2024-11-05 all but how it is answered.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::call::{AnswerTo, CallState};
use super::guard::InPlace;
use super::keys::StreamKey;
use super::messages::{error_message, result_message};
use super::params::{self, Cancelled, SetLevel};
use super::post::{Post, not_acceptable};
use super::session::Session;
use super::stats::OperationEnd;
use super::{CallKey, Engine, EngineOutput, ExchangeOwner, Refused, Request, SessionKey, Wire};
use crate::app::call::Call;
use crate::mcp::types::LoggingLevel;
use crate::mcp::{Era, ProtocolVersion, RpcError, RpcMethod};
use crate::wire::json_rpc::{Id, Invalid, Message};
use crate::wire::json_scan::JsonScan;

/// What the engine makes of a request without the application, or that it is the application's.
pub(super) enum Dispatched {
    Result(Cow<'static, str>),
    Refused(Refused),
    /// Whose method MCP names, or an extension's.
    Application(Option<RpcMethod>),
}

impl Engine {
    pub(super) fn serve_legacy(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        post: Post<'_>,
        message: Message<'_>,
    ) {
        let key = post.request.exchange;
        let id = request_id(&message);
        let session = match self.find_legacy_session(post) {
            Ok(session) => session,
            Err(refused) => {
                if let Message::Request { method, .. } = &message {
                    let version = post.request.fields.version.known;
                    self.count_refused(RpcMethod::of(method), version, &refused);
                }
                return wire.refuse(key, id, &refused);
            }
        };
        match message {
            Message::Request { id, method, params } => {
                self.count_requests(session, 1);
                let call = (id.raw(), &*method, params);
                match post.request.fields.http_sse {
                    Some(_) => self.serve_on_stream(wire, post, session, call),
                    None => self.serve_request(wire, post, session, call),
                }
                wire.answered_for(key, session.into());
            }
            Message::Notification { method, params } => {
                self.take_notification(wire, session, &method, params);
                wire.answer(key, 202, &[], b"");
            }
            Message::Response { id, outcome } => {
                match self.take_response(wire, session, id.raw(), outcome) {
                    Ok(()) => wire.answer(key, 202, &[], b""),
                    Err(refused) => wire.refuse(key, None, &refused),
                }
            }
        }
    }

    /// An array of messages: a stream with an answer for each request in it, or 202 if there is none.
    pub(super) fn serve_batch(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        post: Post<'_>,
        messages: Vec<Result<Message<'_>, Invalid<'_>>>,
    ) {
        let key = post.request.exchange;
        let session = match self
            .find_legacy_session(post)
            .and_then(|session| self.check_batch(post, session, &messages))
        {
            Ok(session) => session,
            Err(refused) => return wire.refuse(key, None, &refused),
        };
        let answers = messages.iter().filter(|it| {
            !matches!(
                it,
                Ok(Message::Notification { .. } | Message::Response { .. })
            )
        });
        let count = answers.count() as u16;
        if count > 0 && !post.request.fields.accepts_stream() {
            let sentence = "A batch with requests in it is answered with text/event-stream: Accept must name it.";
            return wire.refuse(key, None, &not_acceptable(sentence));
        }
        self.count_requests_among(session, &messages);
        let stream = (count > 0).then(|| self.open_response_stream(wire, key, session, count));
        for message in messages {
            match (message, stream) {
                (Ok(Message::Notification { method, params }), _) => {
                    self.take_notification(wire, session, &method, params)
                }
                (Ok(Message::Response { id, outcome }), _) => {
                    // A batch is accepted as a whole; what waits for this one goes on waiting, for a while.
                    let _ = self.take_response(wire, session, id.raw(), outcome);
                }
                (Ok(Message::Request { id, method, params }), Some(stream)) => {
                    let call = (id.raw(), &*method, params);
                    self.serve_one_of_batch(wire, post, session, stream, call);
                }
                (Err(invalid), Some(stream)) => {
                    let error = RpcError::new(invalid.code, invalid.fault);
                    self.push_answer(
                        wire,
                        stream,
                        &error_message(invalid.id.map(Id::raw), &error),
                    );
                }
                (_, None) => {}
            }
        }
        if stream.is_none() {
            wire.answer(key, 202, &[], b"");
        }
    }

    fn serve_one_of_batch(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        post: Post<'_>,
        session: SessionKey,
        stream: StreamKey,
        (id, method, params): (&str, &str, Option<&RawValue>),
    ) {
        let refused = match self.dispatch(post, session, (method, params)) {
            Dispatched::Result(result) => {
                return self.push_answer(wire, stream, &result_message(id, &result));
            }
            Dispatched::Refused(refused) => refused,
            Dispatched::Application(known) => {
                let text = params.map_or("", RawValue::get).as_bytes();
                let tree_bytes = JsonScan::of(text).tree_bytes();
                let call = (id, (known, method), params);
                let (request, answer_to) = (post.request, AnswerTo::Stream(stream));
                let started =
                    self.start_legacy(wire, request, session, call, tree_bytes, answer_to);
                let Err(refused) = started else { return };
                self.count_refused(known, self.version_of(session), &refused);
                refused
            }
        };
        self.note_error(session, Some(method), &refused.error);
        let answer = error_message(Some(id), &refused.error);
        self.push_answer(wire, stream, &answer);
    }

    fn find_legacy_session(&mut self, post: Post<'_>) -> Result<SessionKey, Refused> {
        post.request.fields.version.spoken()?;
        self.find_session(post.request)
    }

    fn check_batch(
        &self,
        post: Post<'_>,
        session: SessionKey,
        messages: &[Result<Message<'_>, Invalid<'_>>],
    ) -> Result<SessionKey, Refused> {
        let version = self.version_of(session);
        let version = version.unwrap_or(ProtocolVersion::LATEST_LEGACY);
        if !version.has_batches() {
            let sentence = format!(
                "Batches exist in 2025-03-26 only, and this session speaks {}.",
                version.as_str()
            );
            return Err(Refused::new(400, sentence));
        }
        if messages.len() > self.limits.batch_messages_max {
            let sentence = format!(
                "A batch has {} messages at most.",
                self.limits.batch_messages_max
            );
            return Err(Refused::new(400, sentence));
        }
        self.check_streams(session)?;
        let requests = messages
            .iter()
            .filter(|it| matches!(it, Ok(Message::Request { .. })));
        self.check_calls(self.caller(post.request, session), requests.count())?;
        Ok(session)
    }

    /// One session cannot take all calls for itself. Streams without a call are only kept for a resume.
    pub(super) fn check_streams(&self, session: SessionKey) -> Result<(), Refused> {
        let open = self
            .sessions
            .get(session)
            .map_or(0, |session| session.calls.len());
        self.check_under_way(open)
    }

    pub(super) fn check_under_way(&self, open: usize) -> Result<(), Refused> {
        if open < self.limits.streams_per_session_max {
            return Ok(());
        }
        let sentence =
            "This session has as many requests under way as it may have: wait for their answers.";
        Err(Refused {
            retry_after_s: Some(1),
            ..Refused::with_reason(429, "too_many_streams", sentence)
        })
    }

    fn serve_request(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        post: Post<'_>,
        session: SessionKey,
        (id, method, params): (&str, &str, Option<&RawValue>),
    ) {
        let key = post.request.exchange;
        match self.dispatch(post, session, (method, params)) {
            Dispatched::Result(result) => wire.answer_result(key, id, &result, &[]),
            Dispatched::Refused(refused) => {
                self.note_error(session, Some(method), &refused.error);
                wire.refuse(key, Some(id), &refused);
            }
            Dispatched::Application(known) => {
                let call = (id, (known, method), params);
                let (answer_to, tree_bytes) = (post.answer_to(), post.tree_bytes);
                let client = self.caller(post.request, session);
                let started = self
                    .check_streams(session)
                    .and_then(|()| self.check_calls(client, 1))
                    .and_then(|()| {
                        let request = post.request;
                        self.start_legacy(wire, request, session, call, tree_bytes, answer_to)
                    });
                match started {
                    Ok(call) => wire.expect_answer(key, ExchangeOwner::Call(call)),
                    Err(refused) => {
                        self.note_error(session, Some(method), &refused.error);
                        self.count_refused(known, self.version_of(session), &refused);
                        wire.refuse(key, Some(id), &refused);
                    }
                }
            }
        }
    }

    pub(super) fn version_of(&self, session: SessionKey) -> Option<ProtocolVersion> {
        self.sessions.get(session).map(Session::version)
    }

    pub(super) fn dispatch(
        &mut self,
        post: Post<'_>,
        session: SessionKey,
        (method, params): (&str, Option<&RawValue>),
    ) -> Dispatched {
        let known = RpcMethod::of(method);
        let dispatched = self.dispatch_known(post, session, known, (method, params));
        match &dispatched {
            Dispatched::Result(_) => self.count_answered(known, self.version_of(session)),
            Dispatched::Refused(refused) => {
                self.count_refused(known, self.version_of(session), refused)
            }
            // Counted when it is over.
            Dispatched::Application(_) => {}
        }
        dispatched
    }

    fn dispatch_known(
        &mut self,
        post: Post<'_>,
        session: SessionKey,
        known: Option<RpcMethod>,
        (method, params): (&str, Option<&RawValue>),
    ) -> Dispatched {
        let request = post.request;
        let done = match known {
            Some(RpcMethod::Ping) => Ok(()),
            Some(RpcMethod::LoggingSetLevel) => self.set_level(session, params),
            Some(RpcMethod::ResourcesSubscribe) => {
                let identity = request.identity.as_deref();
                match self.subscribe(session, identity, params) {
                    Ok(()) => Ok(()),
                    Err(refused) => return Dispatched::Refused(refused),
                }
            }
            Some(RpcMethod::ResourcesUnsubscribe) => self.unsubscribe(session, params),
            Some(RpcMethod::Initialize) => Err(RpcError::invalid_request(
                "This session is initialized already.",
            )),
            Some(known) if !known.is_of_era(Era::Legacy) => Err(RpcError::method_not_found(method)),
            _ => {
                let envelope = post.envelope.and_then(|it| it.as_ref().ok());
                return match self.check_rights(request, Era::Legacy, (method, params), envelope) {
                    Ok(()) => Dispatched::Application(known),
                    Err(InPlace::Refused(refused)) => Dispatched::Refused(refused),
                    Err(InPlace::Result(result)) => Dispatched::Result(result.into()),
                };
            }
        };
        match done {
            Ok(()) => Dispatched::Result("{}".into()),
            Err(error) => Dispatched::Refused(refused(error)),
        }
    }

    fn set_level(
        &mut self,
        session: SessionKey,
        params: Option<&RawValue>,
    ) -> Result<(), RpcError> {
        if self
            .server_info
            .legacy_capabilities
            .get("logging")
            .is_none()
        {
            return Err(RpcError::method_not_found(
                RpcMethod::LoggingSetLevel.name(),
            ));
        }
        let SetLevel { level } = params::parse(params)?;
        let level = LoggingLevel::severity_of(&level).ok_or_else(|| {
            RpcError::invalid_params(format!("Invalid params: {level} is not a log level."))
        })?;
        if let Some(session) = self.sessions.get_mut(session) {
            session.log_level = level;
        }
        self.note_changed(session);
        Ok(())
    }

    pub(super) fn start_legacy(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        sent: &Request<'_>,
        session_key: SessionKey,
        (id, (known, method), params): (&str, (Option<RpcMethod>, &str), Option<&RawValue>),
        tree_bytes: usize,
        answer_to: AnswerTo,
    ) -> Result<CallKey, Refused> {
        let client = self.caller(sent, session_key);
        let charge = self.charge_call(wire, client, &sent.fields, params, tree_bytes)?;
        let caller = self.caller_seen(sent, Some(session_key));
        let operation = self.begin_operation(known, params, None);
        let session = self
            .sessions
            .get(session_key)
            .expect("found for this request");
        let request = Call {
            version: session.version(),
            method: Call::method_known(known, method),
            params: params.map(ToOwned::to_owned),
            client_capabilities: session.client_info.capabilities.clone(),
            client_info: session.client_info.info.clone(),
            caller,
            tree_bytes,
        };
        let call = self.calls.insert(CallState {
            version: session.version(),
            session: Some(session_key),
            id: id.into(),
            answer_to,
            log_level: None,
            operation,
            client,
            asks: Default::default(),
            timer: Default::default(),
            charge,
        });
        if let Some(session) = self.sessions.get_mut(session_key) {
            session.calls.push(call);
        }
        self.count_call(client);
        self.inspect(call, sent, method);
        self.outputs
            .push_back(EngineOutput::Start { call, request });
        Ok(call)
    }

    fn take_notification(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        session: SessionKey,
        method: &str,
        params: Option<&RawValue>,
    ) {
        if RpcMethod::of(method) == Some(RpcMethod::Cancelled)
            && let Ok(Cancelled { request_id }) = params::parse(params)
        {
            self.cancel(wire, session, request_id.get());
        }
    }

    /// The client no longer wants this answer, and gets none.
    fn cancel(&mut self, wire: &mut impl Wire<ExchangeOwner>, session_key: SessionKey, id: &str) {
        let Some(session) = self.sessions.get(session_key) else {
            return;
        };
        let Some(id) = Id::new(id) else { return };
        let named = |call: &CallKey| {
            let state = self.calls.get(*call);
            state.is_some_and(|state| Id::new(&state.id).is_some_and(|own| own.is_same(id)))
        };
        let Some(call) = session.calls.iter().copied().find(named) else {
            return;
        };
        let Some(state) = self.remove_call(call) else {
            return;
        };
        self.count_end(&state, OperationEnd::Cancelled);
        self.outputs.push_back(EngineOutput::Cancel(call));
        match state.answer_to {
            AnswerTo::Exchange(connection) => {
                wire.open_stream(connection);
                wire.end_stream(connection);
            }
            // HTTP wants an answer, JSON-RPC none.
            AnswerTo::Plain(connection) => {
                wire.answer(connection, 202, &[], b"");
            }
            AnswerTo::Stream(stream) => {
                let exchange = self.streams.get(stream).and_then(|it| it.exchange);
                if let (Some(traces), Some(exchange)) = (wire.traces(), exchange) {
                    traces.cancelled(self.now, exchange, &state.id);
                }
                self.finish_one(wire, stream);
            }
            AnswerTo::Nobody => {}
        }
    }
}

pub(super) fn refused(error: RpcError) -> Refused {
    Refused::rpc(error.http_status(Era::Legacy), error)
}

fn request_id<'a>(message: &Message<'a>) -> Option<&'a str> {
    match message {
        Message::Request { id, .. } => Some(id.raw()),
        Message::Notification { .. } | Message::Response { .. } => None,
    }
}
