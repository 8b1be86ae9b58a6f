//! What an operator sees by way of Prometheus: the rules and dashboards of `deploy`, with Debian's Prometheus in front of
//! nodes that do their work, and of nodes to which something happens.
//!
//! | what | shows |
//! |---|---|
//! | `documents` | the files are what `promtool` takes and Grafana's published model has; each alert has a test of its threshold and of its time (`rules_test.yml`) |
//! | `queries` | every expression is evaluated, every name and label in it is one that nodes have, and a small load shows on the dashboards |
//! | `alerts` | each fault that can be made happen makes its alert fire |
//! | `handlers` | the same for faults of an application: it computes, waits, or fails |
//! | `standstill` | the same for what a core, a machine or another node does not do in time, and what waits meanwhile |
//! | `faults` | whoever sees nothing but alerts, pages and logs can say which fault it is |

mod alerts;
mod dashboards;
mod documents;
mod expressions;
mod faults;
mod handlers;
mod load;
mod prometheus;
mod queries;
mod rules;
mod standstill;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// For what takes some seconds when all is well, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(100);

/// A file of `deploy`.
fn deployed(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(path)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path)
        .unwrap_or_else(|fault| panic!("{} cannot be read: {fault}", path.display()))
}

/// Does `act` again and again, until there is something; panics with what `wanting` says.
fn wait_for<T>(mut act: impl FnMut() -> Option<T>, wanting: impl FnOnce() -> String) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = act() {
            return found;
        }
        if Instant::now() >= deadline {
            panic!("not within {PATIENCE:?}: {}", wanting());
        }
        std::thread::sleep(POLL);
    }
}
