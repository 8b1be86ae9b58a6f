//! A node that shares a Redis with others: its options, its membership, and what its control thread does for that. The
//! feature `redis`; without it `alone.rs` stands here.

use std::net::{SocketAddr, ToSocketAddrs};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use super::counted::Counters;
use super::{Node, NodeBuilder, NodeError, Options, PEER_SECRET_BYTES_MIN};
use crate::app::contents::ContentStore;
#[cfg(feature = "auth")]
use crate::cluster::Revocations;
use crate::cluster::{
    Advertised, ClusterGates, ClusterSetup, ClusterState, ClusterTask, CoreDoors, StandingCluster,
    bus,
};
use crate::redis::{RedisUrl, Settings};
use crate::runtime::{ClusterAccess, CoreReach, Publisher};
use crate::tasks;
use crate::wire::forwarded::PeerSecret;

pub(super) use crate::cluster::Membership;
pub(super) use crate::cluster::bus::{BusHandle, ReceiptReceiver};
pub(super) use crate::redis::Authorities;

const PREFIX: &str = "mcp:";

/// A node's place among others.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClusterConfig {
    /// The Redis that all of them share.
    pub redis: RedisUrl,
    /// What every key in Redis starts with, at most 64 visible ASCII characters: `mcp:`.
    pub prefix: String,
    /// Where the others reach this node's clients' address. None: as it is bound.
    pub advertised: Option<Advertised>,
    /// By which nodes know each other. None: requests are not passed on, neither by this node nor to it.
    pub secret: Option<PeerSecret>,
    /// Sessions of a node that is gone, or that drains, go on at another one, if the application says that they may
    /// ([`ServerInfo::portable_sessions`](crate::app::ServerInfo::portable_sessions)). False: they end with it.
    pub adopts: bool,
}

impl ClusterConfig {
    /// Nodes that share this Redis, and know each other by this secret.
    #[must_use]
    pub fn new(redis: RedisUrl, secret: Option<PeerSecret>) -> Self {
        ClusterConfig {
            redis,
            prefix: PREFIX.to_owned(),
            advertised: None,
            secret,
            adopts: false,
        }
    }

    /// Who passes nothing on reaches no session elsewhere, and takes none over.
    fn takes_over(&self) -> bool {
        self.adopts && self.secret.is_some()
    }
}

/// What was said of a cluster, before it is known that there is one.
#[derive(Default)]
pub(super) struct ClusterParts {
    redis: Option<RedisUrl>,
    prefix: Option<String>,
    advertise: Option<String>,
    secret: Option<PeerSecret>,
    no_forwarding: bool,
    adopts: bool,
}

/// What a builder takes for a cluster: the feature `redis`.
impl NodeBuilder {
    /// Makes the node one of several: those that are given the same Redis, as `redis://[user:password@]host[:port][/db]`,
    /// `rediss://` or `unix:///path`, share one log, and find each other's sessions. It starts also while Redis is away.
    pub fn redis(mut self, url: &str) -> Self {
        match url.parse() {
            Ok(url) => self.cluster.redis = Some(url),
            // The URL may hold a password.
            Err(bad) => self.note(NodeError::Option(format!("redis: the URL {bad}"))),
        }
        self
    }

