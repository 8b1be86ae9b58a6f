//! Whoever started this program and looks after it: systemd, or another service manager that knows its protocol
//! (`Type=notify`, sd_notify(3)). Where nobody does, nothing is said.
//!
//! It hears of the main process alone (`NotifyAccess=main`): after a hand-over that is whom the one before has named, and the new
//! one was named by then.
//!
//! It is a datagram for the socket that the environment names. (`sd-notify` 0.5 knows paths alone, and not names in no file system,
//! as `parent` has one.)

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use super::lines::LineWriter;
use crate::node::LastWords;

/// Names whoever wants to be told.
pub(super) const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";

/// For the last lines of the log, before this process ends that another one has taken over from.
const LAST_LINES_WITHIN: Duration = Duration::from_secs(1);

/// Whoever looks after this process reads in milliseconds, or not at all.
const TAKEN_WITHIN: Duration = Duration::from_secs(1);

/// The program listens, and serves. Not for a process that takes over: its service was ready all the time.
pub(super) fn ready() {
    tell("READY=1\n");
}

/// It is about to end, and is not to be started again for that.
pub(super) fn stopping() {
    tell("STOPPING=1\n");
}

fn tell(state: &str) {
    let Some(socket) = std::env::var_os(NOTIFY_SOCKET) else {
        return;
    };
    if let Err(fault) = send(&socket, state) {
        tracing::warn!(%fault, ?socket, "the service manager could not be told of a change");
    }
}

/// A name in no file system begins with @.
///
/// # Errors
/// Nobody is there, or does not read.
pub(super) fn send(socket: &OsStr, state: &str) -> io::Result<()> {
    let address = match socket.as_encoded_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(socket),
    };
    let sender = UnixDatagram::unbound()?;
    sender.set_write_timeout(Some(TAKEN_WITHIN))?;
    sender.send_to_addr(state.as_bytes(), &address?).map(drop)
}

/// Of a program with this log.
pub(super) fn last_words(lines: LineWriter) -> Arc<dyn LastWords> {
    Arc::new(Farewell(lines))
}

struct Farewell(LineWriter);

impl LastWords for Farewell {
    fn succeeded_by(&self, pid: u32) {
        tell(&format!("MAINPID={pid}\n"));
    }

    fn end(&self) {
        self.0.end(LAST_LINES_WITHIN);
    }
}
