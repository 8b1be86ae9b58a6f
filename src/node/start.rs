//! From options to threads, and from the last core's end to that of everything else.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

#[cfg(feature = "auth")]
use super::authentication;
use super::cluster::{Authorities, ClusterMember, Membership};
use super::control_orders::ControlOrders;
use super::control_thread::{ControlSetup, ControlThread};
use super::counted::Counters;
use super::exporting::{SpanExport, SpanThread};
use super::hand_over::{HandoverParts, HandoverPlan};
use super::handle::NodeInner;
use super::listen::Listeners;
use super::operators::{OperatorParts, Operators};
use super::take_over::{TakeOver, TakesParts, Taking};
use super::{CORES_MAX, Node, NodeBuilder, NodeError, Options, STATE_KEY_BYTES, cpus};
use crate::acceptor::Listening;
use crate::app::contents::ContentStore;
use crate::clients::Commons;
use crate::handover::NodeConfiguration;
use crate::runtime::{
    ClusterAccess, CoreResume, Cores, CoresSetup, Driver, MakeHandler, OwnSetup, Publisher,
    SpanSetup, StatsBoard, Watch, ends_within, open_files, reserve_open_files,
};
use crate::shard::RequestPolicy;

/// Descriptors that a node needs besides its connections.
const OWN_FILES: u64 = 64;
/// Below this nobody surely meant it.
const FILES_MIN: u64 = 4096;

/// For Redis to be told that this node and its sessions are gone; it is told in milliseconds, or is not there.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);
/// For Redis to take what was published here, if it is away when this node ends. A service manager waits longer than
/// this and a drain together.
const UNSENT_WITHIN: Duration = Duration::from_secs(8);

/// Everything that is bound and made before anything runs.
struct Plan {
    options: Options,
    setup: CoresSetup,
    own: Vec<OwnSetup>,
    addresses: Vec<SocketAddr>,
    operators: Option<Operators>,
    fell_back: bool,
    store: Option<Arc<dyn ContentStore>>,
    member: Option<ClusterMember>,
    counters: Counters,
    authorities: Authorities,
    handover: HandoverParts,
    taking: Option<Taking>,
    spans: SpanExport,
}

impl NodeBuilder {
    /// `on_listening` is called when all cores serve, before anything is said to operators or to Redis.
    pub(crate) fn start_with(
        self,
        on_listening: impl FnOnce(&Node) -> Result<(), NodeError>,
    ) -> Result<Node, NodeError> {
        let (publisher, take_over) = (self.publisher.clone(), self.take_over.clone());
        self.start_or_leave_nothing(on_listening)
            .inspect_err(|wrong| {
                if let Some(take_over) = take_over {
                    take_over.refuse(&wrong.to_string());
                }
                // For whoever publishes already.
                publisher.stop_all();
                publisher.set_ended();
            })
    }

    fn start_or_leave_nothing(
        self,
        on_listening: impl FnOnce(&Node) -> Result<(), NodeError>,
    ) -> Result<Node, NodeError> {
        let mut plan = Plan::of(self)?;
        let own = std::mem::take(&mut plan.own);
        let publisher = plan.setup.publisher.clone();
        let watch = Watch::new(publisher.clone(), plan.options.break_thread.clone())
            .map_err(|fault| NodeError::system("cannot watch signals", fault))?;
        let cores = Cores::start(&plan.setup, own, &watch)?;
        let taken = match plan.taking.take() {
            Some(taking) => {
                let (member, operators) = (plan.member.as_mut(), plan.operators.as_mut());
                let shared = (&publisher, &*plan.setup.commons);
                Some(taking.finish(shared, member, operators))
            }
            None => None,
        };
        let taken = match taken.transpose() {
            Ok(taken) => taken,
            Err(wrong) => {
                cores.abandon(&publisher);
                return Err(wrong);
            }
        };
        let (hand_over, ending) = channel::<NodeShutdown>();
        let within = ends_within(plan.setup.drain);
        // Nothing comes if the node did not get as far as that.
        let on_end = move || {
            if let Ok(ending) = ending.recv() {
                ending.run();
            }
        };
        if let Err(fault) = watch.start(within, on_end) {
            cores.abandon(&publisher);
            return Err(NodeError::system("cannot start threads", fault));
        }
        let node = plan.node(&cores, &watch);
        let bus = plan.member.as_ref().map(|it| it.bus.clone());
        let loaded = move || bus.as_ref().map(|it| it.loaded().availability());
        let board = plan.setup.stats.clone();
        plan.counters.show_node(&node, board, (loaded, &plan.spans));
        let spans = plan.spans.clone();
        let membership = plan.member.as_ref().map(|it| it.membership.clone());
        let spans = spans.start(node.options());
        let started = spans.and_then(|spans| {
            on_listening(&node)?;
            Ok((spans, plan.start_control(&node)?))
        });
        match started {
            Ok((spans, control)) => {
                let ending = NodeShutdown {
                    cores,
                    control,
                    spans,
                    membership,
                    node: node.clone(),
                };
                // The watchdog waits for it.
                let _ = hand_over.send(ending);
                if let Some(taken) = taken {
                    taken.serving();
                }
                Ok(node)
            }
            Err(wrong) => {
                cores.abandon(&publisher);
                Err(wrong)
            }
        }
    }
}

