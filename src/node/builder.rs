//! What a node is given before it starts.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use super::application::IntoHandler;
use super::check::{advertised, resolve};
use super::names::node_name;
use super::store::GuardedStore;
use super::{ClusterConfig, Node, NodeError, Options, PEER_SECRET_BYTES_MIN, Pinning, StateKey};
use crate::admin::Token;
use crate::app::contents::ContentStore;
use crate::clients::Networks;
use crate::limits::Limits;
use crate::metrics::Registry;
use crate::redis::RedisUrl;
use crate::runtime::{Driver, MakeHandler, Publisher};
use crate::shard::DrainTimes;
use crate::wire::forwarded::PeerSecret;

const PREFIX: &str = "mcp:";

/// A node that has not started. [`start`](NodeBuilder::start) says what is wrong with a value, in a sentence.
///
/// ```
/// use pinfold::Node;
/// use pinfold::app::Toolkit;
///
/// let node = Node::builder(|| Toolkit::new("greeter", "1.0.0"))
///     .listen("127.0.0.1:0")
///     .cores(1)
///     .start()?;
/// println!("clients connect to http://{}/mcp", node.address());
/// node.stop();
/// node.join_blocking()?;
/// # Ok::<(), pinfold::NodeError>(())
/// ```
#[must_use = "it does nothing before it is started"]
pub struct NodeBuilder {
    pub(super) options: Options,
    pub(super) make_handler: MakeHandler,
    pub(super) publisher: Publisher,
    pub(super) store: Option<Arc<dyn ContentStore>>,
    pub(super) listeners: Vec<TcpListener>,
    pub(super) admin_listener: Option<TcpListener>,
    pub(super) registry: Registry,
    cluster: ClusterParts,
    /// The addresses are somebody's choice already: the default one does not count any more.
    listens: bool,
    /// The first value that cannot be used.
    wrong: Option<NodeError>,
}

/// What was said of a cluster, before it is known that there is one.
#[derive(Default)]
struct ClusterParts {
    redis: Option<RedisUrl>,
    prefix: Option<String>,
    advertise: Option<String>,
    secret: Option<PeerSecret>,
    no_forwarding: bool,
}

impl Node {
    /// A node for an application. `app` is called once on each core's thread, and what it returns never leaves that thread:
    /// state that cores share is captured by `app`. It may return an [`App`](crate::app::App), a
    /// [`Handler`](crate::app::call::Handler) in an `Rc`, or a `Result` of them.
    pub fn builder<H: IntoHandler>(app: impl Fn() -> H + Send + Sync + 'static) -> NodeBuilder {
        NodeBuilder {
            listens: false,
            ..Node::builder_from(Options::default(), app)
        }
    }

    /// The same, beginning with options as a whole in place of the defaults; [`listen`](NodeBuilder::listen) adds to their
    /// addresses.
    pub fn builder_from<H: IntoHandler>(
        options: Options,
        app: impl Fn() -> H + Send + Sync + 'static,
    ) -> NodeBuilder {
        NodeBuilder {
            options,
            make_handler: Arc::new(move || app().into_handler()),
            publisher: Publisher::new(),
            store: None,
            listeners: Vec::new(),
            admin_listener: None,
            registry: Registry::new(),
            cluster: ClusterParts::default(),
            listens: true,
            wrong: None,
        }
    }
}

impl NodeBuilder {
    /// Listens for clients at `address:port`, such as `127.0.0.1:8080` (the default) or `[::]:8080`; port 0 is a free one.
    /// Called again, it listens there as well.
    pub fn listen(mut self, address: impl ToString) -> Self {
        match socket_address("listen", &address.to_string()) {
            Ok(address) => self.chosen_addresses().push(address),
            Err(wrong) => self.note(wrong),
        }
        self
    }

    /// Takes clients from a listening TCP socket that somebody else made, a service manager for example; all cores accept
    /// from it. It is made non-blocking. At the end the node closes its descriptors, and the socket goes on listening if there
    /// are others.
    pub fn listener(mut self, listener: TcpListener) -> Self {
        self.chosen_addresses();
        self.listeners.push(listener);
        self
    }

