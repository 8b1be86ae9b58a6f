//! The sockets that a node listens on, one for each core.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive, Type};

use super::server::StartError;
use crate::limits::{Limits, UNSENT_BYTES_MAX};

/// After so much time without an acknowledgement the kernel takes a peer for gone. A reader that has stopped acknowledges
/// nothing new either: how long it may do so is the limit on a stalled write's to say, so this is well above that.
const UNACKNOWLEDGED: Duration = Duration::from_secs(60);

/// A listener for each core on one port. The kernel spreads connections among them.
///
/// # Errors
/// The port is in use, or the kernel refuses the address.
pub(super) fn bind(
    address: SocketAddr,
    cores: usize,
    limits: &Limits,
) -> Result<Vec<TcpListener>, StartError> {
    let gone_after = UNACKNOWLEDGED.max(Duration::from_millis(2 * limits.write_stall_ms));
    let fail = |fault| StartError::cannot_listen(address, "--listen", fault);
    // Sockets with SO_REUSEPORT share a port even between processes of one user: a first one without it finds out
    // whether the port is free.
    let probe = socket(address, false, gone_after).map_err(fail)?;
    let address = probe
        .local_addr()
        .ok()
        .and_then(|it| it.as_socket())
        .unwrap_or(address);
    drop(probe);
    (0..cores)
        .map(|_| {
            socket(address, true, gone_after)
                .map(TcpListener::from)
                .map_err(fail)
        })
        .collect()
}

/// Accepted connections inherit these options, which saves a system call for each option and connection.
fn socket(address: SocketAddr, shared: bool, gone_after: Duration) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.cloexec(),
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_tcp_nodelay(true)?;
    let probes = TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(10))
        .with_retries(3);
    socket.set_tcp_keepalive(&probes)?;
    socket.set_tcp_user_timeout(Some(gone_after))?;
    super::socket::limit_unsent(&socket, UNSENT_BYTES_MAX)?;
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
}
