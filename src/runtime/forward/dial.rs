//! Opening connections to other nodes, and what it says of a node if that fails.

use std::io;
use std::net::{SocketAddr, TcpStream as StdStream};
use std::time::Duration;

use monoio::net::TcpStream;
use monoio::time::timeout;

use crate::shard::Millis;
use crate::socket;

/// Opens a connection that finds out within seconds when its peer is gone.
pub(super) async fn connect(address: SocketAddr, within_ms: Millis) -> io::Result<StdStream> {
    let connecting = TcpStream::connect_addr(address);
    let stream = timeout(Duration::from_millis(within_ms), connecting)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    stream.set_nodelay(true)?;
    socket::watch_peer(&stream)?;
    Ok(socket::off_the_ring(stream))
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
