//! pinfold: an MCP server that tells very many clients about a change at once.
//!
//! Write an application ([`app::App`], or a [`app::Toolkit`] put together from closures) and hand it to a
//! [`Server`]. It serves both eras of MCP Streamable HTTP on one endpoint, one thread per core.
//!
//! ```no_run
//! use pinfold::app::{NoArguments, Toolkit};
//!
//! let app = || {
//!     Toolkit::new("greeter", "1.0").tool("greet", "Says hello.", |_: NoArguments, _| async { Ok("Hello!") })
//! };
//! pinfold::Server::new(app).listen("127.0.0.1:8080").run()?;
//! # Ok::<(), pinfold::StartError>(())
//! ```
//!
//! [`guide`] has a page for each question that comes next.
//!
//! # The map
//! Each layer knows only those above it in this list; a test holds that.
//!
//! | module | owns |
//! |---|---|
//! | [`limits`] | what clients can make a node hold or do, and what follows from it |
//! | [`budget`] | what all cores share and none may exceed |
//! | `log_throttle` | as many log lines of a kind as anybody reads |
//! | [`clients`] | who the clients are, for limits, and what each of them holds |
//! | [`wire`] | bytes to values and back, without memory: HTTP/1.1, SSE, JSON-RPC, session ids |
//! | [`mcp`] | what MCP says: revisions, errors, types |
//! | [`app`] | what a user of the crate implements, and the built-in applications |
//! | `tokio_threads` | a tokio runtime for the handlers that want one |
//! | [`testing`] | an application's tests without a network |
//! | [`guide`] | how to write a server, a page for each question |
//! | [`shard`] | all that one core owns, as a plain value: the wire (connections, framing, admission) and the engine (sessions, streams, fan-out) |
//! | [`metrics`] | what is counted |
//! | [`redis`] | a small pipelined client of Redis |
//! | [`runtime`] | what runs shards: threads, sockets, mailboxes, running calls |
//! | [`cluster`] | what a node knows of the others, and of the proxy in front of them |
//! | [`admin`], [`config`], [`cli`] | the operator's side: publishing and health, options, the small clients |
//!
//! The one idea: one core owns one [`shard::Shard`]. Bytes, publications, what handlers do and the time go in;
//! bytes, calls and a deadline come out. It never waits: [`runtime`] waits for clients and handlers, [`redis`] and
//! [`cluster`] for a Redis, [`admin`] for the operator.

pub mod admin;
pub mod app;
pub mod budget;
pub mod cli;
pub mod clients;
pub mod cluster;
pub mod config;
pub mod guide;
pub mod limits;
mod log_throttle;
pub mod mcp;
pub mod metrics;
pub mod redis;
pub mod runtime;
pub mod shard;
pub mod testing;
#[cfg(feature = "tokio")]
mod tokio_threads;
pub mod wire;

pub use runtime::{Options, PublishRefused, Publisher, Running, Server, StartError};
