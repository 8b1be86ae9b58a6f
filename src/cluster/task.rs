//! The end that runs on the control thread: one connection to Redis, and three loops around it.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{join4, select};
use monoio::time::{sleep, timeout};

use super::dead_processes;
use super::gates::ClusterGates;
use super::membership::{LocateRequest, Membership};
use super::misses::MissLog;
use super::nodes::{BEAT_EVERY, Heartbeat, HeartbeatOutcome, NODE_LIFE};
use super::pending::Pending;
use super::record::{FoundRecord, Keys, NodeRecord, found_node, found_session};
use super::resolver::LocateAnswers;
#[cfg(feature = "auth")]
use super::revocations::{self, Revocations};
use super::shared::ClusterContext;
use super::travel::PresenceState;
use super::writer::RecordWriter;
use super::{Advertised, ClusterSetup};
use crate::log_throttle::{LogThrottle, LogThrottles};
use crate::redis::{RedisLink, Reply};
use crate::runtime::{SessionOwner, unix_ms};
use crate::tasks;
use crate::wire::session_id::{NodeName, SessionId};

/// A request waits a second at most to hear where its session is; the rest is for the way.
const ANSWER_WITHIN: Duration = Duration::from_millis(700);
/// A process that goes on for another one has its own connection in milliseconds, unless Redis is away.
const CONNECTED_WITHIN: Duration = Duration::from_secs(2);
/// Questions to Redis under way at once.
const ASKS_MAX: usize = 4096;

/// Asks every core for something.
pub(crate) type TellCores = Box<dyn Fn()>;

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
        let tell: (TellCores, TellCores) = (Box::new(announce_all), Box::new(verify_some));
        self.start(incarnation, tell, Rc::default(), None).1.await;
    }

    /// The same, in parts: what its tasks share, and all of them. `resumed` is what the process had in whose place this one goes
    /// on.
    pub(crate) fn start(
        self,
        incarnation: u64,
        (announce_all, verify_some): (TellCores, TellCores),
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
        let shared = Rc::new(ClusterContext {
            gates,
            node,
            incarnation,
            membership: self.membership,
            link: RedisLink::start(redis, metrics.clone()),
            pending: RefCell::new(Pending::new(keys.clone(), sessions_max)),
            keys,
            misses: MissLog::new(Instant::now(), metrics.clone()),
            metrics,
            record: RefCell::new(own_record(node, incarnation, advertised)),
            announce_all,
            verify_some,
            heartbeat: RefCell::new(Heartbeat::new(Instant::now())),
            nodes: RefCell::default(),
            peers: RefCell::default(),
            asks: Cell::new(0),
            started: Instant::now(),
            is_resumed: resumed.is_some(),
            throttles: LogThrottles::default(),
            foreign: RefCell::new(LogThrottle::of_each()),
        });
        if let Some(PresenceState {
            pending,
            beats,
            heartbeat,
        }) = resumed
        {
            shared.pending.borrow_mut().resume(pending);
            shared.record.borrow_mut().beats = beats;
            if let Some(state) = heartbeat {
                *shared.heartbeat.borrow_mut() = Heartbeat::resumed(Instant::now(), state);
            }
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
        let others = join4(
            shared.beat(),
            resolve(shared.clone()),
            dead_processes::run(shared),
            shared.show_link(),
        );
        select(pin!(RecordWriter::new(shared).run()), pin!(others)).await;
    }
}

