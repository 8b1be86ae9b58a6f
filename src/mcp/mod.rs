//! What MCP says, revision by revision: versions, errors, metadata, types. Pure values and functions; no
//! bytes on a socket (that is `wire`), no state of a client (that is `shard`).

mod error;
pub mod types;
mod version;

pub use error::RpcError;
pub use version::{Era, ProtocolVersion};
