//! Threads, sockets, timers, signals: what runs shards and forwarders. It moves bytes and messages in and out of them. What the
//! bytes mean is the matter of `wire`, `mcp`, `shard` and `forward`.
//!
//! One thread for each core runs `thread`. Around one `Shard` it accepts, reads (`readiness`), fans out (`fanout`) and takes
//! messages (`core_message`), all as tasks of one monoio runtime. Cores share nothing but mailboxes, and, when something opens or
//! closes, the counts of the node ([`Commons`](crate::clients::Commons)). Beside the shard is one `Forwarder` (`forward/`).
//! Tasks report what happened to an `Engine`; `core_loop` alone carries out what follows.
//! `watchdog` notices when a thread does nothing any more.
//!
//! Why it is so: `docs/decisions/0001-a-thread-for-each-core.md` and
//! `docs/decisions/0010-no-lock-or-atomic-on-the-hot-path.md`.

mod ahead;
mod application;
mod blocking;
mod calls;
mod clock;
mod cluster_handle;
mod content_changes;
mod core_loop;
mod core_message;
mod core_reach;
mod cores;
mod drain_barrier;
mod endings;
mod engine;
mod fanout;
mod forward;
#[cfg(feature = "auth")]
mod identify;
mod link;
pub(crate) mod memory_file;
mod milestone;
mod not_started;
mod open_files;
mod publisher;
mod questions;
mod readiness;
mod ring;
mod seal;
mod secrets;
mod serve;
mod signals;
mod sockets;
#[cfg_attr(not(feature = "otlp"), path = "no_spans.rs")]
mod spans;
mod standing;
mod standstill;
mod standstill_orders;
mod stats;
mod thread;
mod tokio;
mod trace;
mod trace_sink;
mod turns;
mod unsent;
mod watchdog;
mod writing;

pub(crate) use self::ahead::copy_sockets;
pub(crate) use self::clock::{began_ns, continue_from, machine_ns, now, unix_ms, unix_ms_of};
pub use self::cluster_handle::{ClusterAccess, ClusterHandle, SessionOwner};
pub(crate) use self::content_changes::ContentChanges;
pub use self::core_reach::CoreReach;
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
pub(crate) use self::sockets::SOCKET_BYTES;
pub(crate) use self::spans::SpanSetup;
pub(crate) use self::standing::{NotStanding, Standing};
pub(crate) use self::standstill_orders::{
    CORE_ANSWERS_WITHIN, CoreResume, DESCRIPTORS_AT_ONCE, ForCore, ReceivedCore,
};
pub(crate) use self::stats::StatsBoard;
pub(crate) use self::thread::ends_within;
pub(crate) use self::trace::TraceDesk;
pub(crate) use self::trace::TraceEnd;
pub use self::trace::{TraceFeed, TraceHold, TraceRefused};
pub use self::trace_sink::TraceBatch;
pub use self::watchdog::BreakThread;
pub(crate) use self::watchdog::{Alive, BEAT_EVERY, Watch};
