//! The application that MCP's official conformance suite expects a server to have: its tools, resources and
//! prompts, with the texts that the suite and the SDKs' own tests look for. It also serves real clients as a
//! server where everything can be tried.
//!
//! `test_simple_text` comes first in `tools/list`: the suite calls the first tool with no arguments.

mod asking;
mod media;
mod plain;
mod prompts;
mod resources;
mod rounds;
mod tasks;
#[cfg(test)]
mod tests;
mod triggers;

use super::{App, Toolkit};
use tasks::TaskStore;

/// What all cores share: the tasks. One per process.
#[derive(Clone, Default)]
pub struct Conformance {
    tasks: TaskStore,
}

impl Conformance {
    /// With no task yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The application for one core.
    #[must_use]
    pub fn app(&self) -> impl App + use<> {
        let mut kit = Toolkit::new("pinfold-conformance", env!("CARGO_PKG_VERSION"))
            .title("pinfold conformance fixture")
            .instructions("A server for testing MCP clients and servers.")
            .logging();
        kit = plain::add(kit);
        kit = asking::add(kit);
        kit = rounds::add(kit);
        kit = triggers::add(kit);
        kit = resources::add(kit);
        kit = prompts::add(kit);
        tasks::add(kit, &self.tasks)
    }
}
