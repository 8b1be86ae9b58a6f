//! Why a node does not start.

use std::io;

/// Why a core does not serve.
#[derive(Debug)]
pub(crate) enum NotStarted {
    System(&'static str, io::Error),
    /// A sentence about the application.
    Application(String),
}

pub(super) fn cannot_run(fault: io::Error) -> NotStarted {
    NotStarted::System("a core could not run", fault)
}
