//! Writing HTTP answers into a connection's outbox, and what each answer does to the connection.

use std::borrow::Cow;

use serde_json::json;

use super::connection::{Hold, State};
use super::hooks::subscriber_of;
use super::session::SessionKey;
use super::{Closed, ConnectionKey, Effect, Shard};
use crate::limits::UNSENT_BYTES_MAX;
use crate::mcp::RpcError;
use crate::wire::Malformed;
use crate::wire::response::{self, Content};

pub(super) const JSON: &str = "application/json";

/// Header fields of one answer, those of CORS included.
const FIELDS_MAX: usize = 12;

/// Well formed, but not to be served: the status and, for people and programs, why.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) error: RpcError,
    pub(super) allow: bool,
    pub(super) retry_after_s: Option<u32>,
    /// For a body in a coding: there is none here.
    pub(super) accept_encoding: bool,
}

/// What the endpoint takes, for 405 and CORS.
pub(super) const METHODS: &str = "POST, GET, DELETE, OPTIONS";

impl Refused {
    pub(super) fn new(status: u16, sentence: impl Into<Cow<'static, str>>) -> Self {
        Refused {
            status,
            error: RpcError::invalid_request(sentence),
            allow: false,
            retry_after_s: None,
            accept_encoding: false,
        }
    }

    pub(super) fn with_reason(
        status: u16,
        reason: &str,
        sentence: impl Into<Cow<'static, str>>,
    ) -> Self {
        let error = RpcError::invalid_request(sentence).with_data(json!({ "reason": reason }));
        Refused {
            status,
            error,
            allow: false,
            retry_after_s: None,
            accept_encoding: false,
        }
    }

    pub(super) fn rpc(status: u16, error: RpcError) -> Self {
        Refused {
            status,
            error,
            allow: false,
            retry_after_s: None,
            accept_encoding: false,
        }
    }

    pub(super) fn method_not_allowed(sentence: &'static str) -> Self {
        Refused {
            allow: true,
            ..Self::new(405, sentence)
        }
    }

    pub(super) fn busy(sentence: &'static str, retry_after_s: u32) -> Self {
        Refused {
            retry_after_s: Some(retry_after_s),
            ..Self::with_reason(503, "busy", sentence)
        }
    }
}

impl Shard {
    /// Answers with a body of JSON (or nothing, if it is empty) and makes the connection ready for the next request.
    pub(super) fn answer(
        &mut self,
        key: ConnectionKey,
        status: u16,
        fields: &[(&str, &str)],
        body: &[u8],
    ) {
        let content = match status {
            204 => Content::None,
            _ => Content::Length(body.len() as u64),
        };
        if body.len() > UNSENT_BYTES_MAX {
            self.hold(key);
        }
        self.emit_head(key, status, fields, content);
        if let Some(connection) = self.connections.get_mut(key)
            && !connection.headers_only
        {
            connection.outbox.extend_from_slice(body);
        }
        self.answered(key);
    }

    /// Answers `{"jsonrpc":"2.0","id":…,"result":…}`.
    pub(super) fn answer_result(
        &mut self,
        key: ConnectionKey,
        id: &str,
        result: &str,
        fields: &[(&str, &str)],
    ) {
        self.answer(key, 200, fields, &result_message(id, result));
    }

    pub(super) fn answer_error(
        &mut self,
        key: ConnectionKey,
        status: u16,
        id: Option<&str>,
        error: &RpcError,
    ) {
        let body = error_message(id, error);
        self.answer(key, status, &[], &body);
    }

    pub(super) fn refuse(&mut self, key: ConnectionKey, id: Option<&str>, refused: &Refused) {
        let body = error_message(id, &refused.error);
        let retry_after = refused.retry_after_s.map(|seconds| seconds.to_string());
        let mut fields = Vec::new();
        if refused.allow {
            fields.push(("Allow", METHODS));
        }
        if refused.accept_encoding {
            // RFC 9110, 12.5.3: it tells this 415 from that for a media type.
            fields.push(("Accept-Encoding", "identity"));
        }
        if let Some(seconds) = &retry_after {
            fields.push(("Retry-After", seconds));
        }
        self.answer(key, refused.status, &fields, &body);
    }

    /// The bytes cannot be understood: what follows them cannot either.
    pub(super) fn refuse_malformed(&mut self, key: ConnectionKey, fault: Malformed) {
        self.refuse_and_close(key, fault.status(), fault.sentence());
    }

    pub(super) fn refuse_body(&mut self, key: ConnectionKey, fault: Malformed) {
        match fault {
            Malformed::BodyTooLarge => self.refuse_body_too_large(key),
            fault => self.refuse_malformed(key, fault),
        }
    }

    pub(super) fn refuse_body_too_large(&mut self, key: ConnectionKey) {
        let sentence = format!(
            "The body is larger than the {} bytes this server takes.",
            self.limits.body_bytes_max
        );
        self.refuse_and_close(key, 413, sentence);
    }

    pub(super) fn refuse_and_close(
        &mut self,
        key: ConnectionKey,
        status: u16,
        sentence: impl Into<Cow<'static, str>>,
    ) {
        self.refuse_request_and_close(key, &Refused::new(status, sentence));
    }

