//! The judgement: what was found, and what a deploy would cost, as plain values.

use std::collections::BTreeMap;

use super::DeployWay;
use super::tally::SessionTally;

/// What is known of the nodes.
#[derive(Clone, Debug, Default)]
pub(super) struct FoundCluster {
    /// Who was asked.
    pub(super) asked: String,
    /// It shares nothing with other nodes.
    pub(super) is_alone: bool,
    pub(super) has_redis: bool,
    /// Those that answered, by name.
    pub(super) nodes: BTreeMap<String, FoundNode>,
    /// Those that did not, at any question.
    pub(super) silent: BTreeMap<String, SilentPeer>,
}

/// A node that answered.
#[derive(Clone, Debug)]
pub(super) struct FoundNode {
    pub(super) name: String,
    pub(super) version: String,
    /// Of `GET /node`.
    pub(super) state: String,
    pub(super) handover: HandoverSaid,
    /// Of this and of the next two: none, if it does not say.
    pub(super) sessions_max: Option<u64>,
    /// Under way, those of clients without a session among them.
    pub(super) calls: Option<u64>,
    /// Requests that wait for another node's answer.
    pub(super) passed_on: Option<u64>,
    pub(super) tally: SessionTally,
}

impl FoundNode {
    /// For sessions of others, if it says how many it takes.
    fn room(&self) -> Option<u64> {
        let max = self.sessions_max?;
        Some(max.saturating_sub(self.tally.sessions))
    }
}

/// What a node says of its own hand-over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HandoverSaid {
    /// It would be tried, and what is under way waited for.
    Tried {
        grace_ms: Option<u64>,
    },
    Refused(String),
    /// Nothing: its version does not know.
    Unsaid,
}

/// A node that did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SilentPeer {
    /// It has died: nothing of it is left to be deployed.
    pub(super) is_gone: bool,
    pub(super) reason: String,
}

/// What a deploy would cost.
#[derive(Clone, Debug, Default)]
pub(super) struct DeployCost {
    pub(super) asked: String,
    pub(super) nodes: Vec<NodeCost>,
    pub(super) silent: BTreeMap<String, SilentPeer>,
}

/// One node's part.
#[derive(Clone, Debug)]
pub(super) struct NodeCost {
    pub(super) found: FoundNode,
    pub(super) handover: HandoverCost,
    pub(super) drain: DrainCost,
}

/// Whether it can be handed over. If it is, nothing is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HandoverCost {
    /// With what is under way waited for.
    Nothing {
        grace_ms: Option<u64>,
    },
    Refused(String),
    Unknown(&'static str),
}

/// What becomes of its sessions if it drains while the others go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct DrainCost {
    /// Another node goes on with them.
    pub(super) moves: u64,
    /// They end, by the reason.
    pub(super) ends: BTreeMap<String, u64>,
    /// One of both.
    pub(super) unknown: u64,
}

/// What is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeployVerdict {
    NothingIsLost,
    /// That much is certain, whatever else is not known.
    SomethingIsLost,
    Unknown,
}

/// The cost, by what was found.
pub(super) fn judge(found: &FoundCluster) -> DeployCost {
    let nodes = found.nodes.values().map(|node| NodeCost {
        handover: handover(node),
        drain: drain(node, found),
        found: node.clone(),
    });
    DeployCost {
        asked: found.asked.clone(),
        nodes: nodes.collect(),
        silent: found.silent.clone(),
    }
}

fn handover(node: &FoundNode) -> HandoverCost {
    match &node.handover {
        HandoverSaid::Refused(why) => HandoverCost::Refused(why.clone()),
        HandoverSaid::Unsaid => {
            HandoverCost::Unknown("its version does not say whether it can be handed over")
        }
        HandoverSaid::Tried { .. } if node.state == "impaired" => {
            HandoverCost::Unknown("one of its threads hangs or is gone: see its /readyz")
        }
        HandoverSaid::Tried { grace_ms } => HandoverCost::Nothing {
            grace_ms: *grace_ms,
        },
    }
}

fn drain(node: &FoundNode, found: &FoundCluster) -> DrainCost {
    let tally = &node.tally;
    let mut cost = DrainCost {
        moves: 0,
        ends: tally.ending(),
        unknown: tally.unknown(),
    };
    let mut end = |count: u64, why: &str| {
        if count > 0 {
            *cost.ends.entry(why.to_owned()).or_default() += count;
        }
    };
    let others: Vec<_> = takers(node, found).collect();
    let may_be_more = found.silent.values().any(|it| !it.is_gone);
    let nowhere = match () {
        () if !found.is_alone && !found.has_redis => Some("redis_away"),
        () if others.is_empty() && !may_be_more => Some("no_other_node"),
        () => None,
    };
    if let Some(why) = nowhere {
        end(tally.portable + tally.unknown(), why);
        cost.unknown = 0;
    } else if others.is_empty() {
        cost.unknown += tally.portable;
    } else {
        let known = others.iter().filter_map(|it| it.room());
        cost.moves = tally.portable.min(known.fold(0, u64::saturating_add));
        let rest = tally.portable - cost.moves;
        match others.iter().all(|it| it.room().is_some()) && !may_be_more {
            true => end(rest, "no_room"),
            false => cost.unknown += rest,
        }
    }
    cost
}

/// Those to whom its sessions could go. One that drains takes none, and neither does one whose own end with it.
fn takers<'a>(node: &'a FoundNode, found: &'a FoundCluster) -> impl Iterator<Item = &'a FoundNode> {
    let others = found.nodes.values().filter(|it| it.name != node.name);
    others.filter(|it| {
        let takes_clients = !matches!(it.state.as_str(), "draining" | "impaired");
        takes_clients && !it.tally.is_off()
    })
}

impl DrainCost {
    pub(super) fn ended(&self) -> u64 {
        self.ends.values().sum()
    }

    fn verdict(&self) -> DeployVerdict {
        match (self.ended(), self.unknown) {
            (0, 0) => DeployVerdict::NothingIsLost,
            (0, _) => DeployVerdict::Unknown,
            _ => DeployVerdict::SomethingIsLost,
        }
    }
}

impl NodeCost {
    /// Of a node that cannot be handed over the drain's: nothing else is left to it.
    pub(super) fn verdict(&self, by: DeployWay) -> DeployVerdict {
        match (by, &self.handover) {
            (DeployWay::Handover, HandoverCost::Nothing { .. }) => DeployVerdict::NothingIsLost,
            (DeployWay::Handover, HandoverCost::Unknown(_)) => DeployVerdict::Unknown,
            _ => self.drain.verdict(),
        }
    }
}

impl DeployCost {
    pub(super) fn verdict(&self, by: DeployWay) -> DeployVerdict {
        let of_nodes = self.nodes.iter().map(|it| it.verdict(by));
        let unasked = self.silent.values().filter(|it| !it.is_gone);
        let all = of_nodes.chain(unasked.map(|_| DeployVerdict::Unknown));
        all.fold(DeployVerdict::NothingIsLost, |worst, one| {
            match (worst, one) {
                (DeployVerdict::SomethingIsLost, _) | (_, DeployVerdict::SomethingIsLost) => {
                    DeployVerdict::SomethingIsLost
                }
                (DeployVerdict::Unknown, _) | (_, DeployVerdict::Unknown) => DeployVerdict::Unknown,
                _ => DeployVerdict::NothingIsLost,
            }
        })
    }
}
