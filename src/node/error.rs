//! Why a node did not start, or did not end well.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::runtime::NotStarted;

/// Why a node did not start, or ended otherwise than it was asked to: a sentence that says what to do. `Debug` shows the same
/// sentence, for a `main` that returns it.
#[derive(Clone)]
#[non_exhaustive]
pub enum NodeError {
    /// The address, and the program's option for it.
    PortInUse(SocketAddr, &'static str),
    /// The kernel refuses the address, and why.
    Bind(SocketAddr, Arc<io::Error>),
    /// io_uring was asked for, and cannot be had.
    NoRing(Arc<io::Error>),
    /// An option that cannot be used: which, its value, and what is allowed.
    Option(String),
    /// The application could not be made: its factory panicked, or returned an error.
    Application(String),
    /// What could not be done, and why.
    System(&'static str, Arc<io::Error>),
    /// It ran. A thread of it panicked, could not go on, or hangs.
    Failed(String),
}

impl NodeError {
    pub(super) fn cannot_listen(address: SocketAddr, flag: &'static str, fault: io::Error) -> Self {
        match fault.kind() {
            io::ErrorKind::AddrInUse => Self::PortInUse(address, flag),
            _ => Self::Bind(address, fault.into()),
        }
    }

    pub(super) fn system(what: &'static str, fault: io::Error) -> Self {
        Self::System(what, fault.into())
    }

    /// `what` was given as `value`, and `allowed` begins with "must" or says what is missing.
    pub(super) fn option(what: &str, value: impl fmt::Display, allowed: impl fmt::Display) -> Self {
        Self::Option(format!("{what} {value}: {allowed}"))
    }
}

impl From<NotStarted> for NodeError {
    fn from(why: NotStarted) -> Self {
        match why {
            NotStarted::System(what, fault) => Self::system(what, fault),
            NotStarted::Application(said) => Self::Application(said),
        }
    }
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PortInUse(address, flag) => write!(
                f,
                "{address} is in use by another program: stop it (see `ss -ltnp`), or listen elsewhere with {flag}"
            ),
            Self::Bind(address, fault) => write!(f, "cannot listen on {address}: {fault}"),
            Self::NoRing(fault) => write!(
                f,
                "io_uring cannot be used here: {fault}. Allow it (sysctl kernel.io_uring_disabled=0; in a container, a \
                 seccomp profile with io_uring_setup, io_uring_enter and io_uring_register), or use --driver epoll"
            ),
            Self::Option(sentence) | Self::Failed(sentence) => f.write_str(sentence),
            Self::Application(said) => write!(f, "the application could not be made: {said}"),
            Self::System(what, fault) => write!(f, "{what}: {fault}"),
        }
    }
}

impl fmt::Debug for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for NodeError {}
