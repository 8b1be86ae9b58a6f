//! The end that runs on the control thread: one connection to Redis, and three loops around it.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::{join5, select};
use monoio::time::sleep;

use super::ClusterSetup;
use super::asking::PeerAsker;
use super::dead_processes;
use super::gates::ClusterGates;
use super::lease::RENEW_EVERY;
use super::membership::Membership;
use super::misses::MissLog;
use super::nodes::{BEAT_EVERY, Heartbeat, HeartbeatOutcome, NODE_LIFE};
use super::pending::Pending;
use super::pledges::Pledges;
use super::record::{Keys, NodeRecord, found_node};
#[cfg(feature = "auth")]
use super::revocations::{self, Revocations};
use super::shared::ClusterContext;
use super::task_signal::TaskSignal;
use super::travel::PresenceState;
use super::writer::RecordWriter;
use super::{lease_keeper, locate};
use crate::log_throttle::{LogThrottle, LogThrottles};
use crate::redis::RedisLink;
use crate::runtime::{CoreReach, unix_ms};
use crate::tasks;
use crate::wire::forwarded::PeerSecret;

/// Asks every core for something.
pub(crate) type TellCores = Box<dyn Fn()>;

/// What a node's cores do for its cluster.
pub(crate) struct CoreDoors {
    /// Say of all sessions again that they are open.
    pub(crate) announce_all: TellCores,
    /// Say of some that they are there.
    pub(crate) verify_some: TellCores,
    /// Take over sessions of nodes that are gone, and let go of their own. None: not this node.
    pub(crate) reach: Option<Box<dyn CoreReach>>,
    /// By which nodes know each other.
    pub(crate) secret: Option<PeerSecret>,
}

/// Runs a node's membership.
pub struct ClusterTask {
    setup: ClusterSetup,
    membership: Arc<Membership>,
    /// None: nobody is asked who they are.
    #[cfg(feature = "auth")]
    revocations: Option<Revocations>,
}

impl ClusterTask {
    pub(super) fn new(setup: ClusterSetup, membership: Arc<Membership>) -> Self {
        ClusterTask {
            setup,
            membership,
            #[cfg(feature = "auth")]
            revocations: None,
        }
    }

    /// It tells the others, too, whose tokens were taken back here, and hears of theirs.
    #[cfg(feature = "auth")]
    pub(crate) fn with_revocations(self, revocations: Option<Revocations>) -> ClusterTask {
        ClusterTask {
            revocations,
            ..self
        }
    }

    /// Runs until [`Membership::leave`]. `incarnation` is this process's; `announce_all` makes the cores say of all their
    /// sessions again that they are open, `verify_some` of some that they are there, the next ones each time.
    pub async fn run(
        self,
        incarnation: u64,
        announce_all: impl Fn() + 'static,
        verify_some: impl Fn() + 'static,
    ) {
        let doors = CoreDoors {
            announce_all: Box::new(announce_all),
            verify_some: Box::new(verify_some),
            reach: None,
            secret: None,
        };
        self.start(incarnation, doors, Rc::default(), None).1.await;
    }

    /// The same, in parts: what its tasks share, and all of them. `resumed` is what the process had in whose place this one goes
    /// on.
    pub(crate) fn start(
        self,
        incarnation: u64,
        doors: CoreDoors,
        gates: Rc<ClusterGates>,
        resumed: Option<PresenceState>,
    ) -> (Rc<ClusterContext>, impl Future<Output = ()>) {
        let ClusterSetup {
            redis,
            prefix,
            node,
            advertised,
            sessions_max,
            metrics,
        } = self.setup;
        let keys = Keys::new(&prefix);
        for kind in FOREIGN_KINDS {
            // From the first moment on: to Prometheus a counter that appears with 1 has not grown.
            metrics.foreign_records.with_label_values(&[kind]);
        }
        let pending = Pending::new(keys.clone(), (node, incarnation), sessions_max);
        let pending = pending.guarded(doors.reach.is_some());
        let secret = doors.secret.as_ref().filter(|_| doors.reach.is_some());
        let asker =
            secret.map(|it| PeerAsker::new(self.membership.clone(), Some(it), (node, incarnation)));
        let mut record = NodeRecord::of((node, incarnation), advertised);
        record.adopts = doors.reach.is_some();
        let shared = Rc::new(ClusterContext {
            asker,
            questions: RefCell::default(),
            pledges: RefCell::new(Pledges::new(Instant::now())),
            gates,
            node,
            incarnation,
            membership: self.membership,
            link: RedisLink::start(redis, metrics.clone()),
            pending: RefCell::new(pending),
            keys,
            leaving: RefCell::default(),
            news: TaskSignal::default(),
            misses: MissLog::new(Instant::now(), metrics.clone()),
            metrics,
            record: RefCell::new(record),
            announce_all: doors.announce_all,
            verify_some: doors.verify_some,
            reach: doors.reach,
            lease: RefCell::default(),
            takeovers: RefCell::default(),
            adopted: RefCell::default(),
            heartbeat: RefCell::new(Heartbeat::new(Instant::now())),
            nodes: RefCell::default(),
            peers: RefCell::default(),
            asks: Cell::new(0),
            started: Instant::now(),
            is_resumed: resumed.is_some(),
            throttles: LogThrottles::default(),
            foreign: RefCell::new(LogThrottle::of_each()),
        });
        if let Some(state) = resumed {
            shared.resume(state);
        }
        let context = shared.clone();
        let carried = async move {
            #[cfg(feature = "auth")]
            if let Some(revocations) = self.revocations {
                tasks::spawn(revocations::run(shared.clone(), prefix, revocations));
            }
            shared.carry().await;
        };
        (context, carried)
    }
}

