//! Building and starting a node: what a user of the crate calls, and what the program calls.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::blocking::BlockingPool;
use super::core::Core;
use super::departure::Departure;
use super::forward::Abroad;
use super::neighbours::Joined;
use super::publisher::Publisher;
use super::ring::Driver;
use super::seal::Sealer;
use super::thread::{self, Seat};
use super::tokio::Tokio;
use super::watchdog::{Alive, BreakThread, Watch};
use super::{clock, secrets, signals};
use crate::app::call::{Availability, Handler};
use crate::app::{App, handler};
use crate::budget::Pool;
use crate::clients::{Commons, Networks};
use crate::limits::Limits;
use crate::shard::{Cluster, DrainTimes, EntrySizes, Gate, Setup, Shard};
use crate::wire::session_id::NodeName;
use crate::wire::uri::normal;

/// How a node runs. [`Options::default`] is a node on loopback that uses every core.
#[derive(Clone, Debug)]
pub struct Options {
    pub listen: SocketAddr,
    /// 0: one for each CPU.
    pub cores: usize,
    pub node: String,
    pub driver: Driver,
    pub path: String,
    pub hosts: Vec<String>,
    pub origins: Vec<String>,
    pub limits: Limits,
    /// Proxies whose word on a client's address is taken, for limits.
    pub trusted_proxies: Networks,
    /// Seals `requestState`. None: a new key for each process.
    pub state_key: Option<[u8; 32]>,
    /// How it takes its leave at the end.
    pub drain: DrainTimes,
    /// This node's place among others. None: it is alone.
    pub joined: Option<Joined>,
    /// Its board is that of other nodes, too: it is not ready before that was read, as the log that they share says.
    pub shares_board: bool,
    /// See [`Server::tokio`].
    #[cfg(feature = "tokio")]
    pub tokio_workers: usize,
    /// Test: every connection starts on a core drawn by lot.
    pub place_at_random: bool,
    /// Test: the thread that fails when SIGUSR2 comes.
    pub break_thread: Option<BreakThread>,
}

/// A node that nobody routes to needs no notice, and clients that have nowhere else to go come back in any order.
pub const DRAIN_ALONE: DrainTimes = DrainTimes {
    notice_ms: 0,
    window_ms: 1_000,
};

impl Default for Options {
    fn default() -> Self {
        Options {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            cores: 0,
            node: "node".to_owned(),
            driver: Driver::Auto,
            path: "/mcp".to_owned(),
            hosts: Vec::new(),
            origins: Vec::new(),
            limits: Limits::default(),
            trusted_proxies: Networks::private(),
            state_key: None,
            drain: DRAIN_ALONE,
            joined: None,
            shares_board: false,
            #[cfg(feature = "tokio")]
            tokio_workers: 0,
            place_at_random: false,
            break_thread: None,
        }
    }
}

