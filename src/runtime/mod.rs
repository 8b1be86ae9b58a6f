//! Threads, sockets, timers, signals: what runs shards. It moves bytes and letters in and out of them, and leaves what
//! those mean to `wire`, `mcp` and `shard`; only `forward`, which passes a request on to another node, reads HTTP.
//!
//! One thread per core runs `thread`: it accepts, reads (`readiness`), fans out (`fanout`) and takes letters
//! (`mailbox`) around one `Shard`, all as tasks of one monoio runtime, so that nothing is shared between cores
//! but mailboxes and, when something opens or closes, what the node has of it ([`Commons`](crate::clients::Commons)).
//! `watchdog` notices when one of the threads does nothing any more.

mod away;
mod blocking;
mod clock;
mod core;
mod departure;
mod fanout;
mod forward;
mod link;
mod listen;
mod mailbox;
mod neighbours;
mod open_files;
mod publisher;
mod readiness;
mod ring;
mod seal;
mod secrets;
mod serve;
mod server;
mod signals;
mod socket;
mod thread;
mod tokio;
mod watchdog;

pub(crate) use self::clock::{unix_ms, unix_ms_of};
pub use self::neighbours::{Joined, Neighbours, Owner};
pub use self::open_files::{raise_open_files, reserve_open_files};
pub use self::publisher::{PublishRefused, Publisher, SharedLog};
pub use self::ring::{Driver, run_alone};
pub use self::server::{DRAIN_ALONE, Options, Running, Server, StartError};
pub use self::signals::survive_hangups;
pub use self::watchdog::BreakThread;
pub(crate) use self::watchdog::{Alive, BEAT_EVERY};
