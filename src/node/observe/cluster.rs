//! The cluster as this node sees it: what its membership and its bus left on the control thread, and this node itself.

use std::time::Instant;

#[cfg(feature = "redis")]
use crate::admin::{BusReport, RedisReport};
use crate::admin::{ClusterReport, NodeReport, NodeState};
#[cfg(feature = "redis")]
use crate::cluster::PeerState;
use crate::node::backend::NodeBackend;
#[cfg(feature = "redis")]
use crate::node::cluster::{BusHandle, Membership};

impl NodeBackend {
    pub(in crate::node) fn cluster_report(&self) -> ClusterReport {
        let own = NodeReport {
            node: self.node.name().to_string(),
            is_self: true,
            address: Some(format!("http://{}", self.node.address())),
            incarnation: self.node.options().incarnation,
            state: match self.publisher.is_leaving() {
                true => NodeState::Draining,
                false => NodeState::Alive,
            },
            heartbeat_age_ms: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let report = ClusterReport {
            node: own.node.clone(),
            redis: None,
            nodes: vec![own],
            bus: None,
        };
        #[cfg(feature = "redis")]
        if let (Some(membership), Some(bus)) = (&self.membership, &self.bus) {
            return of_several(report, membership, bus, Instant::now());
        }
        report
    }
}

#[cfg(feature = "redis")]
fn of_several(
    mut report: ClusterReport,
    membership: &Membership,
    bus: &BusHandle,
    now: Instant,
) -> ClusterReport {
    let age = |at: Option<Instant>| {
        let age = at.map(|at| now.saturating_duration_since(at).as_millis());
        age.map(|ms| u64::try_from(ms).unwrap_or(u64::MAX))
    };
    let (seen, log) = (membership.seen(), bus.seen());
    if let Some(own) = report.nodes.first_mut() {
        own.address = seen.own_url;
        own.heartbeat_age_ms = age(seen.beat_at);
        if seen.is_leaving {
            own.state = NodeState::Draining;
        }
    }
    let mut others: Vec<NodeReport> = seen
        .others
        .into_iter()
        .map(|it| NodeReport {
            node: it.node.to_string(),
            is_self: false,
            address: it.url,
            incarnation: it.incarnation,
            state: state(it.state),
            heartbeat_age_ms: age(it.seen_at),
            version: it.version,
        })
        .collect();
    others
        .sort_by(|one, other| (&one.node, one.incarnation).cmp(&(&other.node, other.incarnation)));
    report.nodes.extend(others);
    report.redis = Some(RedisReport {
        up: seen.is_up,
        since: seen.changed_at,
    });
    report.bus = Some(BusReport {
        last_offset: log.position.offset(),
        behind_entries: log.behind_entries,
        behind_ms: log.behind_ms,
        queued: log.queued,
        gaps: log.gaps,
    });
    report
}

#[cfg(feature = "redis")]
fn state(state: PeerState) -> NodeState {
    match state {
        PeerState::Alive => NodeState::Alive,
        PeerState::Late => NodeState::Late,
        PeerState::Suspect => NodeState::Suspect,
        PeerState::Draining => NodeState::Draining,
        PeerState::Gone => NodeState::Gone,
        PeerState::Restarted => NodeState::Restarted,
    }
}
