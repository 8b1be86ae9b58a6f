//! A connection to a Redis as bytes: TCP or a Unix socket, non-blocking, readiness by the thread's runtime.
//!
//! Names are looked up on a thread of their own: a name server that hangs holds up nobody.

use std::io;
use std::net::{Shutdown, SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use futures_channel::oneshot;
use monoio::net::TcpStream;
use rustix::net::{RecvFlags, SendFlags};
use socket2::{Domain, SockAddr, Socket as Opened, TcpKeepalive, Type};

use super::url::RedisAddress;

/// A broken path is found by these even where nothing is asked for a while.
const PROBE_EVERY: Duration = Duration::from_secs(5);
const PROBES_MAX: u32 = 2;

pub(super) struct RedisSocket {
    opened: Opened,
    /// The same socket, of whatever family, as the runtime watches it.
    watched: TcpStream,
}

impl RedisSocket {
    /// Connects; whoever calls bounds the time.
    ///
    /// # Errors
    /// Nobody takes connections at any of the place's addresses; the last one's error.
    pub(super) async fn connect(place: &RedisAddress) -> io::Result<RedisSocket> {
        match place {
            RedisAddress::Unix(path) => connect_unix(path).await,
            RedisAddress::Tcp { host, port, .. } => {
                let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
                for address in look_up(host, *port).await? {
                    match connect_tcp(address).await {
                        Ok(socket) => return Ok(socket),
                        Err(fault) => last = fault,
                    }
                }
                Err(last)
            }
        }
    }

    /// How many bytes were read into `buffer`; 0 at the end.
    ///
    /// # Errors
    /// `WouldBlock`, if there are none now.
    pub(super) fn receive_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let (count, _) = rustix::net::recv(&self.opened, buffer, RecvFlags::DONTWAIT)?;
        Ok(count)
    }

    /// How many of `bytes` the kernel took.
    ///
    /// # Errors
    /// `WouldBlock`, if it takes none now.
    pub(super) fn send_now(&self, bytes: &[u8]) -> io::Result<usize> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        Ok(rustix::net::send(&self.opened, bytes, flags)?)
    }

    /// Receives with `attempt` until that does not block.
    pub(super) async fn when_readable<T>(
        &self,
        attempt: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        again_when(async || self.watched.readable(false).await, attempt).await
    }

    /// Sends with `attempt` until that does not block.
    pub(super) async fn when_writable<T>(
        &self,
        attempt: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        again_when(async || self.watched.writable(false).await, attempt).await
    }

    /// Wakes whoever waits here, for good.
    pub(super) fn shut_down(&self) {
        // The other side may have done so already.
        let _ = self.opened.shutdown(Shutdown::Both);
    }
}

/// Attempts it, and again whenever the socket is `ready` if it would have blocked.
async fn again_when<T>(
    ready: impl AsyncFn() -> io::Result<()>,
    mut attempt: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    loop {
        match attempt() {
            Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => ready().await?,
            Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

async fn look_up(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (answer, found) = oneshot::channel();
    let host = host.to_owned();
    let look = move || {
        let addresses = (host.as_str(), port).to_socket_addrs();
        // Whoever asked may have given up.
        let _ = answer.send(addresses.map(Iterator::collect));
    };
    std::thread::Builder::new()
        .name("look-up".into())
        .spawn(look)?;
    found
        .await
        .map_err(|_| io::Error::other("the thread that looks up names died"))?
}

async fn connect_tcp(address: SocketAddr) -> io::Result<RedisSocket> {
    let opened = open(Domain::for_address(address))?;
    opened.set_tcp_nodelay(true)?;
    let probes = TcpKeepalive::new()
        .with_time(PROBE_EVERY)
        .with_interval(PROBE_EVERY)
        .with_retries(PROBES_MAX);
    opened.set_tcp_keepalive(&probes)?;
    connect(opened, &address.into()).await
}

async fn connect_unix(path: &Path) -> io::Result<RedisSocket> {
    connect(open(Domain::UNIX)?, &SockAddr::unix(path)?).await
}

fn open(domain: Domain) -> io::Result<Opened> {
    Opened::new(domain, Type::STREAM.cloexec().nonblocking(), None)
}

async fn connect(opened: Opened, address: &SockAddr) -> io::Result<RedisSocket> {
    let started = opened.connect(address);
    if let Err(fault) = started
        && fault.raw_os_error() != Some(libc::EINPROGRESS)
    {
        return Err(fault);
    }
    let same = std::net::TcpStream::from(OwnedFd::from(opened.try_clone()?));
    let watched = TcpStream::from_std(same)?;
    watched.writable(false).await?;
    match opened.take_error()? {
        Some(fault) => Err(fault),
        None => Ok(RedisSocket { opened, watched }),
    }
}
