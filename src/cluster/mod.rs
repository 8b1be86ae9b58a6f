//! What a node knows of the others, what it says to them through Redis, and the proxy in front of them all.
//!
//! | key | who writes it | what it says |
//! |---|---|---|
//! | `{prefix}session:{id}` | the node that has the session, or claims it; whoever serves its DELETE removes it | `session_record`: node, process, client, what it needs to live on elsewhere; for five minutes after its process, that it ended |
//! | `{prefix}lease:{name}.{incarnation}` | that process with each heartbeat, for 2 s, if its sessions may be taken over | that nobody may claim them |
//! | `{prefix}claimed:{name}.{incarnation}` | who claims a session of that process, for a day; the process takes out what it has read | which, and by which fence |
//! | `{prefix}node:{name}` | that node, every 0.5 s, or 1.5 s where sessions may not be taken over, for 5 s | `record`: address, process |
//! | `{prefix}bus`, `{prefix}board`, … | every node, and any program the first | [`bus`] |
//! | `{prefix}revoked` | every node on which an operator took somebody's tokens back, for thirty days | whose, and up to when they were issued |
//! | `{prefix}processes` | each process its field; whoever marks its sessions as ended removes it | `record`: the same, also while the key above is missing |
//! | `{prefix}burial:{name}.{incarnation}` | whoever marks that process, for five minutes | that others need not |
//!
//! Cores say what happens to sessions and ask for owners through [`Membership`], which any thread may hold. Neither
//! waits. [`ClusterTask`] does what Redis is needed for, on the thread that runs it. `said` hears the cores, `pending` is what Redis does not know
//! yet, and `writer` sends it. `nodes` is the heartbeat, `peers` is who else there is, `dead_processes` marks the sessions of the dead.
//! `locate` finds owners, as `resolver` concludes from what Redis says, and takes over sessions that have none: `claims`, by what
//! `ownership` has in Redis, for as long as the `lease` counts; while Redis is away the `lease_keeper` has it renewed by the `pledges` of the others. `misses` logs why a session was not found. `seen` is what operators see of it all. `asking` is what is asked of other nodes, `questions` which of theirs came already. [`bus`] is the nodes' common log of
//! notifications, and the contents of their boards. None of it is on the path of a request that finds its session:
//! `docs/decisions/0008-redis-off-the-hot-path.md`.

mod asking;
pub mod bus;
mod claims;
mod dead_processes;
mod gates;
mod lease;
mod lease_keeper;
mod locate;
mod membership;
mod misses;
mod nodes;
mod once_a_minute;
#[cfg(test)]
mod one_owner;
mod ownership;
mod peers;
mod pending;
mod pledges;
mod questions;
mod record;
mod resolver;
#[cfg(feature = "auth")]
mod revocations;
mod said;
mod seen;
mod session_record;
mod shared;
pub mod steering;
mod takeovers;
mod task;
mod task_signal;
mod travel;
mod writer;

pub(crate) use self::asking::PeerAsker;
pub(crate) use self::gates::ClusterGates;
pub use self::membership::Membership;
pub(crate) use self::membership::WaitingQuestion;
pub use self::pending::PENDING_BYTES;
pub(crate) use self::questions::QuestionsHeard;
#[cfg(feature = "auth")]
pub(crate) use self::revocations::Revocations;
pub use self::seen::{ClusterSeen, PeerSeen, PeerState};
pub use self::task::ClusterTask;
pub(crate) use self::task::CoreDoors;
pub(crate) use self::travel::{ClusterState, StandingCluster};

use std::net::SocketAddr;
use std::sync::Arc;

use crate::metrics::Metrics;
use crate::redis::Settings;
use crate::wire::session_id::NodeName;

/// A node's place in its cluster.
#[derive(Clone)]
pub struct ClusterSetup {
    pub redis: Settings,
    /// Of every key: `mcp:`.
    pub prefix: String,
    /// No two nodes of a cluster have the same.
    pub node: NodeName,
    /// None: it takes no requests from other nodes.
    pub advertised: Option<Advertised>,
    /// As many changes may wait for Redis, and as many ends of sessions.
    pub sessions_max: usize,
    /// Of this node.
    pub metrics: Arc<Metrics>,
}

/// Where the others reach a node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Advertised {
    /// As the proxy's configuration has it, to the letter: its sticky cookie is made from that.
    pub url: String,
    /// What the URL resolves to.
    pub address: SocketAddr,
}

/// The two ends of a node's membership: one for its cores, one for its control thread.
#[must_use]
pub fn join(setup: ClusterSetup) -> (Arc<Membership>, ClusterTask) {
    let membership = Arc::new(Membership::new());
    let task = ClusterTask::new(setup, membership.clone());
    (membership, task)
}

#[cfg(test)]
mod tests;
