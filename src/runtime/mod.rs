//! Threads, sockets, timers, signals: what runs shards and forwarders. It moves bytes and letters in and out of them, and
//! leaves what those mean to `wire`, `mcp`, `shard` and `forward`.
//!
//! One thread per core runs `thread`: it accepts, reads (`readiness`), fans out (`fanout`) and takes letters
//! (`mailbox`) around one `Shard`, all as tasks of one monoio runtime, so that nothing is shared between cores
//! but mailboxes and, when something opens or closes, what the node has of it ([`Commons`](crate::clients::Commons)).
//! Beside it is one `Forwarder` (`forward/`). A task says what happened to an `Engine`; `core.rs` is the one that carries
//! out what follows.
//! `watchdog` notices when one of the threads does nothing any more.

mod application;
mod blocking;
mod calls;
mod clock;
mod cluster_handle;
mod core_loop;
mod cores;
mod drain_barrier;
mod engine;
mod fanout;
mod forward;
mod link;
mod mailbox;
mod milestone;
mod not_started;
mod open_files;
mod publisher;
mod readiness;
mod ring;
mod seal;
mod secrets;
mod serve;
mod signals;
mod socket;
mod sockets;
mod thread;
mod tokio;
mod watchdog;

pub(crate) use self::clock::{unix_ms, unix_ms_of};
pub use self::cluster_handle::{ClusterAccess, ClusterHandle, Owner};
pub(crate) use self::cores::{Cores, CoresSetup, MakeHandler, OwnSetup};
pub(crate) use self::engine::SCRATCH_BYTES;
pub(crate) use self::milestone::Milestone;
pub(crate) use self::not_started::NotStarted;
pub(crate) use self::open_files::{open_files, reserve_open_files};
pub use self::publisher::{PublishRefused, Publisher, SharedLog};
pub(crate) use self::ring::CORE_BYTES;
pub use self::ring::{Driver, run_alone};
pub use self::signals::survive_hangups;
pub(crate) use self::signals::watch as watch_signals;
pub(crate) use self::socket::limit_unsent;
pub(crate) use self::sockets::SOCKET_BYTES;
pub(crate) use self::thread::ends_within;
pub use self::watchdog::BreakThread;
pub(crate) use self::watchdog::{Alive, BEAT_EVERY, Watch};
