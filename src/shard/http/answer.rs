//! Answers as HTTP/1.1 in a connection's outbox, and what each of them does to the connection.

use std::borrow::Cow;

use super::connection::{Connection, ConnectionState, Hold};
use super::{
    AnswerOwner, Closed, ConnectionKey, Exchange, ExchangeChange, Http, HttpOutput, Refused,
    Unwritten, UpperLayer, Wire,
};
use crate::limits::UNSENT_BYTES_MAX;
use crate::shard::refused::CHALLENGE;
use crate::shard::trace::Traces;
use crate::wire::Malformed;
use crate::wire::response::{self, BodyLength};

const JSON: &str = "application/json";

/// Header fields of one answer, those of CORS included.
const FIELDS_MAX: usize = 12;

/// How events are framed on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) enum Frame {
    Chunk,
    /// Of HTTP/1.0, whose streams end with their connections.
    Bare,
}

impl<U: UpperLayer> Wire<U::Owner> for Http<U> {
    type Frame = Frame;

    fn answer(&mut self, key: Exchange, status: u16, fields: &[(&str, &str)], body: &[u8]) {
        let content = match status {
            204 | 304 => BodyLength::None,
            _ => BodyLength::Length(body.len() as u64),
        };
        if body.len() > UNSENT_BYTES_MAX {
            self.hold(key);
        }
        if let Some(traces) = &mut self.traces {
            traces.answered(self.now, key, status, body);
        }
        self.emit_head(key, status, fields, content);
        if let Some(connection) = self.connections.get_mut(key)
            && !connection.headers_only
        {
            connection.outbox.extend_from_slice(body);
        }
        self.answered(key);
    }

    fn expect_answer(&mut self, key: Exchange, owner: U::Owner) {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.state = ConnectionState::ExpectAnswer(owner);
            connection.since = self.now;
        }
    }

    fn open_stream(&mut self, key: Exchange) {
        self.hold(key);
        let now = self.now;
        if let Some(traces) = &mut self.traces {
            traces.opened(now, key);
        }
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        let content = match connection.http10 {
            true => BodyLength::UntilClose,
            false => BodyLength::Chunked,
        };
        self.stats.streams += usize::from(!connection.is_stream);
        connection.is_stream = true;
        connection.since = now;
        let fields = [
            ("Content-Type", "text/event-stream"),
            ("Cache-Control", "no-cache"),
            ("X-Accel-Buffering", "no"),
        ];
        self.emit_head(key, 200, &fields, content);
    }

    fn set_owner(&mut self, key: Exchange, owner: U::Owner) {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.state = ConnectionState::ExpectAnswer(owner);
        }
        self.arm(key);
    }

    fn emit_events(&mut self, key: Exchange, events: &[u8]) {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        // The stream may have ended meanwhile, and another answer begun.
        if !connection.is_stream {
            return;
        }
        connection.since = now;
        let frame = connection.frame();
        Self::emit_frame(frame, events, &mut connection.outbox);
        if let Some(traces) = &mut self.traces {
            traces.sent(now, key, events);
        }
        self.mark_dirty(key);
    }

    /// The connection takes the next request.
    fn end_stream(&mut self, key: Exchange) {
        if let Some(traces) = &mut self.traces {
            traces.closed(self.now, key, None);
        }
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

    fn abort(&mut self, key: Exchange, reason: Closed) {
        self.remove_and_close(key, reason);
    }

    fn end_after_answer(&mut self, key: Exchange) {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.keep_alive = false;
        }
    }

    fn count_stream(&mut self, key: Exchange) -> Result<(), Refused> {
        self.count_stream_of(key)
    }

    fn may_write(&self, key: Exchange) -> bool {
        let connection = self.connections.get(key);
        connection.is_some_and(|connection| connection.may_write())
    }

    fn is_held(&self, key: Exchange) -> bool {
        let connection = self.connections.get(key);
        connection.is_some_and(|connection| connection.hold == Hold::Now)
    }

    fn begin_held(&mut self, key: Exchange) {
        self.begin(key);
    }

    #[inline]
    fn begin_write(&mut self, key: Exchange, bytes: &mut Vec<u8>) -> Option<Frame> {
        let connection = self.connections.get_mut(key)?;
        if !connection.may_write() {
            return None;
        }
        connection.since = self.now;
        // Bytes before it, such as the head of this very response, go first.
        bytes.clear();
        bytes.append(&mut connection.outbox);
        Some(connection.frame())
    }

    #[inline]
    fn emit_frame(frame: Frame, events: &[u8], bytes: &mut Vec<u8>) {
        match frame {
            Frame::Chunk => response::emit_chunk(bytes, events),
            Frame::Bare => bytes.extend_from_slice(events),
        }
    }

    #[inline]
    fn traces(&mut self) -> Option<&mut Traces> {
        self.traces.as_deref_mut()
    }

    fn end_slow(&mut self, bytes: usize) -> bool {
        self.end_slow_connections(bytes)
    }

    fn unwritten(&self, key: Exchange) -> Unwritten {
        let connection = self.connections.get(key);
        connection.map_or_else(Unwritten::default, Connection::unwritten)
    }

    #[inline]
    fn answered_for(&mut self, key: Exchange, asker: AnswerOwner) {
        self.set_asker(key, asker);
    }

    fn unread_by(&self, asker: AnswerOwner) -> Unwritten {
        self.unread_of(asker)
    }
}

