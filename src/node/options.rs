//! How a node runs: one type, for the library's users and for the program.

use std::fmt;
use std::net::SocketAddr;

#[cfg(feature = "auth")]
use super::AuthOptions;
#[cfg(feature = "redis")]
use super::ClusterConfig;
#[cfg(feature = "admin")]
use super::operators::AdminOptions;
use crate::clients::Networks;
use crate::limits::Limits;
use crate::runtime::{BreakThread, Driver, unix_ms};
use crate::shard::{CardSettings, DrainTimes, HttpSsePaths};
use crate::wire::public_url::PublicUrl;
use crate::wire::session_id::NodeName;

/// Core threads of one node; the core's number in a session id has room for as many.
pub const CORES_MAX: u32 = 512;

/// Bytes of the key that seals `requestState`.
pub const STATE_KEY_BYTES: usize = 32;

/// Bytes of the secret by which nodes know each other, at least.
pub const PEER_SECRET_BYTES_MIN: usize = 16;

/// A node that nobody routes to needs no notice, and clients that have nowhere else to go come back in any order.
pub const DRAIN_ALONE: DrainTimes = DrainTimes {
    notice_ms: 0,
    window_ms: 1_000,
};

/// By then every node knows that this one drains, and asks for each of its sessions where it is: a request that was passed on
/// here for one that was let go of would be told to come again.
const LET_GO_AFTER_MS: u64 = 1_500;

/// Seconds that Traefik's health check needs in the printed configuration, and one more; ten thousand streams come back at
/// 500 a second.
pub const DRAIN_BEHIND_PROXY: DrainTimes = DrainTimes {
    notice_ms: 5_000,
    window_ms: 20_000,
};

/// How a node runs. [`Options::default`] is a node on loopback that uses every core and is alone;
/// [`NodeBuilder`](super::NodeBuilder) has a method for each field, and checks them all when it starts.
///
/// ```
/// let mut options = pinfold::Options::default();
/// options.cores = 2;
/// options.path = "/v1/mcp".to_owned();
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Where clients connect; port 0 is a free one. None: only what [`listener`](super::NodeBuilder::listener) gives.
    pub listen: Vec<SocketAddr>,
    /// Of the MCP endpoint, `/mcp`: starts with `/` and, unless it is only that, does not end with one.
    pub path: String,
    /// Of the MCP endpoint as clients know it: named in the server card, and in what clients are told about
    /// authentication. None: nobody has said.
    pub public_url: Option<PublicUrl>,
    /// Whether anybody may read the server card: beside the endpoint, and found by a catalog under `/.well-known`. It is there
    /// at the public URL; without one, at loopback names of a node that listens on loopback alone.
    pub server_card: bool,
    /// Whether HTTP+SSE, the transport of 2024-11-05, is there as well: `{path}/sse` and `/sse` open a session. The specification
    /// has replaced it, and so will a release that comes a year after the first one with it.
    pub legacy_sse: bool,
    /// `Host` values, `host[:port]` in lower case, that are let in besides loopback names.
    pub hosts: Vec<String>,
    /// Origins of web pages, `http(s)://host[:port]` in lower case, that may use the server.
    pub origins: Vec<String>,
    /// Whoever reaches the addresses may do everything, also where that is more than this machine. Without it a node that asks nobody who
    /// they are listens on loopback addresses alone.
    pub anybody: bool,
    /// Proxies whose word on a client's address is taken, for limits.
    pub trusted_proxies: Networks,
    /// Leads every session id, so that a proxy can route on it. None: `node`, for a node that is alone.
    pub name: Option<NodeName>,
    /// Tells this run of the node from earlier ones of the same name: session ids and event ids carry it, so that those of
    /// an earlier run are recognised. A number that was not used before; [`Options::default`] takes the clock, in
    /// milliseconds since 1970.
    pub incarnation: u64,
    /// Core threads, at most 512. 0: one for each CPU that this process may use.
    pub cores: usize,
    /// Whether each core's thread stays on a CPU of its own.
    pub pinning: Pinning,
    /// How the cores wait for the kernel.
    pub driver: Driver,
    /// Whether the soft limit of open files of this process is raised to the hard one: each connection is a file. A program
    /// that uses `select(2)` itself does not want that. Either way a node takes no more connections than the limit allows.
    pub raise_open_files: bool,
    /// Threads for work that would stall a core ([`Context::blocking`](crate::app::Context::blocking)). 0: as many as
    /// cores, and at least two.
    pub blocking_threads: usize,
    /// Threads of the tokio runtime that handlers find; see [`NodeBuilder::tokio`](super::NodeBuilder::tokio). 0: none.
    #[cfg(feature = "tokio")]
    pub tokio_workers: usize,
    /// Every bound of the node.
    pub limits: Limits,
    /// Seals `requestState`. None: made from the peer secret, or else a new key at each start.
    pub state_key: Option<StateKey>,
    /// How it drains at the end. None: streams close within a second; those of one node of several within 20 s, beginning 5 s
    /// after the proxy was notified.
    pub drain: Option<DrainTimes>,
    /// Who gets in.
    #[cfg(feature = "auth")]
    pub auth: AuthOptions,
    /// The listener for operators.
    #[cfg(feature = "admin")]
    pub admin: AdminOptions,
    /// This node's place among others. None: it is alone.
    #[cfg(feature = "redis")]
    pub cluster: Option<ClusterConfig>,
    /// Where spans go. None: there are none.
    #[cfg(feature = "otlp")]
    pub otlp: Option<crate::otlp::OtlpOptions>,
    /// Test: every connection starts on a core drawn by lot.
    pub(crate) place_at_random: bool,
    /// Test: the thread that fails when SIGUSR2 comes.
    pub(crate) break_thread: Option<BreakThread>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 8080))],
            path: "/mcp".to_owned(),
            public_url: None,
            server_card: true,
            legacy_sse: false,
            hosts: Vec::new(),
            origins: Vec::new(),
            anybody: false,
            trusted_proxies: Networks::private(),
            name: None,
            incarnation: unix_ms(),
            cores: 0,
            pinning: Pinning::WhenAlone,
            driver: Driver::Auto,
            raise_open_files: true,
            blocking_threads: 0,
            #[cfg(feature = "tokio")]
            tokio_workers: 0,
            limits: Limits::default(),
            state_key: None,
            drain: None,
            #[cfg(feature = "auth")]
            auth: AuthOptions::default(),
            #[cfg(feature = "admin")]
            admin: AdminOptions::default(),
            #[cfg(feature = "redis")]
            cluster: None,
            #[cfg(feature = "otlp")]
            otlp: None,
            place_at_random: false,
            break_thread: None,
        }
    }
}

