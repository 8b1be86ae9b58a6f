//! Connections that ask while the node is handed over: short ones, steady ones, and those whose requests arrive in pieces.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::faults::Faults;
use crate::Outcome;
use crate::loader::asker::Answer;
use crate::loader::http::ResponseReader;
use crate::loader::protocol::{Protocol, legacy};
use crate::loader::socket_of;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// One request on a connection of its own.
    Short,
    /// One after the other, with a pause in between.
    Steady,
    /// The next piece after the next hand-over.
    InPieces,
}

pub(super) struct Asker {
    pub(super) socket: TcpStream,
    manner: Manner,
    reader: ResponseReader,
    answer: Answer,
    pieces: Vec<Vec<u8>>,
    next: usize,
    /// None: nothing is under way.
    asked: Option<Instant>,
    not_before: Instant,
    /// Hand-overs that there were when the last piece was sent.
    hand_overs: usize,
}

/// What one read came to.
pub(super) enum Heard {
    Nothing,
    /// An answer, after so long.
    Answer(Duration),
    /// It is of no use any more.
    Broken,
}

const PAUSE: Duration = Duration::from_millis(5);
impl Asker {
    pub(super) fn connect(target: SocketAddr, index: usize, manner: Manner) -> Outcome<Asker> {
        let socket = socket_of(target, index)?;
        socket.connect(&target.into())?;
        let socket = TcpStream::from(socket);
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let host = target.to_string();
        let request = match (manner, index % 2) {
            (Manner::InPieces, 1) => Some(legacy::initialize(&host)),
            _ => Protocol::KeepAlive.request(0, 0, None, &host),
        };
        let request = request.ok_or("there is no such request")?;
        Ok(Asker {
            socket,
            manner,
            reader: ResponseReader::default(),
            answer: Answer::default(),
            pieces: pieces_of(&request, manner)?,
            next: 0,
            asked: None,
            not_before: Instant::now(),
            hand_overs: 0,
        })
    }

    /// Sends what is due. False: it is of no use any more.
    pub(super) fn send_due(
        &mut self,
        now: Instant,
        hand_overs: usize,
        faults: &mut Faults,
    ) -> bool {
        let is_due = match self.manner {
            Manner::InPieces => self.next == 0 || hand_overs > self.hand_overs,
            Manner::Short | Manner::Steady => self.next == 0,
        };
        let Some(piece) = self.pieces.get(self.next) else {
            return true;
        };
        if self.asked.is_some() || !is_due || now < self.not_before {
            return true;
        }
        self.hand_overs = hand_overs;
        self.next += 1;
        if self.next == self.pieces.len() {
            self.asked = Some(now);
        }
        match self.socket.write_all(piece) {
            Ok(()) => true,
            Err(fault) => {
                faults.connections_broken += 1;
                faults.say(format!("a request could not be sent: {fault}"));
                false
            }
        }
    }

    pub(super) fn read(&mut self, scratch: &mut [u8], faults: &mut Faults) -> Heard {
        let broken = |faults: &mut Faults, what: String| {
            faults.connections_broken += 1;
            faults.say(what);
            Heard::Broken
        };
        let count = match self.socket.read(scratch) {
            Ok(0) => return broken(faults, "a connection ended before the answer".to_owned()),
            Ok(count) => count,
            Err(fault) if fault.kind() == ErrorKind::WouldBlock => return Heard::Nothing,
            Err(fault) => return broken(faults, format!("an answer could not be read: {fault}")),
        };
        match self.reader.feed(&scratch[..count], &mut self.answer) {
            Ok((used, true)) if used == count => {}
            Ok((_, false)) => return Heard::Nothing,
            _ => return broken(faults, "an answer could not be understood".to_owned()),
        }
        if let Err(fault) = std::mem::take(&mut self.answer).expect_success() {
            faults.requests_failed += 1;
            faults.say(fault.to_string());
        }
        let Some(asked) = self.asked.take() else {
            return broken(faults, "an answer to half a request".to_owned());
        };
        if self.manner != Manner::Short {
            self.next = 0;
        }
        self.not_before = Instant::now() + PAUSE;
        Heard::Answer(asked.elapsed())
    }

    pub(super) fn is_short(&self) -> bool {
        self.manner == Manner::Short
    }

    /// A hand-over more, and a piece more is sent.
    pub(super) fn is_in_pieces(&self) -> bool {
        self.manner == Manner::InPieces
    }
}

/// The head in two, and the body in two.
fn pieces_of(request: &str, manner: Manner) -> Outcome<Vec<Vec<u8>>> {
    if manner != Manner::InPieces {
        return Ok(vec![request.as_bytes().to_vec()]);
    }
    let head = request.find("\r\n\r\n").ok_or("a request without an end")? + 4;
    let middle = head + (request.len() - head) / 2;
    let cuts = [0, head / 2, head, middle, request.len()];
    let pieces = cuts.windows(2).map(|cut| &request[cut[0]..cut[1]]);
    Ok(pieces.map(|it| it.as_bytes().to_vec()).collect())
}
