//! A node: an application on every core, and all that goes with it, as one value that a program starts and stops.
//!
//! [`Node::builder`] takes a function that makes the application of one core and everything that the program `pinfold`
//! has options for ([`Options`], checked in one place by [`NodeBuilder::start`], which also binds every socket before
//! anything runs). `start` returns once each core serves, or says why not, and leaves nothing behind then.
//!
//! ```text
//! NodeBuilder ─start─▶ core threads ─(last one's end)─▶ watchdog thread: joins them, lets the shared log and Redis know,
//!                      control thread (admin, Redis)       ends the control thread and the blocking pool, reaches `ended`
//! ```
//!
//! [`Node`] is a handle; clones are the same node. It publishes, gives counts, drains and stops. Threads and tasks of any
//! runtime can join it. After `join` nothing goes on: sockets are closed, threads have ended, and a node may start on the
//! same port. Nothing is global: two nodes in one process share the process's memory, its limit on open files and its
//! clock, and nothing else. Signals, the log's writer and the banner are the program's (`cli`).

mod application;
#[cfg(feature = "auth")]
mod authentication;
#[cfg(feature = "admin")]
mod backend;
mod builder;
mod check;
#[cfg_attr(not(feature = "redis"), path = "alone.rs")]
mod cluster;
mod contents_copy;
mod control_orders;
mod control_thread;
#[cfg_attr(not(feature = "metrics"), path = "uncounted.rs")]
mod counted;
mod cpus;
mod error;
#[cfg_attr(not(feature = "otlp"), path = "unexported.rs")]
mod exporting;
mod facts;
mod hand_over;
mod handle;
mod listen;
mod names;
mod node_state;
#[cfg(feature = "admin")]
mod observe;
#[cfg_attr(not(feature = "admin"), path = "unattended.rs")]
mod operators;
mod options;
#[cfg(all(feature = "admin", feature = "redis"))]
mod questions;
mod sight;
mod sockets_ahead;
mod start;
#[cfg(feature = "metrics")]
mod stats;
mod store;
mod take_over;
mod travel;
#[cfg(feature = "admin")]
mod watching;

pub use self::application::IntoHandler;
#[cfg(feature = "auth")]
pub use self::authentication::AuthOptions;
pub use self::builder::NodeBuilder;
#[cfg(feature = "redis")]
pub use self::cluster::ClusterConfig;
#[cfg(feature = "redis")]
pub(crate) use self::cluster::{advertised, prefix, resolve};
pub use self::error::NodeError;
pub use self::hand_over::{HandedOver, HandoverRefused, PauseTimes};
pub(crate) use self::hand_over::{HandoverPlan, LastWords};
pub use self::handle::{Node, NodeCounts};
pub(crate) use self::names::{endpoint, host, node_from_host, node_name, origin};
#[cfg(feature = "admin")]
pub use self::operators::AdminOptions;
pub use self::options::{
    CORES_MAX, DRAIN_ALONE, DRAIN_BEHIND_PROXY, Options, PEER_SECRET_BYTES_MIN, Pinning,
    STATE_KEY_BYTES, StateKey,
};
pub use self::sight::{ListedSession, NodeStats};
pub(crate) use self::take_over::TakeOver;
