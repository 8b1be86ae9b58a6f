//! From bytes to whole requests: HTTP/1.1 framing as a state of each connection.

use super::answer::Refused;
use super::connection::{Connection, Partial, Remaining, State};
use super::look::{self, Body};
use super::memory::OUT_OF_MEMORY;
use super::post::check_post;
use super::{ConnectionKey, Effect, Shard};
use crate::limits::LOOK_ON_CORE_BYTES_MAX;
use crate::mcp::ProtocolVersion;
use crate::wire::chunked::Decoded;
use crate::wire::http1::{self, Framing, Head, HeadLimits, Method};
use crate::wire::json_scan::JsonScan;
use crate::wire::session_id::SessionId;
use crate::wire::{HeadView, Malformed};

/// Of a body that is small enough nothing is refused before it is there: then the answer has the message's id, and the
/// connection goes on.
const BODY_BYTES_UNSEEN: usize = 64 * 1024;

impl Shard {
    /// Serves what is complete in `bytes` and keeps the rest.
    pub(super) fn take_in(&mut self, key: ConnectionKey, bytes: &[u8]) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        if connection.inbox().is_empty() {
            let used = self.receive(key, bytes);
            if let Some(connection) = self.connections.get_mut(key) {
                connection.set_inbox(bytes[used..].to_vec());
            }
            return;
        }
        let mut inbox = connection.take_inbox();
        inbox.extend_from_slice(bytes);
        let used = self.receive(key, &inbox);
        if let Some(connection) = self.connections.get_mut(key)
            && used < inbox.len()
        {
            inbox.drain(..used);
            connection.set_inbox(inbox);
        }
    }

    /// Serves what was read ahead on connections whose request before is answered. Not where that happens: what is
    /// served may free the next connection, and a chain of them would nest without bound.
    pub(super) fn serve_freed(&mut self) {
        while let Some(key) = self.freed.pop_front() {
            self.take_in_pipelined(key);
            self.arm_connection(key);
        }
    }

    fn take_in_pipelined(&mut self, key: ConnectionKey) {
        let waiting = |connection: &Connection| !connection.inbox().is_empty();
        if self.connections.get(key).is_some_and(waiting) {
            self.take_in(key, &[]);
        }
        self.go_on_after_input_end(key);
        let paused = |connection: &Connection| connection.paused.get();
        if self.connections.get(key).is_some_and(paused) && self.wants_bytes(key) {
            self.effects.push_back(Effect::Read(key));
        }
    }

    /// Returns how many bytes of `input` are dealt with.
    fn receive(&mut self, key: ConnectionKey, input: &[u8]) -> usize {
        let mut used = 0;
        loop {
            let Some(connection) = self.connections.get_mut(key) else {
                return input.len();
            };
            let step = match connection.state {
                State::Lingering => return input.len(),
                State::ExpectOwner
                | State::ExpectLook(_)
                | State::ExpectAnswer(_)
                | State::Streaming(_)
                | State::Silent(_)
                | State::Listening(_) => None,
                State::ExpectHead => self.receive_head(key, &input[used..]),
                State::ExpectBody(_) => self.receive_body(key, &input[used..]),
            };
            match step {
                Some(count) => used += count,
                None => return used,
            }
        }
    }

    /// `None`: more bytes are needed first.
    fn receive_head(&mut self, key: ConnectionKey, input: &[u8]) -> Option<usize> {
        let now = self.now;
        let forwarded_bytes_max = self.forwarded_bytes_max();
        let connection = self.connections.get_mut(key)?;
        // Who reads no answers gets no more of them: they would pile up here.
        if input.is_empty() || connection.close_when_written || !connection.may_write() {
            return None;
        }
        let limits = HeadLimits {
            head_bytes_max: self.limits.head_bytes_max + forwarded_bytes_max,
            target_bytes_max: self.limits.target_bytes_max,
        };
        // The first head's time runs from the accept.
        if connection.scanned == 0 && !connection.is_new {
            connection.since = now;
        }
        let head = match http1::parse_head(input, connection.scanned as usize, &limits) {
            Ok(Some(head)) => head,
            Ok(None) => {
                connection.scanned = input.len() as u32;
                return None;
            }
            Err(fault) => {
                self.refuse_malformed(key, fault);
                return Some(input.len());
            }
        };
        connection.scanned = 0;
        connection.is_new = false;
        // A node that takes its leave keeps nobody's connection.
        connection.keep_alive = head.keep_alive && self.drain.is_none();
        connection.http10 = head.http10;
        connection.headers_only = head.method == Method::Head;
        let view = head.view(input);
        if self.is_too_large(&view) {
            self.refuse_malformed(key, Malformed::HeadTooLarge);
            return Some(input.len());
        }
        if let Some(core) = self.belongs_to(&view) {
            return self.remove_for_move(key, core, input);
        }
        if let Some(session) = self.belongs_elsewhere(key, &view) {
            self.identify(key, &view);
            return self.ask_for_owner(key, session);
        }
        Some(self.receive_request(key, &head, input))
    }

    /// A head is complete. Returns how many bytes of `input`, which starts with it, are dealt with.
    fn receive_request(&mut self, key: ConnectionKey, head: &Head, input: &[u8]) -> usize {
        let head_len = head.len as usize;
        let view = head.view(input);
        let remaining = match head.framing {
            Framing::None => Remaining::Length(0),
            Framing::Length(length) if length > self.limits.body_bytes_max as u64 => {
                self.refuse_body_too_large(key);
                return input.len();
            }
            Framing::Length(length) => Remaining::Length(length as usize),
            Framing::Chunked => Remaining::Chunked(Default::default()),
        };
        if let Remaining::Length(length) = remaining
            && length <= LOOK_ON_CORE_BYTES_MAX
            && let Some(body) = input.get(head_len..head_len + length)
        {
            self.serve(key, &view, Body::Text(body));
            return head_len + length;
        }
        if let Remaining::Length(length) = remaining
            && length > BODY_BYTES_UNSEEN
            && let Err(refused) = self.check_large(key, &view, length)
        {
            self.refuse_request_and_close(key, &refused);
            return input.len();
        }
        let now = self.now;
        if let Some(connection) = self.connections.get_mut(key) {
            connection.since = now;
            let head_bytes = input[..head_len].into();
            let partial = Partial {
                head: head.clone(),
                head_bytes,
                body: Vec::new(),
                scan: JsonScan::default(),
                remaining,
            };
            connection.state = State::ExpectBody(Box::new(partial));
            // RFC 9110, 10.1.1: not if the body is on its way already.
            if head.expect_continue && !head.http10 && input.len() == head_len {
                connection
                    .outbox
                    .extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                self.mark_dirty(key);
            }
        }
        head_len
    }

    fn receive_body(&mut self, key: ConnectionKey, input: &[u8]) -> Option<usize> {
        let body_bytes_max = self.limits.body_bytes_max;
        let connection = self.connections.get_mut(key)?;
        let State::ExpectBody(partial) = &mut connection.state else {
            return None;
        };
        let known = partial.body.len();
        let (used, complete) = match partial.take(input, body_bytes_max) {
            Ok(taken) => taken,
            Err(fault) => {
                self.refuse_body(key, fault);
                return Some(input.len());
            }
        };
        let grown_large = known <= BODY_BYTES_UNSEEN && partial.body.len() > BODY_BYTES_UNSEEN;
        if grown_large && matches!(partial.remaining, Remaining::Chunked(_)) {
            let (head, head_bytes) = (partial.head.clone(), partial.head_bytes.clone());
            if let Err(refused) = self.check_large(key, &head.view(&head_bytes), 0) {
                self.refuse_request_and_close(key, &refused);
                return Some(input.len());
            }
        }
        let connection = self.connections.get_mut(key)?;
        let State::ExpectBody(partial) = &mut connection.state else {
            return None;
        };
        partial.scan.take(&partial.body[known..]);
        if let Err(refused) = look::check(&partial.scan, &self.limits) {
            self.refuse_request_and_close(key, &refused);
            return Some(input.len());
        }
        if complete {
            let State::ExpectBody(partial) =
                std::mem::replace(&mut connection.state, State::ExpectHead)
            else {
                return None;
            };
            self.look_and_serve(key, partial);
            return Some(used);
        }
        (used > 0).then_some(used)
    }

    /// Whether a request with a large body, of which so many bytes are announced, is worth waiting for: there is room for
    /// it, and nothing in its head will have it refused.
    fn check_large(
        &mut self,
        key: ConnectionKey,
        request: &HeadView<'_>,
        announced: usize,
    ) -> Result<(), Refused> {
        self.admit(key, request)?;
        if request.head().method == Method::Post {
            check_post(request)?;
            self.check_session(key, request)?;
        }
        match self.could_hold(key, announced) {
            true => Ok(()),
            false => Err(Refused::busy(OUT_OF_MEMORY, 1)),
        }
    }

    /// The session that a legacy request names is here. What a modern one names does not matter.
    fn check_session(&mut self, key: ConnectionKey, request: &HeadView<'_>) -> Result<(), Refused> {
        let modern =
            request.field("mcp-protocol-version") == Some(ProtocolVersion::V2026_07_28.as_str());
        match request.field("mcp-session-id") {
            // With an empty one it may still be an `initialize`.
            Some(id) if !modern && !id.is_empty() => match self.locate(id) {
                Ok(_) => Ok(()),
                Err(why) => Err(self.miss(key, id, why)),
            },
            _ => Ok(()),
        }
    }

    /// The core whose session this request is for, if it is another one. A modern request has no session,
    /// whatever its header says.
    fn belongs_to(&self, view: &HeadView<'_>) -> Option<u16> {
        if self.core_count == 1 {
            return None;
        }
        let id = SessionId::parse(view.field("mcp-session-id")?)?;
        let foreign = id.node != self.node || id.locator.boot != self.boot;
        let modern =
            view.field("mcp-protocol-version") == Some(ProtocolVersion::V2026_07_28.as_str());
        let core = id.locator.core;
        (!foreign && !modern && core != self.core && core < self.core_count).then_some(core)
    }

    /// Answers to earlier pipelined requests leave from here first; until then the request waits in the inbox.
    fn remove_for_move(&mut self, key: ConnectionKey, core: u16, input: &[u8]) -> Option<usize> {
        if self
            .connections
            .get(key)
            .is_some_and(Connection::is_writing)
        {
            return None;
        }
        let ticket = self.remove_with_ticket(key)?;
        self.effects.push_back(Effect::Move {
            connection: key,
            core,
            bytes: input.to_vec(),
            ticket,
        });
        Some(input.len())
    }
}

impl Partial {
    /// How many bytes were taken, and whether the body is complete now.
    fn take(&mut self, input: &[u8], body_bytes_max: usize) -> Result<(usize, bool), Malformed> {
        match &mut self.remaining {
            Remaining::Length(missing) => {
                let count = input.len().min(*missing);
                // Twice as much as there is, as a vector does, but no more than there will be.
                if self.body.capacity() - self.body.len() < count {
                    let enough = (2 * self.body.len()).max(count).min(*missing);
                    self.body.reserve_exact(enough);
                }
                self.body.extend_from_slice(&input[..count]);
                *missing -= count;
                Ok((count, *missing == 0))
            }
            Remaining::Chunked(decoder) => {
                let Decoded { used, finished } =
                    decoder.decode(input, &mut self.body, body_bytes_max)?;
                Ok((used, finished))
            }
        }
    }
}
