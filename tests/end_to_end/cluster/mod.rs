//! Three nodes behind the real Traefik, with the real Redis: what the contract says about several nodes.
//!
//! Each test starts what it needs on free ports and ends it, also when it fails. Traefik's configuration is what
//! `pinfold traefik` writes. Whatever is waited for is looked at again and again until it is there, or a limit is over.

#[path = "../../support/acl.rs"]
mod acl;
mod all_nodes;
mod bad_input;
mod bus;
mod chaos;
pub(crate) mod client;
mod documents;
mod fleet;
mod forgotten;
mod forwarding;
mod identity;
mod kept;
mod leave;
mod logins;
mod loss;
pub(crate) mod node;
mod official_clients;
mod outage;
mod owner;
mod plain_proxy;
mod policy;
mod presence;
mod proxy_start;
pub(crate) mod redis;
mod revoked;
mod rolling;
mod routing;
mod seen;
mod site;
pub(crate) mod stream;
mod syscalls;
mod tenants;
mod traefik;
mod trimmed;
mod unanswered;

use std::time::{Duration, Instant};

/// For what happens within a second or two when all is well, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(20);

/// Looks until there is something; panics with `what` was waited for.
fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(POLL);
    }
}

pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    wait_for(what, || is_so().then_some(()));
}