    /// What every key in Redis starts with; nodes with the same prefix are one cluster. `mcp:` unless it is given.
    pub fn redis_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.cluster.prefix = Some(prefix.into());
        self
    }

    /// Where the others reach this node's clients' address, such as `http://10.0.0.1:8080`. As it is bound unless it is
    /// given, which does not do for `0.0.0.0`.
    pub fn advertise(mut self, url: impl Into<String>) -> Self {
        self.cluster.advertise = Some(url.into());
        self
    }

    /// By which nodes know each other when they pass requests on, at least 16 bytes and the same for all. Needed with
    /// [`redis`](NodeBuilder::redis), or else [`no_forwarding`](NodeBuilder::no_forwarding).
    pub fn peer_secret(mut self, secret: impl AsRef<[u8]>) -> Self {
        let secret = secret.as_ref();
        if secret.len() < PEER_SECRET_BYTES_MIN {
            self.note(NodeError::Option(format!(
                "the peer secret must be at least {PEER_SECRET_BYTES_MIN} bytes"
            )));
        }
        self.cluster.secret = Some(PeerSecret::new(secret));
        self
    }

    /// Sessions of a node that is gone, or that drains, go on at another one in place of ending with it. It has to be said on
    /// every node, and the application has to say that its sessions may
    /// ([`ServerInfo::portable_sessions`](crate::app::ServerInfo::portable_sessions)).
    pub fn adopt_sessions(mut self) -> Self {
        self.cluster.adopts = true;
        self
    }

    /// Requests for other nodes' sessions are answered 404 in place of passing them on.
    pub fn no_forwarding(mut self) -> Self {
        self.cluster.no_forwarding = true;
        self
    }
}

impl ClusterParts {
    /// Puts what was said into the options.
    ///
    /// # Errors
    /// What is missing, or makes no sense without Redis.
    pub(super) fn settle(self, options: &mut Options) -> Result<(), NodeError> {
        match self.redis.clone() {
            Some(redis) => options.cluster = Some(self.of(redis)?),
            None if self.is_used() => {
                return Err(NodeError::Option(
                    "redis_prefix, advertise, peer_secret and adopt_sessions make no sense without redis: this node is alone"
                        .to_owned(),
                ));
            }
            None => {}
        }
        Ok(())
    }

    fn is_used(&self) -> bool {
        let is_said = self.prefix.is_some() || self.advertise.is_some() || self.secret.is_some();
        is_said || self.adopts
    }

    fn of(self, redis: RedisUrl) -> Result<ClusterConfig, NodeError> {
        if self.secret.is_none() && !self.no_forwarding {
            return Err(NodeError::Option(
                "a node that shares a Redis needs peer_secret, the same on every node, so that nodes can pass requests \
                 on to each other, or else no_forwarding"
                    .to_owned(),
            ));
        }
        if self.adopts && self.no_forwarding {
            return Err(NodeError::Option(
                "adopt_sessions cannot be used with no_forwarding: nodes that pass no requests on take no sessions over"
                    .to_owned(),
            ));
        }
        let advertised = self.advertise.map(|url| {
            let known = advertised(&url)
                .map_err(str::to_owned)
                .and_then(|url| resolve(&url));
            known.map_err(|allowed| NodeError::option("advertise", &url, allowed))
        });
        Ok(ClusterConfig {
            redis,
            prefix: self.prefix.unwrap_or_else(|| PREFIX.to_owned()),
            advertised: advertised.transpose()?,
            secret: self.secret.filter(|_| !self.no_forwarding),
            adopts: self.adopts,
        })
    }
}

impl Options {
    pub(super) fn is_one_of_several(&self) -> bool {
        self.cluster.is_some()
    }

    /// Which Redis, without a password.
    pub(super) fn redis_shown(&self) -> String {
        let shown = |it: &ClusterConfig| format!("{}, prefix {}", it.redis, it.prefix);
        self.cluster.as_ref().map_or("none".to_owned(), shown)
    }

    pub(super) fn adopts(&self) -> bool {
        self.cluster.as_ref().is_some_and(ClusterConfig::takes_over)
    }

    pub(super) fn peer_secret(&self) -> Option<&PeerSecret> {
        self.cluster.as_ref().and_then(|it| it.secret.as_ref())
    }

    /// # Errors
    /// What is missing, or cannot be used.
    pub(super) fn check_cluster(&self) -> Result<(), NodeError> {
        let Some(cluster) = &self.cluster else {
            return Ok(());
        };
        if self.name.is_none() {
            return Err(NodeError::Option(
                "a node that shares a Redis needs a name that no other one has, such as n1: session ids lead with it"
                    .to_owned(),
            ));
        }
        prefix(&cluster.prefix)
            .map_err(|allowed| NodeError::option("redis_prefix", &cluster.prefix, allowed))
            .map(drop)
    }
}

