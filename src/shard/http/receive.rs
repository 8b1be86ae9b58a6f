//! From bytes to whole requests: HTTP/1.1 framing as a state of each connection.

use std::borrow::Cow;

use super::admit::Admission;
use super::connection::{Connection, ConnectionState};
use super::partial::{HeadVerdict, Partial, Remaining, Sender};
use super::{
    AllFields, ConnectionKey, EndpointMethod, Http, HttpOutput, Refused, Request, RequestFields,
    UpperLayer, Wire,
};
use crate::clients::Client;
use crate::limits::LOOK_ON_CORE_BYTES_MAX;
use crate::shard::body;
use crate::wire::http1::{self, Framing, Head, HeadLimits};
use crate::wire::json_scan::JsonScan;
use crate::wire::{Malformed, response};

/// Of a body that is small enough nothing is refused before it is there: then the answer has the message's id, and the
/// connection goes on.
const BODY_BYTES_UNSEEN: usize = 64 * 1024;

/// What was read of a connection and is not dealt with yet.
#[derive(Default)]
pub(in crate::shard) struct Input<'a> {
    bytes: Cow<'a, [u8]>,
    /// `0 <= used <= bytes.len()`
    used: usize,
    /// A request whose body came in several pieces, while it is served.
    partial: Option<Box<Partial>>,
}

/// What a look at some input led to.
#[expect(
    clippy::large_enum_variant,
    reason = "it goes no further than to the next function, and a box would be one more allocation for each request"
)]
enum ReceiveStep<'a, U: UpperLayer> {
    /// More bytes are needed first, or the answer to the request before.
    Starved,
    Used(usize),
    Request(usize, Request<'a, U::Word>),
    /// The body of a request is complete.
    Whole(usize, Box<Partial>),
}