/// Why a node did not start, in a sentence that says what to do.
#[derive(Debug)]
pub enum StartError {
    PortInUse(SocketAddr, &'static str),
    Bind(SocketAddr, io::Error),
    NoRing(io::Error),
    NodeName(String),
    /// Not an address and a port.
    Address(String),
    System(&'static str, io::Error),
}

impl StartError {
    pub(crate) fn cannot_listen(address: SocketAddr, flag: &'static str, fault: io::Error) -> Self {
        match fault.kind() {
            io::ErrorKind::AddrInUse => Self::PortInUse(address, flag),
            _ => Self::Bind(address, fault),
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PortInUse(address, flag) => write!(
                f,
                "{address} is in use by another program: stop it (see `ss -ltnp`), or listen elsewhere with {flag}"
            ),
            Self::Bind(address, fault) => write!(f, "cannot listen on {address}: {fault}"),
            Self::NoRing(fault) => write!(
                f,
                "io_uring cannot be used here: {fault}. Allow it (sysctl kernel.io_uring_disabled=0; in a container, a \
                 seccomp profile with io_uring_setup, io_uring_enter and io_uring_register), or use --driver epoll"
            ),
            Self::Address(text) => {
                write!(
                    f,
                    "cannot listen on {text:?}: an IP address and a port are needed, such as 127.0.0.1:8080"
                )
            }
            Self::NodeName(name) => {
                write!(
                    f,
                    "node name {name:?}: 1 to 16 of the characters a-z, 0-9 and - are allowed"
                )
            }
            Self::System(what, fault) => write!(f, "{what}: {fault}"),
        }
    }
}

impl std::error::Error for StartError {}

type MakeHandler = Arc<dyn Fn() -> Rc<dyn Handler> + Send + Sync>;

/// An MCP server: an application on every core.
pub struct Server {
    make_handler: MakeHandler,
    pub(super) options: Options,
    publisher: Publisher,
    wrong_address: Option<String>,
}

impl Server {
    /// `app` is called once on each core's thread. What it makes is of that core: see [state](crate::guide::state).
    pub fn new<A: App + 'static>(app: impl Fn() -> A + Send + Sync + 'static) -> Self {
        let make_handler: MakeHandler = Arc::new(move || handler(app()));
        Server {
            make_handler,
            options: Options::default(),
            publisher: Publisher::new(),
            wrong_address: None,
        }
    }

    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Where to listen, as `address:port`. What is neither is told by [`run`](Server::run).
    #[must_use]
    pub fn listen(mut self, address: &str) -> Self {
        match address.parse() {
            Ok(address) => self.options.listen = address,
            Err(_) => self.wrong_address = Some(address.to_owned()),
        }
        self
    }

    /// Publishes to this server's clients from any thread, also before it runs.
    #[must_use]
    pub fn publisher(&self) -> Publisher {
        self.publisher.clone()
    }

    /// Serves until SIGTERM or Ctrl-C.
    ///
    /// # Errors
    /// [`StartError`], and nothing listens.
    pub fn run(self) -> Result<(), StartError> {
        let running = self.start()?;
        running.stop_on_signals()?;
        running.join()
    }

    /// Starts the threads and returns once all of them listen.
    ///
    /// # Errors
    /// [`StartError`], and nothing listens.
    pub fn start(self) -> Result<Running, StartError> {
        if let Some(address) = &self.wrong_address {
            return Err(StartError::Address(address.clone()));
        }
        let (publisher, listen) = (self.publisher(), self.options.listen);
        let Options { node, driver, .. } = &self.options;
        let node = NodeName::new(node).ok_or_else(|| StartError::NodeName(node.clone()))?;
        let (driver, no_ring) = driver.settle().map_err(StartError::NoRing)?;
        if let Some(fault) = &no_ring {
            tracing::warn!(
                "{} Going on with epoll, at a higher cost per event.",
                StartError::NoRing(io::Error::other(fault.to_string()))
            );
        }
        let cores = core_count(&self.options);
        publisher.open_mailboxes(cores);
        let listeners = super::listen::bind(listen, cores, &self.options.limits)?;
        let address = listeners
            .first()
            .and_then(|it| it.local_addr().ok())
            .unwrap_or(listen);
        let sealer = Sealer::new(&self.options.state_key.unwrap_or_else(random_key));
        let blocking = BlockingPool::start(cores.max(2)).map_err(no_threads)?;
        let tokio = Tokio::start(&self.options)?;
        let boot = clock::unix_ms();
        let common = Common {
            node,
            boot,
            commons: Commons::new(&self.options.limits, self.options.trusted_proxies.clone()),
            sealer,
            blocking,
        };
        let cpus = core_affinity::get_core_ids().unwrap_or_default();
        let departure = Arc::new(Departure::of(cores));
        let watch = Watch::new(publisher.clone(), self.options.break_thread.clone())
            .map_err(|fault| StartError::System("cannot watch signals", fault))?;
        let mut threads = Vec::new();
        for (number, listener) in listeners.into_iter().enumerate() {
            let alive = watch.core(&thread_name(number));
            let seat = Seat {
                number: number as u16,
                core_count: cores as u16,
                listener,
                driver,
                place_at_random: self.options.place_at_random,
                pin_to: cpus.get(number).copied(),
                drain: self.options.drain,
                departure: departure.clone(),
                beats: alive.beats(),
                tokio: tokio.clone(),
            };
            threads.push(self.start_core(common.clone(), seat, alive)?);
        }
        watch.start().map_err(no_threads)?;
        Ok(Running {
            publisher,
            memory: common.commons.memory.clone(),
            sessions: common.commons.sessions.clone(),
            watch,
            ends_within: thread::ends_within(self.options.drain),
            threads,
            address,
            cores,
            boot,
            driver,
            fell_back: no_ring.is_some(),
        })
    }

    fn start_core(
        &self,
        common: Common,
        seat: Seat,
        alive: Alive,
    ) -> Result<JoinHandle<io::Result<()>>, StartError> {
        let name = thread_name(seat.number.into());
        let make_core = self.core_maker(common, &seat);
        let run = move || thread::run(seat, make_core).inspect(|()| alive.ended());
        let thread = std::thread::Builder::new().name(name).spawn(run);
        thread.map_err(no_threads)
    }

    /// Everything a core is made of, to be put together on its own thread.
    fn core_maker(
        &self,
        common: Common,
        seat: &Seat,
    ) -> impl FnOnce() -> io::Result<Core> + Send + use<> {
        let (core, core_count) = seat.shard_numbers();
        let gate = Gate {
            path: self.options.path.as_str().into(),
            loopback: self.options.listen.ip().is_loopback(),
            hosts: self
                .options
                .hosts
                .iter()
                .map(|it| it.as_str().into())
                .collect(),
            origins: self
                .options
                .origins
                .iter()
                .map(|it| it.as_str().into())
                .collect(),
        };
        let limits = self.options.limits;
        let (make_handler, publisher) = (self.make_handler.clone(), self.publisher());
        let joined = self.options.joined.clone();
        let cluster = joined.as_ref().map(|joined| Cluster {
            secret: joined.secret.clone(),
        });
        let path = self.options.path.clone();
        let shares_board = self.options.shares_board;
        move || {
            let Common {
                node,
                boot,
                commons,
                sealer,
                blocking,
            } = common;
            let handler = make_handler();
            let about = Arc::new(handler.about());
            let accepts = {
                let handler = handler.clone();
                Box::new(move |uri: &str| {
                    let own = handler.own_uri(uri)?;
                    // Whatever an application makes of it, this is how a publication names it.
                    let own: Box<str> = normal(&own)?.into();
                    Ok(handler.accepts_subscription(&own).then_some(own))
                })
            };
            let secrets = secrets::source();
            let mut shard = thread::shard(Setup {
                node,
                core,
                core_count,
                boot,
                limits,
                commons,
                gate,
                cluster,
                about,
                accepts,
                secrets,
            });
            if shares_board {
                shard.handle_availability(Availability::Loading);
            }
            let abroad = joined.map(|joined| Abroad::new(joined, node, &path));
            let abroad = abroad.transpose()?.map(Rc::new);
            Core::new(core, shard, handler, publisher, sealer, blocking, abroad)
        }
    }
}

/// What all cores of a node have in common.
#[derive(Clone)]
struct Common {
    node: NodeName,
    boot: u64,
    commons: Arc<Commons>,
    sealer: Sealer,
    blocking: BlockingPool,
}

/// A node that runs.
pub struct Running {
    publisher: Publisher,
    memory: Arc<Pool>,
    sessions: Arc<Pool>,
    watch: Watch,
    /// Of the moment in which it is told to stop.
    ends_within: Duration,
    threads: Vec<JoinHandle<io::Result<()>>>,
    pub address: SocketAddr,
    pub cores: usize,
    /// Tells this process from earlier ones of the node.
    pub boot: u64,
    pub driver: Driver,
    /// io_uring was wanted and could not be had.
    pub fell_back: bool,
}

impl Running {
    #[must_use]
    pub fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    /// What clients make this node hold, of what they may ([`Limits::memory_bytes_max`]).
    #[must_use]
    pub fn memory(&self) -> &Arc<Pool> {
        &self.memory
    }

