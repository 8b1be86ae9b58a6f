//! Connections that ask one thing at a time: each sends its next request when the last is answered.
//!
//! Waits without sleeping while a single answer is awaited, and asleep while many are: with all CPUs in use by a
//! server, a loader that spins would take what it measures.

use std::io::{ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use super::http::{Head, ResponseReader, Sink};
use super::{READY_MAX, wait};
use crate::Outcome;

pub(crate) struct Askers {
    epoll: OwnedFd,
    askers: Vec<Asker>,
    scratch: Box<[u8]>,
}

struct Asker {
    socket: TcpStream,
    reader: ResponseReader,
    answer: Answer,
    asked: Instant,
}

/// What a script wants to know of an answer.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) session: Option<Box<str>>,
    /// Its start, for sentences about what went wrong.
    text: Vec<u8>,
}

/// What connections ask.
pub(crate) trait Script {
    /// The next request of this connection, after the answer to its last one, if it asked any. `None` ends it.
    fn next(&mut self, connection: usize, answer: Option<&Answer>) -> Outcome<Option<Vec<u8>>>;
}

const ANSWER_WITHIN: Duration = Duration::from_secs(10);
const TEXT_BYTES_MAX: usize = 512;

impl Askers {
    pub(crate) fn connect(target: SocketAddr, count: usize) -> Outcome<Self> {
        assert!(
            target.ip().is_loopback(),
            "only this machine is ever contacted"
        );
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let mut askers = Vec::new();
        for index in 0..count {
            let socket = TcpStream::connect(target)?;
            socket.set_nodelay(true)?;
            socket.set_nonblocking(true)?;
            epoll::add(
                &epoll,
                &socket,
                EventData::new_u64(index as u64),
                EventFlags::IN,
            )?;
            askers.push(Asker {
                socket,
                reader: ResponseReader::default(),
                answer: Answer::default(),
                asked: Instant::now(),
            });
        }
        Ok(Askers {
            epoll,
            askers,
            scratch: vec![0; 64 * 1024].into(),
        })
    }

    /// One request on one connection that has none under way, and the time to the end of its answer.
    pub(crate) fn ask(&mut self, connection: usize, request: &[u8]) -> Outcome<(Answer, Duration)> {
        let asker = &mut self.askers[connection];
        asker.send(request)?;
        loop {
            if let Some(answer) = asker.receive(&mut self.scratch)? {
                return Ok((answer, asker.asked.elapsed()));
            }
            if asker.asked.elapsed() > ANSWER_WITHIN {
                return Err("a request was not answered".into());
            }
        }
    }

    /// Follows the script on all connections until it has ended on each. Times are nanoseconds from a request's first
    /// byte to its answer's last.
    pub(crate) fn run(
        &mut self,
        script: &mut impl Script,
        times: &mut Histogram<u64>,
    ) -> Outcome<Duration> {
        let started = Instant::now();
        let mut open = 0;
        for connection in 0..self.askers.len() {
            if let Some(request) = script.next(connection, None)? {
                self.askers[connection].send(&request)?;
                open += 1;
            }
        }
        let mut ready = [const { MaybeUninit::uninit() }; READY_MAX];
        while open > 0 {
            let events = wait(&self.epoll, &mut ready, ANSWER_WITHIN)?;
            if events.is_empty() {
                return Err("no request was answered any more".into());
            }
            for event in events {
                let connection = { event.data }.u64() as usize;
                let asker = &mut self.askers[connection];
                let Some(answer) = asker.receive(&mut self.scratch)? else {
                    continue;
                };
                times.saturating_record(asker.asked.elapsed().as_nanos() as u64);
                match script.next(connection, Some(&answer))? {
                    Some(request) => asker.send(&request)?,
                    None => open -= 1,
                }
            }
        }
        Ok(started.elapsed())
    }
}

impl Asker {
    fn send(&mut self, request: &[u8]) -> Outcome<()> {
        self.asked = Instant::now();
        // One small request on a connection that has nothing else to send: the kernel takes all of it.
        Ok(self.socket.write_all(request)?)
    }

    /// Reads once: the answer if it is whole now.
    fn receive(&mut self, scratch: &mut [u8]) -> Outcome<Option<Answer>> {
        let count = match self.socket.read(scratch) {
            Ok(0) => return Err("the server closed a connection".into()),
            Ok(count) => count,
            Err(fault) if fault.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(fault) => return Err(fault.into()),
        };
        let (used, end) = self.reader.feed(&scratch[..count], &mut self.answer)?;
        if used < count {
            return Err("more was answered than was asked".into());
        }
        Ok(end.then(|| std::mem::take(&mut self.answer)))
    }
}

impl Answer {
    /// The answer was a success, or this ends the run with what it says.
    pub(crate) fn expect_success(&self) -> Outcome<()> {
        match self.status {
            200..300 => Ok(()),
            status => {
                let text = String::from_utf8_lossy(&self.text);
                Err(format!("a request was answered {status}: {text}").into())
            }
        }
    }
}

impl Sink for Answer {
    fn head(&mut self, head: Head) {
        self.status = head.status;
        self.session = head.session_id;
    }

    fn body(&mut self, bytes: &[u8]) {
        let room = TEXT_BYTES_MAX - self.text.len();
        self.text.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}
