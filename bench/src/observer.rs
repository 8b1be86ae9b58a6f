//! Whoever looks at a server while it is measured: a Prometheus that scrapes it each second, or somebody who watches a trace.
//! A thread of its own, where the loader runs.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use memchr::memmem;
use serde::Serialize;
use serde_json::Value;

use crate::Outcome;
use crate::loader::admin::Admin;
use crate::loader::http::{Head, ResponseReader, Sink};
use crate::machine::{LOADER_CPU, pin_to};

/// What is looked at.
#[derive(Clone, Debug)]
pub(crate) enum Look {
    /// `GET /metrics`, at once and then each second.
    Scrape,
    /// A trace, by its path.
    Trace(String),
}

/// How much was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Seen {
    pub(crate) scrapes: u64,
    pub(crate) events: u64,
    /// That there was no room for.
    pub(crate) missed: u64,
    pub(crate) bytes: u64,
}

/// Somebody who looks, until told to stop.
pub(crate) struct Observer {
    stop: Sender<()>,
    trace: Option<TcpStream>,
    thread: JoinHandle<Result<Seen, String>>,
}

/// The names of one session, and of whoever has it, for operators.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    pub(crate) session: String,
    pub(crate) principal: String,
}

const SCRAPE_EVERY: Duration = Duration::from_secs(1);
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

impl Observer {
    /// Returns when the first look has been answered.
    pub(crate) fn begin(admin: SocketAddr, look: &Look) -> Outcome<Self> {
        let (stop, stopped) = channel();
        let (trace, work): (_, Box<dyn FnOnce() -> Outcome<Seen> + Send>) = match look {
            Look::Scrape => {
                let mut admin = Admin::connect(admin, "")?;
                let first = admin.read("GET /metrics")?.len() as u64;
                (None, Box::new(move || scrape(admin, first, &stopped)))
            }
            Look::Trace(path) => {
                let mut trace = Trace::open(admin, path)?;
                let socket = trace.socket.try_clone()?;
                (Some(socket), Box::new(move || trace.watch()))
            }
        };
        let thread = thread::spawn(move || {
            let pinned = pin_to(LOADER_CPU);
            let seen = pinned.and_then(|()| work());
            seen.map_err(|fault| fault.to_string())
        });
        Ok(Observer {
            stop,
            trace,
            thread,
        })
    }

    pub(crate) fn end(self) -> Outcome<Seen> {
        drop(self.stop);
        if let Some(trace) = self.trace {
            trace.shutdown(Shutdown::Both)?;
        }
        let seen = self.thread.join().map_err(|_| "the observer panicked")?;
        Ok(seen?)
    }
}

fn scrape(mut admin: Admin, first: u64, stopped: &Receiver<()>) -> Outcome<Seen> {
    let mut seen = Seen {
        scrapes: 1,
        bytes: first,
        ..Seen::default()
    };
    let mut next = Instant::now() + SCRAPE_EVERY;
    loop {
        let left = next.saturating_duration_since(Instant::now());
        match stopped.recv_timeout(left) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return Ok(seen),
        }
        seen.scrapes += 1;
        seen.bytes += admin.read("GET /metrics")?.len() as u64;
        next += SCRAPE_EVERY;
    }
}

struct Trace {
    socket: TcpStream,
    reader: ResponseReader,
    told: Told,
}

/// What a trace has told so far.
#[derive(Default)]
struct Told {
    status: u16,
    seen: Seen,
    /// A line that has not ended.
    line: Vec<u8>,
}

impl Trace {
    fn open(admin: SocketAddr, path: &str) -> Outcome<Self> {
        let mut socket = TcpStream::connect(admin)?;
        socket.set_read_timeout(Some(ANSWER_WITHIN))?;
        write!(socket, "GET {path} HTTP/1.1\r\nHost: {admin}\r\n\r\n")?;
        let mut trace = Trace {
            socket,
            reader: ResponseReader::default(),
            told: Told::default(),
        };
        while trace.told.status == 0 && trace.read()? {}
        match trace.told.status {
            200 => {
                trace.socket.set_read_timeout(None)?;
                Ok(trace)
            }
            status => Err(format!("{path} is answered {status}").into()),
        }
    }

    fn watch(&mut self) -> Outcome<Seen> {
        while self.read()? {}
        Ok(self.told.seen)
    }

    /// False: it is over.
    fn read(&mut self) -> Outcome<bool> {
        let mut scratch = [0; 64 * 1024];
        let count = match self.socket.read(&mut scratch) {
            Ok(count) => count,
            Err(fault) if fault.kind() == ErrorKind::Interrupted => return Ok(true),
            // It was told to stop, with events under way.
            Err(fault) if fault.kind() == ErrorKind::ConnectionReset => return Ok(false),
            Err(fault) => return Err(fault.into()),
        };
        self.told.seen.bytes += count as u64;
        let (_, is_over) = self.reader.feed(&scratch[..count], &mut self.told)?;
        Ok(count > 0 && !is_over)
    }
}

impl Sink for Told {
    fn head(&mut self, head: Head) {
        self.status = head.status;
    }

    fn body(&mut self, bytes: &[u8]) {
        self.line.extend_from_slice(bytes);
        let end = memchr::memrchr(b'\n', &self.line).map_or(0, |at| at + 1);
        let lines = &self.line[..end];
        self.seen.events += memmem::find_iter(lines, b"event: ").count() as u64;
        for at in memmem::find_iter(lines, br#""missed":"#) {
            let digits = lines[at + 9..].iter().take_while(|it| it.is_ascii_digit());
            let missed = digits.fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
            self.seen.missed += missed;
        }
        self.line.drain(..end);
    }
}

impl Names {
    /// Of any session that the server has.
    pub(crate) fn of_one(admin: SocketAddr) -> Outcome<Self> {
        let mut admin = Admin::connect(admin, "")?;
        let list = admin.read("GET /sessions?limit=1")?;
        let list: Value = serde_json::from_slice(list)?;
        let row = &list["sessions"][0];
        let text = |name: &str| {
            let text = row[name].as_str();
            text.map(str::to_owned)
                .ok_or_else(|| format!("a session without {name}: {row}"))
        };
        Ok(Names {
            session: text("name")?,
            principal: text("principal")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_counted_wherever_they_are_cut() {
        let text = b"event: request\ndata: {\"method\":\"ping\"}\n\nevent: missed\ndata: {\"at\":1,\"missed\":307}\n\n";
        for cut in 0..text.len() {
            let mut told = Told::default();
            told.body(&text[..cut]);
            told.body(&text[cut..]);
            assert_eq!((told.seen.events, told.seen.missed), (2, 307), "at {cut}");
        }
    }
}
