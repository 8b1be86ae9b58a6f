//! The library as its user has it: servers in this process, driven over HTTP.

mod hooks;
mod server;
mod spawn;
mod tokio;
