//! A node that runs, as whoever started it holds it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use super::cluster::Authorities;
use super::counted::Counters;
use super::hand_over::HandoverParts;
use super::{NodeError, Options, STATE_KEY_BYTES};
use crate::app::contents::ContentStore;
use crate::clients::Commons;
#[cfg(feature = "auth")]
use crate::credentials::CredentialStore;
use crate::runtime::{Driver, Milestone, Publisher, StatsBoard, Watch, watch_signals};
use crate::wire::session_id::NodeName;

/// A node that runs. Clones are the same node, from any thread; dropping them ends nothing.
///
/// ```
/// use pinfold::Node;
/// use pinfold::app::{Toolkit, Topic};
///
/// let app = || Toolkit::new("greeter", "1.0.0");
/// let node = Node::builder(app).listen("127.0.0.1:0").cores(1).start()?;
/// node.publisher().publish(Topic::Resource("greeting://today".into())).expect("it is not busy");
/// assert_eq!(node.counts().sessions, 0);
///
/// let handle = node.clone();
/// std::thread::spawn(move || handle.stop());
/// node.join_blocking()?; // or `node.join().await`, on any runtime
/// # Ok::<(), pinfold::NodeError>(())
/// ```
#[derive(Clone)]
pub struct Node {
    pub(super) shared: Arc<NodeInner>,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("name", &self.name())
            .field("addresses", &self.addresses())
            .finish_non_exhaustive()
    }
}

pub(super) struct NodeInner {
    /// In force: with what the limit on open files leaves of the connections.
    pub(super) options: Options,
    pub(super) publisher: Publisher,
    pub(super) commons: Arc<Commons>,
    pub(super) counters: Counters,
    /// What its cores said last.
    pub(super) stats: StatsBoard,
    pub(super) authorities: Authorities,
    pub(super) watch: Watch,
    #[cfg(feature = "auth")]
    pub(super) credentials: Option<Arc<CredentialStore>>,
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) admin_address: Option<SocketAddr>,
    pub(super) cores: usize,
    pub(super) driver: Driver,
    pub(super) fell_back: bool,
    pub(super) drained: Arc<Milestone<()>>,
    pub(super) ended: Arc<Milestone<Result<(), NodeError>>>,
    pub(super) store: Option<Arc<dyn ContentStore>>,
    pub(super) state_key: [u8; STATE_KEY_BYTES],
    pub(super) handover: HandoverParts,
}

/// How much there is of what clients share, and may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeCounts {
    /// Open connections of clients, those included that are passed on to other nodes.
    pub connections: usize,
    /// So many may be open.
    pub connections_max: usize,
    /// Live sessions of this node. Clients of 2026-07-28 have none.
    pub sessions: usize,
    /// So many may live.
    pub sessions_max: usize,
    /// Bytes that clients make this node hold, and what cores keep in reserve.
    pub memory_bytes: usize,
    /// So many they may be.
    pub memory_bytes_max: usize,
}

impl NodeCounts {
    pub(super) fn of(commons: &Commons) -> Self {
        let Commons {
            connections,
            sessions,
            memory,
            ..
        } = commons;
        NodeCounts {
            connections: connections.total() - connections.free(),
            connections_max: connections.total(),
            sessions: sessions.total() - sessions.free(),
            sessions_max: sessions.total(),
            memory_bytes: memory.total() - memory.free(),
            memory_bytes_max: memory.total(),
        }
    }
}

impl Node {
    /// Publishes to this node's clients, and to those of all nodes that share its Redis.
    #[must_use]
    pub fn publisher(&self) -> &Publisher {
        &self.shared.publisher
    }

    /// As it leads every session id.
    #[must_use]
    pub fn name(&self) -> NodeName {
        self.options().node_name()
    }

