//! One stream that is followed: which events came, and whether each came once and in its order.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use memchr::memmem;

use super::faults::Faults;
use crate::Outcome;
use crate::loader::http::{Head, ResponseReader, Sink};
use crate::loader::protocol::Protocol;

/// Published in turn to every stream, one in each publication: so many that one is not published again before everybody has it.
pub(super) const TOPICS: u32 = 8;
/// Published in turn to slow readers besides, for their sockets to fill.
pub(super) const SLOW_TOPICS: u32 = 256;
/// Of those in each publication.
pub(super) const SLOW_AT_ONCE: u32 = 16;

pub(super) struct Stream {
    pub(super) socket: TcpStream,
    protocol: Protocol,
    topics: u32,
    reader: ResponseReader,
    session: Option<Box<str>>,
    step: usize,
    status: u16,
    pub(super) is_open: bool,
    line: Vec<u8>,
    pub(super) seen: Seen,
}

/// What of it came.
#[derive(Clone, Default)]
pub(super) struct Seen {
    main: Sequence,
    slow: Sequence,
    heard: Option<Instant>,
    /// The longest time between two events since somebody asked, in nanoseconds.
    pub(super) silence_ns: u64,
}

/// Numbers that come one after the other, modulo a count.
#[derive(Clone, Copy, Default)]
pub(super) struct Sequence {
    next: u32,
    pub(super) received: u64,
    missing: u64,
    /// Twice, or after one that was later.
    wrong: u64,
}

impl Sequence {
    fn take(&mut self, number: u32, modulo: u32) {
        self.received += 1;
        let ahead = (number + modulo - self.next) % modulo;
        if ahead > modulo / 2 {
            self.wrong += 1;
            return;
        }
        self.missing += u64::from(ahead);
        self.next = (number + 1) % modulo;
    }
}

impl Seen {
    fn take(&mut self, topic: u32) {
        match topic.checked_sub(TOPICS) {
            None => self.main.take(topic, TOPICS),
            Some(slow) => self.slow.take(slow, SLOW_TOPICS),
        }
    }

    fn note_time(&mut self, now: Instant) {
        if let Some(before) = self.heard.replace(now) {
            let silence = now.duration_since(before).as_nanos() as u64;
            self.silence_ns = self.silence_ns.max(silence);
        }
    }

    /// Of what everybody is told.
    pub(super) fn heard(&self) -> u64 {
        self.main.received
    }

    pub(super) fn events(&self) -> u64 {
        self.main.received + self.slow.received
    }

    /// `publications`: as many were made. What waits for a slow reader is told once however often it was published meanwhile:
    /// such a reader has to be told of the newest, and of nothing in the wrong order.
    pub(super) fn tell(&self, publications: u64, is_slow: bool, faults: &mut Faults) {
        let main = self.main;
        let came = main.received.saturating_sub(main.wrong);
        let missing = main.missing.max(publications.saturating_sub(came));
        if !is_slow {
            faults.events_missing += missing;
            faults.events_wrong += main.wrong.max(main.received.saturating_sub(publications));
            return;
        }
        let due = publications * u64::from(SLOW_AT_ONCE);
        let is_behind = u64::from(self.slow.next) != due % u64::from(SLOW_TOPICS);
        faults.events_missing += u64::from(is_behind);
        faults.events_wrong += self.slow.wrong;
        faults.merged += missing + self.slow.missing;
    }

    pub(super) fn has_all(&self, publications: u64, is_slow: bool) -> bool {
        let due = publications * u64::from(SLOW_AT_ONCE);
        let newest = u64::from(self.slow.next) == due % u64::from(SLOW_TOPICS);
        (is_slow && newest) || (!is_slow && self.main.received >= publications)
    }
}

impl Stream {
    pub(super) fn new(socket: TcpStream, protocol: Protocol, is_slow: bool) -> Stream {
        Stream {
            socket,
            protocol,
            topics: if is_slow {
                TOPICS + SLOW_TOPICS
            } else {
                TOPICS
            },
            reader: ResponseReader::default(),
            session: None,
            step: 0,
            status: 0,
            is_open: false,
            line: Vec::new(),
            seen: Seen::default(),
        }
    }