    /// How many sessions there are of those that there may be ([`Limits::sessions_max`]).
    #[must_use]
    pub fn sessions(&self) -> &Arc<Pool> {
        &self.sessions
    }

    /// Bytes of each kind of entry in a core's slabs.
    #[must_use]
    pub const fn entry_sizes(&self) -> EntrySizes {
        Shard::entry_sizes()
    }

    /// User memory of a connection besides its place in the shard. What the kernel holds comes on top.
    #[must_use]
    pub fn connection_bytes(&self) -> usize {
        super::core::SOCKET_BYTES
    }

    /// What a core holds whatever happens.
    #[must_use]
    pub fn core_bytes(&self) -> usize {
        super::core::SCRATCH_BYTES + super::ring::CORE_BYTES
    }

    /// Stops on SIGTERM and Ctrl-C from now on, and is not killed by SIGHUP and others.
    ///
    /// # Errors
    /// The kernel refuses the handler.
    pub fn stop_on_signals(&self) -> Result<(), StartError> {
        self.obey_signals(|| tracing::info!("SIGHUP: there is nothing to be read again"))
    }

    /// As [`stop_on_signals`](Running::stop_on_signals); `reload` is called on SIGHUP.
    ///
    /// # Errors
    /// The kernel refuses the handler.
    pub fn obey_signals(&self, reload: impl FnMut() + Send + 'static) -> Result<(), StartError> {
        signals::watch(&self.watch, self.publisher.clone(), Box::new(reload))
            .map_err(|fault| StartError::System("cannot watch signals", fault))
    }

