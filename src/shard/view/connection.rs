//! Connections, for what no row of sessions has: clients that do not read a plain answer, and have no session.

use std::net::IpAddr;

use super::StreamKind;
use crate::clients::Client;
use crate::principal::PrincipalId;
use crate::shard::Millis;
use crate::wire::operator_name::{ConnectionName, OperatorName};

/// The connections from a slot on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionsQuestion {
    pub from: u32,
    /// Of those alone of which the kernel has not taken all that was written: their clients do not read.
    pub only_slow: bool,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionRow {
    pub name: ConnectionName,
    pub core: u16,
    /// Who has connected: a proxy, if there is one. Of an IPv6 address its 64 leading bits.
    pub peer: Option<IpAddr>,
    /// Whose the last request was, for limits.
    pub client: Option<Client>,
    /// None: nobody is asked, or it is not known in full.
    pub principal: Option<PrincipalId>,
    /// Of the stream or the last answer, if there is a session.
    pub session: Option<OperatorName>,
    /// None: it carries no stream.
    pub stream: Option<StreamKind>,
    /// What is not with the kernel.
    pub pending_bytes: u64,
    /// Since when the kernel has not taken all that is written to it.
    pub blocked_since: Option<Millis>,
}

/// What a portion gives.
#[derive(Clone, Debug, Default)]
pub struct ConnectionsPortion {
    pub rows: Vec<ConnectionRow>,
    pub next: Option<u32>,
}
