//! What operators ask of a node beside publishing: who is there, how they fare, why somebody left; and what they do about
//! it. Each method answers for a node that has nothing of the kind, so that whoever has one thing implements that alone.

use super::PublishBackend;
use crate::metrics::NodeReading;

/// What the listener asks for operators of the server behind it. Nothing here may block.
pub trait OperatorBackend: PublishBackend {
    /// How the node fares, as its threads said last.
    fn node(&self) -> Option<NodeReading> {
        None
    }
}