    pub(super) fn is_slow(&self) -> bool {
        self.topics > TOPICS
    }

    pub(super) fn ask(&mut self, host: &str) -> Outcome<()> {
        let session = self.session.as_deref();
        let topics = self.topics as usize;
        let request = self.protocol.request(self.step, topics, session, host);
        let request = request.ok_or("the server ended a stream that had not begun")?;
        // One small request on a connection that has nothing else to send: the kernel takes all of it.
        Ok(self.socket.write_all(request.as_bytes())?)
    }

    /// Reads once: how much. None: it has ended.
    pub(super) fn read(&mut self, scratch: &mut [u8], host: &str) -> Outcome<Option<usize>> {
        let count = match self.socket.read(scratch) {
            Ok(0) => return Ok(None),
            Ok(count) => count,
            Err(fault) if fault.kind() == ErrorKind::WouldBlock => return Ok(Some(0)),
            Err(fault) => return Err(fault.into()),
        };
        let before = self.seen.main.received;
        let mut input = &scratch[..count];
        while !input.is_empty() {
            let mut reader = std::mem::take(&mut self.reader);
            let (used, end) = reader.feed(input, self)?;
            self.reader = reader;
            input = &input[used..];
            if end {
                self.answered(host)?;
            }
        }
        if self.seen.main.received > before {
            self.seen.note_time(Instant::now());
        }
        Ok(Some(count))
    }

    fn answered(&mut self, host: &str) -> Outcome<()> {
        if self.is_open {
            return Err("the server ended a stream".into());
        }
        if !(200..300).contains(&self.status) {
            return Err(format!("step {} was answered {}", self.step, self.status).into());
        }
        self.step += 1;
        self.ask(host)
    }

    fn take_line(&mut self, line: &[u8]) {
        if line.starts_with(b"data:")
            && let Some(topic) = topic_of(line)
        {
            self.seen.take(topic);
        }
    }
}

impl Sink for Stream {
    fn head(&mut self, head: Head) {
        self.session = head.session_id.or(self.session.take());
        self.status = head.status;
        let last = self.step + 1 == self.protocol.steps(self.topics as usize);
        self.is_open = last && head.status == 200 && head.event_stream;
    }

    fn body(&mut self, mut bytes: &[u8]) {
        if !self.is_open {
            return;
        }
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            bytes = rest;
            if self.line.is_empty() {
                self.take_line(line);
            } else {
                let mut whole = std::mem::take(&mut self.line);
                whole.extend_from_slice(line);
                self.take_line(&whole);
            }
        }
        self.line.extend_from_slice(bytes);
    }
}

/// Of an event that says that something changed.
fn topic_of(line: &[u8]) -> Option<u32> {
    let start = memmem::find(line, br#""uri":"board://bench"#)? + br#""uri":"board://bench"#.len();
    let rest = &line[start..];
    let end = memchr::memchr(b'"', rest)?;
    match &rest[..end] {
        [] => Some(0),
        [b'-', digits @ ..] => std::str::from_utf8(digits).ok()?.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(numbers: impl IntoIterator<Item = u32>, publications: u64) -> (u64, u64) {
        let mut seen = Seen::default();
        numbers.into_iter().for_each(|it| seen.take(it));
        let mut faults = Faults::default();
        seen.tell(publications, false, &mut faults);
        (faults.events_missing, faults.events_wrong)
    }

    #[test]
    fn every_event_once_and_in_order() {
        assert_eq!(told((0..20).map(|it| it % TOPICS), 20), (0, 0));
    }

    #[test]
    fn events_that_are_missing_come_twice_or_too_late() {
        assert_eq!(told([0, 1, 3, 4], 5), (1, 0));
        assert_eq!(told([0, 1, 2, 3], 5), (1, 0), "the last");
        assert_eq!(told([0, 1, 1, 2], 3), (0, 1));
        assert_eq!(told([0, 2, 1, 3], 4), (1, 1));
    }
}