impl Plan {
    fn of(mut builder: NodeBuilder) -> Result<Plan, NodeError> {
        builder.settle()?;
        let NodeBuilder {
            mut options,
            make_handler,
            publisher,
            store,
            listeners,
            operators,
            counters,
            handover,
            take_over,
            ..
        } = builder;
        let counters = Counters::of(&counters)?;
        let (driver, fell_back) =
            settle_options(&mut options, handover.as_ref(), take_over.as_ref())?;
        let (listening, operators) =
            open_sockets(&options, listeners, operators, take_over.as_ref())?;
        let addresses = listening.addresses;
        let admin = operators.as_ref().map(Operators::listening);
        let mut handover = HandoverParts::of(handover, &listening.of_cores, admin)
            .map_err(|fault| NodeError::system("no descriptor is left for a hand-over", fault))?;
        let authorities = Authorities::default();
        let member = ClusterMember::of(&options, &addresses, &counters, &authorities, &publisher)?;
        let is_controlled = operators.is_some() || member.is_some();
        handover.control = is_controlled.then(ControlOrders::default);
        let spans = SpanExport::of(&options);
        let access = member.as_ref().map(ClusterMember::access);
        let commons = Commons::new(&options.limits, options.trusted_proxies.clone());
        counters.show(&commons);
        let shares_board = access.is_some() && store.is_some();
        let shared = (commons, access, spans.of_cores());
        let setup = cores_setup(
            &options,
            &addresses,
            driver,
            publisher,
            make_handler,
            shared,
        )?;
        let setup = CoresSetup {
            shares_board,
            ..setup
        };
        let parts = TakesParts {
            store: store.clone(),
            #[cfg(feature = "auth")]
            credentials: setup.credentials.clone(),
        };
        let (taking, resumes) = match take_over.map(|it| it.begin(parts)).transpose()? {
            Some((taking, resumes)) => (Some(taking), resumes),
            None => (None, Vec::new()),
        };
        let pins = cpus::of_cores(options.pinning, options.cores);
        Ok(Plan {
            own: own_setups(listening.of_cores, pins, resumes),
            handover,
            taking,
            options,
            setup,
            addresses,
            operators,
            fell_back,
            store,
            member,
            counters,
            authorities,
            spans,
        })
    }

    fn node(&mut self, cores: &Cores, watch: &Watch) -> Node {
        Node {
            shared: Arc::new(NodeInner {
                options: self.options.clone(),
                publisher: self.setup.publisher.clone(),
                commons: self.setup.commons.clone(),
                counters: self.counters.clone(),
                stats: self.setup.stats.clone(),
                authorities: self.authorities.clone(),
                watch: watch.clone(),
                #[cfg(feature = "auth")]
                credentials: self.setup.credentials.clone(),
                addresses: self.addresses.clone(),
                admin_address: self.operators.as_ref().and_then(Operators::address),
                cores: cores.count(),
                driver: self.setup.driver,
                fell_back: self.fell_back,
                drained: cores.drained(),
                ended: Arc::default(),
                store: self.store.clone(),
                state_key: self.setup.state_key,
                handover: std::mem::take(&mut self.handover),
            }),
        }
    }

