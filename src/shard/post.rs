//! POST: one message, or a batch of 2025-03-26, told apart by era and served.

use super::answer::Refused;
use super::call::AnswerTo;
use super::look::Body;
use super::params::Envelope;
use super::request::{accepts, is_json};
use super::{ConnectionKey, Shard};
use crate::mcp::{ProtocolVersion, RpcError};
use crate::wire::HeadView;
use crate::wire::json_rpc::{Message, Parsed};

/// The fields that decide what a POST is.
#[derive(Clone, Copy)]
pub(super) struct PostFields<'a> {
    pub(super) head: &'a HeadView<'a>,
    pub(super) session_id: Option<&'a str>,
    pub(super) version: Option<&'a str>,
    /// Of a single request, if it was read already.
    pub(super) envelope: Option<&'a Result<Envelope<'static>, RpcError>>,
    /// What a tree of the body would take.
    pub(super) tree_bytes: usize,
    /// Whether the client takes `text/event-stream`.
    pub(super) accepts_stream: bool,
}

impl PostFields<'_> {
    /// Whether its header says 2026-07-28.
    pub(super) fn is_modern(&self) -> bool {
        self.version == Some(ProtocolVersion::V2026_07_28.as_str())
    }

    pub(super) fn answer_to(&self, key: ConnectionKey) -> AnswerTo {
        match self.accepts_stream {
            true => AnswerTo::Connection(key),
            false => AnswerTo::Plain(key),
        }
    }
}

impl Shard {
    pub(super) fn serve_post(
        &mut self,
        key: ConnectionKey,
        request: &HeadView<'_>,
        body: Body<'_>,
    ) {
        if let Err(refused) = check_post(request) {
            return self.refuse(key, None, &refused);
        }
        let seen = match body.see(&self.limits) {
            Ok(seen) => seen,
            Err(refused) => return self.refuse(key, None, &refused),
        };
        let parsed = match seen.parsed {
            Ok(parsed) => parsed,
            Err(invalid) => {
                let error = RpcError::new(invalid.code, invalid.fault);
                return self.answer_error(key, 400, invalid.id.map(|id| id.raw()), &error);
            }
        };
        let fields = PostFields {
            head: request,
            session_id: request.field("mcp-session-id"),
            version: request.field("mcp-protocol-version"),
            envelope: seen.envelope,
            tree_bytes: seen.tree_bytes,
            accepts_stream: accepts(request, "text/event-stream"),
        };
        if let Parsed::One(Message::Request { id, method, .. }) = &parsed
            && method != "subscriptions/listen"
            && !accepts(request, "application/json")
        {
            let sentence = "The answer is application/json, or text/event-stream if there is more to say: Accept must name both.";
            return self.refuse(key, Some(id.raw()), &not_acceptable(sentence));
        }
        match parsed {
            Parsed::Batch(messages) => self.serve_batch(key, fields, messages),
            Parsed::One(message) if is_modern(&message, fields) => {
                self.serve_modern(key, request, fields, message)
            }
            Parsed::One(Message::Request { id, method, params }) if method == "initialize" => {
                self.serve_initialize(key, fields, id.raw(), params);
            }
            Parsed::One(message) => self.serve_legacy(key, fields, message),
        }
    }
}

/// What the head of a POST must say.
pub(super) fn check_post(request: &HeadView<'_>) -> Result<(), Refused> {
    if !request.field("content-type").is_some_and(is_json) {
        let sentence = "A message is sent with Content-Type: application/json.";
        return Err(Refused::new(415, sentence));
    }
    let mut codings = request
        .fields_named("content-encoding")
        .flat_map(|codings| codings.split(','))
        .map(str::trim);
    if let Some(coding) = codings.find(|it| !it.is_empty() && !it.eq_ignore_ascii_case("identity"))
    {
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
pub(super) fn not_acceptable(sentence: &'static str) -> Refused {
    Refused::new(406, sentence)
}

/// A request that carries modern metadata is modern, and so is one whose header or method exists in no other era
/// (versioning, "dual-era server").
fn is_modern(message: &Message<'_>, fields: PostFields<'_>) -> bool {
    let known = fields.version.and_then(ProtocolVersion::parse);
    let (method, params) = match message {
        Message::Request { method, params, .. } => (&**method, *params),
        Message::Notification { .. } | Message::Response { .. } => {
            return known == Some(ProtocolVersion::V2026_07_28);
        }
    };
    // `initialize` opens a session of the revisions before, whatever its header says; only its metadata tells otherwise.
    let opens = method == "initialize";
    if (known == Some(ProtocolVersion::V2026_07_28) && !opens)
        || matches!(method, "server/discover" | "subscriptions/listen")
    {
        return true;
    }
    // In a session nothing is modern, and outside of one there is not much but `initialize`.
    let in_session = fields.session_id.is_some_and(|id| !id.is_empty());
    if in_session && (known.is_some() || fields.version.is_none()) {
        return false;
    }
    let says_version = |envelope: &Envelope<'_>| {
        let meta = envelope.meta.as_ref();
        meta.is_some_and(|meta| meta.protocol_version.is_some())
    };
    let has_modern_meta = match fields.envelope {
        Some(known) => known.as_ref().is_ok_and(says_version),
        None => params.is_some_and(|params| {
            params
                .get()
                .contains("io.modelcontextprotocol/protocolVersion")
                && super::params::envelope(Some(params))
                    .is_ok_and(|envelope| says_version(&envelope))
        }),
    };
    has_modern_meta || (fields.version.is_some() && known.is_none() && !in_session && !opens)
}