    /// The rest of the request is not read.
    pub(super) fn refuse_request_and_close(&mut self, key: ConnectionKey, refused: &Refused) {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.keep_alive = false;
            self.refuse(key, None, refused);
        }
    }

    /// Opens an SSE response.
    pub(super) fn answer_stream(&mut self, key: ConnectionKey) {
        self.hold(key);
        let http10 = self
            .connections
            .get(key)
            .is_some_and(|connection| connection.http10);
        let content = if http10 {
            Content::UntilClose
        } else {
            Content::Chunked
        };
        let fields = [
            ("Content-Type", "text/event-stream"),
            ("Cache-Control", "no-cache"),
            ("X-Accel-Buffering", "no"),
        ];
        self.emit_head(key, 200, &fields, content);
    }

    /// Ends an SSE response; the connection takes the next request.
    pub(super) fn end_stream(&mut self, key: ConnectionKey) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        if connection.http10 {
            connection.keep_alive = false;
        } else {
            connection.outbox.extend_from_slice(response::LAST_CHUNK);
        }
        self.answered(key);
    }

    /// The server ends the connection. What is in its outbox still leaves.
    pub(super) fn close_after_written(&mut self, key: ConnectionKey) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        connection.state = State::Lingering;
        connection.take_inbox();
        connection.scanned = 0;
        connection.since = self.now;
        if connection.is_writing() {
            connection.close_when_written = true;
        } else {
            self.end_output(key);
        }
    }

    /// The connection is over now, whatever it was doing.
    pub(super) fn close_connection(&mut self, key: ConnectionKey, reason: Closed) {
        let Some(connection) = self.remove_connection(key) else {
            return;
        };
        self.give_back_place(&connection);
        self.effects.push_back(Effect::Close {
            connection: key,
            reason,
        });
        match connection.state {
            State::ExpectAnswer(call) => self.abandon_answer(call),
            State::Streaming(stream) => self.interrupt_stream(stream),
            State::Silent(stream) => self.forget_silent(stream, key),
            State::Listening(listener) => self.close_listener(listener, subscriber_of(listener)),
            State::ExpectHead
            | State::ExpectBody(_)
            | State::ExpectLook(_)
            | State::ExpectOwner
            | State::Lingering => {}
        }
    }

    pub(super) fn mark_dirty(&mut self, key: ConnectionKey) {
        if let Some(connection) = self.connections.get_mut(key)
            && !connection.queued
        {
            connection.queued = true;
            self.dirty.push_back(key);
        }
    }

    pub(super) fn session_id_field(&self, session: SessionKey) -> String {
        let mut text = String::with_capacity(crate::limits::SESSION_ID_BYTES_MAX);
        self.session_id(session).emit(&mut text);
        text
    }

    fn emit_head(
        &mut self,
        key: ConnectionKey,
        status: u16,
        own: &[(&str, &str)],
        content: Content,
    ) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        let mut fields = [("", ""); FIELDS_MAX];
        let mut count = 0;
        let mut add = |field| {
            fields[count] = field;
            count += 1;
        };
        if matches!(content, Content::Length(1..)) && !own.iter().any(|it| it.0 == "Content-Type") {
            add(("Content-Type", JSON));
        }
        own.iter().copied().for_each(&mut add);
        if let Some(origin) = &connection.origin {
            add(("Access-Control-Allow-Origin", origin));
            add(("Access-Control-Expose-Headers", "Mcp-Session-Id"));
            add(("Vary", "Origin"));
        }
        // HTTP/1.0 closes unless both sides say otherwise.
        if connection.http10 && connection.keep_alive && content != Content::UntilClose {
            add(("Connection", "keep-alive"));
        }
        // One allocation for the whole of most answers.
        connection.outbox.reserve(match content {
            Content::Length(length) => 256 + length as usize,
            Content::None | Content::Chunked | Content::UntilClose => 512,
        });
        let keep_alive = connection.keep_alive;
        response::emit_head(
            &mut connection.outbox,
            status,
            &fields[..count],
            content,
            keep_alive,
        );
        self.mark_dirty(key);
    }

    /// An answer is complete in the outbox.
    fn answered(&mut self, key: ConnectionKey) {
        self.uncount_stream(key);
        let now = self.now;
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        connection.origin = None;
        connection.gone = None;
        connection.headers_only = false;
        if connection.hold == Hold::IfLong {
            connection.hold = Hold::No;
        }
        connection.since = now;
        if connection.keep_alive {
            connection.state = State::ExpectHead;
        } else {
            self.close_after_written(key);
        }
        self.mark_dirty(key);
    }
}

/// `{"jsonrpc":"2.0","id":…,"result":…}`
pub(super) fn result_message(id: &str, result: &str) -> Vec<u8> {
    let mut body = Vec::with_capacity(id.len() + result.len() + 40);
    crate::wire::json_rpc::emit_result(&mut body, id, result);
    body
}

/// `{"jsonrpc":"2.0","id":…,"error":…}`; without an id where none could be read.
pub(super) fn error_message(id: Option<&str>, error: &RpcError) -> Vec<u8> {
    let error = serde_json::to_string(error).expect("an error is JSON");
    let mut body = Vec::with_capacity(error.len() + 64);
    crate::wire::json_rpc::emit_error(&mut body, id, &error);
    body
}

/// An object in JSON with members put before its own.
pub(super) fn with_members(members: &str, object: &str) -> String {
    debug_assert!(object.starts_with('{') && !members.is_empty());
    let rest = object[1..].trim_start();
    let comma = if rest.starts_with('}') { "" } else { "," };
    format!("{{{members}{comma}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_go_before_what_is_there() {
        assert_eq!(with_members(r#""a":1"#, "{}"), r#"{"a":1}"#);
        assert_eq!(with_members(r#""a":1"#, r#"{ "b":2}"#), r#"{"a":1,"b":2}"#);
    }
}
