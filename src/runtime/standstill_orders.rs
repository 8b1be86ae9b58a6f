//! What a core is told when it is to stand still, and what it has then: for whoever hands a node over, and for whoever takes one.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::net::TcpStream as StdStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use crate::shard::{ConnectionKey, HeldUp};

/// For a core to come to its messages, beyond what it was asked to wait.
pub(crate) const CORE_ANSWERS_WITHIN: Duration = Duration::from_secs(1);
/// Descriptors that go to another process with one message: of 253, which the kernel takes. So many sockets are copied in one turn
/// of their core.
pub(crate) const DESCRIPTORS_AT_ONCE: usize = 250;

/// What a core is asked before it stands still.
pub(crate) struct QuiesceOrder {
    /// So long it waits for what holds it up.
    pub(crate) within: Duration,
    pub(crate) answer: Sender<Quiet>,
}

/// What a core says once when it was asked to become quiet.
pub(crate) struct Quiet {
    /// It has read nothing since then, by the monotonic clock of the machine.
    pub(crate) since_ns: u64,
    /// What holds it up still.
    pub(crate) held_up: HeldUp,
}

/// Some of a core's sockets are wanted while it serves.
pub(crate) struct CopyOrder {
    /// From which of its connections on.
    pub(crate) from: usize,
    pub(crate) answer: Sender<SocketCopies>,
}

/// Other descriptors of a core's sockets.
pub(crate) struct SocketCopies {
    pub(crate) sockets: Vec<(ConnectionKey, StdStream)>,
    /// Where to go on. None: there are no more.
    pub(crate) next: Option<usize>,
}

/// What a core is told then.
pub(crate) struct FreezeOrder {
    pub(crate) core: u16,
    /// The new process has the sockets of these.
    pub(crate) ahead: Arc<HashSet<ConnectionKey>>,
    pub(crate) answer: Sender<(u16, Result<FrozenCore, StillHeldUp>)>,
    /// Closed: it goes on. It is kept open to the end of the process otherwise.
    pub(crate) thaw: Receiver<()>,
}

/// Why a core does not stand still after all.
pub(crate) enum StillHeldUp {
    By(HeldUp),
    /// What it has could not be written down.
    System(io::Error),
}

/// All that a core had, for another process.
pub(crate) struct FrozenCore {
    /// [`CoreState`], in the memory of nobody.
    pub(crate) state: File,
    /// The sockets of its connections, in the order of the state, then two of each stream that is passed on.
    pub(crate) sockets: Arc<Vec<StdStream>>,
    /// Which of them the new process does not have.
    pub(crate) late: Vec<usize>,
    pub(crate) sessions: usize,
}

/// What a core begins with that takes the place of one.
pub(crate) struct CoreResume {
    /// Told when the core waits for its state.
    pub(crate) waits: Sender<()>,
    pub(crate) state: Receiver<ForCore>,
    /// Closed: it ends. Anything else: it serves.
    pub(crate) go: Receiver<()>,
    /// Told when it does: by the monotonic clock of the machine.
    pub(crate) serves: Sender<u64>,
}

/// What comes for such a core.
pub(crate) enum ForCore {
    /// Sockets of connections that the other process still serves, by their keys.
    Ahead(Vec<((u32, u32), StdStream)>),
    /// All the rest.
    State(ReceivedCore),
}

/// As it came from the other process.
pub(crate) struct ReceivedCore {
    pub(crate) state: File,
    /// Those that did not come ahead.
    pub(crate) sockets: Vec<StdStream>,
}