impl Options {
    pub(super) fn drain_times(&self) -> DrainTimes {
        let times = self.drain.unwrap_or(match self.is_one_of_several() {
            true => DRAIN_BEHIND_PROXY,
            false => DRAIN_ALONE,
        });
        let least = if self.adopts() { LET_GO_AFTER_MS } else { 0 };
        DrainTimes {
            notice_ms: times.notice_ms.max(least),
            ..times
        }
    }

    pub(super) fn card(&self) -> Option<CardSettings> {
        self.server_card.then(|| CardSettings {
            public_url: self.public_url.clone(),
            asks_for_token: self.asks_for_token(),
        })
    }

    pub(super) fn http_sse_paths(&self) -> Option<HttpSsePaths> {
        let public = self.public_url.as_ref().map(PublicUrl::path);
        let paths = || HttpSsePaths::new(&self.path, public);
        self.legacy_sse.then(paths)
    }

    /// Whether clients need a token that an operator has to give them: those of issuers they get by themselves.
    fn asks_for_token(&self) -> bool {
        #[cfg(feature = "auth")]
        let asks = matches!(
            self.auth.authenticator,
            crate::credentials::Authenticator::Token(_)
        );
        #[cfg(not(feature = "auth"))]
        let asks = false;
        asks
    }

    pub(super) fn tokio_workers(&self) -> usize {
        #[cfg(feature = "tokio")]
        let workers = self.tokio_workers;
        #[cfg(not(feature = "tokio"))]
        let workers = 0;
        workers
    }

    pub(crate) fn node_name(&self) -> NodeName {
        let alone = || NodeName::new("node").expect("it is one");
        self.name.unwrap_or_else(alone)
    }
}

/// Whether each core's thread stays on a CPU of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pinning {
    /// If the node has a core for each CPU of the machine, and this process may use them all: then the machine is its own.
    WhenAlone,
    /// On the first CPUs of those that this process may use, whatever else runs there.
    Always,
    /// They run wherever the kernel likes.
    Never,
}

/// The key that seals `requestState`.
#[derive(Clone)]
pub struct StateKey(pub [u8; STATE_KEY_BYTES]);

impl fmt::Debug for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StateKey(…)")
    }
}
