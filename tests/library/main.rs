//! The library as its user has it: servers in this process, driven over HTTP.

mod hooks;
mod identity;
mod server;
mod sight;
mod spawn;
mod tokio;
