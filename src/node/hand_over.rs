//! The node goes on in another process of the program, which this one starts: the old process's side. What the two say to each
//! other is in `handover`, who takes over is in `take_over`.

use std::ffi::OsString;
use std::fmt;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::Node;
use super::contents_copy::{ContentsCopy, write_down};
use super::control_orders::{ControlOrders, QuietControl};
use super::node_state::WrittenNode;
use super::sockets_ahead::SocketsAhead;
use crate::acceptor::Listening;
use crate::handover::{
    HandoverFault, NodeConfiguration, NodeFacts, NodePart, Sealed, Served, SuccessorProcess,
    SuccessorProgram,
};
use crate::runtime::{NotStanding, Standing, began_ns, machine_ns, now};

/// What is under way has so long before everything goes on for a while: clients notice nothing of that.
const QUIESCE_WITHIN: Duration = Duration::from_millis(50);
/// And so long everything goes on.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// After so many attempts nobody is waited for any more of whom nothing was taken: half a request of an operator, an answer that is
/// not read, a Redis that does not answer.
const INSISTS_AFTER: u32 = 3;

const NO_PLAN: &str =
    "this program was not made to be handed over: it was not said how it is started";
const UNDER_WAY: &str = "a hand-over is under way already";
const LEAVES: &str = "the node drains or ends: it is not handed over any more. Start the new program when it has ended";

/// How a node is handed over.
#[derive(Clone, Debug)]
pub(crate) struct HandoverPlan {
    /// The program that takes over.
    pub(crate) program: PathBuf,
    /// What the node is for: sessions of one application are of no use to another.
    pub(crate) application: String,
    /// Without the program's name.
    pub(crate) arguments: Vec<OsString>,
    /// For calls under way to end.
    pub(crate) grace: Duration,
    pub(crate) last_words: Arc<dyn LastWords>,
}

/// What is left to be done for a process that another one has taken over from.
pub(crate) trait LastWords: Send + Sync {
    /// Whoever looks after this process has another one to look after from now on.
    fn succeeded_by(&self, pid: u32);
    /// It ends now.
    fn end(&self);
}

impl fmt::Debug for dyn LastWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LastWords")
    }
}

/// Where the pause of a hand-over went: each from when cores read nothing more. It is over when the cores of the new process
/// serve.
#[derive(Clone, Copy, Debug)]
pub struct PauseTimes {
    began_ns: u64,
    /// All cores stood still, and what they had was written down.
    pub stands: Duration,
    /// It was with the new process.
    pub sent: Duration,
    /// The new process had read it.
    pub understood: Duration,
}

impl PauseTimes {
    fn since(began_ns: u64) -> PauseTimes {
        PauseTimes {
            began_ns,
            stands: Duration::ZERO,
            sent: Duration::ZERO,
            understood: Duration::ZERO,
        }
    }

    fn passed(&self) -> Duration {
        self.until(machine_ns())
    }

    fn until(&self, ns: u64) -> Duration {
        Duration::from_nanos(ns.saturating_sub(self.began_ns))
    }

    /// The whole pause. Whoever does not say when it was over is taken at the time when it says that it serves.
    fn end(&self, served: Served) -> Duration {
        match served {
            Served::Since(Some(since_ns)) => self.until(since_ns),
            _ => self.passed(),
        }
    }
}

/// A hand-over that came to its end.
#[derive(Clone, Debug)]
pub struct HandedOver {
    /// Of the program that took over.
    pub version: String,
    /// Of the process.
    pub pid: u32,
    /// Connections that went along.
    pub connections: usize,
    /// Sessions that did.
    pub sessions: usize,
    /// For so long nobody was served.
    pub pause: Duration,
    /// What the pause consisted of.
    pub times: PauseTimes,
    /// The new process said that it serves.
    pub serves: bool,
    /// It has ended instead: nobody serves.
    pub has_ended: bool,
}

/// Why a node was not handed over, in a sentence. It goes on as if nothing had been.
#[derive(Clone, Debug)]
pub struct HandoverRefused(pub(super) String);

