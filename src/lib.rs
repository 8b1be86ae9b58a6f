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
//! [`run`](NodeBuilder::run) serves until SIGTERM. A program that does more calls [`start`](NodeBuilder::start) instead. It
//! gives a handle, which publishes, gives counts, drains and stops ([`Node`]). A node has all that the program has
//! options for: Redis, the admin listener, limits.
//!
//! # Where to find what
//! - [`guide`] has a page for each question that comes next, the [first server](guide::first_server) foremost.
//! - [`app`] is what you implement, and what a handler can do with its [`Context`](app::Context).
//! - [`mcp`] has the types of the specification: tools, resources, contents, questions.
//! - [`testing`] runs an application without a network.
//! - [`NodeBuilder`], [`Options`] and [`Limits`] say how a node runs, [`Publisher`] notifies subscribers of a change, and
//!   [`NodeError`] says why a node did not start.
//!
//! # Features
//! Without `default-features` there is a node that is alone, and nothing of the program.
//!
//! | feature | what it adds |
//! |---|---|
//! | `cli` (default) | the program `pinfold`, and `admin`, `auth` and `redis` with it; a library needs none of it |
//! | `admin` | the listener for operators: publishing, readiness, metrics, sessions, drain, the console |
//! | `redis` | nodes that share a Redis: one log, and requests that find their session on whichever node it is |
//! | `auth` | who asks: tokens of a file, access tokens of issuers, a word of a proxy, code of your own (`NodeBuilder::authenticate`) |
//! | `metrics` | what a node counts, in a registry of yours and as text; `admin` and `redis` bring it along |
//! | `otlp` | spans of calls, for an OpenTelemetry collector (`NodeBuilder::otlp`) |
//! | `tokio` | handlers may use crates that need a tokio runtime (`NodeBuilder::tokio`) |
//!
//! `conformance` and `internals` are for this project's own tests. No version keeps what they add.

// # The map
// Each layer knows only those above it in this list; a test holds that.
//
// | module | owns |
// |---|---|
// | `limits` | what clients can make a node hold or do, and what follows from it |
// | `budget` | what all cores share and none may exceed |
// | `log_throttle` | as many log lines of a kind as anybody reads |
// | `tasks`, `gate`, `socket`, `acceptor` | what a thread has under way, and how it ends; where its tasks wait before they go on; plain calls of sockets; listening sockets that can be closed |
// | `mailbox` | what other threads have for one |
// | `trusted_roots` | who may vouch for a server that is asked over HTTPS |
// | `clients` | who the clients are, for limits, and what each of them holds |
// | `principal` | who somebody is, as far as it is known |
// | `wire` | bytes to values and back, without memory: HTTP/1.1, SSE, JSON-RPC, session ids |
// | `auth` | who asks and what they may do, as plain values: tokens, keys, policy, challenges |
// | `credentials` | where keys and tokens come from: issuers that are asked, files that are read, programs that know |
// | `mcp` | what MCP says: revisions, errors, types |
// | `app` | what a user of the crate implements, and the built-in applications |
// | `tokio_threads` | a tokio runtime for the handlers that want one |
// | `testing` | an application's tests without a network |
// | `guide` | how to write a server, a page for each question |
// | `shard` | all that one core owns, as a plain value: the wire (connections, framing, admission) and the engine (sessions, streams, fan-out) |
// | `forward` | requests for sessions of other nodes, as plain values too: exchanges, relays, idle connections |
// | `otlp` | spans of calls, and the thread that sends them to a collector |
// | `metrics` | what is counted |
// | `redis` | a small pipelined client of Redis |
// | `runtime` | what runs shards: threads, sockets, mailboxes, running calls |
// | `handover` | a node that goes on in another process: what the two say to each other |
// | `cluster` | what a node knows of the others, and of the proxy in front of them |
// | `admin` | publishing, health, metrics, sessions, traces and the console, for operators; who may do what there |
// | `node` | all of it put together: what starts, serves, drains and ends |
// | `config`, `cli` | the program: options, the configuration file, signals, the small clients |
// | `internals` | the inner layers under their names, for this project's own tests |
//
// The one idea: one core owns one `shard::Shard`, a plain value. Bytes, publications, what handlers do and the time go
// in; bytes, calls and a deadline come out. It never waits: `runtime` waits for clients and handlers, `redis` and
// `cluster` for Redis, `admin` for the operator. The reasons, with figures, are in `docs/decisions/`:
// `docs/decisions/0001-a-thread-for-each-core.md` and `docs/decisions/0005-the-core-is-a-plain-value.md` first.

// What is public is seen by its own lints in a build without the inner layers; what is unused, in one with everything.
#![cfg_attr(
    not(feature = "internals"),
    deny(missing_docs, unnameable_types),
    allow(unreachable_pub, dead_code, unused_imports)
)]

mod acceptor;
#[cfg(feature = "admin")]
mod admin;
pub mod app;
#[cfg(feature = "auth")]
mod auth;
mod budget;
#[cfg(feature = "cli")]
mod cli;
mod clients;
#[cfg(feature = "redis")]
mod cluster;
#[cfg(feature = "cli")]
mod config;
#[cfg(feature = "auth")]
mod credentials;
mod forward;
mod gate;
pub mod guide;
mod handover;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
mod limits;
mod log_throttle;
mod mailbox;
pub mod mcp;
#[cfg(feature = "metrics")]
mod metrics;
mod node;
#[cfg(feature = "otlp")]
mod otlp;
mod principal;
#[cfg(feature = "redis")]
mod redis;
mod runtime;
#[cfg(test)]
mod scratch;
mod shard;
mod socket;
mod tasks;
pub mod testing;
#[cfg(feature = "tokio")]
mod tokio_threads;
#[cfg(any(feature = "auth", feature = "otlp"))]
mod trusted_roots;
mod wire;

#[cfg(feature = "admin")]
pub use admin::Token;
#[cfg(feature = "auth")]
pub use auth::{
    Algorithm, IssuerSettings, JwtSettings, Need, PolicySettings, Preset, ProxySettings, Reason,
    ResourceNeeds,
};
#[cfg(feature = "cli")]
#[doc(hidden)]
pub use cli::program;
pub use clients::{Networks, NotANetwork};
#[cfg(feature = "redis")]
pub use cluster::Advertised;
#[cfg(feature = "auth")]
pub use credentials::{Answer, Authenticate, Authenticator, Presented};
pub use limits::Limits;
#[cfg(feature = "metrics")]
pub use metrics::prometheus;
#[cfg(feature = "admin")]
pub use node::AdminOptions;
#[cfg(feature = "auth")]
pub use node::AuthOptions;
#[cfg(feature = "redis")]
pub use node::ClusterConfig;
pub use node::{
    IntoHandler, ListedSession, Node, NodeBuilder, NodeCounts, NodeError, NodeStats, Options,
    Pinning, STATE_KEY_BYTES, StateKey,
};
#[cfg(feature = "otlp")]
pub use otlp::OtlpOptions;
pub use principal::{
    Action, Decision, Identity, ListKind, NoPrincipal, PrincipalId, Scopes, UnixSeconds,
};
#[cfg(feature = "redis")]
pub use redis::{BadRedisUrl, RedisUrl};
pub use runtime::{Driver, PublishRefused, Publisher};
pub use shard::DrainTimes;
pub use wire::forwarded::PeerSecret;
pub use wire::public_url::{NotAPublicUrl, PublicUrl};
pub use wire::session_id::{BadNodeName, NodeName};
pub use wire::trace_context::TraceContext;
