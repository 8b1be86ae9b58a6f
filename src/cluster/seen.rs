//! What operators may see of a cluster: the control thread leaves it here, and whoever asks takes a copy.

use std::net::SocketAddr;
use std::time::Instant;

use crate::wire::session_id::NodeName;

/// What this node knows of itself and of the others.
#[derive(Clone, Debug, Default)]
pub struct ClusterSeen {
    /// There is a connection to Redis.
    pub is_up: bool,
    /// When that began, or ended. Unix milliseconds; None: there was none yet.
    pub changed_at: Option<u64>,
    /// As which this node is known to the others. None: it takes no requests from them.
    pub own_url: Option<String>,
    /// Its sessions have ended, and its process will.
    pub is_leaving: bool,
    /// Of the last heartbeat that Redis took.
    pub beat_at: Option<Instant>,
    pub others: Vec<PeerSeen>,
}

/// A process of another node, or an earlier one of this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerSeen {
    pub node: NodeName,
    pub incarnation: u64,
    pub url: Option<String>,
    /// Where other nodes connect to it. None: it takes no requests from them.
    pub address: Option<SocketAddr>,
    pub version: String,
    pub state: PeerState,
    /// When a new heartbeat of it was found for the last time.
    pub seen_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    Alive,
    Late,
    Suspect,
    Draining,
    Gone,
    Restarted,
}
