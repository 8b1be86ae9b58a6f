//! What a node must be given to live among others. Whoever knows the others implements [`ClusterHandle`]; a core only
//! asks, and never waits for what it says.

use std::fmt;
use std::sync::Arc;

use futures_channel::oneshot;

use crate::shard::{PeerAnswer, SessionEvent};
use crate::wire::forwarded::PeerSecret;
use crate::wire::peer_question::PeerQuestion;
use crate::wire::session_id::{Process, SessionId};

pub use crate::forward::SessionOwner;

/// The other nodes, as any thread may speak to them. No call blocks.
pub trait ClusterHandle: Send + Sync {
    /// Tells them of this node's sessions.
    fn say(&self, said: Vec<SessionEvent>);

    /// A core drains: its clients go elsewhere, and its sessions are still here.
    fn announce_draining(&self);

    /// The process took no connection from this node: it has ended, or hangs, or is cut off.
    fn suspect(&self, process: Process);

    /// Every session of a core that drains has ended, and so have the others' or will in a moment: from now on
    /// requests for them need not come here.
    fn announce_leaving(&self);

    /// Where the node of a session is. Nobody answering is [`CannotTell`](crate::shard::MissReason::CannotTell).
    fn locate(&self, session: SessionId) -> oneshot::Receiver<SessionOwner>;

    /// What this node says to a question of another one. Nobody answering is [`PeerAnswer::Busy`].
    fn ask_operators(&self, question: Box<PeerQuestion>) -> oneshot::Receiver<PeerAnswer>;
}

/// How a node's cores reach the others, and are reached.
#[derive(Clone)]
pub struct ClusterAccess {
    pub handle: Arc<dyn ClusterHandle>,
    /// None: requests for other nodes' sessions are answered 404 `misrouted`, and none are taken from other nodes.
    pub secret: Option<PeerSecret>,
}

impl fmt::Debug for ClusterAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterAccess")
            .field("secret", &self.secret)
            .finish_non_exhaustive()
    }
}
