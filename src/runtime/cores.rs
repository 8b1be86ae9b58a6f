//! The cores of a node: each made and run on a thread of its own, all of them started together or none.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::application::Application;
use super::blocking::BlockingPool;
#[cfg(feature = "auth")]
use super::clock;
use super::cluster_handle::ClusterAccess;
use super::core_loop::Core;
use super::drain_barrier::DrainBarrier;
use super::forward::Forwarding;
use super::milestone::Milestone;
use super::not_started::{NotStarted, cannot_run};
use super::publisher::Publisher;
use super::ring::Driver;
use super::seal::Sealer;
use super::secrets;
use super::spans::{CoreSpans, SpanSetup};
use super::standstill_orders::CoreResume;
use super::stats::StatsBoard;
use super::thread::{self, CoreSetup};
use super::tokio::Tokio;
use super::watchdog::{Alive, Watch};
use crate::acceptor::Listening;
use crate::app::call::{Availability, Handler};
use crate::clients::Commons;
#[cfg(feature = "auth")]
use crate::credentials::{self, CredentialStore};
use crate::limits::Limits;
use crate::shard::{CardSettings, Cluster, DrainTimes, RequestPolicy, ShardSetup};
use crate::wire::session_id::NodeName;

/// Makes the application of one core, on the thread of that core.
pub(crate) type MakeHandler = Arc<dyn Fn() -> Result<Rc<dyn Handler>, String> + Send + Sync>;

/// For a job on the blocking pool to come to its end after the cores have.
const JOBS_END_WITHIN: Duration = Duration::from_secs(2);

/// What all cores of a node have in common.
#[derive(Clone)]
pub(crate) struct CoresSetup {
    pub(crate) node: NodeName,
    /// Tells this run of the node from earlier ones.
    pub(crate) incarnation: u64,
    pub(crate) driver: Driver,
    pub(crate) limits: Limits,
    pub(crate) commons: Arc<Commons>,
    pub(crate) gate: RequestPolicy,
    pub(crate) card: Option<CardSettings>,
    pub(crate) state_key: [u8; 32],
    pub(crate) drain: DrainTimes,
    /// None: this node is alone.
    pub(crate) cluster: Option<ClusterAccess>,
    /// Sessions of a node that is gone go on at another one.
    pub(crate) adoption: bool,
    /// Its board is that of other nodes, too: it is not ready before that was read, as the log that they share says.
    pub(crate) shares_board: bool,
    pub(crate) blocking_threads: usize,
    /// Of the tokio runtime that handlers find; 0: there is none.
    pub(crate) tokio_workers: usize,
    /// Test: every connection starts on a core drawn by lot.
    pub(crate) place_at_random: bool,
    pub(crate) make_handler: MakeHandler,
    pub(crate) publisher: Publisher,
    /// Where each core says what it has counted.
    pub(crate) stats: StatsBoard,
    /// Where their spans go.
    pub(crate) spans: SpanSetup,
    /// Who knows who asks. None: nobody is asked.
    #[cfg(feature = "auth")]
    pub(crate) credentials: Option<Arc<CredentialStore>>,
}

/// What one of them has for itself.
pub(crate) struct OwnSetup {
    pub(crate) listening: Vec<Listening>,
    pub(crate) pin_to: Option<core_affinity::CoreId>,
    /// It takes the place of a core of another process.
    pub(crate) resume: Option<CoreResume>,
}

/// Those that run.
pub(crate) struct Cores {
    threads: Vec<JoinHandle<io::Result<()>>>,
    blocking: BlockingPool,
    blocking_threads: Vec<JoinHandle<()>>,
    departure: Arc<DrainBarrier>,
    watch: Watch,
}

type StartReport = Result<(), NotStarted>;

