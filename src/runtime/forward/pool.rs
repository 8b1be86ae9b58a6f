//! Connections to other nodes that wait for their next request.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use monoio::net::TcpStream;

use crate::runtime::socket;

/// Far below the time after which a node closes an idle connection.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// For one node.
const KEPT_MAX: usize = 64;
/// A node that is there takes a connection in less than a millisecond.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Pool {
    idle: HashMap<SocketAddr, Vec<Idle>>,
}

struct Idle {
    stream: TcpStream,
    since: Instant,
}

impl Pool {
    /// One that is still open, as far as can be seen.
    pub(super) fn take(&mut self, address: SocketAddr) -> Option<TcpStream> {
        let idle = self.idle.get_mut(&address)?;
        while let Some(Idle { stream, since }) = idle.pop() {
            if since.elapsed() < IDLE_MAX && socket::is_quiet(&stream) {
                return Some(stream);
            }
        }
        None
    }

    pub(super) fn put(&mut self, address: SocketAddr, stream: TcpStream) {
        let idle = self.idle.entry(address).or_default();
        if idle.len() < KEPT_MAX {
            let since = Instant::now();
            idle.push(Idle { stream, since });
        }
    }

    pub(super) fn tidy(&mut self) {
        self.idle.retain(|_, idle| {
            idle.retain(|it| it.since.elapsed() < IDLE_MAX);
            !idle.is_empty()
        });
    }
}

/// Opens a connection that finds out within seconds when its peer is gone.
pub(super) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let connecting = TcpStream::connect_addr(address);
    let stream = monoio::time::timeout(CONNECT_TIMEOUT, connecting)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    stream.set_nodelay(true)?;
    socket::watch_peer(&stream)?;
    Ok(stream)
}

/// Whether it tells something about the node that was called. Everything else is this machine's own trouble, and
/// whether that node lives cannot be told.
pub(super) fn is_of_the_peer(fault: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable, TimedOut,
    };
    matches!(
        fault.kind(),
        ConnectionRefused | ConnectionReset | HostUnreachable | NetworkUnreachable | TimedOut
    )
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_living_node_that_is_called_dead_because_this_one_is_out_of_something() {
        let told = |errno: Errno| is_of_the_peer(&errno.into());
        for errno in [
            Errno::CONNREFUSED,
            Errno::CONNRESET,
            Errno::HOSTUNREACH,
            Errno::NETUNREACH,
            Errno::TIMEDOUT,
        ] {
            assert!(told(errno), "{errno:?}");
        }
        for errno in [
            Errno::MFILE,
            Errno::NFILE,
            Errno::NOBUFS,
            Errno::NOMEM,
            Errno::ADDRNOTAVAIL,
            Errno::ACCESS,
        ] {
            assert!(!told(errno), "{errno:?}");
        }
    }
}
