//! Looking at a body: what messages are in it, and what the engine needs of them.
//!
//! A few passes over a text of megabytes take a core's other clients tens of milliseconds. So a body past
//! [`LOOK_ON_CORE_BYTES_MAX`](crate::limits::LOOK_ON_CORE_BYTES_MAX) is measured while it arrives (depth and tree,
//! [`JsonScan`]). When it is complete the driver looks at it elsewhere ([`Effect::Look`](crate::shard::Effect::Look))
//! and brings back what is in it. Both ways end in the same [`ReadBody`].

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::params::{self, RequestParams};
use super::{Refused, body};
use crate::limits::Limits;
use crate::mcp::RpcError;
use crate::wire::json_rpc::{self, Id, Invalid, Message, Parsed};
use crate::wire::json_scan::JsonScan;

/// A body that is complete and large. [`Look::run`] may take long; it does on any thread.
pub struct Look {
    body: Vec<u8>,
    tree_bytes: usize,
}

/// What was seen in a [`Look`]'s body.
pub struct Looked {
    parsed: Result<Kept, KeptInvalid>,
    tree_bytes: usize,
}

enum Kept {
    One(Box<KeptMessage>),
    Batch(Vec<Result<KeptMessage, KeptInvalid>>),
}

/// A message that has its texts to itself.
enum KeptMessage {
    Request {
        id: Box<str>,
        method: Box<str>,
        params: Option<Box<RawValue>>,
        envelope: Result<RequestParams<'static>, RpcError>,
    },
    Notification {
        method: Box<str>,
        params: Option<Box<RawValue>>,
    },
    Response {
        id: Box<str>,
        outcome: Result<Box<RawValue>, Box<RawValue>>,
    },
}

struct KeptInvalid {
    code: i32,
    id: Option<Box<str>>,
    fault: &'static str,
}

/// A body as a request has it.
#[derive(Clone, Copy)]
pub(in crate::shard) enum ReceivedBody<'a> {
    Text(&'a [u8]),
    Looked(&'a Looked),
}

/// What is in a body.
pub(super) struct ReadBody<'a> {
    pub(super) parsed: Result<Parsed<'a>, Invalid<'a>>,
    /// Of a single request, if it was read already.
    pub(super) envelope: Option<&'a Result<RequestParams<'static>, RpcError>>,
    /// See [`JsonScan::tree_bytes`].
    pub(super) tree_bytes: usize,
}

impl<'a> ReceivedBody<'a> {
    /// # Errors
    /// It is past a bound.
    pub(super) fn see(self, limits: &Limits) -> Result<ReadBody<'a>, Refused> {
        match self {
            ReceivedBody::Looked(looked) => Ok(looked.seen()),
            ReceivedBody::Text(text) => {
                let scan = JsonScan::of(text);
                body::check(&scan, limits)?;
                Ok(ReadBody {
                    parsed: json_rpc::parse(text),
                    envelope: None,
                    tree_bytes: scan.tree_bytes(),
                })
            }
        }
    }
}

impl Look {
    pub(in crate::shard) fn new(body: Vec<u8>, tree_bytes: usize) -> Self {
        Look { body, tree_bytes }
    }

    /// Reads the body. The result goes to [`Shard::handle_looked`](crate::shard::Shard::handle_looked).
    #[must_use]
    pub fn run(self) -> Looked {
        Looked {
            parsed: match json_rpc::parse(&self.body) {
                Ok(Parsed::One(message)) => Ok(Kept::One(Box::new(KeptMessage::new(&message)))),
                Ok(Parsed::Batch(messages)) => Ok(Kept::Batch(
                    messages
                        .iter()
                        .map(|it| it.as_ref().map(KeptMessage::new).map_err(KeptInvalid::new))
                        .collect(),
                )),
                Err(invalid) => Err(KeptInvalid::new(&invalid)),
            },
            tree_bytes: self.tree_bytes,
        }
    }
}

impl Looked {
    fn seen(&self) -> ReadBody<'_> {
        let envelope = match &self.parsed {
            Ok(Kept::One(message)) => message.envelope(),
            Ok(Kept::Batch(_)) | Err(_) => None,
        };
        let parsed = match &self.parsed {
            Ok(Kept::One(message)) => message.lend().map(Parsed::One),
            Ok(Kept::Batch(messages)) => Ok(Parsed::Batch(
                messages
                    .iter()
                    .map(|it| match it {
                        Ok(message) => message.lend(),
                        Err(invalid) => Err(invalid.lend()),
                    })
                    .collect(),
            )),
            Err(invalid) => Err(invalid.lend()),
        };
        ReadBody {
            parsed,
            envelope,
            tree_bytes: self.tree_bytes,
        }
    }
}

impl KeptMessage {
    fn new(message: &Message<'_>) -> Self {
        let kept = |raw: &Option<&RawValue>| raw.map(ToOwned::to_owned);
        match message {
            Message::Request { id, method, params } => KeptMessage::Request {
                id: id.raw().into(),
                method: (&**method).into(),
                params: kept(params),
                envelope: params::envelope(*params).and_then(RequestParams::into_owned),
            },
            Message::Notification { method, params } => KeptMessage::Notification {
                method: (&**method).into(),
                params: kept(params),
            },
            Message::Response { id, outcome } => KeptMessage::Response {
                id: id.raw().into(),
                outcome: match outcome {
                    Ok(result) => Ok((*result).to_owned()),
                    Err(error) => Err((*error).to_owned()),
                },
            },
        }
    }

    fn envelope(&self) -> Option<&Result<RequestParams<'static>, RpcError>> {
        match self {
            KeptMessage::Request { envelope, .. } => Some(envelope),
            KeptMessage::Notification { .. } | KeptMessage::Response { .. } => None,
        }
    }

    fn lend(&self) -> Result<Message<'_>, Invalid<'_>> {
        let id_of = |raw| Id::new(raw).ok_or(json_rpc::NO_ID);
        Ok(match self {
            KeptMessage::Request {
                id, method, params, ..
            } => Message::Request {
                id: id_of(id)?,
                method: Cow::Borrowed(method),
                params: params.as_deref(),
            },
            KeptMessage::Notification { method, params } => Message::Notification {
                method: Cow::Borrowed(method),
                params: params.as_deref(),
            },
            KeptMessage::Response { id, outcome } => Message::Response {
                id: id_of(id)?,
                outcome: outcome.as_deref().map_err(|error| &**error),
            },
        })
    }
}

impl KeptInvalid {
    fn new(invalid: &Invalid<'_>) -> Self {
        KeptInvalid {
            code: invalid.code,
            id: invalid.id.map(|id| id.raw().into()),
            fault: invalid.fault,
        }
    }

    fn lend(&self) -> Invalid<'_> {
        Invalid {
            code: self.code,
            id: self.id.as_deref().and_then(Id::new),
            fault: self.fault,
        }
    }
}