impl fmt::Display for HandoverRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for HandoverRefused {}

impl From<HandoverFault> for HandoverRefused {
    fn from(fault: HandoverFault) -> Self {
        HandoverRefused(fault.to_string())
    }
}

/// What a node keeps for it.
#[derive(Debug, Default)]
pub(super) struct HandoverParts {
    /// None: nobody said how.
    pub(super) plan: Option<HandoverPlan>,
    /// The sockets that cores listen on, and whether the node made them.
    pub(super) listeners: Vec<(u16, bool, TcpListener)>,
    pub(super) admin: Option<(bool, TcpListener)>,
    /// None: there is no control thread.
    pub(super) control: Option<ControlOrders>,
    under_way: AtomicBool,
}

impl HandoverParts {
    /// Descriptors of what a node listens on, for another process. None are needed of a node that is never handed over.
    pub(super) fn of(
        plan: Option<HandoverPlan>,
        of_cores: &[Vec<Listening>],
        admin: Option<&Listening>,
    ) -> std::io::Result<Self> {
        let mut parts = HandoverParts {
            plan,
            ..HandoverParts::default()
        };
        if parts.plan.is_none() {
            return Ok(parts);
        }
        for (core, listening) in (0..).zip(of_cores) {
            for one in listening {
                let (is_own, socket) = one.duplicate()?;
                parts.listeners.push((core, is_own, socket));
            }
        }
        parts.admin = admin.map(Listening::duplicate).transpose()?;
        Ok(parts)
    }

    pub(super) fn application(&self) -> &str {
        self.plan.as_ref().map_or("", |it| &it.application)
    }

    fn listeners(&self) -> impl Iterator<Item = (Option<u16>, bool, &TcpListener)> {
        let of_cores = self.listeners.iter();
        let of_cores = of_cores.map(|(core, is_own, it)| (Some(*core), *is_own, it));
        let admin = self.admin.iter().map(|(is_own, it)| (None, *is_own, it));
        of_cores.chain(admin)
    }
}

/// One at a time.
struct OneAtATime<'a>(&'a AtomicBool);

impl Drop for OneAtATime<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Node {
    /// Ends this process, which another one has taken over from. If that one is gone, too, whoever looks after them has to start
    /// the program again.
    pub(crate) fn end_process(&self, handed_over: &HandedOver) -> ! {
        if let Some(plan) = &self.shared.handover.plan {
            plan.last_words.end();
        }
        std::process::exit(handed_over.has_ended.into())
    }

    /// Starts another process of the program and hands it everything. When this returns `Ok`, that one serves, and the caller
    /// [ends this process](Node::end_process). Blocks; not for a thread of the node.
    ///
    /// # Errors
    /// Why not. The node goes on, and no client has noticed.
    pub(crate) fn hand_over(&self) -> Result<HandedOver, HandoverRefused> {
        let parts = &self.shared.handover;
        let plan = parts.plan.as_ref();
        let plan = plan.ok_or_else(|| HandoverRefused(NO_PLAN.to_owned()))?;
        if parts.under_way.swap(true, Ordering::AcqRel) {
            return Err(HandoverRefused(UNDER_WAY.to_owned()));
        }
        let _one = OneAtATime(&parts.under_way);
        self.may_be_handed_over()?;
        tracing::info!(program = %plan.program.display(), "handing over: the new process starts");
        let program = SuccessorProgram {
            program: plan.program.clone(),
            arguments: plan.arguments.clone(),
        };
        let successor = SuccessorProcess::start(&program)?;
        successor.prepare(self.facts(), parts.listeners())?;
        tracing::info!(pid = successor.pid(), version = %successor.version, "handing over: the new process is prepared");
        let (store, changes) = (&self.shared.store, self.shared.publisher.content_changes());
        let copy = store.as_deref();
        let copy = copy.map(|store| ContentsCopy::begin(store, changes, &successor));
        let copy = copy.transpose()?;
        let ahead = SocketsAhead::send((&self.shared.publisher, self.shared.cores), &successor)?;
        let standing = self.stand_still(copy.as_ref(), &ahead, plan.grace)?;
        let handed_over = self.send_everything(&successor, copy.as_ref(), standing)?;
        if !handed_over.has_ended {
            plan.last_words.succeeded_by(handed_over.pid);
            self.pass_on_the_end(handed_over.pid);
        }
        Ok(handed_over)
    }

