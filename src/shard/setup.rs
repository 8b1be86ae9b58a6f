//! What goes into a shard at its start, and what can be counted of it.

use std::sync::Arc;

use super::card::{CardSettings, ServerCard};
use super::http::{Neighbours, PublicDocuments};
use super::wheel::Millis;
use super::{Cluster, RequestPolicy};
use crate::app::call::{ServerInfoJson, Topic};
use crate::clients::Commons;
use crate::limits::Limits;
use crate::principal::PrincipalId;
use crate::wire::peer_question::QuestionKey;
use crate::wire::session_id::NodeName;
use crate::wire::uri::NotAUri;

/// What a shard is given once, at its start.
pub struct ShardSetup {
    pub node: NodeName,
    /// This core's number and how many there are.
    pub core: u16,
    pub core_count: u16,
    /// Distinguishes this process from earlier ones of the same node: session ids of those are recognised.
    pub incarnation: u64,
    pub limits: Limits,
    /// What this core shares with the others of its node.
    pub commons: Arc<Commons>,
    pub gate: RequestPolicy,
    /// None: this node is alone.
    pub cluster: Option<Cluster>,
    /// Sessions of a node that is gone go on at another one, as far as the application says that its may.
    pub adoption: bool,
    pub server_info: Arc<ServerInfoJson>,
    /// How anybody may learn of the server. None: nobody does.
    pub card: Option<CardSettings>,
    pub accepts: AcceptsSubscription,
    pub spelling: OwnSpelling,
    /// 16 random bytes for each session's secret.
    pub secrets: Box<dyn FnMut() -> [u8; 16]>,
}

impl ShardSetup {
    /// What its wire must know of the other nodes.
    pub(super) fn neighbours(&self) -> Option<Neighbours> {
        self.cluster.as_ref().map(|cluster| Neighbours {
            secret: cluster.secret.clone(),
            questions: cluster.secret.as_ref().map(QuestionKey::of),
            own: (self.node, self.incarnation),
            adopts: self.adopts(),
        })
    }

    /// Sessions may change their node.
    pub(super) fn adopts(&self) -> bool {
        self.adoption && self.cluster.is_some() && self.server_info.portable_sessions
    }

    /// What anybody may read.
    pub(super) fn documents(&self) -> PublicDocuments {
        let Some(settings) = &self.card else {
            return PublicDocuments::default();
        };
        let card = ServerCard::new(&self.server_info, settings);
        PublicDocuments::of(card, settings, &self.gate.path)
    }
}

/// The application's word on a URI that a client subscribes to: how the application itself spells it when it
/// publishes, and nothing if nobody may subscribe to it.
pub type AcceptsSubscription = Box<dyn Fn(&str) -> Result<Option<Box<str>>, NotAUri>>;

/// How the application itself spells a URI; nothing if it cannot say.
pub type OwnSpelling = Box<dyn Fn(&str) -> Result<Option<Box<str>>, NotAUri>>;

/// A notification with its place in the log: what the sequencer hands to every core in the same order.
#[derive(Clone, Debug)]
pub struct Publication {
    pub offset: u64,
    /// When it was, by the clock of the shards.
    pub published: Millis,
    pub topic: Topic,
    /// Whose subscribers alone are to hear of it. None: all are.
    pub principal: Option<PrincipalId>,
}

/// How many of everything there are now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardCounts {
    pub connections: usize,
    pub sessions: usize,
    pub streams: usize,
    pub listeners: usize,
    pub topics: usize,
    pub calls: usize,
    /// Of the memory budget, in use.
    pub held_bytes: usize,
}

/// Bytes of each kind of entry, for the memory bill.
#[derive(Clone, Copy, Debug)]
pub struct EntrySizes {
    pub connection: usize,
    pub session: usize,
    pub stream: usize,
    pub listener: usize,
    pub call: usize,
    /// Both sides of the index.
    pub subscription: usize,
}
