//! What a node is given before it starts.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use super::application::IntoHandler;
use super::check::socket_address;
use super::cluster::ClusterParts;
use super::counted::CounterParts;
use super::names::node_name;
use super::operators::OperatorParts;
use super::store::GuardedStore;
use super::{HandoverPlan, Node, NodeError, Options, Pinning, StateKey, TakeOver};
use crate::app::contents::ContentStore;
use crate::clients::Networks;
use crate::limits::Limits;
use crate::runtime::{Driver, MakeHandler, Publisher};
use crate::shard::DrainTimes;

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
    pub(super) operators: OperatorParts,
    pub(super) counters: CounterParts,
    pub(super) cluster: ClusterParts,
    /// How it is handed over. None: it is not.
    pub(super) handover: Option<HandoverPlan>,
    /// It takes the place of a node in another process.
    pub(super) take_over: Option<TakeOver>,
    /// The addresses are somebody's choice already: the default one does not count any more.
    listens: bool,
    /// The first value that cannot be used.
    wrong: Option<NodeError>,
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
            operators: OperatorParts::default(),
            counters: CounterParts::default(),
            cluster: ClusterParts::default(),
            handover: None,
            take_over: None,
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

    /// The URL of the MCP endpoint as clients know it, such as `https://mcp.example.com/mcp`; http only on a loopback
    /// address. It is named in the server card, and in what clients are told about authentication.
    pub fn public_url(mut self, url: impl AsRef<str>) -> Self {
        match url.as_ref().parse() {
            Ok(url) => self.options.public_url = Some(url),
            Err(wrong) => self.note(NodeError::option(
                "public_url",
                url.as_ref(),
                wrong.to_string(),
            )),
        }
        self
    }

    /// Whether anybody may read the server card. See [`Options::server_card`]; it does by default.
    pub fn server_card(mut self, is_served: bool) -> Self {
        self.options.server_card = is_served;
        self
    }

    /// Whether HTTP+SSE, the transport of 2024-11-05, is there as well. See [`Options::legacy_sse`]; it is not by default.
    pub fn legacy_sse(mut self, is_served: bool) -> Self {
        self.options.legacy_sse = is_served;
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

    /// Lets in whoever reaches the addresses, and lets them do everything. That has to be said where more than this machine reaches
    /// them, unless it is asked who they are (`authenticate`, with the feature `auth`): else the node does not start.
    ///
    /// ```no_run
    /// use pinfold::Node;
    /// use pinfold::app::Toolkit;
    ///
    /// let node = Node::builder(|| Toolkit::new("weather", "1.0.0"))
    ///     .listen("0.0.0.0:8080")
    ///     .let_anybody_in();
    /// node.run()?;
    /// # Ok::<(), pinfold::NodeError>(())
    /// ```
    pub fn let_anybody_in(mut self) -> Self {
        self.options.anybody = true;
        self
    }

    /// Whose word on a client's address is taken, for the limits of one client. Private networks unless it is given.
    pub fn trusted_proxies(mut self, networks: Networks) -> Self {
        self.options.trusted_proxies = networks;
        self
    }

    /// The node's name, 1 to 16 of a-z, 0-9 and `-`: it leads every session id, so that a proxy can route on it. Needed with
    /// `redis`, where each node has another one.
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

    /// Where contents go that come with a publication, from `POST /publish` or from another node. Without it they are
    /// refused.
    pub fn contents(mut self, store: Arc<dyn ContentStore>) -> Self {
        let changes = self.publisher.content_changes().clone();
        self.store = Some(Arc::new(GuardedStore::new(store, changes)));
        self
    }

    /// How it is handed over to another process of the program, and from which it takes over.
    pub(crate) fn handed_over(mut self, plan: HandoverPlan, take_over: Option<TakeOver>) -> Self {
        (self.handover, self.take_over) = (Some(plan), take_over);
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
        std::mem::take(&mut self.cluster).settle(&mut self.options)?;
        if self.options.listen.is_empty() && self.listeners.is_empty() {
            let sentence = "a node needs an address to listen on, such as 127.0.0.1:8080";
            return Err(NodeError::Option(sentence.to_owned()));
        }
        if let Some(take_over) = &self.take_over {
            take_over.settle(&mut self.options)?;
        }
        self.options.check()?;
        self.options.check_strangers(&self.listeners)
    }

    fn chosen_addresses(&mut self) -> &mut Vec<SocketAddr> {
        if !std::mem::replace(&mut self.listens, true) {
            self.options.listen.clear();
        }
        &mut self.options.listen
    }

    pub(super) fn note(&mut self, wrong: NodeError) {
        self.wrong.get_or_insert(wrong);
    }
}
