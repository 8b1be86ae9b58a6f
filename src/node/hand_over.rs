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

use super::Node;
use super::node_state::NodeState;
use crate::acceptor::Listening;
use crate::handover::{HandoverFault, NodeFacts, Outgoing, Peer, Sealed, SinceWhen};
use crate::runtime::{NotStanding, Standing, began_ns, machine_ns};

/// What is under way has so long before everything goes on for a while: clients notice nothing of that.
const QUIESCE_WITHIN: Duration = Duration::from_millis(50);
/// And so long everything goes on.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How a node is handed over.
#[derive(Clone, Debug)]
pub(crate) struct HandoverPlan {
    /// The program that takes over.
    pub(crate) program: PathBuf,
    /// Without the program's name.
    pub(crate) arguments: Vec<OsString>,
    /// For calls under way to end.
    pub(crate) grace: Duration,
    /// What is left to be done before this process ends.
    pub(crate) end: EndProcess,
}

/// The old process's last words.
#[derive(Clone)]
pub(crate) struct EndProcess(pub(crate) Arc<dyn Fn() + Send + Sync>);

impl fmt::Debug for EndProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EndProcess")
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
    fn begin() -> PauseTimes {
        PauseTimes {
            began_ns: machine_ns(),
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
    fn end(&self, serving: &SinceWhen) -> Duration {
        match serving {
            SinceWhen::Since(Some(since_ns)) => self.until(*since_ns),
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

    fn listeners(&self) -> impl Iterator<Item = (Option<u16>, bool, &TcpListener)> {
        let of_cores = self.listeners.iter();
        let of_cores = of_cores.map(|(core, is_own, it)| (Some(*core), *is_own, it));
        let admin = self.admin.iter().map(|(is_own, it)| (None, *is_own, it));
        of_cores.chain(admin)
    }
}

/// One at a time.
struct UnderWay<'a>(&'a AtomicBool);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Node {
    /// Ends this process, which another one has taken over from.
    pub(crate) fn end_process(&self) -> ! {
        if let Some(plan) = &self.shared.handover.plan {
            (plan.end.0)();
        }
        std::process::exit(0)
    }

    /// Starts another process of the program and hands it everything. When this returns `Ok`, that one serves, and the caller
    /// [ends this process](Node::end_process). Blocks; not for a thread of the node.
    ///
    /// # Errors
    /// Why not. The node goes on, and no client has noticed.
    pub(crate) fn hand_over(&self) -> Result<HandedOver, HandoverRefused> {
        let refuse = |why: &str| HandoverRefused(why.to_owned());
        let parts = &self.shared.handover;
        let plan = parts.plan.as_ref();
        let plan = plan.ok_or_else(|| {
            refuse("this program was not made to be handed over: it was not said how it is started")
        })?;
        if parts.under_way.swap(true, Ordering::AcqRel) {
            return Err(refuse("a hand-over is under way already"));
        }
        let _one = UnderWay(&parts.under_way);
        self.may_be_handed_over()?;
        tracing::info!(program = %plan.program.display(), "handing over: the new process starts");
        let peer = Peer {
            program: plan.program.clone(),
            arguments: plan.arguments.clone(),
        };
        let outgoing = Outgoing::start(&peer)?;
        outgoing.prepare(self.facts(), parts.listeners())?;
        tracing::info!(pid = outgoing.pid(), version = %outgoing.version, "handing over: the new process is prepared");
        self.hand_over_to(outgoing, plan.grace)
    }

    fn may_be_handed_over(&self) -> Result<(), HandoverRefused> {
        let refuse = |why: &str| Err(HandoverRefused(why.to_owned()));
        if self.shared.publisher.is_leaving() {
            return refuse("the node drains or ends: it is not handed over any more");
        }
        #[cfg(feature = "redis")]
        if self.shared.options.cluster.is_some() {
            return refuse("a node among others cannot be handed over yet");
        }
        Ok(())
    }

    fn facts(&self) -> NodeFacts {
        let shared = &self.shared;
        NodeFacts::new(
            shared.options.node_name().as_str().to_owned(),
            shared.options.incarnation,
            shared.cores,
            shared.addresses.clone(),
            shared.admin_address,
            shared.state_key.to_vec(),
            began_ns(),
        )
    }

    /// Tries until the grace is over.
    fn hand_over_to(
        &self,
        outgoing: Outgoing,
        grace: Duration,
    ) -> Result<HandedOver, HandoverRefused> {
        let until = Instant::now() + grace;
        loop {
            let mut times = PauseTimes::begin();
            let why = match Standing::begin(&self.shared.publisher, QUIESCE_WITHIN) {
                Ok(standing) => {
                    times.stands = times.passed();
                    return self.send_everything(outgoing, standing, times);
                }
                Err(NotStanding::HeldUp(held_up)) => held_up.to_string(),
                Err(NotStanding::Fault(sentence)) => sentence,
            };
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
    }

    fn send_everything(
        &self,
        outgoing: Outgoing,
        standing: Standing<'_>,
        mut times: PauseTimes,
    ) -> Result<HandedOver, HandoverRefused> {
        let until = Outgoing::deadline();
        let mut sealed = Sealed::default();
        for (core, frozen) in &standing.cores {
            sealed.sockets += frozen.sockets.len();
            sealed.sessions += frozen.sessions;
            outgoing.send_core(*core, frozen.state.as_fd(), &frozen.sockets, until)?;
        }
        let state = NodeState::of(&self.shared, standing.last_offset());
        let state = state.write().map_err(|fault| {
            HandoverFault::System("what the node has cannot be written down", fault)
        })?;
        times.sent = times.passed();
        outgoing.seal(state.as_fd(), sealed, until)?;
        times.understood = times.passed();
        let (pid, version) = (outgoing.pid().unwrap_or_default(), outgoing.version.clone());
        let serving = outgoing.commit()?;
        let serves = matches!(serving, SinceWhen::Since(_));
        let pause = times.end(&serving);
        standing.leave();
        tracing::info!(
            pid, %version, connections = sealed.sockets, sessions = sealed.sessions, ?pause, ?times,
            "handed over: the new process serves, this one ends"
        );
        Ok(HandedOver {
            version,
            pid,
            connections: sealed.sockets,
            sessions: sealed.sessions,
            pause,
            times,
            serves,
        })
    }
}