impl<U: UpperLayer> Http<U> {
    /// The bytes cannot be understood: what follows them cannot either.
    pub(super) fn refuse_malformed(&mut self, key: ConnectionKey, fault: Malformed) {
        self.refuse_and_close(key, fault.status(), fault.sentence());
    }

    pub(super) fn refuse_body(&mut self, key: ConnectionKey, fault: Malformed) {
        match fault {
            Malformed::BodyTooLarge => {
                let refused = self.body_too_large();
                self.refuse_request_and_close(key, &refused);
            }
            fault => self.refuse_malformed(key, fault),
        }
    }

    pub(super) fn body_too_large(&self) -> Refused {
        let sentence = format!(
            "The body is larger than the {} bytes this server takes.",
            self.limits.body_bytes_max
        );
        Refused::new(413, sentence)
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

    /// The server ends the connection. What is in its outbox still leaves.
    fn close_after_written(&mut self, key: ConnectionKey) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        connection.state = ConnectionState::Lingering(connection.state.asker());
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
    pub(in crate::shard) fn close_connection(&mut self, key: ConnectionKey, reason: Closed) {
        if let Some(owner) = self.remove_and_close(key, reason) {
            self.tell_owner(key, owner, ExchangeChange::Lost(reason));
        }
    }

    fn remove_and_close(&mut self, key: ConnectionKey, reason: Closed) -> Option<U::Owner> {
        let connection = self.remove_connection(key)?;
        if let Some(traces) = &mut self.traces {
            traces.closed(self.now, key, Some(reason.into()));
        }
        self.give_back_place(&connection);
        self.stats.closed.count(reason);
        self.outputs.push_back(HttpOutput::Close {
            connection: key,
            reason,
        });
        match connection.state {
            ConnectionState::ExpectAnswer(owner) => Some(owner),
            _ => None,
        }
    }

    fn emit_head(
        &mut self,
        key: ConnectionKey,
        status: u16,
        own: &[(&str, &str)],
        content: BodyLength,
    ) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        if status >= 400 {
            self.stats.refusals.count(status);
        }
        let mut fields = [("", ""); FIELDS_MAX];
        let mut count = 0;
        let mut add = |field| {
            fields[count] = field;
            count += 1;
        };
        if matches!(content, BodyLength::Length(1..))
            && !own.iter().any(|it| it.0 == "Content-Type")
        {
            add(("Content-Type", JSON));
        }
        own.iter().copied().for_each(&mut add);
        if let Some(origin) = &connection.origin {
            add(("Access-Control-Allow-Origin", origin));
            let exposed = match own.iter().any(|it| it.0 == CHALLENGE) {
                true => "Mcp-Session-Id, WWW-Authenticate",
                false => "Mcp-Session-Id",
            };
            add(("Access-Control-Expose-Headers", exposed));
            add(("Vary", "Origin"));
        }
        // HTTP/1.0 closes unless both sides say otherwise.
        if connection.http10 && connection.keep_alive && content != BodyLength::UntilClose {
            add(("Connection", "keep-alive"));
        }
        // One allocation for the whole of most answers.
        connection.outbox.reserve(match content {
            BodyLength::Length(length) => 256 + length as usize,
            BodyLength::None | BodyLength::Chunked | BodyLength::UntilClose => 512,
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
        self.stats.streams -= usize::from(connection.is_stream);
        connection.is_stream = false;
        connection.origin = None;
        connection.word = None;
        connection.headers_only = false;
        if connection.hold == Hold::IfLong {
            connection.hold = Hold::No;
        }
        connection.since = now;
        if connection.keep_alive {
            connection.state = ConnectionState::ExpectHead(None);
        } else {
            self.close_after_written(key);
        }
        self.mark_dirty(key);
        if self.serving != Some(key) {
            self.freed.push_back(key);
        }
    }
}
