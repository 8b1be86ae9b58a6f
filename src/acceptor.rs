//! A listening socket that can be closed while a task waits for its next connection.
//!
//! A node listens on sockets of its own and shuts them down at its end. From then on the port is free, whatever still
//! holds a descriptor. An accept under way is never cancelled: if it had succeeded, its connection would leak.
//! A socket that somebody else made may be theirs as well (a service manager's, a second node's), so it is only closed.
//! On such a socket nothing is under way but a look whether somebody came.
//! While a node is handed over nobody is accepted ([`Acceptor::pause`]): whoever comes waits in the kernel's queue, for this
//! process or for the next one.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::fd::OwnedFd;

use monoio::io::{CancelHandle, Canceller};
use monoio::net::{TcpListener, TcpStream};
use rustix::net::{Shutdown, shutdown};

use crate::gate::Gate;
use crate::socket::keep_to_itself;

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
    /// Shut while it is paused; not any more when it is closed.
    door: Gate,
    /// Shut while an accept is under way.
    accepts: Gate,
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
            door: Gate::default(),
            accepts: Gate::default(),
            canceller: RefCell::default(),
        })
    }

    /// The next connection, which no program that this process starts has as well. `None`: there are no more.
    ///
    /// # Errors
    /// Most likely out of descriptors.
    pub(crate) async fn accept(&self) -> io::Result<Option<(TcpStream, SocketAddr)>> {
        loop {
            self.door.pass().await;
            if self.is_closed.get() {
                return Ok(None);
            }
            let accepted = match &self.kind {
                Kind::Own { listener, .. } => {
                    self.accepts.shut();
                    let cancel = self.cancel();
                    let accepted = listener.cancelable_accept(cancel).await;
                    self.accepts.open();
                    accepted
                        .inspect(|(stream, _)| keep_to_itself(stream))
                        .map(Some)
                }
                Kind::Given { listener, readable } => {
                    readable.readable(false).await?;
                    match self.door.is_shut() {
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
                Err(_) if self.door.is_shut() => {}
                Err(fault) => return Err(fault),
            }
        }
    }

    fn cancel(&self) -> CancelHandle {
        self.canceller.borrow().handle()
    }

    /// Nobody is accepted until [`resume`](Acceptor::resume); when this resolves, nothing is under way that could accept.
    pub(crate) async fn pause(&self) {
        if !self.is_closed.get() {
            self.door.shut();
        }
        let canceller = self.canceller.take();
        *self.canceller.borrow_mut() = canceller.cancel();
        self.accepts.pass().await;
    }

    pub(crate) fn resume(&self) {
        self.door.open();
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
        self.accepts.pass().await;
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

#[cfg(test)]
mod tests {
    use std::net::TcpStream as StdStream;
    use std::rc::Rc;
    use std::time::Duration;

    use futures_channel::oneshot;
    use monoio::time::timeout;
    use rustix::io::{FdFlags, fcntl_getfd};

    use super::*;
    use crate::runtime::{Driver, run_alone};
    use crate::socket::off_the_ring;
    use crate::tasks;

    /// Far above what anything takes here.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn somebody_who_waits_for_an_acceptor_for_ever_since_another_one_does_too() {
        for driver in Driver::all_here() {
            let listener = StdListener::bind("127.0.0.1:0").expect("a free port");
            let ended = run_alone(driver, async {
                let acceptor = Acceptor::new(Listening::Own(listener)).expect("a runtime");
                let acceptor = Rc::new(acceptor);
                let accepting = acceptor.clone();
                tasks::spawn(async move { accepting.accept().await.map(drop) });
                let wait = |closes: bool| {
                    let (acceptor, (done, is_done)) = (acceptor.clone(), oneshot::channel());
                    tasks::spawn(async move {
                        match closes {
                            true => acceptor.close().await,
                            false => acceptor.pause().await,
                        }
                        done.send(())
                    });
                    is_done
                };
                for done in [wait(false), wait(false), wait(true)] {
                    let done = timeout(PATIENCE, done).await;
                    done.expect("it is woken").expect("its task goes on");
                }
            });
            ended.expect("a runtime");
        }
    }

    #[test]
    fn a_connection_that_the_programs_of_this_process_inherit() {
        for driver in Driver::all_here() {
            for kind in [Listening::Own, Listening::Given] {
                let listener = StdListener::bind("127.0.0.1:0").expect("a free port");
                let address = listener.local_addr().expect("it is bound");
                let _client = StdStream::connect(address).expect("it listens");
                let ended = run_alone(driver, async move {
                    let acceptor = Acceptor::new(kind(listener)).expect("a runtime");
                    let accepted = acceptor.accept().await.expect("somebody came");
                    let (stream, _) = accepted.expect("it is not closed");
                    let flags = fcntl_getfd(off_the_ring(stream)).expect("it is open");
                    assert!(flags.contains(FdFlags::CLOEXEC), "{driver:?}");
                });
                ended.expect("a runtime");
            }
        }
    }
}
