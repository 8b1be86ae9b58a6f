//! The sockets that a node listens on: one for each core and address, and one for operators.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};

use super::{NodeError, Options};
use crate::acceptor::Listening;
use crate::limits::{Limits, UNSENT_BYTES_MAX};
use crate::socket::limit_unsent;

/// After so much time without an acknowledgement the kernel takes a peer for gone. A reader that has stopped acknowledges
/// nothing new either: how long it may do so is the limit on a stalled write's to say, so this is well above that.
const UNACKNOWLEDGED: Duration = Duration::from_secs(60);

/// The kernel lets go of what an io_uring held some moments after its process has ended: whoever restarts a node must
/// not be told that its port is in use.
const PREDECESSOR_GONE: Duration = Duration::from_secs(2);
const BIND_AGAIN: Duration = Duration::from_millis(20);

/// What a node listens on for clients.
pub(super) struct Listeners {
    /// What each core has of it.
    pub(super) of_cores: Vec<Vec<Listening>>,
    /// As bound: no port is 0.
    pub(super) addresses: Vec<SocketAddr>,
}

impl Listeners {
    /// Binds the addresses of `options`, and takes sockets that somebody else made along.
    ///
    /// # Errors
    /// A port is in use, or the kernel refuses an address.
    pub(super) fn open(
        options: &Options,
        given: Vec<TcpListener>,
        cores: usize,
    ) -> Result<Self, NodeError> {
        let mut listeners = Listeners {
            of_cores: (0..cores).map(|_| Vec::new()).collect(),
            addresses: Vec::new(),
        };
        for address in &options.listen {
            let bound = bind(*address, cores, &options.limits)?;
            let own = bound.into_iter().map(|it| Ok(Listening::Own(it)));
            listeners.add(own, *address)?;
        }
        for socket in given {
            let address = socket.local_addr().map_err(unusable)?;
            inherit((&socket).into(), gone_after(&options.limits)).map_err(unusable)?;
            let again = (0..cores).map(|_| socket.try_clone().map(Listening::Given));
            listeners.add(again, address)?;
        }
        Ok(listeners)
    }

    fn add(
        &mut self,
        of_cores: impl Iterator<Item = io::Result<Listening>>,
        asked: SocketAddr,
    ) -> Result<(), NodeError> {
        for (core, listening) in self.of_cores.iter_mut().zip(of_cores) {
            core.push(listening.map_err(unusable)?);
        }
        let first = self.of_cores.first().and_then(|core| core.last());
        let address = first.and_then(|it| it.address().ok()).unwrap_or(asked);
        self.addresses.push(address);
        Ok(())
    }
}

/// For operators. Bound before anything runs, so that a port in use is told before clients come.
///
/// # Errors
/// The port is in use, or the kernel refuses the address.
pub(super) fn bind_admin(address: SocketAddr) -> Result<TcpListener, NodeError> {
    let deadline = Instant::now() + PREDECESSOR_GONE;
    loop {
        match TcpListener::bind(address) {
            Err(fault) if fault.kind() == ErrorKind::AddrInUse && Instant::now() < deadline => {
                std::thread::sleep(BIND_AGAIN);
            }
            bound => {
                return bound.map_err(|fault| NodeError::cannot_listen(address, "--admin", fault));
            }
        }
    }
}

fn unusable(fault: io::Error) -> NodeError {
    NodeError::system("a listening socket that was given cannot be used", fault)
}

fn gone_after(limits: &Limits) -> Duration {
    UNACKNOWLEDGED.max(Duration::from_millis(2 * limits.write_stall_ms))
}

/// A listener for each core on one port. The kernel spreads connections among them.
fn bind(address: SocketAddr, cores: usize, limits: &Limits) -> Result<Vec<TcpListener>, NodeError> {
    let gone_after = gone_after(limits);
    let fail = |fault| NodeError::cannot_listen(address, "--listen", fault);
    // Sockets with SO_REUSEPORT share a port even between processes of one user: a first one without it finds out
    // whether the port is free.
    let probe = socket(address, false, gone_after).map_err(fail)?;
    let bound = probe.local_addr().ok().and_then(|it| it.as_socket());
    let address = bound.unwrap_or(address);
    drop(probe);
    let listeners = (0..cores).map(|_| socket(address, true, gone_after).map(TcpListener::from));
    listeners.map(|it| it.map_err(fail)).collect()
}

/// Accepted connections inherit these options, which saves a system call for each option and connection.
fn inherit(socket: SockRef<'_>, gone_after: Duration) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    let probes = TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(10))
        .with_retries(3);
    socket.set_tcp_keepalive(&probes)?;
    socket.set_tcp_user_timeout(Some(gone_after))?;
    limit_unsent(&*socket, UNSENT_BYTES_MAX)
}

fn socket(address: SocketAddr, shared: bool, gone_after: Duration) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.cloexec(),
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    inherit((&socket).into(), gone_after)?;
    socket.bind(&SockAddr::from(address))?;
    if shared {
        socket.listen(4096)?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_the_kernel_gives_up_before_its_time() {
        let bound_with = |write_stall_ms| {
            let limits = Limits {
                write_stall_ms,
                ..Limits::default()
            };
            let listeners = bind(([127, 0, 0, 1], 0).into(), 1, &limits);
            let listener = listeners.expect("a free port").remove(0);
            let socket = socket2::SockRef::from(&listener);
            socket.tcp_user_timeout().expect("it can be read")
        };
        assert_eq!(bound_with(1_000), Some(UNACKNOWLEDGED));
        let hour = 3_600_000;
        assert!(bound_with(hour) > Some(Duration::from_millis(hour)));
    }

    #[test]
    fn a_restart_refused_because_its_predecessors_port_is_not_free_yet() {
        let predecessor = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = predecessor.local_addr().expect("it is bound");
        let late = std::thread::spawn(move || {
            std::thread::sleep(4 * BIND_AGAIN);
            drop(predecessor);
        });
        assert_eq!(
            bind_admin(address).expect("the port").local_addr().ok(),
            Some(address)
        );
        late.join().expect("it ends");
    }
}
