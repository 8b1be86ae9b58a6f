//! What MCP says, revision by revision: versions, errors, metadata, types. Pure values and functions; no
//! bytes on a socket (that is `wire`), no state of a client (that is `shard`).
//!
//! [`types`] has what stands in requests and results. [`RpcError`] is a protocol error, which a client's program sees;
//! what a model should see is a result ([`Error`](crate::app::Error)). An [`Era`] is how a client opens, and each
//! [`ProtocolVersion`] is of one.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![deny(clippy::iter_over_hash_type)]

mod error;
mod methods;
mod objects;
pub(crate) mod read;
pub mod types;
mod version;

pub use error::RpcError;
// For this project's own tests, as the inner layers are: whoever writes a server has the names of methods as texts.
#[cfg(not(feature = "internals"))]
pub(crate) use methods::{Capability, MethodRole, Mirrored, PolicyQuestion, RpcMethod, members_of};
#[cfg(feature = "internals")]
#[doc(hidden)]
pub use methods::{Capability, MethodRole, Mirrored, PolicyQuestion, RpcMethod, members_of};
pub use version::{Era, ProtocolVersion};
