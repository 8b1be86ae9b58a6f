//! A listening socket that can be closed while a task waits for its next connection.
//!
//! A node listens on sockets of its own and shuts them down at its end. From then on the port is free, whatever still
//! holds a descriptor. An accept under way is never cancelled: if it had succeeded, its connection would leak.
//! A socket that somebody else made may be theirs as well (a service manager's, a second node's), so it is only closed.
//! On such a socket nothing is under way but a look whether somebody came.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::fd::OwnedFd;
use std::task::{Poll, Waker};

use monoio::net::{TcpListener, TcpStream};
use rustix::net::{Shutdown, shutdown};

/// What a node listens on.
#[derive(Debug)]
pub(crate) enum Listening {
    /// Nobody else holds it.
    Own(StdListener),
    /// Somebody else made it.
    Given(StdListener),
}

pub(crate) struct Acceptor {
    kind: Kind,
    is_closed: Cell<bool>,
    /// An accept is under way.
    accepts: Cell<bool>,
    /// Who waits for its end.
    closer: Cell<Option<Waker>>,
}

enum Kind {
    Own {
        listener: TcpListener,
        /// The same socket.
        handle: StdListener,
    },
    Given {
        listener: StdListener,
        /// The same socket. monoio waits for streams only; to the kernel a descriptor is a descriptor.
        readable: TcpStream,
    },
}

impl Listening {
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        match self {
            Listening::Own(listener) | Listening::Given(listener) => listener.local_addr(),
        }
    }
}

impl Acceptor {
    /// On the runtime of this thread.
    ///
    /// # Errors
    /// The kernel's, or the driver's.
    pub(crate) fn new(listening: Listening) -> io::Result<Self> {
        let kind = match listening {
            Listening::Own(listener) => {
                // A blocking accept would stop the whole thread under epoll; the ring wants it blocking.
                listener.set_nonblocking(monoio::utils::is_legacy())?;
                let handle = listener.try_clone()?;
                let listener = TcpListener::from_std(listener)?;
                Kind::Own { listener, handle }
            }
            Listening::Given(listener) => {
                listener.set_nonblocking(true)?;
                let descriptor = OwnedFd::from(listener.try_clone()?);
                let readable = TcpStream::from_std(descriptor.into())?;
                Kind::Given { listener, readable }
            }
        };
        Ok(Acceptor {
            kind,
            is_closed: Cell::new(false),
            accepts: Cell::new(false),
            closer: Cell::default(),
        })
    }

    /// The next connection. `None`: there are no more.
    ///
    /// # Errors
    /// Most likely out of descriptors.
    pub(crate) async fn accept(&self) -> io::Result<Option<(TcpStream, SocketAddr)>> {
        if self.is_closed.get() {
            return Ok(None);
        }
        let accepted = match &self.kind {
            Kind::Own { listener, .. } => {
                self.accepts.set(true);
                let accepted = listener.accept().await;
                self.accepts.set(false);
                if let Some(closer) = self.closer.take() {
                    closer.wake();
                }
                accepted
            }
            Kind::Given { listener, readable } => accept_given(listener, readable).await,
        };
        if self.is_closed.get() {
            return Ok(None);
        }
        accepted.map(Some)
    }

    /// Nobody is accepted from now on.
    pub(crate) async fn close(&self) {
        self.is_closed.set(true);
        let Kind::Own { handle, .. } = &self.kind else {
            return;
        };
        // It listens; the kernel has no reason to refuse.
        let _ = shutdown(handle, Shutdown::Both);
        poll_fn(|context| {
            if !self.accepts.get() {
                return Poll::Ready(());
            }
            self.closer.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

async fn accept_given(
    listener: &StdListener,
    readable: &TcpStream,
) -> io::Result<(TcpStream, SocketAddr)> {
    loop {
        readable.readable(false).await?;
        match listener.accept() {
            Ok((stream, peer)) => return Ok((TcpStream::from_std(stream)?, peer)),
            // Another core was faster.
            Err(fault) if fault.kind() == ErrorKind::WouldBlock => {}
            Err(fault) => return Err(fault),
        }
    }
}
