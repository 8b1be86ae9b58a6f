//! A node that the test plays: Redis says that it lives, and what other nodes pass on to it arrives here.

use std::cell::RefCell;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use pinfold::internals::wire::session_id::{Locator, NodeName, SessionId};

use super::redis::Redis;
use super::wait_for;

const NAME: &str = "played";
/// Long ago: whoever does not find it knows that it is not about to come.
const INCARNATION: u64 = 1_700_000_000_000;
const LIMIT: Duration = Duration::from_secs(120);

pub(super) struct PlayedOwner {
    listener: RefCell<Option<TcpListener>>,
}

/// One end of a connection, to be read and written as HTTP or against it.
pub(super) struct Peer {
    pub(super) socket: TcpStream,
    read: Vec<u8>,
}

impl PlayedOwner {
    pub(super) fn join(redis: &Redis) -> PlayedOwner {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("an option");
        let address = listener.local_addr().expect("it is bound");
        let record = format!(r#"{{"node":"{NAME}","boot":{INCARNATION},"address":"{address}"}}"#);
        redis.command(&["SET", &format!("mcp:node:{NAME}"), &record]);
        let listener = RefCell::new(Some(listener));
        PlayedOwner { listener }
    }

    /// One of its sessions.
    pub(super) fn session(number: u32) -> String {
        let locator = Locator {
            core: 0,
            slot: number,
            generation: 0,
            incarnation: INCARNATION,
        };
        let session = SessionId {
            node: NodeName::new(NAME).expect("a name"),
            locator,
            secret: [7; 16],
        };
        let mut id = String::new();
        session.emit(&mut id);
        id
    }

    /// Nobody is there from now on.
    pub(super) fn close(&self) {
        self.listener.take();
    }

    pub(super) fn accept(&self) -> Peer {
        wait_for("a connection to the owner", || self.try_accept())
    }

    pub(super) fn try_accept(&self) -> Option<Peer> {
        let listener = self.listener.borrow();
        match listener.as_ref().expect("it listens").accept() {
            Ok((socket, _)) => Some(Peer::new(socket)),
            Err(fault) if fault.kind() == ErrorKind::WouldBlock => None,
            Err(fault) => panic!("{fault}"),
        }
    }
}

impl Peer {
    fn new(socket: TcpStream) -> Peer {
        socket.set_nonblocking(false).expect("an option");
        socket.set_nodelay(true).expect("an option");
        socket.set_read_timeout(Some(LIMIT)).expect("an option");
        let read = Vec::new();
        Peer { socket, read }
    }

    /// A client's connection.
    pub(super) fn connect(address: SocketAddr) -> Peer {
        Peer::new(TcpStream::connect(address).expect("somebody listens"))
    }

    pub(super) fn write(&mut self, text: &str) {
        let written = self.socket.write_all(text.as_bytes());
        written.expect("the other side reads");
    }

    /// Reads on until all that came ends with this, and takes it.
    pub(super) fn read_to(&mut self, end: &str) -> String {
        while !self.read.ends_with(end.as_bytes()) {
            let so_far = String::from_utf8_lossy(&self.read).into_owned();
            let more = self.read_some();
            assert!(more, "it ended before {end:?}: {so_far:?}");
        }
        String::from_utf8(std::mem::take(&mut self.read)).expect("text")
    }

    /// All that comes until the other side closes.
    pub(super) fn read_to_end(&mut self) -> String {
        while self.read_some() {}
        String::from_utf8(std::mem::take(&mut self.read)).expect("text")
    }

    /// False: the other side has closed.
    fn read_some(&mut self) -> bool {
        let mut buffer = [0; 4096];
        match self.socket.read(&mut buffer) {
            Ok(0) => false,
            Ok(count) => {
                self.read.extend_from_slice(&buffer[..count]);
                true
            }
            Err(fault) if fault.kind() == ErrorKind::ConnectionReset => false,
            Err(fault) => panic!("{fault}, after {:?}", String::from_utf8_lossy(&self.read)),
        }
    }
}
