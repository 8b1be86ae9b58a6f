//! A node's membership as it is written down for the process that goes on in this one's place, under the same incarnation.
//!
//! | what | how it travels |
//! |---|---|
//! | changes of sessions' records that Redis does not know yet | here. Those under way happen once more, which does no harm |
//! | the heartbeat | here: its number, and since when Redis is known to remember. The next process beats at once |
//! | which sessions it took over | here, by their ids; the cores have them |
//! | its lease, and who is asked for pledges without Redis | here |
//! | what it may have taken from whom | here; a claim under way counts as one of which nobody knows what became of it |
//! | pledges that it has given | not: the next process claims nothing in its first two seconds |
//! | who is being taken over from | not: it is asked anew |
//! | the node's record | made anew, the same but for the version |
//! | revocations that the others do not know | with the rules of who gets in: what Redis does not have of those is put there |
//! | what else is known of other nodes, and where sessions are | not: it is asked anew |
//! | who asks for an owner | not: a core with such a request does not stand still |

use std::rc::Rc;
use std::time::{Duration, Instant};

use monoio::time::sleep;
use serde::{Deserialize, Serialize};

use super::bus::{BusState, RunningBus};
use super::gates::ClusterGates;
use super::lease::{LeaseState, NodeLease};
use super::nodes::{Heartbeat, HeartbeatState};
use super::pending::PendingState;
use super::pledges::{Pledges, PledgesState};
use super::record::NodeRecord;
use super::shared::ClusterContext;
use crate::wire::session_id::SessionId;

/// How often it is looked whether everything was answered.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// What a node had of its cluster.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ClusterState {
    pub(crate) bus: BusState,
    pub(crate) presence: PresenceState,
}

/// What it said of itself, and knows of Redis.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct PresenceState {
    pub(super) pending: PendingState,
    pub(super) beats: u64,
    /// None: there was none yet.
    pub(super) heartbeat: Option<HeartbeatState>,
    /// Sessions that other processes had before this one.
    pub(super) adopted: Vec<String>,
    /// None: nobody relies on one.
    pub(super) lease: Option<LeaseState>,
    /// The other nodes, as Redis had them last: who is asked for pledges. None: nobody has looked yet, which is not to be alone.
    pub(super) others: Option<Vec<NodeRecord>>,
    /// None: nothing is known of what the process before took over.
    pub(super) pledges: Option<PledgesState>,
}

/// A node's talk with Redis, for whoever hands the node over. On the control thread.
pub(crate) struct StandingCluster {
    pub(crate) gates: Rc<ClusterGates>,
    pub(crate) bus: Rc<RunningBus>,
    pub(crate) context: Rc<ClusterContext>,
}

impl StandingCluster {
    /// Nothing new is said to Redis from now on. What holds up a hand-over when the time is over: what was published may be
    /// there or not. `insists`: that is not waited for; it is said once more, and others know it by its number.
    pub(crate) async fn quiesce(&self, until: Instant, insists: bool) -> Option<String> {
        self.gates.work.shut();
        self.context.beat_now();
        while self.bus.is_adding() && Instant::now() < until {
            sleep(LOOK_EVERY).await;
        }
        let is_adding = self.bus.is_adding();
        self.gates.answers.shut();
        let why = "Redis has not answered yet what was published";
        (is_adding && !insists).then(|| why.to_owned())
    }

    /// What there is. Nothing may be on its way here that nobody has posted yet.
    pub(crate) fn state(&self) -> ClusterState {
        ClusterState {
            bus: self.bus.state(),
            presence: self.context.state(),
        }
    }

    /// The hand-over came to nothing.
    pub(crate) fn go_on(&self) {
        self.gates.open();
    }
}

impl ClusterContext {
    fn state(&self) -> PresenceState {
        PresenceState {
            pending: self.pending_state(),
            beats: self.record.borrow().beats,
            heartbeat: self.heartbeat.borrow().state(Instant::now()),
            adopted: self.adopted.borrow().iter().map(SessionId::text).collect(),
            lease: self.lease.borrow().state(Instant::now()),
            others: self.peers.borrow().records(),
            pledges: Some(self.pledges.borrow().state(Instant::now())),
        }
    }

    /// Goes on with that of another process.
    pub(super) fn resume(&self, state: PresenceState) {
        let PresenceState {
            pending,
            beats,
            heartbeat,
            adopted,
            lease,
            others,
            pledges,
        } = state;
        let now = Instant::now();
        let adopted = adopted.iter().filter_map(|id| SessionId::parse(id));
        self.adopted.borrow_mut().extend(adopted);
        self.pending.borrow_mut().resume(pending);
        self.record.borrow_mut().beats = beats;
        if let Some(state) = heartbeat {
            *self.heartbeat.borrow_mut() = Heartbeat::resumed(now, state);
        }
        let mut peers = self.peers.borrow_mut();
        peers.resume(others);
        if let Some(state) = lease {
            let mut lease = NodeLease::resumed(now, state);
            lease.know_others(peers.knows_adopters(self.node));
            *self.lease.borrow_mut() = lease;
        }
        if let Some(state) = pledges {
            *self.pledges.borrow_mut() = Pledges::resumed(now, &state);
        }
    }
}
