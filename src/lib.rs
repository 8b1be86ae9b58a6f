//! pinfold: an MCP server that notifies very many clients of a change at once.
//!
//! Write an application ([`app::App`], or a [`app::Toolkit`] put together from closures) and hand it to a
//! [`Node`]. It serves both eras of MCP Streamable HTTP on one endpoint, one thread per core.
//!
//! ```no_run
//! use pinfold::app::{NoArguments, Toolkit};
//!
//! let app = || {
//!     Toolkit::new("greeter", "1.0").tool("greet", "Says hello.", |_: NoArguments, _| async { Ok("Hello!") })
//! };
//! pinfold::Node::builder(app).listen("127.0.0.1:8080").run()?;
//! # Ok::<(), pinfold::NodeError>(())
//! ```
//!
//! [`guide`] has a page for each question that comes next.
//!
//! [`run`](NodeBuilder::run) serves until SIGTERM. A program that does more calls [`start`](NodeBuilder::start) instead. It
//! gives a handle, which publishes, gives counts, drains and stops ([`Node`]). A node has all that the program has
//! options for: Redis, the admin listener, limits.
//!
//! # The map
//! Each layer knows only those above it in this list; a test holds that.
//!
//! | module | owns |
//! |---|---|
//! | [`limits`] | what clients can make a node hold or do, and what follows from it |
//! | [`budget`] | what all cores share and none may exceed |
//! | `log_throttle` | as many log lines of a kind as anybody reads |
//! | `tasks`, `acceptor` | what a thread has under way, and how it ends; listening sockets that can be closed |
//! | [`clients`] | who the clients are, for limits, and what each of them holds |
//! | [`wire`] | bytes to values and back, without memory: HTTP/1.1, SSE, JSON-RPC, session ids |
//! | [`auth`] | who asks and what they may do, as plain values: tokens, keys, policy, challenges |
//! | [`credentials`] | where keys and tokens come from: issuers that are asked, files that are read, programs that know |
//! | [`mcp`] | what MCP says: revisions, errors, types |
//! | [`app`] | what a user of the crate implements, and the built-in applications |
//! | `tokio_threads` | a tokio runtime for the handlers that want one |
//! | [`testing`] | an application's tests without a network |
//! | [`guide`] | how to write a server, a page for each question |
//! | [`shard`] | all that one core owns, as a plain value: the wire (connections, framing, admission) and the engine (sessions, streams, fan-out) |
//! | [`forward`] | requests for sessions of other nodes, as plain values too: exchanges, relays, idle connections |
//! | [`metrics`] | what is counted |
//! | [`redis`] | a small pipelined client of Redis |
//! | [`runtime`] | what runs shards: threads, sockets, mailboxes, running calls |
//! | [`cluster`] | what a node knows of the others, and of the proxy in front of them |
//! | [`admin`] | publishing, health and metrics, for operators |
//! | [`node`] | all of it put together: what starts, serves, drains and ends |
//! | [`config`], [`cli`] | the program: options, signals, the small clients |
//!
//! The one idea: one core owns one [`shard::Shard`], a plain value. Bytes, publications, what handlers do and the time go
//! in; bytes, calls and a deadline come out. It never waits: [`runtime`] waits for clients and handlers, [`redis`] and
//! [`cluster`] for Redis, [`admin`] for the operator. The reasons, with figures, are in `docs/decisions/` of the
//! repository: `docs/decisions/0001-a-thread-for-each-core.md` and `docs/decisions/0005-the-core-is-a-plain-value.md` first.

mod acceptor;
pub mod admin;
pub mod app;
pub mod auth;
pub mod budget;
pub mod cli;
pub mod clients;
pub mod cluster;
pub mod config;
pub mod credentials;
pub mod forward;
pub mod guide;
pub mod limits;
mod log_throttle;
pub mod mcp;
pub mod metrics;
pub mod node;
pub mod redis;
pub mod runtime;
pub mod shard;
mod tasks;
pub mod testing;
#[cfg(feature = "tokio")]
mod tokio_threads;
pub mod wire;

pub use node::{
    ClusterConfig, IntoHandler, Node, NodeBuilder, NodeCounts, NodeError, Options, Pinning,
};
pub use runtime::{Driver, PublishRefused, Publisher};