impl<U: UpperLayer> Http<U> {
    /// All that is there of a connection, `bytes` last. What is complete in it [`Http::next_request`] gives, and the rest
    /// comes back by [`Http::take_back`]. None: it is over.
    pub(in crate::shard) fn lend<'b>(
        &mut self,
        key: ConnectionKey,
        bytes: &'b [u8],
    ) -> Option<Input<'b>> {
        let connection = self.connections.get_mut(key)?;
        self.serving = Some(key);
        let bytes = if connection.inbox().is_empty() {
            Cow::Borrowed(bytes)
        } else {
            let mut inbox = connection.take_inbox();
            inbox.extend_from_slice(bytes);
            Cow::Owned(inbox)
        };
        Some(Input {
            bytes,
            used: 0,
            partial: None,
        })
    }

    pub(in crate::shard) fn take_back(&mut self, key: ConnectionKey, input: Input<'_>) {
        self.serving = None;
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        connection.set_inbox(match input.bytes {
            Cow::Borrowed(bytes) => bytes[input.used..].to_vec(),
            Cow::Owned(mut inbox) => {
                inbox.drain(..input.used);
                inbox
            }
        });
    }

    /// The next request that is complete and admitted. Whatever else there is up to it is dealt with.
    pub(in crate::shard) fn next_request<'a>(
        &mut self,
        key: ConnectionKey,
        input: &'a mut Input<'_>,
        upper: &mut U,
    ) -> Option<Request<'a, U::Word>> {
        let Input {
            bytes,
            used,
            partial: kept,
        } = input;
        let bytes: &'a [u8] = bytes;
        loop {
            let Some(connection) = self.connections.get(key) else {
                *used = bytes.len();
                return None;
            };
            let rest = &bytes[*used..];
            let step = match connection.state {
                ConnectionState::Lingering(_) => ReceiveStep::Used(rest.len()),
                ConnectionState::ExpectWord
                | ConnectionState::ExpectLook(_)
                | ConnectionState::ExpectOperators
                | ConnectionState::ExpectAnswer(_) => ReceiveStep::Starved,
                ConnectionState::ExpectHead(_) => self.receive_head(key, rest, upper),
                ConnectionState::ExpectBody(_) => self.receive_body(key, rest, upper),
            };
            match step {
                ReceiveStep::Starved | ReceiveStep::Used(0) => return None,
                ReceiveStep::Used(count) => *used += count,
                ReceiveStep::Request(count, request) => {
                    *used += count;
                    return Some(request);
                }
                ReceiveStep::Whole(count, partial) => {
                    *used += count;
                    let fields = self.fields_of(&partial.head, &partial.head_bytes);
                    if let Some(method) = self.serve_partial(key, &partial, &fields) {
                        let partial = kept.insert(partial);
                        return Some(self.request_of(key, method, partial));
                    }
                }
            }
        }
    }

    /// What is in the body of a request was looked at ([`HttpOutput::Look`] asked for it), and the request is served with
    /// that. Too late if its client is gone.
    pub(in crate::shard) fn handle_looked<'a>(
        &mut self,
        key: ConnectionKey,
        input: &'a mut Input<'_>,
    ) -> Option<Request<'a, U::Word>> {
        let connection = self.connections.get_mut(key)?;
        if !matches!(connection.state, ConnectionState::ExpectLook(_)) {
            return None;
        }
        let state = std::mem::replace(&mut connection.state, ConnectionState::ExpectHead(None));
        let ConnectionState::ExpectLook(partial) = state else {
            return None;
        };
        self.freed.push_back(key);
        let fields = self.fields_of(&partial.head, &partial.head_bytes);
        let method = self.serve_partial(key, &partial, &fields)?;
        Some(self.request_of(key, method, input.partial.insert(partial)))
    }

    fn serve_partial(
        &mut self,
        key: ConnectionKey,
        partial: &Partial,
        fields: &RequestFields<'_>,
    ) -> Option<EndpointMethod> {
        if let Some((identity, epoch)) = partial.verdict.identity()
            && let Err(refused) = self.check_still_known(identity, epoch)
        {
            self.refuse(key, None, &refused);
            return None;
        }
        let head = partial.head.view(&partial.head_bytes);
        self.serve(key, &head, fields, &partial.verdict)
    }

    fn request_of<'a>(
        &self,
        key: ConnectionKey,
        method: EndpointMethod,
        partial: &'a Partial,
    ) -> Request<'a, U::Word> {
        let fields = self.fields_of(&partial.head, &partial.head_bytes);
        self.request(key, method, &partial.verdict, fields, &partial.body)
    }

    fn request<'a>(
        &self,
        key: ConnectionKey,
        method: EndpointMethod,
        verdict: &HeadVerdict,
        fields: RequestFields<'a>,
        body: &'a [u8],
    ) -> Request<'a, U::Word> {
        let connection = self.connections.get(key);
        let Sender { identity, from, .. } = verdict.sender();
        Request {
            exchange: key,
            method,
            client: connection.and_then(|it| it.client),
            identity,
            address: from.and_then(Client::address),
            word: connection.and_then(|it| it.word),
            fields,
            body,
        }
    }

    fn receive_head<'a>(
        &mut self,
        key: ConnectionKey,
        input: &'a [u8],
        upper: &mut U,
    ) -> ReceiveStep<'a, U> {
        let now = self.now;
        let limits = HeadLimits {
            head_bytes_max: self.limits.head_bytes_max + self.forwarded_bytes_max(),
            target_bytes_max: self.limits.target_bytes_max,
        };
        let Some(connection) = self.connections.get_mut(key) else {
            return ReceiveStep::Starved;
        };
        // Who reads no answers gets no more of them: they would pile up here.
        if input.is_empty() || connection.close_when_written || !connection.may_write() {
            return ReceiveStep::Starved;
        }
        // The first head's time runs from the accept.
        if connection.scanned == 0 && !connection.is_new {
            connection.since = now;
        }
        let head = match http1::parse_head(input, connection.scanned as usize, &limits) {
            Ok(Some(head)) => head,
            Ok(None) => {
                connection.scanned = input.len() as u32;
                return ReceiveStep::Starved;
            }
            Err(fault) => {
                self.refuse_malformed(key, fault);
                return ReceiveStep::Used(input.len());
            }
        };
        connection.scanned = 0;
        connection.is_new = false;
        // A node that drains keeps nobody's connection.
        connection.keep_alive = head.keep_alive && !self.is_leaving;
        connection.http10 = head.http10;
        connection.headers_only = head.method == http1::Method::Head;
        let fields = self.fields_of(&head, input);
        // A client's own head has the limit to itself.
        if head.len as usize > self.limits.head_bytes_max && !fields.is_forwarded {
            self.refuse_malformed(key, Malformed::HeadTooLarge);
            return ReceiveStep::Used(input.len());
        }
        match self.admit(key, &head.view(input), &fields, upper) {
            Admission::Move(core) => self.remove_for_move(key, core, input),
            Admission::Wait => {
                self.wait(key, &fields, upper);
                ReceiveStep::Starved
            }
            Admission::Asked => ReceiveStep::Starved,
            Admission::Unread(refused) => {
                self.refuse_request_and_close(key, &refused);
                ReceiveStep::Used(input.len())
            }
            Admission::Here(verdict) => {
                self.receive_request(key, &head, fields, verdict, input, upper)
            }
        }
    }

    /// A head is complete, with which `input` starts.
    fn receive_request<'a>(
        &mut self,
        key: ConnectionKey,
        head: &Head,
        fields: RequestFields<'a>,
        verdict: HeadVerdict,
        input: &'a [u8],
        upper: &mut U,
    ) -> ReceiveStep<'a, U> {
        let head_len = head.len as usize;
        let view = head.view(input);
        let remaining = match head.framing {
            Framing::None => Remaining::Length(0),
            Framing::Length(length) => Remaining::Length(length as usize),
            Framing::Chunked => Remaining::Chunked(Default::default()),
        };
        if let Remaining::Length(length) = remaining
            && length <= LOOK_ON_CORE_BYTES_MAX
            && let Some(body) = input.get(head_len..head_len + length)
        {
            let used = head_len + length;
            return match self.serve(key, &view, &fields, &verdict) {
                Some(method) => {
                    let request = self.request(key, method, &verdict, fields, body);
                    ReceiveStep::Request(used, request)
                }
                None => ReceiveStep::Used(used),
            };
        }
        let verdict = match remaining {
            Remaining::Length(length) if length > BODY_BYTES_UNSEEN => {
                self.admit_large(key, &view, &fields, verdict, length, upper)
            }
            Remaining::Length(_) | Remaining::Chunked(_) => Ok(verdict),
        };
        match verdict {
            Ok(verdict) => self.expect_body(key, head, remaining, verdict, input),
            Err(refused) => {
                self.refuse_request_and_close(key, &refused);
                ReceiveStep::Used(input.len())
            }
        }
    }

    fn expect_body<'a>(
        &mut self,
        key: ConnectionKey,
        head: &Head,
        remaining: Remaining,
        verdict: HeadVerdict,
        input: &'a [u8],
    ) -> ReceiveStep<'a, U> {
        let now = self.now;
        let head_len = head.len as usize;
        if let Some(connection) = self.connections.get_mut(key) {
            connection.since = now;
            connection.state = ConnectionState::ExpectBody(Box::new(Partial {
                head: head.clone(),
                head_bytes: input[..head_len].into(),
                body: Vec::new(),
                scan: JsonScan::default(),
                remaining,
                verdict,
            }));
            // RFC 9110, 10.1.1: not if the body is on its way already.
            if head.expect_continue && !head.http10 && input.len() == head_len {
                connection.outbox.extend_from_slice(response::CONTINUE);
                self.mark_dirty(key);
            }
        }
        ReceiveStep::Used(head_len)
    }

    fn receive_body<'a>(
        &mut self,
        key: ConnectionKey,
        input: &'a [u8],
        upper: &mut U,
    ) -> ReceiveStep<'a, U> {
        let body_bytes_max = self.limits.body_bytes_max;
        let Some(partial) = self.partial(key) else {
            return ReceiveStep::Starved;
        };
        let known = partial.body.len();
        let (used, complete) = match partial.take(input, body_bytes_max) {
            Ok(taken) => taken,
            Err(fault) => {
                self.refuse_body(key, fault);
                return ReceiveStep::Used(input.len());
            }
        };
        let grown_large = known <= BODY_BYTES_UNSEEN && partial.body.len() > BODY_BYTES_UNSEEN;
        if grown_large
            && matches!(partial.remaining, Remaining::Chunked(_))
            && let Err(refused) = self.admit_grown(key, upper)
        {
            self.refuse_request_and_close(key, &refused);
            return ReceiveStep::Used(input.len());
        }
        let limits = self.limits;
        let Some(partial) = self.partial(key) else {
            return ReceiveStep::Starved;
        };
        partial.scan.take(&partial.body[known..]);
        if let Err(refused) = body::check(&partial.scan, &limits) {
            self.refuse_request_and_close(key, &refused);
            return ReceiveStep::Used(input.len());
        }
        if !complete {
            return ReceiveStep::Used(used);
        }
        self.take_whole(key, used, upper)
    }

    /// A body is complete: its request is served, at once if it is small.
    fn take_whole<'a>(
        &mut self,
        key: ConnectionKey,
        used: usize,
        upper: &mut U,
    ) -> ReceiveStep<'a, U> {
        let Some(connection) = self.connections.get_mut(key) else {
            return ReceiveStep::Starved;
        };
        let state = std::mem::replace(&mut connection.state, ConnectionState::ExpectHead(None));
        let ConnectionState::ExpectBody(mut partial) = state else {
            return ReceiveStep::Starved;
        };
        if partial.body.len() <= LOOK_ON_CORE_BYTES_MAX {
            return ReceiveStep::Whole(used, partial);
        }
        let body = std::mem::take(&mut partial.body);
        let tree_bytes = partial.scan.tree_bytes();
        // The body is no longer the connection's.
        self.settle(key, upper);
        let charge = match self.charge_look(key, body.len(), upper) {
            Ok(charge) => charge,
            Err(refused) => {
                self.refuse_request_and_close(key, &refused);
                return ReceiveStep::Used(used);
            }
        };
        if let Some(connection) = self.connections.get_mut(key) {
            connection.state = ConnectionState::ExpectLook(partial);
            connection.since = self.now;
            self.outputs.push_back(HttpOutput::Look {
                connection: key,
                body,
                tree_bytes,
                charge,
            });
        }
        // Its head is.
        self.hold_head(key);
        ReceiveStep::Used(used)
    }

    /// A body of unknown length turns out to be large.
    fn admit_grown(&mut self, key: ConnectionKey, upper: &mut U) -> Result<(), Refused> {
        let Some(partial) = self.partial(key) else {
            return Ok(());
        };
        let verdict = std::mem::replace(&mut partial.verdict, HeadVerdict::Ambiguous);
        let (head, bytes) = (partial.head.clone(), partial.head_bytes.clone());
        let fields = self.fields_of(&head, &bytes);
        let verdict = self.admit_large(key, &head.view(&bytes), &fields, verdict, 0, upper)?;
        if let Some(partial) = self.partial(key) {
            partial.verdict = verdict;
        }
        Ok(())
    }

    fn partial(&mut self, key: ConnectionKey) -> Option<&mut Partial> {
        match &mut self.connections.get_mut(key)?.state {
            ConnectionState::ExpectBody(partial) => Some(partial),
            _ => None,
        }
    }

    /// Answers to earlier pipelined requests leave from here first; until then the request waits in the inbox.
    fn remove_for_move<'a>(
        &mut self,
        key: ConnectionKey,
        core: u16,
        input: &'a [u8],
    ) -> ReceiveStep<'a, U> {
        let is_writing = self
            .connections
            .get(key)
            .is_some_and(Connection::is_writing);
        if is_writing {
            return ReceiveStep::Starved;
        }
        let Some(ticket) = self.remove_with_ticket(key) else {
            return ReceiveStep::Starved;
        };
        self.stats.moves += 1;
        self.outputs.push_back(HttpOutput::Move {
            connection: key,
            core,
            bytes: input.to_vec(),
            ticket,
        });
        ReceiveStep::Used(input.len())
    }
}

impl<'a> RequestFields<'a> {
    pub(super) fn of(head: &Head, bytes: &'a [u8]) -> Self {
        let mut fields = RequestFields::default();
        head.each_field(bytes, |name, value| fields.take(name, value));
        fields.all = Some(AllFields {
            text: &bytes[..head.len as usize],
            read: http1::each_field_of,
        });
        fields
    }
}
