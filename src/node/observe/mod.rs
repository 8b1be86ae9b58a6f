//! What operators see of a node and do with it, a file for each matter: questions go to the cores, their answers are put
//! together here, on the control thread.

mod cluster;
mod view;

pub(super) use self::cluster::OwnProcess;
use super::backend::NodeBackend;
use crate::admin::{ClusterReport, OperatorBackend};

impl OperatorBackend for NodeBackend {
    fn cluster(&self) -> Option<ClusterReport> {
        Some(self.cluster_report())
    }
}
