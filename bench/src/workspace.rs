//! Where everything lies.

use std::path::Path;
use std::process::Command;

/// The workspace's root, which is where this was built.
pub(crate) fn root() -> &'static Path {
    let bench = Path::new(env!("CARGO_MANIFEST_DIR"));
    bench.parent().unwrap_or(bench)
}

/// A command of cargo's that builds as this program was built.
pub(crate) fn cargo(command: &str) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut cargo = Command::new(cargo);
    cargo.arg(command).current_dir(root());
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    cargo
}