    /// The path of the MCP endpoint. `/mcp` unless it is given.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.options.path = path.into();
        self
    }

    /// Lets requests in that name this `host[:port]`. On a loopback address its own names are always allowed, and no other
    /// unless it is given; elsewhere every host is, unless one is given. Web pages of the host may use the server.
    pub fn allow_host(mut self, host: impl AsRef<str>) -> Self {
        self.options.hosts.push(host.as_ref().to_ascii_lowercase());
        self
    }

    /// Lets web pages of this origin in, such as `https://example.com`. Programs send no `Origin` and need none.
    pub fn allow_origin(mut self, origin: impl AsRef<str>) -> Self {
        self.options
            .origins
            .push(origin.as_ref().to_ascii_lowercase());
        self
    }

    /// Whose word on a client's address is taken, for the limits of one client. Private networks unless it is given.
    pub fn trusted_proxies(mut self, networks: Networks) -> Self {
        self.options.trusted_proxies = networks;
        self
    }

    /// The node's name, 1 to 16 of a-z, 0-9 and `-`: it leads every session id, so that a proxy can route on it. Needed with
    /// [`redis`](NodeBuilder::redis), where each node has another one.
    pub fn name(mut self, name: &str) -> Self {
        match node_name(name) {
            Ok(name) => self.options.name = Some(name),
            Err(allowed) => self.note(NodeError::option("name", name, allowed)),
        }
        self
    }

    /// See [`Options::incarnation`].
    pub fn incarnation(mut self, incarnation: u64) -> Self {
        self.options.incarnation = incarnation;
        self
    }

    /// How many core threads, at most 512; 0, the default, is one for each CPU that this process may use.
    pub fn cores(mut self, cores: usize) -> Self {
        self.options.cores = cores;
        self
    }

    /// Whether each core's thread stays on a CPU of its own. Unless it is given they do if the node has a core for each CPU
    /// of the machine and the process may use them all.
    pub fn pin(mut self, pin: bool) -> Self {
        self.options.pinning = if pin { Pinning::Always } else { Pinning::Never };
        self
    }

    /// How the cores wait for the kernel.
    pub fn driver(mut self, driver: Driver) -> Self {
        self.options.driver = driver;
        self
    }

    /// See [`Options::raise_open_files`]; it does by default.
    pub fn raise_open_files(mut self, raise: bool) -> Self {
        self.options.raise_open_files = raise;
        self
    }

    /// Threads for [`Context::blocking`](crate::app::Context::blocking). 0, the default: as many as cores, at least two.
    pub fn blocking_threads(mut self, threads: usize) -> Self {
        self.options.blocking_threads = threads;
        self
    }

    /// Handlers may use crates that need a tokio runtime (reqwest, sqlx, tonic): one of so many worker threads is there on
    /// every core's thread, and ends with the node. Those threads watch sockets and timers and run what is spawned on
    /// them; handlers run on their cores as ever. One or two are enough for what handlers wait for. None by default, and
    /// with 0: such crates panic then ("there is no reactor running"). Needs the cargo feature `tokio`.
    ///
    /// ```no_run
    /// use pinfold::app::{Error, NoArguments, Toolkit};
    ///
    /// async fn status(_: NoArguments) -> Result<String, Error> {
    ///     Ok(reqwest::get("http://127.0.0.1:9464/readyz").await?.text().await?)
    /// }
    ///
    /// pinfold::Node::builder(|| Toolkit::new("s", "1").tool("status", "Is it well?", |it, _| status(it)))
    ///     .tokio(1)
    ///     .run()?;
    /// # Ok::<(), pinfold::NodeError>(())
    /// ```
    #[cfg(feature = "tokio")]
    pub fn tokio(mut self, workers: usize) -> Self {
        self.options.tokio_workers = workers;
        self
    }

    /// The limits of the node. Replaces what [`memory_max`](NodeBuilder::memory_max) said before.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.options.limits = limits;
        self
    }

    /// Bytes that all clients together may make the node hold. 1 GiB unless it is given.
    pub fn memory_max(mut self, bytes: usize) -> Self {
        self.options.limits.memory_bytes_max = bytes;
        self
    }

    /// How the node drains: streams begin to close after `notice`, when a proxy has seen that it is not ready, and
    /// close evenly within `window`. None and 1 s unless it is given, 5 s and 20 s with Redis. Milliseconds count.
    pub fn drain_times(mut self, notice: Duration, window: Duration) -> Self {
        let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX / 4);
        self.options.drain = Some(DrainTimes {
            notice_ms: ms(notice),
            window_ms: ms(window),
        });
        self
    }

    /// Seals what clients carry for the server (`requestState`). Unless it is given, made from the peer secret, or new at
    /// each start.
    pub fn state_key(mut self, key: [u8; super::STATE_KEY_BYTES]) -> Self {
        self.options.state_key = Some(StateKey(key));
        self
    }

    /// Serves operators at `address:port`: `POST /publish`, `GET /metrics`, `/readyz`, `/healthz`, `POST /drain`. Without it,
    /// or [`admin_listener`](NodeBuilder::admin_listener), there is nothing of that. An address that is not a loopback one
    /// needs a token.
    pub fn admin(mut self, address: impl ToString) -> Self {
        match socket_address("admin", &address.to_string()) {
            Ok(address) => self.options.admin = Some(address),
            Err(wrong) => self.note(wrong),
        }
        self
    }

    /// The same on a listening TCP socket that somebody else made.
    pub fn admin_listener(mut self, listener: TcpListener) -> Self {
        self.admin_listener = Some(listener);
        self
    }

    /// The bearer token that publishing and metrics ask for: visible ASCII without spaces.
    pub fn admin_token(mut self, token: &str) -> Self {
        match Token::parse(token) {
            Ok(token) => self.options.admin_token = Some(token),
            Err(allowed) => self.note(NodeError::Option(format!("the admin token {allowed}"))),
        }
        self
    }

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

    /// Requests for other nodes' sessions are answered 404 in place of passing them on.
    pub fn no_forwarding(mut self) -> Self {
        self.cluster.no_forwarding = true;
        self
    }

    /// Where contents go that come with a publication, from `POST /publish` or from another node. Without it they are
    /// refused.
    pub fn contents(mut self, store: Arc<dyn ContentStore>) -> Self {
        self.store = Some(Arc::new(GuardedStore::new(store)));
        self
    }

    /// Counts in this registry, under names that begin with `pinfold_`: what else is counted there stands on the page of
    /// `GET /metrics`, too. Each node has one of its own unless it is given.
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = registry;
        self
    }

    /// Publishes to this node's clients from any thread, also before it has started; nobody can have subscribed then.
    #[must_use]
    pub fn publisher(&self) -> Publisher {
        self.publisher.clone()
    }

    /// Starts the node, and returns once every core serves.
    ///
    /// # Errors
    /// [`NodeError`], and nothing is left of the node: an option that cannot be used, a port in use, an application that
    /// could not be made.
    pub fn start(self) -> Result<Node, NodeError> {
        self.start_with(|_| Ok(()))
    }

    /// Starts the node and serves until it ends, by SIGTERM or Ctrl-C for example, which are the process's: for a program
    /// that is a server and nothing else.
    ///
    /// # Errors
    /// As [`start`](NodeBuilder::start) and [`Node::join`].
    pub fn run(self) -> Result<(), NodeError> {
        let node = self.start()?;
        node.stop_on_signals()?;
        node.join_blocking()
    }

    /// The options as they will be checked, with what is wrong already.
    pub(super) fn settle(&mut self) -> Result<(), NodeError> {
        if let Some(wrong) = self.wrong.take() {
            return Err(wrong);
        }
        let parts = std::mem::take(&mut self.cluster);
        match parts.redis.clone() {
            Some(redis) => self.options.cluster = Some(parts.of(redis)?),
            None if parts.is_used() => {
                return Err(NodeError::Option(
                    "redis_prefix, advertise and peer_secret make no sense without redis: this node is alone"
                        .to_owned(),
                ));
            }
            None => {}
        }
        if self.options.listen.is_empty() && self.listeners.is_empty() {
            let sentence = "a node needs an address to listen on, such as 127.0.0.1:8080";
            return Err(NodeError::Option(sentence.to_owned()));
        }
        self.options.check()
    }

    fn chosen_addresses(&mut self) -> &mut Vec<SocketAddr> {
        if !std::mem::replace(&mut self.listens, true) {
            self.options.listen.clear();
        }
        &mut self.options.listen
    }

    fn note(&mut self, wrong: NodeError) {
        self.wrong.get_or_insert(wrong);
    }
}

impl ClusterParts {
    fn is_used(&self) -> bool {
        self.prefix.is_some() || self.advertise.is_some() || self.secret.is_some()
    }

    fn of(self, redis: RedisUrl) -> Result<ClusterConfig, NodeError> {
        if self.secret.is_none() && !self.no_forwarding {
            return Err(NodeError::Option(
                "a node that shares a Redis needs peer_secret, the same on every node, so that nodes can pass requests \
                 on to each other, or else no_forwarding"
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
        })
    }
}

fn socket_address(what: &str, text: &str) -> Result<SocketAddr, NodeError> {
    let allowed = "must be an IP address and a port, such as 127.0.0.1:8080 or [::]:8080";
    text.parse()
        .map_err(|_| NodeError::option(what, text, allowed))
}