    /// None: there is nothing for it to do.
    fn start_control(self, node: &Node) -> Result<Option<ControlThread>, NodeError> {
        if self.operators.is_none() && self.member.is_none() {
            return Ok(None);
        }
        let (store, member) = (self.store, self.member);
        let bus = member.as_ref().map(|it| it.bus.clone());
        let membership = member.as_ref().map(|it| it.membership.clone());
        if let (None, Some(membership)) = (&self.operators, &membership) {
            membership.close_questions();
        }
        let operators = self
            .operators
            .map(|it| it.work(node, store.clone(), bus, membership));
        let setup = ControlSetup {
            node,
            operators: operators.flatten(),
            cluster: member.map(|it| it.work(node, store)),
        };
        setup.start().map(Some)
    }
}

/// What is left open in the options is decided, and it is seen that what this node takes over can go on with them.
fn settle_options(
    options: &mut Options,
    handover: Option<&HandoverPlan>,
    take_over: Option<&TakeOver>,
) -> Result<(Driver, bool), NodeError> {
    limit_connections(options)?;
    let (driver, fell_back) = settle_driver(options.driver)?;
    if let Some(take_over) = take_over {
        let application = handover.map_or("", |it| &it.application);
        let now = NodeConfiguration::of(options, driver, application);
        take_over.check(&now, options)?;
    }
    options.cores = core_count(options);
    options.name = Some(options.node_name());
    options.drain = Some(options.drain_times());
    Ok((driver, fell_back))
}

/// What a node listens on: sockets of its own, or those that it takes over.
fn open_sockets(
    options: &Options,
    listeners: Vec<TcpListener>,
    operators: OperatorParts,
    take_over: Option<&TakeOver>,
) -> Result<(Listeners, Option<Operators>), NodeError> {
    let inherited = take_over.map(TakeOver::listeners).transpose()?;
    let (inherited, admin) = inherited.map_or((None, None), |(it, admin)| (Some(it), admin));
    // First of all: a port in use is told before anything else is bound.
    let operators = Operators::open(options, operators, admin)?;
    let listening = match inherited {
        Some(inherited) => inherited,
        None => Listeners::open(options, listeners, options.cores)?,
    };
    Ok((listening, operators))
}

/// What all cores have in common; whether their board is others', too, is not decided here.
fn cores_setup(
    options: &Options,
    addresses: &[SocketAddr],
    driver: Driver,
    publisher: Publisher,
    make_handler: MakeHandler,
    (commons, cluster, spans): (Arc<Commons>, Option<ClusterAccess>, SpanSetup),
) -> Result<CoresSetup, NodeError> {
    #[cfg(feature = "auth")]
    let credentials = authentication::start(options, &publisher)?;
    Ok(CoresSetup {
        node: options.node_name(),
        incarnation: options.incarnation,
        driver,
        limits: options.limits,
        commons,
        gate: gate(options, addresses),
        card: options.card(),
        state_key: state_key(options),
        drain: options.drain_times(),
        shares_board: false,
        cluster,
        adoption: options.adopts(),
        tokio_workers: options.tokio_workers(),
        blocking_threads: blocking_threads(options, options.cores),
        place_at_random: options.place_at_random,
        make_handler,
        publisher,
        stats: StatsBoard::new(options.cores),
        spans,
        #[cfg(feature = "auth")]
        credentials,
    })
}

fn own_setups(
    of_cores: Vec<Vec<Listening>>,
    pins: impl IntoIterator<Item = Option<core_affinity::CoreId>>,
    resumes: Vec<CoreResume>,
) -> Vec<OwnSetup> {
    let resumes = resumes.into_iter().map(Some);
    let resumes = resumes.chain(std::iter::repeat_with(|| None));
    let own = of_cores.into_iter().zip(pins).zip(resumes);
    own.map(|((listening, pin_to), resume)| OwnSetup {
        listening,
        pin_to,
        resume,
    })
    .collect()
}

/// What is left to be done when the last core has come to its end.
struct NodeShutdown {
    cores: Cores,
    control: Option<ControlThread>,
    spans: SpanThread,
    membership: Option<Arc<Membership>>,
    node: Node,
}