    fn may_be_handed_over(&self) -> Result<(), HandoverRefused> {
        let refuse = |why: &str| Err(HandoverRefused(why.to_owned()));
        if self.shared.publisher.is_leaving() {
            return refuse(LEAVES);
        }
        Ok(())
    }

    /// Whether it would be tried at all if somebody asked for it now, and for how long what is under way would be waited for.
    ///
    /// # Errors
    /// Why not.
    #[cfg(feature = "admin")]
    pub(crate) fn handover_grace(&self) -> Result<Duration, HandoverRefused> {
        let parts = &self.shared.handover;
        let plan = parts.plan.as_ref();
        let plan = plan.ok_or_else(|| HandoverRefused(NO_PLAN.to_owned()))?;
        if parts.under_way.load(Ordering::Acquire) {
            return Err(HandoverRefused(UNDER_WAY.to_owned()));
        }
        self.may_be_handed_over().map(|()| plan.grace)
    }

    fn facts(&self) -> NodeFacts {
        let shared = &self.shared;
        let application = shared.handover.application();
        let configuration = NodeConfiguration::of(&shared.options, shared.driver, application);
        NodeFacts::new(
            shared.options.node_name().as_str().to_owned(),
            shared.options.incarnation,
            shared.cores,
            shared.addresses.clone(),
            shared.admin_address,
            shared.state_key.to_vec(),
            began_ns(),
        )
        .with_configuration(configuration.with_held(&shared.commons))
    }