    /// Where clients connect, as bound: the port is never 0. The first of [`addresses`](Node::addresses).
    ///
    /// # Panics
    /// Never: a node listens somewhere.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        *self.addresses().first().expect("a node listens somewhere")
    }

    /// All addresses where clients connect: those of its options, then those of sockets that it was given.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.shared.addresses
    }

    /// The options in force, defaults filled in: fewer connections than were asked for, if the limit on open files allows
    /// no more.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.shared.options
    }

    /// Core threads.
    #[must_use]
    pub fn cores(&self) -> usize {
        self.shared.cores
    }

    /// What the cores wait with: [`Driver::Uring`] or [`Driver::Epoll`].
    #[must_use]
    pub fn driver(&self) -> Driver {
        self.shared.driver
    }

    /// io_uring was wanted and could not be had; the log says why.
    #[must_use]
    pub fn fell_back(&self) -> bool {
        self.shared.fell_back
    }

    /// How much there is now. Asks no core.
    #[must_use]
    pub fn counts(&self) -> NodeCounts {
        NodeCounts::of(&self.shared.commons)
    }

    /// New clients are welcome: it takes them, and all of its threads do their work.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.shared.publisher.is_ready() && !self.has_ended()
    }

    /// Drains, and resolves when no stream and no request is left: the node is not ready from now on, and
    /// its streams close spread over the drain window ([`NodeBuilder::drain_times`](super::NodeBuilder::drain_times)). It
    /// goes on for whoever comes nevertheless, until it is stopped. Begun by the call, whether it is waited for or not.
    pub fn drain(&self) -> impl Future<Output = ()> + Send + use<> {
        self.shared.publisher.drain_all();
        let drained = self.shared.drained.clone();
        async move { drained.wait().await }
    }

    /// [`drain`](Node::drain) for a thread that may wait. Not for a core's: what is waited for would never come.
    pub fn drain_blocking(&self) {
        self.shared.publisher.drain_all();
        self.shared.drained.wait_blocking();
    }

    /// Drains, if that was not done before, and ends the node. Returns at once; [`join`](Node::join) resolves when it is over.
    pub fn stop(&self) {
        self.shared.publisher.stop_all();
    }

    /// Nothing of the node goes on.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.shared.ended.is_reached()
    }

    /// Resolves when nothing of the node goes on any more: its sockets are closed and its threads have ended. Any number may
    /// wait, on whatever runtime.
    ///
    /// # Errors
    /// [`NodeError::Failed`]: a thread of the node panicked, could not go on, or hangs and was left behind. The others took
    /// their leave.
    pub fn join(&self) -> impl Future<Output = Result<(), NodeError>> + Send + use<> {
        let ended = self.shared.ended.clone();
        async move { ended.wait().await }
    }

    /// [`join`](Node::join) for a thread that may wait. Not for a core's: what is waited for would never come.
    ///
    /// # Errors
    /// As [`join`](Node::join).
    pub fn join_blocking(&self) -> Result<(), NodeError> {
        self.shared.ended.wait_blocking()
    }

    /// Stops on SIGTERM and Ctrl-C from now on, at once on the second one, says in the log how much there is of everything on
    /// SIGUSR1, and is not killed by SIGHUP and others. Signals are the process's: a program has one node that obeys them.
    ///
    /// # Errors
    /// The kernel refuses a handler, or a thread.
    pub fn stop_on_signals(&self) -> Result<(), NodeError> {
        self.obey_signals(|| tracing::info!("SIGHUP: there is nothing to be read again"))
    }

    /// As [`stop_on_signals`](Node::stop_on_signals); `reload` is called on SIGHUP.
    ///
    /// # Errors
    /// The kernel refuses a handler, or a thread.
    pub fn obey_signals(&self, reload: impl FnMut() + Send + 'static) -> Result<(), NodeError> {
        self.obey_signals_and_tell(reload, || ())
    }

    /// As [`obey_signals`](Node::obey_signals); `stopping` is called once, when the node begins to end for whatever reason.
    pub(crate) fn obey_signals_and_tell(
        &self,
        reload: impl FnMut() + Send + 'static,
        stopping: impl FnOnce() + Send + 'static,
    ) -> Result<(), NodeError> {
        let NodeInner {
            watch, publisher, ..
        } = &*self.shared;
        watch_signals(
            watch,
            publisher.clone(),
            Box::new(reload),
            Box::new(stopping),
        )
        .map_err(|fault| NodeError::system("cannot watch signals", fault))
    }
}
