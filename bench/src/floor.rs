//! The floor: one thread, one epoll set, and for each publication a bare loop of `send(2)` over all streams.
//!
//! It writes the bytes it was given, the same to everyone, and does nothing that a server of anything would do. Its
//! admin listener speaks the same requests as pinfold's, and `POST /event` to be given the bytes.

use std::io::{ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use socket2::SockRef;

use crate::Outcome;
use crate::machine::raise_open_files;

#[derive(clap::Args)]
pub(crate) struct FloorOptions {
    #[arg(long)]
    pub(crate) listen: SocketAddr,
    #[arg(long)]
    pub(crate) admin: SocketAddr,
}

struct Floor {
    epoll: std::os::fd::OwnedFd,
    /// Streams and admin connections by token, which is their index plus [`LISTENERS`].
    peers: Vec<Option<Peer>>,
    event: Vec<u8>,
}

struct Peer {
    socket: TcpStream,
    admin: bool,
    /// A request that is not whole yet.
    inbox: Vec<u8>,
    /// Its stream is open.
    streaming: bool,
}

/// Tokens of the two listeners.
const STREAMS: u64 = 0;
const ADMINS: u64 = 1;
const LISTENERS: u64 = 2;

const STREAM_HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

pub(crate) fn run(options: &FloorOptions) -> Outcome<()> {
    raise_open_files(u64::MAX)?;
    let streams = listen(options.listen)?;
    let admins = listen(options.admin)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(
        &epoll,
        &streams,
        EventData::new_u64(STREAMS),
        EventFlags::IN,
    )?;
    epoll::add(&epoll, &admins, EventData::new_u64(ADMINS), EventFlags::IN)?;
    let mut floor = Floor {
        epoll,
        peers: Vec::new(),
        event: Vec::new(),
    };
    let mut ready = [const { MaybeUninit::<Event>::uninit() }; 1024];
    loop {
        let tokens: Vec<u64> = match epoll::wait(&floor.epoll, &mut ready[..], None) {
            Ok((events, _)) => events.iter().map(|event| { event.data }.u64()).collect(),
            Err(rustix::io::Errno::INTR) => continue,
            Err(fault) => return Err(fault.into()),
        };
        for token in tokens {
            match token {
                STREAMS => floor.accept(&streams, false)?,
                ADMINS => floor.accept(&admins, true)?,
                _ => floor.serve((token - LISTENERS) as usize)?,
            }
        }
    }
}

/// More than ever come at once: one that finds the backlog full tries again a second later.
const BACKLOG: i32 = 4_096;

fn listen(address: SocketAddr) -> Outcome<TcpListener> {
    assert!(
        address.ip().is_loopback(),
        "only this machine is ever served"
    );
    let listener = TcpListener::bind(address)?;
    // std's has 128.
    SockRef::from(&listener).listen(BACKLOG)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl Floor {
    fn accept(&mut self, listener: &TcpListener, admin: bool) -> Outcome<()> {
        loop {
            let socket = match listener.accept() {
                Ok((socket, _)) => socket,
                Err(fault) if fault.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(fault) => return Err(fault.into()),
            };
            socket.set_nonblocking(true)?;
            socket.set_nodelay(true)?;
            let token = EventData::new_u64(self.peers.len() as u64 + LISTENERS);
            epoll::add(&self.epoll, socket.as_fd(), token, EventFlags::IN)?;
            self.peers.push(Some(Peer {
                socket,
                admin,
                inbox: Vec::new(),
                streaming: false,
            }));
        }
    }

    fn serve(&mut self, index: usize) -> Outcome<()> {
        let Some(peer) = &mut self.peers[index] else {
            return Ok(());
        };
        let mut scratch = [0; 4096];
        let count = match peer.socket.read(&mut scratch) {
            Err(fault) if fault.kind() == ErrorKind::WouldBlock => return Ok(()),
            // Whatever is wrong with one connection, it is over.
            Err(_) | Ok(0) => {
                self.peers[index] = None;
                return Ok(());
            }
            Ok(count) => count,
        };
        peer.inbox.extend_from_slice(&scratch[..count]);
        let Some((head, body)) = whole_request(&peer.inbox) else {
            return Ok(());
        };
        let (head, body) = (head.to_owned(), body.to_vec());
        peer.inbox = Vec::new();
        if !peer.admin {
            peer.streaming = true;
            return Ok(peer.socket.write_all(STREAM_HEAD)?);
        }
        if head.starts_with("POST /event ") {
            self.event = body;
        } else if head.starts_with("POST /publish ") {
            self.send_to_all()?;
        }
        if let Some(peer) = &mut self.peers[index] {
            peer.socket.write_all(OK)?;
        }
        Ok(())
    }

    /// The floor itself. `write` on a socket of std is one `send(2)`.
    fn send_to_all(&mut self) -> Outcome<()> {
        let streaming = self
            .peers
            .iter_mut()
            .flatten()
            .filter(|peer| peer.streaming);
        for peer in streaming {
            if peer.socket.write(&self.event)? < self.event.len() {
                return Err("the kernel took a part of an event: no floor any more".into());
            }
        }
        Ok(())
    }
}

/// The head and the body, once all of both is there.
pub(crate) fn whole_request(inbox: &[u8]) -> Option<(&str, &[u8])> {
    let end = memchr::memmem::find(inbox, b"\r\n\r\n")?;
    let head = std::str::from_utf8(&inbox[..end]).ok()?;
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0);
    let body = inbox[end + 4..].get(..length)?;
    Some((head, body))
}