    /// Tries until the grace is over.
    fn stand_still(
        &self,
        copy: Option<&ContentsCopy<'_>>,
        ahead: &SocketsAhead,
        grace: Duration,
    ) -> Result<StandingNode<'_>, HandoverRefused> {
        let until = Instant::now() + grace;
        for attempt in 0.. {
            if let Some(copy) = copy {
                copy.catch_up()?;
            }
            let why = match self.try_to_stand_still(ahead, attempt >= INSISTS_AFTER) {
                Ok(standing) => return Ok(standing),
                Err(why) => why,
            };
            if self.shared.publisher.is_leaving() {
                return Err(HandoverRefused(LEAVES.to_owned()));
            }
            if Instant::now() + AGAIN_AFTER > until {
                let seconds = grace.as_secs();
                return Err(HandoverRefused(format!(
                    "what is under way did not end within {seconds} s: {why}. Try again, or allow for more time with \
                     --handover-grace"
                )));
            }
            tracing::info!(%why, "handing over: something is under way; once more in a second");
            std::thread::sleep(AGAIN_AFTER);
        }
        unreachable!("it returns before numbers run out")
    }

    fn try_to_stand_still(
        &self,
        ahead: &SocketsAhead,
        insists: bool,
    ) -> Result<StandingNode<'_>, String> {
        let control = self.shared.handover.control.as_ref();
        let control = control.map(|it| it.quiesce(QUIESCE_WITHIN, insists));
        let control = control.transpose()?;
        let cores = Standing::begin(&self.shared.publisher, QUIESCE_WITHIN, ahead.of_cores());
        let cores = cores.map_err(|why| match why {
            NotStanding::HeldUp(held_up) => held_up.to_string(),
            NotStanding::Fault(sentence) => sentence,
        })?;
        let mut times = PauseTimes::since(cores.since_ns);
        times.stands = times.passed();
        Ok(StandingNode {
            cores,
            control,
            times,
        })
    }

    /// Before any core's state.
    #[cfg(feature = "auth")]
    fn send_rules(
        &self,
        successor: &SuccessorProcess,
        pause_end: Instant,
    ) -> Result<(), HandoverFault> {
        let Some(credentials) = &self.shared.credentials else {
            return Ok(());
        };
        let file = write_down("pinfold-rules", &credentials.state());
        let file = file.map_err(|fault| {
            HandoverFault::System("who gets in to the node cannot be written down", fault)
        })?;
        successor.send_part(NodePart::Rules, file.as_fd(), Some(pause_end))
    }

    #[cfg(not(feature = "auth"))]
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "as with the feature"
    )]
    fn send_rules(&self, _: &SuccessorProcess, _: Instant) -> Result<(), HandoverFault> {
        Ok(())
    }

    /// Somebody may have asked this node to end since it stands still. That is the new process's to do.
    fn pass_on_the_end(&self, pid: u32) {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        if let (true, Some(pid)) = (self.shared.publisher.is_stopping(), pid) {
            // It may be gone already.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    fn send_everything(
        &self,
        successor: &SuccessorProcess,
        copy: Option<&ContentsCopy<'_>>,
        mut standing: StandingNode<'_>,
    ) -> Result<HandedOver, HandoverRefused> {
        let until = SuccessorProcess::pause_end();
        let control = standing.control.as_ref().map(QuietControl::state);
        let control = control.transpose().map_err(HandoverRefused)?;
        if let Some(copy) = copy {
            copy.send_changed(Some(until))?;
        }
        self.send_rules(successor, until)?;
        let mut sealed = Sealed::default();
        for (core, frozen) in &standing.cores.cores {
            let sockets = frozen.late.iter().filter_map(|&it| frozen.sockets.get(it));
            let sockets: Vec<_> = sockets.map(AsFd::as_fd).collect();
            sealed.sockets += frozen.sockets.len();
            sealed.ahead += frozen.sockets.len() - sockets.len();
            sealed.sessions += frozen.sessions;
            successor.send_core(*core, frozen.state.as_fd(), &sockets, until)?;
        }
        let state = WrittenNode {
            last_offset: standing.cores.last_offset(),
            control: control.unwrap_or_default(),
            rates: self.shared.commons.used_rates(now()),
        };
        let state = state.write().map_err(|fault| {
            HandoverFault::System("what the node has cannot be written down", fault)
        })?;
        standing.times.sent = standing.times.passed();
        successor.seal(state.as_fd(), sealed, until)?;
        standing.times.understood = standing.times.passed();
        let (pid, version) = (
            successor.pid().unwrap_or_default(),
            successor.version.clone(),
        );
        let served = successor.commit(until)?;
        let (pause, times) = (standing.times.end(served), standing.times);
        standing.leave();
        let handed_over = HandedOver {
            version,
            pid,
            connections: sealed.sockets,
            sessions: sealed.sessions,
            pause,
            times,
            serves: matches!(served, Served::Since(_)),
            has_ended: served == Served::Ended,
        };
        say_that_it_is_over(&handed_over);
        Ok(handed_over)
    }
}

/// A node that stands still. Dropped, it goes on: its cores first.
struct StandingNode<'a> {
    cores: Standing<'a>,
    control: Option<QuietControl<'a>>,
    times: PauseTimes,
}

impl StandingNode<'_> {
    /// It never goes on: another process has taken its place.
    fn leave(self) {
        self.cores.leave();
        if let Some(control) = self.control {
            control.leave();
        }
    }
}

fn say_that_it_is_over(handed_over: &HandedOver) {
    let HandedOver {
        version,
        pid,
        connections,
        sessions,
        pause,
        times,
        serves,
        has_ended,
    } = handed_over;
    match has_ended {
        false => tracing::info!(
            pid,
            version,
            connections,
            sessions,
            ?pause,
            ?times,
            is_heard = serves,
            "handed over: the new process serves, this one ends"
        ),
        true => tracing::error!(
            pid,
            version,
            connections,
            sessions,
            "handed over, and the new process has ended: nobody serves any more, and this one ends with exit code 1"
        ),
    }
}