impl Node {
    /// The next connection to Redis reads anew whom this machine trusts (`rediss://`). The feature `redis`.
    pub fn reload_authorities(&self) {
        self.shared.authorities.forget();
    }
}

/// A node's part in its cluster, before its threads run.
pub(super) struct ClusterMember {
    config: ClusterConfig,
    pub(super) membership: Arc<Membership>,
    task: ClusterTask,
    /// At which what is published waits for the bus.
    pub(super) bus: Arc<BusHandle>,
    resumed: Option<ClusterState>,
}

impl ClusterMember {
    /// None: this node is alone. From here on all that is published is for the others, too.
    ///
    /// # Errors
    /// Others could not reach it.
    pub(super) fn of(
        options: &Options,
        addresses: &[SocketAddr],
        counters: &Counters,
        authorities: &Authorities,
        publisher: &Publisher,
    ) -> Result<Option<Self>, NodeError> {
        let Some(config) = options.cluster.clone() else {
            return Ok(None);
        };
        let advertised = match (&config.secret, &config.advertised) {
            // Who passes nothing on has no secret by which others could pass something on to it.
            (None, _) => None,
            (Some(_), Some(advertised)) => Some(advertised.clone()),
            (Some(_), None) => Some(bound(addresses)?),
        };
        let node = options.node_name();
        let mut redis = Settings::new(config.redis.clone(), format!("pinfold-{node}"));
        redis.authorities = authorities.clone();
        let (membership, task) = crate::cluster::join(ClusterSetup {
            redis,
            prefix: config.prefix.clone(),
            node,
            advertised,
            sessions_max: options.limits.sessions_max,
            metrics: counters.metrics(),
        });
        Ok(Some(ClusterMember {
            config,
            membership,
            task,
            // Before anybody can publish: the others are to hear of all of it.
            bus: bus::share(publisher),
            resumed: None,
        }))
    }

    /// Goes on with what another process had, before anybody is told that this node is there.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn resume(&mut self, state: &[u8], publisher: &Publisher) -> std::io::Result<()> {
        let state: ClusterState = rmp_serde::from_slice(state).map_err(std::io::Error::other)?;
        let loaded = state.bus.loaded();
        self.bus.set_loaded(loaded);
        publisher.set_availability(loaded.availability());
        self.resumed = Some(state);
        Ok(())
    }

    /// What the cores have of it.
    pub(super) fn access(&self) -> ClusterAccess {
        ClusterAccess {
            handle: self.membership.clone(),
            secret: self.config.secret.clone(),
        }
    }

    /// What is left for the control thread.
    pub(super) fn work(mut self, node: &Node, store: Option<Arc<dyn ContentStore>>) -> ClusterWork {
        let resumed = self.resumed.take();
        let (shared, options) = (&node.shared, node.options());
        let (name, incarnation) = (options.node_name(), options.incarnation);
        let adopts = self.config.takes_over();
        let mut redis = Settings::new(self.config.redis, format!("pinfold-{name}-bus"));
        redis.authorities = shared.authorities.clone();
        let task = self.task;
        #[cfg(feature = "auth")]
        let task = task.with_revocations(shared.credentials.clone().map(Revocations::of));
        ClusterWork {
            task,
            adopts,
            secret: self.config.secret,
            incarnation,
            settings: bus::RedisSettings {
                redis,
                prefix: self.config.prefix,
                metrics: shared.counters.metrics(),
            },
            log: bus::BusSetup {
                node: name,
                incarnation,
                store,
                uri_bytes_max: options.limits.uri_bytes_max,
            },
            bus: self.bus,
            resumed,
        }
    }
}

/// What the control thread does for it.
pub(super) struct ClusterWork {
    task: ClusterTask,
    /// It takes over sessions of nodes that are gone.
    adopts: bool,
    secret: Option<PeerSecret>,
    incarnation: u64,
    settings: bus::RedisSettings,
    log: bus::BusSetup,
    bus: Arc<BusHandle>,
    /// What the process had in whose place this one goes on.
    resumed: Option<ClusterState>,
}

