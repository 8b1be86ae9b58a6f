//! Where everything lies.

use std::path::Path;

/// The workspace's root, which is where this was built.
pub(crate) fn root() -> &'static Path {
    let bench = Path::new(env!("CARGO_MANIFEST_DIR"));
    bench.parent().unwrap_or(bench)
}
