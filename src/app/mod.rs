//! What a user of the crate implements, and the seam between an application and the engine.
//!
//! Start with [`Toolkit`], which is put together from closures; implement [`App`] when tools, resources or
//! prompts come and go. Either way there is one value per core, and a [`Context`] for each call.

mod adapter;
mod application;
mod ask;
pub mod board;
pub mod call;
mod caller;
#[cfg(feature = "conformance")]
#[doc(hidden)]
pub mod conformance;
pub mod contents;
mod context;
mod cursor;
mod decode;
mod envelope;
mod error;
mod legacy_output;
mod lifecycle;
mod notice;
mod page;
mod param_headers;
mod params;
mod schema;
mod state;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod toolkit;
mod topic;

pub use crate::wire::session_id::SessionId;
pub use adapter::handler;
pub use application::{App, Cacheable, ExtensionResult, ServerInfo};
pub use call::{AskFailed, Caching, Topic};
pub use caller::{Caller, Headers};
pub use context::{Cancellation, Context};
pub use error::{Error, Interruption};
pub use lifecycle::{OpenedSession, SessionEnd, Subscriber};
pub use page::{cursor_after, key_of, no_cursor, page};
pub use schema::{output_schema_of, schema_of};
pub use toolkit::{
    IntoContents, IntoMessages, IntoToolResult, NoArguments, Structured, Toolkit, UriTemplate,
    Variables,
};
