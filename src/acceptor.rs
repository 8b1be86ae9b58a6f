//! A listening socket that can be closed while a task waits for its next connection.
//!
//! A node listens on sockets of its own and shuts them down at its end. From then on the port is free, whatever still
//! holds a descriptor. An accept under way is never cancelled: if it had succeeded, its connection would leak.
//! A socket that somebody else made may be theirs as well (a service manager's, a second node's), so it is only closed.
//! On such a socket nothing is under way but a look whether somebody came.
//! While a node is handed over nobody is accepted ([`Acceptor::pause`]): whoever comes waits in the kernel's queue, for this
//! process or for the next one.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::fd::OwnedFd;
use std::task::{Poll, Waker};

use monoio::io::{CancelHandle, Canceller};
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
    is_paused: Cell<bool>,
    /// Who accepts again when that is over.
    paused: Cell<Option<Waker>>,
    /// Ends the accept that is under way; one that has succeeded has its connection all the same.
    canceller: RefCell<Canceller>,
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

    /// The same socket, for another process, and whether nobody else made it.
    ///
    /// # Errors
    /// Out of descriptors.
    pub(crate) fn duplicate(&self) -> io::Result<(bool, StdListener)> {
        match self {
            Listening::Own(listener) => Ok((true, listener.try_clone()?)),
            Listening::Given(listener) => Ok((false, listener.try_clone()?)),
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
            is_paused: Cell::new(false),
            paused: Cell::default(),
            canceller: RefCell::default(),
        })
    }

    /// The next connection. `None`: there are no more.
    ///
    /// # Errors
    /// Most likely out of descriptors.
    pub(crate) async fn accept(&self) -> io::Result<Option<(TcpStream, SocketAddr)>> {
        loop {
            self.go_on().await;
            if self.is_closed.get() {
                return Ok(None);
            }
            let accepted = match &self.kind {
                Kind::Own { listener, .. } => {
                    self.accepts.set(true);
                    let cancel = self.cancel();
                    let accepted = listener.cancelable_accept(cancel).await;
                    self.accepts.set(false);
                    if let Some(closer) = self.closer.take() {
                        closer.wake();
                    }
                    accepted.map(Some)
                }
                Kind::Given { listener, readable } => {
                    readable.readable(false).await?;
                    match self.is_paused.get() {
                        true => Ok(None),
                        false => accept_given(listener),
                    }
                }
            };
            if self.is_closed.get() {
                return Ok(None);
            }
            match accepted {
                Ok(Some(accepted)) => return Ok(Some(accepted)),
                Ok(None) => {}
                // Cancelled.
                Err(_) if self.is_paused.get() => {}
                Err(fault) => return Err(fault),
            }
        }
    }

    fn cancel(&self) -> CancelHandle {
        self.canceller.borrow().handle()
    }

    /// Resolves while it is not paused.
    async fn go_on(&self) {
        poll_fn(|context| {
            if !self.is_paused.get() || self.is_closed.get() {
                return Poll::Ready(());
            }
            self.paused.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    /// Nobody is accepted until [`resume`](Acceptor::resume); when this resolves, nothing is under way that could accept.
    pub(crate) async fn pause(&self) {
        self.is_paused.set(true);
        let canceller = self.canceller.take();
        *self.canceller.borrow_mut() = canceller.cancel();
        self.no_accept_under_way().await;
    }

    pub(crate) fn resume(&self) {
        self.is_paused.set(false);
        if let Some(paused) = self.paused.take() {
            paused.wake();
        }
    }

    /// Nobody is accepted from now on.
    pub(crate) async fn close(&self) {
        self.is_closed.set(true);
        self.resume();
        let Kind::Own { handle, .. } = &self.kind else {
            return;
        };
        // It listens; the kernel has no reason to refuse.
        let _ = shutdown(handle, Shutdown::Both);
        self.no_accept_under_way().await;
    }

    async fn no_accept_under_way(&self) {
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

/// `None`: another core was faster.
fn accept_given(listener: &StdListener) -> io::Result<Option<(TcpStream, SocketAddr)>> {
    match listener.accept() {
        Ok((stream, peer)) => Ok(Some((TcpStream::from_std(stream)?, peer))),
        Err(fault) if fault.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(fault) => Err(fault),
    }
}