impl ClusterWork {
    /// Starts the bus, and what this node tells the others of itself.
    pub(super) fn start(self, publisher: &Publisher) -> Clustered {
        let gates = Rc::<ClusterGates>::default();
        let (bus_had, presence_had) = match self.resumed {
            Some(ClusterState { bus, presence }) => (Some(bus), Some(presence)),
            None => (None, None),
        };
        let door = (publisher.clone(), self.bus);
        let (bus, carried) = bus::start(self.settings, self.log, door, gates.clone(), bus_had);
        tasks::spawn(carried);
        let (all, some) = (publisher.clone(), publisher.clone());
        let reach: Box<dyn CoreReach> = Box::new(publisher.clone());
        let doors = CoreDoors {
            announce_all: Box::new(move || all.announce_all()),
            verify_some: Box::new(move || some.verify_some()),
            reach: self.adopts.then_some(reach),
            secret: self.secret,
        };
        let task = self.task;
        let (context, carried) = task.start(self.incarnation, doors, gates.clone(), presence_had);
        tasks::spawn(carried);
        Clustered(StandingCluster {
            gates,
            bus,
            context,
        })
    }
}

/// It at work.
pub(super) struct Clustered(StandingCluster);

impl Clustered {
    /// Redis is told nothing new from now on; what holds up a hand-over when the time is over.
    pub(super) async fn quiesce(&self, until: Instant, insists: bool) -> Option<String> {
        self.0.quiesce(until, insists).await
    }

    /// What this node has of its cluster, as it is written down.
    pub(super) fn state(&self) -> Vec<u8> {
        let written = rmp_serde::to_vec_named(&self.0.state());
        written.expect("values with names can be written down")
    }

    pub(super) fn go_on(&self) {
        self.0.go_on();
    }
}

pub(crate) fn prefix(text: &str) -> Result<String, &'static str> {
    let sound = text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_graphic());
    sound
        .then(|| text.to_owned())
        .ok_or("must be at most 64 visible ASCII characters, such as mcp:")
}

const ADVERTISED: &str =
    "must be http://, a host or an address, and a port, such as http://10.0.0.1:8080";

pub(crate) fn advertised(text: &str) -> Result<String, &'static str> {
    let authority = text.strip_prefix("http://").ok_or(ADVERTISED)?;
    let (host, port) = authority.rsplit_once(':').ok_or(ADVERTISED)?;
    let port_sound = port.parse::<u16>().is_ok_and(|port| port != 0);
    let sound = port_sound && !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']);
    sound.then(|| text.to_owned()).ok_or(ADVERTISED)
}

/// Once, at the start: the others are told an address and need no names.
///
/// # Errors
/// What the URL must be, in place of this one.
pub(crate) fn resolve(url: &str) -> Result<Advertised, String> {
    let authority = url.trim_start_matches("http://");
    let addresses = authority
        .to_socket_addrs()
        .map_err(|fault| format!("must name a host that this one can find: {fault}"))?;
    let mut addresses = addresses.filter(|address| !address.ip().is_unspecified());
    let address = addresses
        .next()
        .ok_or("must be an address that others can connect to")?;
    Ok(Advertised {
        url: url.to_owned(),
        address,
    })
}

fn bound(addresses: &[SocketAddr]) -> Result<Advertised, NodeError> {
    let first = addresses.first().copied();
    first.and_then(reachable).ok_or_else(|| {
        NodeError::Option(
            "advertise must be given when a node listens on all addresses: the URL at which other nodes reach this one, \
             such as http://10.0.0.1:8080"
                .to_owned(),
        )
    })
}

/// Where others reach a node that listens here, if they can as it stands.
fn reachable(address: SocketAddr) -> Option<Advertised> {
    (!address.ip().is_unspecified()).then(|| Advertised {
        url: format!("http://{address}"),
        address,
    })
}
