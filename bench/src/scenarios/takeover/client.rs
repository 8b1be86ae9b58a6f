//! One client with a session and a subscription, whose stream is opened again when it breaks: with the same id, and with that of the
//! last event.
//!
//! ```text
//! Opens(step) ──its last answer──▶ Listens ──the stream ends──▶ Pauses ──▶ Asks ──200──▶ Listens
//!                                                                 ▲          └──another status──┐
//!                                                                 └─────────────────────────────┘
//! ```

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use memchr::memmem;

use crate::Outcome;
use crate::loader::http::{Head, ResponseReader, Sink};
use crate::loader::protocol::{NEEDLE, Protocol, legacy};
use crate::loader::socket_of;
use crate::loader::sse::Lines;

pub(super) struct Client {
    /// None while it pauses.
    pub(super) socket: Option<TcpStream>,
    host: String,
    reader: ResponseReader,
    stage: Stage,
    status: u16,
    session: Option<Box<str>>,
    lines: Lines,
    last_id: Vec<u8>,
    /// An event came in the bytes that were read last.
    hears: bool,
    pub(super) back: Back,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Opens(usize),
    Listens,
    Pauses,
    Asks,
}

/// Its way back, once its node was killed.
#[derive(Clone, Copy, Default)]
pub(super) struct Back {
    pub(super) broke: Option<Instant>,
    /// For the first time.
    pub(super) asked: Option<Instant>,
    pub(super) opened: Option<Instant>,
    pub(super) heard: Option<Instant>,
    pub(super) refused: u32,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Happened {
    Nothing,
    /// Its connection is over.
    Ended,
    /// In place of a stream, with this status.
    Refused(u16),
}

const PROTOCOL: Protocol = Protocol::Legacy;
const TOPICS: usize = 1;

impl Client {
    pub(super) fn new() -> Client {
        Client {
            socket: None,
            host: String::new(),
            reader: ResponseReader::default(),
            stage: Stage::Pauses,
            status: 0,
            session: None,
            lines: Lines::default(),
            last_id: Vec::new(),
            hears: false,
            back: Back::default(),
        }
    }

    /// A session, its subscription, and its stream.
    pub(super) fn open(&mut self, target: SocketAddr, index: usize) -> Outcome<()> {
        self.session = None;
        self.last_id.clear();
        self.connect(target, index)?;
        self.stage = Stage::Opens(0);
        self.send_step(0)
    }

    /// The stream alone.
    pub(super) fn resume(&mut self, target: SocketAddr, index: usize) -> Outcome<()> {
        self.back.asked.get_or_insert_with(Instant::now);
        self.connect(target, index)?;
        self.stage = Stage::Asks;
        let session = self.session.as_deref().unwrap_or_default();
        let last_id = String::from_utf8_lossy(&self.last_id);
        let request = legacy::resume(&self.host, session, &last_id);
        self.send(&request)
    }

    fn connect(&mut self, target: SocketAddr, index: usize) -> Outcome<()> {
        let socket = socket_of(target, index)?;
        socket.connect(&target.into())?;
        let socket = TcpStream::from(socket);
        socket.set_nonblocking(true)?;
        self.host = target.to_string();
        self.reader = ResponseReader::default();
        self.lines = Lines::default();
        self.socket = Some(socket);
        Ok(())
    }

    fn send_step(&mut self, step: usize) -> Outcome<()> {
        let session = self.session.as_deref();
        let request = PROTOCOL.request(step, TOPICS, session, &self.host);
        self.send(&request.ok_or("there is no further step")?)
    }

    /// One small request on a connection that has nothing else to send: the kernel takes all of it.
    fn send(&mut self, request: &str) -> Outcome<()> {
        let socket = self.socket.as_mut().ok_or("it is not connected")?;
        Ok(socket.write_all(request.as_bytes())?)
    }

    /// Its connection is over, and the next one not yet begun.
    pub(super) fn pause(&mut self) {
        self.socket = None;
        self.stage = Stage::Pauses;
        self.back.broke.get_or_insert_with(Instant::now);
    }

    pub(super) fn listens(&self) -> bool {
        self.stage == Stage::Listens
    }

    pub(super) fn read(&mut self, scratch: &mut [u8]) -> Outcome<Happened> {
        let Some(socket) = &mut self.socket else {
            return Ok(Happened::Nothing);
        };
        let count = match socket.read(scratch) {
            Ok(0) => return Ok(Happened::Ended),
            Ok(count) => count,
            Err(fault) if fault.kind() == ErrorKind::WouldBlock => return Ok(Happened::Nothing),
            // Whose node was killed is told so by its kernel.
            Err(_) => return Ok(Happened::Ended),
        };
        let mut input = &scratch[..count];
        while !input.is_empty() {
            let mut reader = std::mem::take(&mut self.reader);
            let (used, end) = reader.feed(input, self)?;
            self.reader = reader;
            input = &input[used..];
            if end {
                let happened = self.answered()?;
                if happened != Happened::Nothing {
                    return Ok(happened);
                }
            }
        }
        if std::mem::take(&mut self.hears) {
            self.back.heard.get_or_insert_with(Instant::now);
        }
        Ok(Happened::Nothing)
    }

    fn answered(&mut self) -> Outcome<Happened> {
        match self.stage {
            Stage::Listens => Ok(Happened::Ended),
            Stage::Opens(step) if (200..300).contains(&self.status) => {
                self.stage = Stage::Opens(step + 1);
                self.send_step(step + 1)?;
                Ok(Happened::Nothing)
            }
            Stage::Opens(step) => {
                Err(format!("step {step} of a client was answered {}", self.status).into())
            }
            Stage::Asks | Stage::Pauses => Ok(Happened::Refused(self.status)),
        }
    }

    fn take_line(&mut self, line: &[u8]) {
        if let Some(id) = line.strip_prefix(b"id: ") {
            self.last_id = id.trim_ascii_end().to_vec();
        } else if line.starts_with(b"data:") {
            self.hears |= memmem::find(line, NEEDLE.as_bytes()).is_some();
        }
    }
}

impl Sink for Client {
    fn head(&mut self, head: Head) {
        self.status = head.status;
        self.session = head.session_id.or(self.session.take());
        let is_last = match self.stage {
            Stage::Opens(step) => step + 1 == PROTOCOL.steps(TOPICS),
            Stage::Asks => true,
            Stage::Listens | Stage::Pauses => false,
        };
        if is_last && head.status == 200 && head.event_stream {
            self.stage = Stage::Listens;
            self.back.opened = Some(Instant::now());
        }
    }

    fn body(&mut self, bytes: &[u8]) {
        if !self.listens() {
            return;
        }
        let mut lines = std::mem::take(&mut self.lines);
        lines.feed(bytes, |line| self.take_line(line));
        self.lines = lines;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_whose_last_id_or_event_is_not_seen() {
        let mut client = Client::new();
        client.stage = Stage::Asks;
        client.session = Some("a.b".into());
        let head = Head {
            status: 200,
            event_stream: true,
            session_id: None,
        };
        client.head(head);
        assert!(client.listens() && client.session.as_deref() == Some("a.b"));
        client.body(b"id: 1.2\ndata:\n\nid: 1.");
        assert_eq!(
            (client.last_id.as_slice(), client.hears),
            (b"1.2".as_slice(), false)
        );
        client.body(format!("3\ndata: {{\"method\":{NEEDLE}}}\n").as_bytes());
        assert_eq!(
            (client.last_id.as_slice(), client.hears),
            (b"1.3".as_slice(), true)
        );
    }
}
