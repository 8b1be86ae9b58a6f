//! What tests of the engine share: a node of shards with fake sockets and a virtual clock, a strict reader of what
//! it sends, and the words of clients.
//!
//! Nothing here sleeps, opens a socket or asks the clock; whatever is random comes from a seed.
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "each test program uses its part of this"
)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod breakage;
pub mod client;
mod effects;
pub mod governed;
pub mod heard_of;
mod holdings;
pub mod http_sse;
pub mod identified;
pub mod node;
pub mod random;
pub mod reader;
pub mod request;
mod server_info;
pub mod socket;
pub mod standstill;
mod travel;

pub use client::Client;
pub use node::{Arrived, Node};
pub use random::Random;
pub use reader::{Answer, Frame, Item};
pub use request::Request;
