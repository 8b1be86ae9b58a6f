//! POST: one message, or a batch of 2025-03-26, told apart by era and served.

use std::borrow::Cow;

use super::call::AnswerTo;
use super::fields::is_json;
use super::look::ReceivedBody;
use super::params::RequestParams;
use super::{Engine, ExchangeOwner, Refused, Request, RequestFields, Wire};
use crate::mcp::{Era, MethodRole, ProtocolVersion, RpcError, RpcMethod};
use crate::wire::json_rpc::{Invalid, Message, Parsed};

/// What decides what a POST is.
#[derive(Clone, Copy)]
pub(super) struct Post<'a> {
    pub(super) request: &'a Request<'a>,
    /// Of a single request, if it was read already.
    pub(super) envelope: Option<&'a Result<RequestParams<'static>, RpcError>>,
    /// What a tree of the body would take.
    pub(super) tree_bytes: usize,
}

impl Post<'_> {
    pub(super) fn answer_to(&self) -> AnswerTo {
        match self.request.fields.accepts_stream() {
            true => AnswerTo::Exchange(self.request.exchange),
            false => AnswerTo::Plain(self.request.exchange),
        }
    }
}

impl Engine {
    pub(super) fn serve_post(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        request: &Request<'_>,
        body: ReceivedBody<'_>,
    ) {
        let (key, fields) = (request.exchange, &request.fields);
        if let Err(refused) = check_post(fields) {
            return wire.refuse(key, None, &refused);
        }
        let seen = match body.see(&self.limits) {
            Ok(seen) => seen,
            Err(refused) => return wire.refuse(key, None, &refused),
        };
        if let Err(refused) = self.take_rate(request.client, messages_in(&seen.parsed)) {
            return wire.refuse(key, asked_id(&seen.parsed), &refused);
        }
        let parsed = match seen.parsed {
            Ok(parsed) => parsed,
            Err(invalid) => {
                let error = RpcError::new(invalid.code, invalid.fault);
                return wire.answer_error(key, 400, invalid.id.map(|id| id.raw()), &error);
            }
        };
        let post = Post {
            request,
            envelope: seen.envelope,
            tree_bytes: seen.tree_bytes,
        };
        if fields.http_sse.is_some() {
            return self.serve_http_sse(wire, post, parsed);
        }
        if let Parsed::One(Message::Request { id, method, .. }) = &parsed
            && RpcMethod::of(method) != Some(RpcMethod::SubscriptionsListen)
            && !fields.accepts_json()
        {
            let sentence = "The answer is application/json, or text/event-stream if there is more to say: Accept must name both.";
            return wire.refuse(key, Some(id.raw()), &not_acceptable(sentence));
        }
        let names_session = fields.session_text().is_some_and(|text| !text.is_empty());
        if self.is_loading && !names_session {
            // What is on the board it cannot say yet. Sessions are not its own: they are passed on, or gone.
            let refused = Refused::busy("This node is reading its board: try again.", 1);
            return wire.refuse(key, None, &refused);
        }
        match parsed {
            Parsed::Batch(messages) => self.serve_batch(wire, post, messages),
            Parsed::One(message) if is_modern(&message, post) => {
                self.serve_modern(wire, post, message)
            }
            Parsed::One(Message::Request { id, method, params })
                if RpcMethod::of(&method) == Some(RpcMethod::Initialize) =>
            {
                self.serve_initialize(wire, post, id.raw(), params);
            }
            Parsed::One(message) => self.serve_legacy(wire, post, message),
        }
    }
}

/// What it counts for among those of its client. What cannot be read is one as well.
fn messages_in(parsed: &Result<Parsed<'_>, Invalid<'_>>) -> usize {
    match parsed {
        Ok(Parsed::Batch(messages)) => messages.len(),
        Ok(Parsed::One(_)) | Err(_) => 1,
    }
}

fn asked_id<'a>(parsed: &'a Result<Parsed<'_>, Invalid<'_>>) -> Option<&'a str> {
    match parsed {
        Ok(Parsed::One(Message::Request { id, .. })) => Some(id.raw()),
        Ok(_) => None,
        Err(invalid) => invalid.id.map(|id| id.raw()),
    }
}

/// What the head of a POST must say.
pub(super) fn check_post(fields: &RequestFields<'_>) -> Result<(), Refused> {
    if !fields.content_type.is_some_and(is_json) {
        let sentence = "A message is sent with Content-Type: application/json.";
        return Err(Refused::new(415, sentence));
    }
    if let Some(coding) = fields.coding {
        let sentence =
            format!("The body is encoded ({coding}): send it as it is, without Content-Encoding.");
        return Err(Refused {
            accept_encoding: true,
            ..Refused::new(415, sentence)
        });
    }
    Ok(())
}

/// The answer to this message is of a type that its client does not take.
pub(super) fn not_acceptable(sentence: impl Into<Cow<'static, str>>) -> Refused {
    Refused::new(406, sentence)
}

/// A request that carries modern metadata is modern, and so is one whose header or method exists in no other era
/// (versioning, "dual-era server").
fn is_modern(message: &Message<'_>, post: Post<'_>) -> bool {
    let fields = &post.request.fields;
    let known = fields.version.known;
    let (method, params) = match message {
        Message::Request { method, params, .. } => (&**method, *params),
        Message::Notification { .. } | Message::Response { .. } => {
            return known == Some(ProtocolVersion::V2026_07_28);
        }
    };
    // `initialize` opens a session of the revisions before, whatever its header says; only its metadata tells otherwise.
    let known_method = RpcMethod::of(method);
    let opens = known_method == Some(RpcMethod::Initialize);
    if (known == Some(ProtocolVersion::V2026_07_28) && !opens)
        || known_method
            .is_some_and(|it| it.role() == MethodRole::Engine && !it.is_of_era(Era::Legacy))
    {
        return true;
    }
    // In a session nothing is modern, and outside of one there is not much but `initialize`.
    let in_session = fields.session_text().is_some_and(|id| !id.is_empty());
    if in_session && (known.is_some() || fields.version.text.is_none()) {
        return false;
    }
    let says_version = |envelope: &RequestParams<'_>| {
        let meta = envelope.meta.as_ref();
        meta.is_some_and(|meta| meta.protocol_version.is_some())
    };
    let has_modern_meta = match post.envelope {
        Some(known) => known.as_ref().is_ok_and(says_version),
        None => params.is_some_and(|params| {
            params
                .get()
                .contains("io.modelcontextprotocol/protocolVersion")
                && super::params::envelope(Some(params))
                    .is_ok_and(|envelope| says_version(&envelope))
        }),
    };
    has_modern_meta || (fields.version.text.is_some() && known.is_none() && !in_session && !opens)
}