impl Cores {
    /// Returns once all of them serve.
    ///
    /// # Errors
    /// The first one that does not; the others have ended.
    pub(crate) fn start(
        setup: &CoresSetup,
        own: Vec<OwnSetup>,
        watch: &Watch,
    ) -> Result<Cores, NotStarted> {
        let count = own.len();
        setup.publisher.open_mailboxes(count);
        let (blocking, blocking_threads) =
            BlockingPool::start(setup.blocking_threads).map_err(no_threads)?;
        let tokio = Tokio::start(setup.tokio_workers).inspect_err(|_| blocking.end())?;
        let mut cores = Cores {
            threads: Vec::new(),
            blocking,
            blocking_threads,
            departure: Arc::new(DrainBarrier::of(count)),
            watch: watch.clone(),
        };
        let (reporter, reports) = channel();
        let mut failed = None;
        for (number, own) in own.into_iter().enumerate() {
            let alive = watch.core(&thread_name(number));
            let core_setup = CoreSetup {
                number: number as u16,
                core_count: count as u16,
                listening: own.listening,
                driver: setup.driver,
                place_at_random: setup.place_at_random,
                pin_to: own.pin_to,
                drain: setup.drain,
                departure: cores.departure.clone(),
                beats: alive.beats(),
                tokio: tokio.clone(),
                stats: setup.stats.clone(),
                resume: own.resume,
            };
            match start_core(
                setup.clone(),
                cores.blocking.clone(),
                core_setup,
                alive,
                reporter.clone(),
            ) {
                Ok(thread) => cores.threads.push(thread),
                Err(fault) => {
                    failed = Some(no_threads(fault));
                    break;
                }
            }
        }
        drop(reporter);
        let first = reports.iter().find_map(Result::err);
        match failed.or(first) {
            None => Ok(cores),
            Some(why) => {
                cores.abandon(&setup.publisher);
                Err(why)
            }
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.threads.len()
    }

    /// Reached when no stream and no request is left on any core that drains.
    pub(crate) fn drained(&self) -> Arc<Milestone<()>> {
        self.departure.drained().clone()
    }

    /// They end at once, whatever they hold.
    pub(crate) fn abandon(self, publisher: &Publisher) {
        self.departure.abandon();
        publisher.stop_all();
        for thread in self.threads {
            // What is wrong was reported.
            let _ = thread.join();
        }
        self.blocking.end();
    }

    /// The cores have come to their end, or hang. What became of them, once nothing of them goes on.
    ///
    /// # Errors
    /// A sentence about the first of them that could not run, panicked, or does not end.
    pub(crate) fn join(self) -> Result<(), String> {
        self.blocking.end();
        let mut failed = None;
        for (number, thread) in self.threads.into_iter().enumerate() {
            if !self.watch.has_come_to_its_end(number) {
                failed.get_or_insert(lost(&format!("core-{number} hangs, and was left behind")));
                continue;
            }
            // One that panicked is told below.
            if let Ok(Err(fault)) = thread.join() {
                failed.get_or_insert(format!("a core could not run: {fault}"));
            }
        }
        match self.blocking.has_ended(JOBS_END_WITHIN) {
            true => self
                .blocking_threads
                .into_iter()
                .for_each(|it| drop(it.join())),
            false => tracing::warn!(
                "a handler's blocking work goes on: its thread was left behind, and ends with the process if not before"
            ),
        }
        let gone = || {
            self.watch.first_gone().map(|name| lost(&format!(
            "thread {name} is gone; if it panicked, that is a bug of pinfold, and the log has the place"
        )))
        };
        failed.or_else(gone).map_or(Ok(()), Err)
    }
}

fn lost(thread: &str) -> String {
    format!("the node ended: {thread}")
}

fn thread_name(core: usize) -> String {
    format!("core-{core}")
}

fn no_threads(fault: io::Error) -> NotStarted {
    NotStarted::System("cannot start threads", fault)
}

fn start_core(
    setup: CoresSetup,
    blocking: BlockingPool,
    core_setup: CoreSetup,
    alive: Alive,
    reporter: Sender<StartReport>,
) -> io::Result<JoinHandle<io::Result<()>>> {
    let (core, publisher) = (core_setup.number, setup.publisher.clone());
    let run = move || {
        let numbers = core_setup.shard_numbers();
        let served = thread::run(
            core_setup,
            || make_core(setup, numbers, blocking),
            // Dropped as soon as it is told: whoever waits for the reports waits for the last of them.
            move |report| drop(reporter.send(report)),
        );
        // Of a core that panicked the others say that it is gone, and take their leave.
        publisher.mailbox(core.into()).close();
        served.inspect(|()| alive.ended())
    };
    std::thread::Builder::new()
        .name(thread_name(core.into()))
        .spawn(run)
}

/// On its own thread: nothing of a core is ever elsewhere.
fn make_core(
    setup: CoresSetup,
    (core, core_count): (u16, u16),
    blocking: BlockingPool,
) -> Result<Core, NotStarted> {
    let (application, server_info) = catch_unwind(AssertUnwindSafe(|| {
        let handler = (setup.make_handler)()?;
        let server_info = handler.server_info();
        Ok((Application::new(handler), server_info))
    }))
    .unwrap_or_else(|panic| {
        let said = words_of(&*panic);
        Err(format!(
            "it panicked while it was made, on core-{core}: {said}"
        ))
    })
    .map_err(NotStarted::Application)?;
    let application = Rc::new(application);
    let (asked, named) = (application.clone(), application.clone());
    let path = setup.gate.path.clone();
    let mut shard = thread::shard(ShardSetup {
        node: setup.node,
        core,
        core_count,
        incarnation: setup.incarnation,
        limits: setup.limits,
        commons: setup.commons,
        gate: setup.gate,
        cluster: setup.cluster.as_ref().map(|cluster| Cluster {
            secret: cluster.secret.clone(),
        }),
        adoption: setup.adoption,
        server_info: Arc::new(server_info),
        card: setup.card,
        accepts: Box::new(move |uri| asked.accepts(uri)),
        spelling: Box::new(move |uri| named.spelling(uri)),
        secrets: secrets::source(),
    });
    #[cfg(feature = "auth")]
    if let Some(store) = &setup.credentials {
        let identifier = credentials::identifier(store.rules());
        let identifier = identifier.map_err(|why| cannot_run(io::Error::other(why)))?;
        shard.identify_by(identifier, clock::unix_ms());
    }
    if setup.shares_board {
        shard.handle_availability(Availability::Loading);
    }
    let forwarding = setup
        .cluster
        .map(|cluster| Forwarding::new(cluster, setup.node, &path, setup.limits));
    let forwarding = forwarding.transpose().map_err(cannot_run)?.map(Rc::new);
    let sealer = Sealer::new(&setup.state_key);
    let mut core = Core::new(
        core,
        shard,
        application,
        setup.publisher,
        sealer,
        blocking,
        forwarding,
    )
    .map_err(cannot_run)?;
    core.calls.spans = CoreSpans::of(setup.spans);
    #[cfg(feature = "auth")]
    {
        core.credentials = setup.credentials;
    }
    Ok(core)
}

/// What a panic says.
fn words_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a word")
}
