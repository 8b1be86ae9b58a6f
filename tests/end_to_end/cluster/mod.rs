//! Three nodes behind the real Traefik, with the real Redis: what the contract says about several nodes.
//!
//! Each test starts what it needs on free ports and ends it, also when it fails. Traefik's configuration is what
//! `pinfold traefik` writes. Whatever is waited for is looked at again and again until it is there, or a limit is over.

#[path = "../../support/acl.rs"]
mod acl;
mod adopted;
pub(crate) mod all_nodes;
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
mod takeover;
mod tenants;
mod traefik;
mod trimmed;
mod unanswered;

pub(crate) use crate::waits::wait_until;
use crate::waits::{PATIENCE, POLL, wait_for};
