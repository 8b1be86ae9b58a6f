//! The doors that a node's talk with Redis goes through, so that it can stand still for another process to go on in its place.

use crate::gate::Gate;

/// Of the control thread's tasks.
#[derive(Default)]
pub(crate) struct ClusterGates {
    /// Shut: Redis is asked and told nothing new. What it answers is still acted on.
    pub(crate) work: Gate,
    /// Shut: nor is that. Nothing of this node's cluster changes.
    pub(crate) answers: Gate,
}

impl ClusterGates {
    pub(crate) fn open(&self) {
        self.answers.open();
        self.work.open();
    }
}
