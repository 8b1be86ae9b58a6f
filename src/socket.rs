//! Direct, non-blocking socket calls. The ring says when a socket is ready. One plain system call then moves the bytes: it
//! costs less than an operation of the ring, and needs no buffer to wait in.
#![allow(unsafe_code)]

use std::io;
use std::net::TcpStream as StdStream;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::time::Duration;

use monoio::net::TcpStream;
use rustix::net::{RecvFlags, SendFlags, Shutdown};

/// How many of `bytes` the kernel took.
///
/// # Errors
/// `WouldBlock` if it takes none now, others if the connection is broken.
pub(crate) fn send(stream: &impl AsRawFd, bytes: &[u8]) -> io::Result<usize> {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    Ok(rustix::net::send(borrow(stream), bytes, flags)?)
}

/// How many bytes were read into `buffer`; 0 at the end of what the peer sends.
///
/// # Errors
/// `WouldBlock` if there is nothing now, others if the connection is broken.
pub(crate) fn receive(stream: &impl AsRawFd, buffer: &mut [u8]) -> io::Result<usize> {
    let (count, _) = rustix::net::recv(borrow(stream), buffer, RecvFlags::DONTWAIT)?;
    Ok(count)
}

fn borrow(stream: &impl AsRawFd) -> BorrowedFd<'_> {
    // SAFETY: the descriptor is open as long as `stream` lives, which is longer than this borrow.
    unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) }
}

/// Whether nothing has come from the peer: no bytes, no end, no fault.
pub(crate) fn is_quiet(stream: &impl AsRawFd) -> bool {
    let flags = RecvFlags::DONTWAIT | RecvFlags::PEEK;
    let peeked = rustix::net::recv(borrow(stream), &mut [0u8][..], flags);
    matches!(peeked, Err(rustix::io::Errno::WOULDBLOCK))
}

/// Lets a connection to another node break within seconds when that is gone.
///
/// # Errors
/// The kernel's.
pub(crate) fn watch_peer(stream: &TcpStream) -> io::Result<()> {
    let borrowed = borrow(stream);
    let socket = socket2::SockRef::from(&borrowed);
    let probes = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(1))
        .with_interval(Duration::from_secs(1))
        .with_retries(2);
    socket.set_tcp_keepalive(&probes)?;
    socket.set_tcp_user_timeout(Some(Duration::from_secs(2)))
}

pub(crate) fn shutdown(stream: &impl AsRawFd, how: std::net::Shutdown) {
    let how = match how {
        std::net::Shutdown::Read => Shutdown::Read,
        std::net::Shutdown::Write => Shutdown::Write,
        std::net::Shutdown::Both => Shutdown::Both,
    };
    // The peer may have closed already; then there is nothing left to say.
    let _ = rustix::net::shutdown(borrow(stream), how);
}

/// Bounds what the kernel takes of a socket's bytes before the network has room for them. Accepted connections
/// inherit it from their listener.
///
/// # Errors
/// The kernel's.
pub(crate) fn limit_unsent(socket: &impl AsFd, bytes: usize) -> io::Result<()> {
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

/// No program that this process starts has this connection as well: one that the ring has accepted would be inherited.
pub(crate) fn keep_to_itself(stream: &impl AsRawFd) {
    // It is open, and the kernel refuses nothing else.
    let _ = rustix::io::fcntl_setfd(borrow(stream), rustix::io::FdFlags::CLOEXEC);
}

/// Closes connections that this process was started with: the ring of the process that started it had accepted them a moment before,
/// and nobody had marked them yet ([`keep_to_itself`]). They would stay open here for as long as this process lives. Other
/// descriptors that it was started with may be meant for it: a lock, a file.
pub(crate) fn close_inherited_connections() {
    // Without /proc they stay.
    let all = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
    let all = all.filter_map(|it| it.ok()?.file_name().to_str()?.parse::<RawFd>().ok());
    let all: Vec<RawFd> = all.filter(|it| *it > libc::STDERR_FILENO).collect();
    for descriptor in all {
        // SAFETY: the borrow ends with this round; of a descriptor that was closed meanwhile the kernel says so.
        let open = unsafe { BorrowedFd::borrow_raw(descriptor) };
        let flags = rustix::io::fcntl_getfd(open);
        // What is opened here is marked from its beginning, and what is marked no program is started with.
        let is_inherited = flags.is_ok_and(|it| !it.contains(rustix::io::FdFlags::CLOEXEC));
        let peer = socket2::SockRef::from(&open).peer_addr();
        if is_inherited && peer.is_ok_and(|it| it.as_socket().is_some()) {
            // SAFETY: it is open, and nobody here owns it, since nobody here has opened it.
            drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
        }
    }
}

/// Takes a connection that was just accepted, and that no operation waits for, off the ring.
pub(crate) fn off_the_ring(stream: TcpStream) -> StdStream {
    // SAFETY: `into_raw_fd` gives up an open descriptor that nobody else owns.
    StdStream::from(unsafe { OwnedFd::from_raw_fd(stream.into_raw_fd()) })
}

/// What the ring can wait for.
///
/// # Errors
/// The driver refuses the descriptor.
pub(crate) fn on_the_ring(descriptor: OwnedFd) -> io::Result<TcpStream> {
    TcpStream::from_std(StdStream::from(descriptor))
}

/// A second descriptor of the same connection.
///
/// # Errors
/// Out of descriptors.
pub(crate) fn duplicate(stream: &impl AsRawFd) -> io::Result<OwnedFd> {
    borrow(stream).try_clone_to_owned()
}
