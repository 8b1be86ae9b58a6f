//! What one node knows of the others and of what they share, for `GET /cluster`: plain values, as they are shown.

use serde::Serialize;

/// This node's view. Others may have another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterReport {
    /// Whose view it is.
    pub node: String,
    /// None: it is alone.
    pub redis: Option<RedisReport>,
    /// This one first, the others by name; earlier processes of a name, too, for as long as they are remembered.
    pub nodes: Vec<NodeReport>,
    /// None: it is alone.
    pub bus: Option<BusReport>,
}

/// Whether this node has a connection to Redis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RedisReport {
    pub up: bool,
    /// Unix milliseconds. None: there was no connection yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
}

/// A process of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeReport {
    pub node: String,
    #[serde(rename = "self")]
    pub is_self: bool,
    /// Where others reach it. None: it takes no requests from them.
    pub address: Option<String>,
    pub incarnation: u64,
    pub state: NodeState,
    /// Since this node last found a new heartbeat of that one in Redis, or Redis took its own. None: never.
    pub heartbeat_age_ms: Option<u64>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
}

/// How a process is, as far as this node can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    Alive,
    /// It has written no heartbeat when the next one was due.
    Late,
    /// It took no connection from this node since its last heartbeats.
    Suspect,
    /// Its clients go elsewhere, and its process may end.
    Draining,
    /// The key that it writes as its heartbeat is in Redis no more.
    Gone,
    /// Another process has its name now.
    Restarted,
}

/// Where this node is in the log that all share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BusReport {
    /// Of the newest entry that was delivered here: as the answers to publishing have it.
    pub last_offset: u64,
    /// Entries that are there and were not delivered here. None: while the connection is away, or Redis does not count them.
    pub behind_entries: Option<u64>,
    /// Since it last had all that it knew of; 0 if it has.
    pub behind_ms: u64,
    /// Published here, and not in the stream yet.
    pub queued: usize,
    /// Losses that subscribers were notified of.
    pub gaps: u64,
}
