//! What operators see of a node and do with it, a file for each matter: questions go to the cores, their answers are put
//! together here, on the control thread.

mod view;

use super::backend::NodeBackend;
use crate::admin::OperatorBackend;
use crate::metrics::NodeReading;

impl OperatorBackend for NodeBackend {
    fn node(&self) -> Option<NodeReading> {
        self.metrics.node()
    }
}
