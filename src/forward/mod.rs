//! Requests for sessions of other nodes, as plain values: what goes on to the owner, and what comes back of it.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub(crate) mod request;
pub(crate) mod response;
