//! The sockets that a node listens on, one for each core.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive, Type};

use super::server::StartError;
use crate::limits::UNSENT_BYTES_MAX;

/// A listener for each core on one port. The kernel spreads connections among them.
pub(super) fn bind(address: SocketAddr, cores: usize) -> Result<Vec<TcpListener>, StartError> {
    let fail = |fault| StartError::cannot_listen(address, "--listen", fault);
    // Sockets with SO_REUSEPORT share a port even between processes of one user: a first one without it finds out
    // whether the port is free.
    let probe = socket(address, false).map_err(fail)?;
    let address = probe
        .local_addr()
        .ok()
        .and_then(|it| it.as_socket())
        .unwrap_or(address);
    drop(probe);
    (0..cores)
        .map(|_| socket(address, true).map(TcpListener::from).map_err(fail))
        .collect()
}

/// Accepted connections inherit these options, which saves a system call for each option and connection.
fn socket(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.cloexec(),
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nodelay(true)?;
    let probes = TcpKeepalive::new()
        .with_time(std::time::Duration::from_secs(60))
        .with_interval(std::time::Duration::from_secs(10))
        .with_retries(3);
    socket.set_tcp_keepalive(&probes)?;
    socket.set_tcp_user_timeout(Some(std::time::Duration::from_secs(60)))?;
    super::socket::limit_unsent(&socket, UNSENT_BYTES_MAX)?;
    socket.bind(&SockAddr::from(address))?;
    if shared {
        socket.listen(4096)?;
    }
    Ok(socket)
}
