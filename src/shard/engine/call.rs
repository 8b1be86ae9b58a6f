//! One request that the application works on, and the requests it makes of the client meanwhile.

use super::Exchange;
use super::keys::{SessionKey, StreamKey};
use super::stats::Operation;
use super::wheel::{Millis, Timer};
use crate::budget::Charge;
use crate::clients::Client;
use crate::mcp::ProtocolVersion;

use thin_vec::ThinVec;

pub(super) struct CallState {
    pub(super) version: ProtocolVersion,
    pub(super) session: Option<SessionKey>,
    /// The JSON-RPC id, as JSON.
    pub(super) id: Box<str>,
    pub(super) answer_to: AnswerTo,
    /// `_meta["…/logLevel"]` of a modern request. Legacy sessions have theirs.
    pub(super) log_level: Option<u8>,
    /// As what it is counted when it is over.
    pub(super) operation: Operation,
    /// Among whose calls it counts.
    pub(super) client: Option<Client>,
    pub(super) asks: ThinVec<PendingRequest>,
    pub(super) timer: Timer,
    /// What it takes of the node's budget: its params, and what is made of them.
    pub(super) charge: Charge,
}

/// Where the answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnswerTo {
    /// One JSON message, as long as nothing is sent before it.
    Exchange(Exchange),
    /// One JSON message whatever happens before it: the client takes no stream.
    Plain(Exchange),
    Stream(StreamKey),
    /// The client is gone and cannot come back for it.
    Nobody,
}

/// A server request that waits for its answer. Its JSON-RPC id is unique in the session.
#[derive(Clone, Copy, Debug)]
pub(super) struct PendingRequest {
    pub(super) id: u32,
    pub(super) deadline: Millis,
}
