//! What the control thread's tasks share: the link to Redis, what waits for it, and what is known of other nodes.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::Instant;

use super::asking::PeerAsker;
use super::gates::ClusterGates;
use super::lease::NodeLease;
use super::membership::Membership;
use super::misses::MissLog;
use super::nodes::{Heartbeat, NODE_LIFE};
use super::peers::Peers;
use super::pending::Pending;
use super::pledges::Pledges;
use super::questions::QuestionsHeard;
use super::record::{FoundRecord, Keys, NodeRecord, found_node};
use super::resolver::Nodes;
use super::takeovers::Takeovers;
use super::task_signal::TaskSignal;
use crate::log_throttle::{LogThrottle, LogThrottles};
use crate::metrics::Metrics;
use crate::redis::{Command, RedisConnection, RedisFault, RedisLink, Reply};
use crate::runtime::CoreReach;
use crate::wire::session_id::{NodeName, Process, SessionId};

pub(crate) struct ClusterContext {
    pub(super) gates: Rc<ClusterGates>,
    pub(super) keys: Keys,
    pub(super) node: NodeName,
    pub(super) incarnation: u64,
    pub(super) membership: Arc<Membership>,
    pub(super) link: RedisLink,
    pub(super) metrics: Arc<Metrics>,
    pub(super) pending: RefCell<Pending>,
    pub(super) misses: MissLog,
    /// For the writer: there is more to write, or it may begin to.
    pub(super) news: TaskSignal,
    /// Nothing more will be said; who waits for that to be written.
    pub(super) leaving: RefCell<Option<mpsc::Sender<()>>>,
    pub(super) record: RefCell<NodeRecord>,
    pub(super) announce_all: Box<dyn Fn()>,
    pub(super) verify_some: Box<dyn Fn()>,
    pub(super) heartbeat: RefCell<Heartbeat>,
    pub(super) nodes: RefCell<Nodes>,
    /// None: this node takes nothing over, and nothing of it is.
    pub(super) reach: Option<Box<dyn CoreReach>>,
    pub(super) lease: RefCell<NodeLease>,
    pub(super) takeovers: RefCell<Takeovers>,
    /// What others were promised, and may have lost to this process.
    pub(super) pledges: RefCell<Pledges>,
    /// Asks for theirs. None: this node takes nothing over.
    pub(super) asker: Option<PeerAsker>,
    /// For pledges, which were asked of this process.
    pub(super) questions: RefCell<QuestionsHeard>,
    /// Sessions that other processes had before this one: as many as its cores have room for.
    pub(super) adopted: RefCell<HashSet<SessionId>>,
    pub(super) peers: RefCell<Peers>,
    pub(super) asks: Cell<usize>,
    pub(super) started: Instant,
    /// It goes on for another process, whose connection to Redis stood a moment ago.
    pub(super) is_resumed: bool,
    pub(super) throttles: LogThrottles,
    /// Of records that are not ours.
    pub(super) foreign: RefCell<LogThrottle>,
}

impl ClusterContext {
    pub(super) fn own_process(&self) -> Process {
        (self.node, self.incarnation)
    }

    /// Sends commands if there is a connection. They are on their way when this returns.
    pub(super) fn send(
        &self,
        kind: &'static str,
        commands: &[Command],
    ) -> impl Future<Output = Result<Vec<Reply>, RedisFault>> + use<> {
        let sent = self
            .link
            .connection()
            .map(|connection| self.send_on(&connection, kind, commands));
        async move { sent?.await }
    }

    pub(super) fn send_on(
        &self,
        connection: &RedisConnection,
        kind: &'static str,
        commands: &[Command],
    ) -> impl Future<Output = Result<Vec<Reply>, RedisFault>> + use<> {
        let bytes: usize = commands.iter().map(Command::size).sum();
        let count = |counter: &prometheus::IntCounterVec, by: usize| {
            counter.with_label_values(&[kind]).inc_by(by as u64);
        };
        count(&self.metrics.redis_commands, commands.len());
        count(&self.metrics.redis_bytes, bytes);
        let sent = connection.call_all(commands);
        let errors = self.metrics.redis_errors.clone();
        async move {
            let replies = sent.await;
            let count = |kind: &str| errors.with_label_values(&[kind]).inc();
            match &replies {
                Err(fault) => count(fault.kind()),
                Ok(replies) => replies
                    .iter()
                    .filter_map(Reply::error)
                    .for_each(|error| count(known_code(&error.code))),
            }
            replies
        }
    }

    pub(super) fn announce(&self, why: &'static str) {
        tracing::info!("telling Redis of every session again: {why}");
        (self.announce_all)();
    }

    /// One more heartbeat, whatever becomes of it: the next one may be another process's.
    pub(super) fn beat_now(&self) {
        self.record.borrow_mut().beats += 1;
        self.write_own_record();
    }

    /// Its sessions have ended: from now on other nodes answer for them.
    pub(super) fn announce_leaving(&self) {
        self.record.borrow_mut().leaving = true;
        self.write_own_record();
    }

    /// The others know it as soon as they look, not only once its sessions are gone.
    pub(super) fn announce_draining(&self) {
        if std::mem::replace(&mut self.record.borrow_mut().draining, true) {
            return;
        }
        self.write_own_record();
    }

    fn write_own_record(&self) {
        let record = self.record.borrow().json();
        let write = self.keys.write_node(self.node, &record, NODE_LIFE);
        // If it is lost the next beat says the same.
        drop(self.send("beat", &[write]));
    }

    pub(super) async fn remove_own_key(&self) {
        self.record.borrow_mut().leaving = true;
        let commands = [
            self.keys.read_node(self.node),
            // All is said of its sessions: nobody needs to mark them.
            self.keys.drop_process(self.own_process()),
            self.keys.remove_lease(self.own_process()),
        ];
        let read = self.send("beat", &commands).await;
        let found = read.as_deref().ok().and_then(<[Reply]>::first);
        let found = found.map(|reply| found_node(reply, self.node));
        // Another process of this name may have come already.
        if matches!(found, Some(FoundRecord::Record(record)) if record.incarnation == self.incarnation)
        {
            let removed = self.send("beat", &[self.keys.remove_node(self.node)]).await;
            drop(removed);
        }
    }

    /// Some: a fault of this kind is to be logged, and so many before it were not.
    pub(super) fn may_log(&self, kind: &'static str) -> Option<u64> {
        self.throttles.admit(kind, self.now_ms())
    }

    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    pub(super) fn found_foreign(&self, kind: &'static str, shown: &str) {
        self.metrics
            .foreign_records
            .with_label_values(&[kind])
            .inc();
        if let Some(unlogged) = self.foreign.borrow_mut().admit(self.now_ms()) {
            tracing::warn!(
                kind,
                record = shown,
                unlogged,
                "a record in Redis is not pinfold's, or damaged, and is ignored: give \
                clusters and programs that share a Redis prefixes of their own (--redis-prefix)"
            );
        }
    }
}

/// A label has few values, whatever a server says.
fn known_code(code: &str) -> &'static str {
    const KNOWN: [&str; 10] = [
        "READONLY",
        "OOM",
        "LOADING",
        "MISCONF",
        "NOPERM",
        "NOAUTH",
        "WRONGTYPE",
        "MOVED",
        "CLUSTERDOWN",
        "BUSY",
    ];
    KNOWN.iter().find(|it| **it == code).unwrap_or(&"ERR")
}