impl ClusterContext {
    async fn carry(self: Rc<Self>) {
        let shared = &self;
        let others = join5(
            shared.beat(),
            locate::resolve(shared.clone()),
            dead_processes::run(shared),
            shared.show_link(),
            lease_keeper::run(shared),
        );
        select(pin!(RecordWriter::new(shared).run()), pin!(others)).await;
    }
}

/// What a record that is not ours should have been.
const FOREIGN_KINDS: [&str; 2] = ["node", "session"];

impl ClusterContext {
    /// Tells the others that this node lives, and looks what Redis makes of it.
    async fn beat(&self) {
        loop {
            let number = self.link.came_up(0).await;
            self.gates.work.pass().await;
            if let Some(beat) = self.beat_once(number).await {
                self.gates.answers.pass().await;
                self.act(&beat);
            }
            let pause = match self.reach {
                Some(_) => RENEW_EVERY,
                None => BEAT_EVERY,
            };
            let pause = pin!(sleep(pause));
            select(pause, pin!(self.link.came_up(number))).await;
        }
    }

    /// Whether Redis is there, for operators.
    async fn show_link(&self) {
        let url = self.record.borrow().url.clone();
        self.membership.note_seen(|seen| seen.own_url = url);
        let note = |is_up| {
            self.membership.note_seen(|seen| {
                seen.is_up = is_up;
                seen.changed_at = Some(unix_ms());
            });
        };
        loop {
            self.link.came_up(0).await;
            note(true);
            self.link.went_down().await;
            self.pledges.borrow_mut().redis_is_away();
            note(false);
        }
    }

    async fn beat_once(&self, number: u64) -> Option<HeartbeatOutcome> {
        let beats = {
            let mut record = self.record.borrow_mut();
            record.beats += 1;
            record.beats
        };
        let mut commands = vec![
            self.keys.read_node(self.node),
            self.keys
                .write_node(self.node, &self.record.borrow().json(), NODE_LIFE),
        ];
        if self.reach.is_some() {
            commands.extend(self.lease_commands());
        }
        let sent_at = Instant::now();
        let replies = self.send("beat", &commands).await.ok()?;
        let [found, written, leased @ ..] = replies.as_slice() else {
            return None;
        };
        let now = Instant::now();
        self.pledges.borrow_mut().redis_answers(now);
        if let Some(error) = written.error() {
            self.heartbeat.borrow_mut().miss();
            if let Some(unlogged) = self.may_log("heartbeat") {
                tracing::warn!(%error, unlogged, "Redis does not take this node's heartbeat, so that other nodes cannot pass \
                    requests to it: {}", error.advice());
            }
            return None;
        }
        if let [_, claimed] = leased {
            self.renew_lease(sent_at, claimed).await;
        }
        let found = found_node(found, self.node);
        let is_leaving = self.record.borrow().leaving;
        self.membership.note_seen(|seen| {
            (seen.beat_at, seen.is_leaving) = (Some(now), is_leaving);
        });
        let mut heartbeat = self.heartbeat.borrow_mut();
        let own = (self.incarnation, beats);
        Some(heartbeat.beat(now, number, own, &found))
    }

    fn act(&self, beat: &HeartbeatOutcome) {
        if beat.foreign {
            self.found_foreign("node", &self.keys.node(self.node));
        }
        if beat.duplicate
            && let Some(unlogged) = self.may_log("duplicate")
        {
            tracing::error!(node = %self.node, unlogged, "another process uses this node's name, and clients of both lose \
                their sessions: give each node a name of its own with --node");
        }
        if beat.announce {
            self.announce("it may have forgotten them");
        }
    }
}