    /// For a thread beside the cores, about to start, without which the node is of no use.
    pub(crate) fn watch_thread(&self, name: &str) -> Alive {
        self.watch.thread(name)
    }

    /// Asks every core to finish what is under way and end.
    pub fn stop(&self) {
        self.publisher.stop_all();
    }

    /// Waits for the end of all cores. If a thread of the node is gone, the others take their leave.
    ///
    /// # Errors
    /// A thread that could not run, panicked, or does not end.
    pub fn join(self) -> Result<(), StartError> {
        self.watch.wait_for_cores(self.ends_within);
        for (number, thread) in self.threads.into_iter().enumerate() {
            if !self.watch.has_come_to_its_end(number) {
                return Err(lost(format!("core-{number} hangs, and was left behind")));
            }
            // One that panicked is told below.
            if let Ok(Err(fault)) = thread.join() {
                return Err(StartError::System("a core could not run", fault));
            }
        }
        match self.watch.first_gone() {
            Some(name) => Err(lost(format!(
                "thread {name} is gone; if it panicked, that is a bug of pinfold, and the log has the place"
            ))),
            None => Ok(()),
        }
    }
}

fn lost(thread: String) -> StartError {
    StartError::System("the node ended", io::Error::other(thread))
}

fn thread_name(core: usize) -> String {
    format!("core-{core}")
}

fn no_threads(fault: io::Error) -> StartError {
    StartError::System("cannot start threads", fault)
}

fn core_count(options: &Options) -> usize {
    match options.cores {
        0 => std::thread::available_parallelism()
            .map_or(1, usize::from)
            .min(512),
        cores => cores,
    }
}

fn random_key() -> [u8; 32] {
    let mut key = [0; 32];
    getrandom::fill(&mut key).expect("Linux has random bytes once it has booted");
    key
}