fn own_record(node: NodeName, incarnation: u64, advertised: Option<Advertised>) -> NodeRecord {
    NodeRecord {
        address: advertised.as_ref().map(|it| it.address),
        url: advertised.map(|it| it.url),
        node: node.to_string(),
        incarnation,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        leaving: false,
        draining: false,
        beats: 0,
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
            let pause = pin!(sleep(BEAT_EVERY));
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
            note(false);
        }
    }

    async fn beat_once(&self, number: u64) -> Option<HeartbeatOutcome> {
        self.record.borrow_mut().beats += 1;
        let commands = [
            self.keys.read_node(self.node),
            self.keys
                .write_node(self.node, &self.record.borrow().json(), NODE_LIFE),
        ];
        let replies = self.send("beat", &commands).await.ok()?;
        let [found, written] = replies.as_slice() else {
            return None;
        };
        let now = Instant::now();
        if let Some(error) = written.error() {
            self.heartbeat.borrow_mut().miss();
            if let Some(unlogged) = self.may_log("heartbeat") {
                tracing::warn!(%error, unlogged, "Redis does not take this node's heartbeat, so that other nodes cannot pass \
                    requests to it: {}", error.advice());
            }
            return None;
        }
        let found = found_node(found, self.node);
        let is_leaving = self.record.borrow().leaving;
        self.membership.note_seen(|seen| {
            (seen.beat_at, seen.is_leaving) = (Some(now), is_leaving);
        });
        let mut heartbeat = self.heartbeat.borrow_mut();
        Some(heartbeat.beat(now, number, self.incarnation, &found))
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

    async fn owner(&self, session: &SessionId) -> SessionOwner {
        let at_once = self.nodes.borrow().owner_at_once(session, Instant::now());
        if let Some(owner) = at_once {
            return owner;
        }
        if self.is_resumed && self.started.elapsed() < CONNECTED_WITHIN {
            // The clients of the process before shall not hear of that.
            let _ = timeout(ANSWER_WITHIN, self.link.came_up(0)).await;
        }
        let answers = self.ask(session).await;
        let now = Instant::now();
        let mut nodes = self.nodes.borrow_mut();
        match answers {
            Some(answers) => nodes.owner(session, &answers, now),
            None => nodes.owner_without_answer(session, now),
        }
    }

    async fn ask(&self, session: &SessionId) -> Option<LocateAnswers> {
        let commands = [
            self.keys.read_node(session.node),
            self.keys.read_session(session),
            self.keys.read_node(self.node),
        ];
        let sent = self.send("resolve", &commands);
        let replies = timeout(ANSWER_WITHIN, sent).await.ok()?.ok()?;
        let unanswered = |reply: &Reply| reply.error().is_some_and(|it| !it.is("WRONGTYPE"));
        let [node, about, own] = replies.as_slice() else {
            return None;
        };
        if replies.iter().any(unanswered) {
            return None;
        }
        let node = found_node(node, session.node);
        let now = Instant::now();
        self.peers.borrow_mut().look(session.node, &node, now);
        let has_own = found_node(own, self.node) != FoundRecord::Nothing;
        let heartbeat = self.heartbeat.borrow();
        let answers = LocateAnswers {
            node,
            missing: self.peers.borrow().missing(session.process(), now),
            session: found_session(about, session),
            absence_tells: has_own && heartbeat.trusts_absence(now),
            heard_all: has_own && heartbeat.has_heard_all(now),
            unix_ms: unix_ms(),
        };
        if answers.node == FoundRecord::Foreign {
            self.found_foreign("node", &self.keys.node(session.node));
        }
        if answers.session == FoundRecord::Foreign {
            self.found_foreign("session", &session.redacted().to_string());
        }
        Some(answers)
    }
}

/// Answers whoever asks for the owner of a session, many at once.
async fn resolve(shared: Rc<ClusterContext>) {
    loop {
        let asked = shared.membership.asked.collect().await;
        for LocateRequest { session, answer } in asked.messages {
            if shared.asks.get() >= ASKS_MAX {
                // Dropping the answer is one: it cannot be told now.
                continue;
            }
            shared.asks.set(shared.asks.get() + 1);
            let shared = shared.clone();
            tasks::spawn(async move {
                let owner = shared.owner(&session).await;
                // The client may have left.
                let _ = answer.send(owner);
                shared.asks.set(shared.asks.get() - 1);
            });
        }
    }
}
