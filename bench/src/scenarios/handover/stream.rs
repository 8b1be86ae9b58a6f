//! One stream that is followed: which events came, and whether each came once and in its order.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use memchr::memmem;

use super::faults::Faults;
use super::sequence::Sequence;
use crate::Outcome;
use crate::loader::http::{Head, ResponseReader, Sink};
use crate::loader::protocol::Protocol;
use crate::loader::sse::Lines;

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
    lines: Lines,
    event: Event,
    /// Made so far, with the one that is being made.
    publishing: u64,
    pub(super) seen: Seen,
}

/// Whose end has not come.
#[derive(Default)]
struct Event {
    topic: Option<u32>,
    place: Option<u64>,
}

/// What of it came.
#[derive(Clone)]
pub(super) struct Seen {
    main: Sequence,
    slow: Sequence,
    /// In the log, of the last event that had an id.
    place: u64,
    /// Events whose place was not after the one before.
    misplaced: u64,
    heard: Option<Instant>,
    /// The longest time between two events since somebody asked, in nanoseconds.
    pub(super) silence_ns: u64,
}

impl Default for Seen {
    fn default() -> Seen {
        Seen {
            main: Sequence::new(TOPICS),
            slow: Sequence::new(SLOW_TOPICS),
            place: 0,
            misplaced: 0,
            heard: None,
            silence_ns: 0,
        }
    }
}

impl Seen {
    fn take(&mut self, topic: u32, publishing: u64) {
        match topic.checked_sub(TOPICS) {
            None => self.main.take(topic, publishing),
            Some(slow) => self.slow.take(slow, slow_ones(publishing)),
        }
    }

    /// Of an event with an id.
    fn note_place(&mut self, place: u64) {
        self.misplaced += u64::from(place <= self.place);
        self.place = self.place.max(place);
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
    /// such a reader has to be told of the last publication of each topic, and of nothing in the wrong order.
    pub(super) fn tell(&self, publications: u64, is_slow: bool, faults: &mut Faults) {
        faults.events_wrong += self.main.wrong() + self.slow.wrong() + self.misplaced;
        let missing = self.main.missing(publications);
        if !is_slow {
            faults.events_missing += missing;
            return;
        }
        let due = slow_ones(publications);
        faults.events_missing += u64::from(!self.main.has_the_last_of_each(publications));
        faults.events_missing += u64::from(!self.slow.has_the_last_of_each(due));
        faults.merged += missing + self.slow.missing(due);
    }

    pub(super) fn has_all(&self, publications: u64, is_slow: bool) -> bool {
        let due = slow_ones(publications);
        match is_slow {
            true => {
                self.main.has_the_last_of_each(publications) && self.slow.has_the_last_of_each(due)
            }
            false => self.main.received >= publications,
        }
    }
}

fn slow_ones(publications: u64) -> u64 {
    publications * u64::from(SLOW_AT_ONCE)
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
            lines: Lines::default(),
            event: Event::default(),
            publishing: 0,
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

    /// Reads once: how much. None: it has ended. `publishing` says how many publications were made by then, and are just made.
    pub(super) fn read(
        &mut self,
        scratch: &mut [u8],
        host: &str,
        publishing: impl FnOnce() -> u64,
    ) -> Outcome<Option<usize>> {
        let count = match self.socket.read(scratch) {
            Ok(0) => return Ok(None),
            Ok(count) => count,
            Err(fault) if fault.kind() == ErrorKind::WouldBlock => return Ok(Some(0)),
            Err(fault) => return Err(fault.into()),
        };
        self.publishing = publishing();
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
        if line.starts_with(b"data:") {
            self.event.topic = topic_of(line);
        } else if line.starts_with(b"id:") {
            self.event.place = place_of(line);
        } else if line.is_empty() {
            let Event { topic, place } = std::mem::take(&mut self.event);
            if let Some(topic) = topic {
                self.seen.take(topic, self.publishing);
                place.into_iter().for_each(|it| self.seen.note_place(it));
            }
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

    fn body(&mut self, bytes: &[u8]) {
        if !self.is_open {
            return;
        }
        let mut lines = std::mem::take(&mut self.lines);
        lines.feed(bytes, |line| self.take_line(line));
        self.lines = lines;
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

/// In the log, of the event that this is the id of: `{epoch}.{session}.{stream}.{offset}.{sequence}`.
fn place_of(line: &[u8]) -> Option<u64> {
    let id = std::str::from_utf8(line.strip_prefix(b"id: ")?).ok()?;
    u64::from_str_radix(id.trim_end().split('.').nth(3)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_whose_topic_or_place_is_not_seen() {
        let data = br#"data: {"params":{"uri":"board://bench-17"}}"#;
        assert_eq!(topic_of(data), Some(17));
        assert_eq!(topic_of(br#"data: {"uri":"board://bench"}"#), Some(0));
        assert_eq!(place_of(b"id: 1.2.0.ff.0"), Some(255));
        assert_eq!((place_of(b"id: soup"), topic_of(b"data: {}")), (None, None));
        let mut seen = Seen::default();
        [3, 4, 4, 2, 5]
            .into_iter()
            .for_each(|it| seen.note_place(it));
        assert_eq!(seen.misplaced, 2);
    }
}