impl NodeShutdown {
    fn run(self) {
        let ended = self.cores.join();
        self.spans.flush();
        let publisher = self.node.publisher();
        publisher.leave(UNSENT_WITHIN);
        if let Some(membership) = self.membership {
            membership.leave(LEAVE_WITHIN);
        }
        if let Some(control) = self.control {
            control.end();
        }
        self.spans.end();
        publisher.set_ended();
        self.node.shared.drained.reach(());
        let reached = self.node.shared.ended.clone();
        // Whoever was waiting for the end finds nothing of the node but what is held of it elsewhere.
        drop(self.node);
        reached.reach(ended.map_err(NodeError::Failed));
    }
}

/// Each connection is a file of this process.
fn limit_connections(options: &mut Options) -> Result<(), NodeError> {
    let files = open_files(options.raise_open_files)
        .map_err(|fault| NodeError::system("cannot read the limit on open files", fault))?;
    if files < FILES_MIN {
        tracing::warn!(
            "only {files} open files are allowed, and each connection is one: raise the hard limit (ulimit -Hn, or \
             LimitNOFILE= in a systemd unit)"
        );
    }
    let limits = &mut options.limits;
    let connections_max = usize::try_from(files.saturating_sub(OWN_FILES)).unwrap_or(usize::MAX);
    limits.connections_max = limits.connections_max.min(connections_max);
    let files = files.min(limits.connections_max as u64 + OWN_FILES);
    if options.raise_open_files
        && let Err(fault) = reserve_open_files(files)
    {
        tracing::warn!(%fault, "there is no room for {files} open files yet: connections wait while it is made");
    }
    Ok(())
}

fn settle_driver(driver: Driver) -> Result<(Driver, bool), NodeError> {
    let no_ring = |fault: io::Error| NodeError::NoRing(fault.into());
    let (driver, fault) = driver.settle().map_err(no_ring)?;
    let fell_back = fault.is_some();
    if let Some(fault) = fault {
        tracing::warn!(
            "{} Going on with epoll, at a higher cost per event.",
            no_ring(fault)
        );
    }
    Ok((driver, fell_back))
}

fn core_count(options: &Options) -> usize {
    match options.cores {
        0 => std::thread::available_parallelism()
            .map_or(1, usize::from)
            .min(CORES_MAX as usize),
        cores => cores,
    }
}

fn blocking_threads(options: &Options, cores: usize) -> usize {
    match options.blocking_threads {
        0 => cores.max(2),
        threads => threads,
    }
}

fn gate(options: &Options, addresses: &[SocketAddr]) -> RequestPolicy {
    let http_sse = options.http_sse_paths();
    if http_sse.is_some() {
        tracing::warn!(
            "HTTP+SSE, the transport of 2024-11-05, is on (legacy-sse): the specification has replaced it, and pinfold will be \
             without it twelve months after the first release with it. Have clients use {} as Streamable HTTP.",
            options.path
        );
    }
    let all = |names: &[String]| names.iter().map(|it| it.as_str().into()).collect();
    RequestPolicy {
        path: options.path.as_str().into(),
        http_sse,
        loopback: addresses.iter().all(|it| it.ip().is_loopback()),
        hosts: all(&options.hosts),
        origins: all(&options.origins),
    }
}

fn state_key(options: &Options) -> [u8; STATE_KEY_BYTES] {
    match (&options.state_key, options.peer_secret()) {
        (Some(key), _) => key.0,
        // What one node sealed another one has to open.
        (None, Some(secret)) => secret.key_for("requestState"),
        (None, None) => {
            let mut key = [0; STATE_KEY_BYTES];
            getrandom::fill(&mut key).expect("Linux has random bytes once it has booted");
            key
        }
    }
}

#[cfg(all(test, feature = "redis"))]
mod tests {
    use super::*;
    use crate::node::ClusterConfig;
    use crate::wire::forwarded::PeerSecret;

    #[test]
    fn a_state_that_one_node_sealed_and_another_cannot_open() {
        let with = |secret: Option<&[u8]>| {
            let redis = "redis://127.0.0.1".parse().expect("a URL");
            let cluster = ClusterConfig::new(redis, secret.map(PeerSecret::new));
            state_key(&Options {
                cluster: Some(cluster),
                ..Options::default()
            })
        };
        assert_eq!(with(Some(b"one secret")), with(Some(b"one secret")));
        assert_ne!(with(Some(b"one secret")), with(Some(b"another secret")));
        assert_ne!(with(None), with(None), "new at each start");
    }
}
