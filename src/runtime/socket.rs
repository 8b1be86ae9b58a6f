//! Direct, non-blocking socket calls. The ring tells when a socket is ready; the bytes themselves are moved by one
//! plain system call, which costs less than an operation of the ring and needs no buffer to wait in.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use monoio::net::TcpStream;

/// How many of `bytes` the kernel took.
///
/// # Errors
/// `WouldBlock` if it takes none now, others if the connection is broken.
pub(super) fn send(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the pointer and length are those of a live slice, and the kernel only reads from it.
    let count = unsafe {
        libc::send(
            stream.as_raw_fd(),
            bytes.as_ptr().cast(),
            bytes.len(),
            flags,
        )
    };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// How many bytes were read into `buffer`; 0 at the end of what the peer sends.
///
/// # Errors
/// `WouldBlock` if there is nothing now, others if the connection is broken.
pub(super) fn receive(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the pointer and length are those of a live slice that is borrowed mutably for the call.
    let count = unsafe {
        libc::recv(
            stream.as_raw_fd(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            libc::MSG_DONTWAIT,
        )
    };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// Whether nothing has come from the peer: no bytes, no end, no fault.
pub(super) fn is_quiet(stream: &TcpStream) -> bool {
    let mut byte = [0u8];
    let flags = libc::MSG_DONTWAIT | libc::MSG_PEEK;
    // SAFETY: the pointer and length are those of a live array that is borrowed mutably for the call.
    let count = unsafe { libc::recv(stream.as_raw_fd(), byte.as_mut_ptr().cast(), 1, flags) };
    count < 0 && io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock
}

/// Lets a connection to another node break within seconds when that is gone.
///
/// # Errors
/// The kernel's.
pub(super) fn watch_peer(stream: &TcpStream) -> io::Result<()> {
    // SAFETY: the descriptor is open as long as `stream` lives, which is longer than this borrow.
    let borrowed = unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) };
    let socket = socket2::SockRef::from(&borrowed);
    let probes = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(1))
        .with_interval(Duration::from_secs(1))
        .with_retries(2);
    socket.set_tcp_keepalive(&probes)?;
    socket.set_tcp_user_timeout(Some(Duration::from_secs(2)))
}

pub(super) fn shutdown(stream: &TcpStream, how: std::net::Shutdown) {
    let how = match how {
        std::net::Shutdown::Read => libc::SHUT_RD,
        std::net::Shutdown::Write => libc::SHUT_WR,
        std::net::Shutdown::Both => libc::SHUT_RDWR,
    };
    // The peer may have closed already; then there is nothing left to say.
    // SAFETY: shuts down a socket this process owns; no memory is involved.
    let _ = unsafe { libc::shutdown(stream.as_raw_fd(), how) };
}

/// Bounds what the kernel takes of a socket's bytes before the network has room for them. Accepted connections
/// inherit it from their listener.
///
/// # Errors
/// The kernel's.
pub(super) fn limit_unsent(socket: &impl AsFd, bytes: usize) -> io::Result<()> {
    let value = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    let socket = socket.as_fd().as_raw_fd();
    // SAFETY: the kernel reads `size` bytes from a live integer of that size.
    let done = unsafe {
        libc::setsockopt(
            socket,
            libc::IPPROTO_TCP,
            libc::TCP_NOTSENT_LOWAT,
            (&raw const value).cast(),
            size,
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// A second descriptor of the same connection, to be sent to another core.
///
/// # Errors
/// Out of descriptors.
pub(super) fn duplicate(stream: &TcpStream) -> io::Result<OwnedFd> {
    // SAFETY: the descriptor is open as long as `stream` lives, which is longer than this borrow.
    let borrowed = unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) };
    borrowed.try_clone_to_owned()
}
