//! Attackers: connections in one loop that never waits for any of them. Each sends one request, as fast as it is taken,
//! and takes as much of the answer as its habit is.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::requests::Request;

/// For how long attackers go on.
struct Waits {
    /// In all.
    at_most: Duration,
    /// While nothing moves, and nobody is done.
    at_first: Duration,
    /// While nothing moves, and some are done.
    quiet: Duration,
}

/// Not everybody will be answered. Some are, and nothing was taken and nothing was told for so long: this is how it stays.
const UNTIL_QUIET: Waits = Waits {
    at_most: Duration::from_secs(60),
    at_first: Duration::from_secs(20),
    quiet: Duration::from_secs(5),
};
/// A server that has no time to read what the kernel has taken long ago moves nothing here. By its own limits it has an
/// answer for everybody after a minute in which it ran.
const TO_THE_END: Waits = Waits {
    at_most: Duration::from_secs(600),
    at_first: Duration::from_secs(600),
    quiet: Duration::from_secs(600),
};
/// Of an answer: what follows is taken and forgotten.
const TOLD_BYTES_MAX: usize = 16 * 1024;
/// Addresses that attackers have in turn, 127.0.0.2 and on. The honest client has 127.0.0.1.
pub(super) const ADDRESSES: usize = 8;
const READER_BUFFER: usize = 4096;

/// What an attacker takes of its answer.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Habit {
    Reads,
    /// The first bytes, and then no more.
    Stalls,
}

/// The head of an answer.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: bool,
    pub(super) session: Option<String>,
}

pub(super) struct Attacker {
    socket: TcpStream,
    request: Request,
    sent: usize,
    habit: Habit,
    told: Vec<u8>,
    /// The server closed the connection, or reset it.
    closed: bool,
}

impl Attacker {
    /// Connects, and sends nothing yet. `number` chooses its address.
    pub(super) fn new(server: SocketAddr, number: usize, habit: Habit, request: Request) -> Self {
        let socket = connect(server, number, habit);
        socket
            .set_nonblocking(true)
            .expect("a socket can be non-blocking");
        Attacker {
            socket,
            request,
            sent: 0,
            habit,
            told: Vec::new(),
            closed: false,
        }
    }

    /// Sends and takes what goes without waiting. True if anything did.
    fn step(&mut self) -> bool {
        // Whoever has an answer has no reason to go on.
        let has_answer = self.answer().is_some();
        let sent = !self.closed && !has_answer && self.send();
        let wants = self.habit == Habit::Reads || !has_answer;
        let taken = !self.closed && wants && self.take();
        sent || taken
    }

    fn send(&mut self) -> bool {
        let (head, body) = (self.request.head.as_bytes(), &self.request.body);
        let rest = match self.sent.checked_sub(head.len()) {
            None => &head[self.sent..],
            Some(of_body) => &body[of_body..],
        };
        if rest.is_empty() {
            return false;
        }
        match self.socket.write(rest) {
            Ok(count) => {
                self.sent += count;
                true
            }
            // A server that refuses may stop reading; its answer is there to be read nevertheless.
            Err(_) => false,
        }
    }

    fn take(&mut self) -> bool {
        let mut buffer = [0; TOLD_BYTES_MAX];
        let most = match self.habit {
            Habit::Reads => buffer.len(),
            Habit::Stalls => READER_BUFFER,
        };
        match self.socket.read(&mut buffer[..most]) {
            Ok(0) => self.closed = true,
            Ok(count) => {
                let room = TOLD_BYTES_MAX - self.told.len();
                self.told.extend_from_slice(&buffer[..count.min(room)]);
            }
            Err(fault) if fault.kind() == ErrorKind::WouldBlock => return false,
            Err(_) => self.closed = true,
        }
        true
    }

    fn is_over(&self) -> bool {
        self.closed || self.answer().is_some()
    }

    fn is_sent(&self) -> bool {
        self.sent == self.request.head.len() + self.request.body.len()
    }

    pub(super) fn answer(&self) -> Option<Answer> {
        let text = String::from_utf8_lossy(&self.told);
        let (head, _) = text.split_once("\r\n\r\n")?;
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let field = |name: &str| {
            head.lines().skip(1).find_map(|line| {
                let (other, value) = line.split_once(": ")?;
                other
                    .eq_ignore_ascii_case(name)
                    .then(|| value.trim().to_owned())
            })
        };
        Some(Answer {
            status: status
                .and_then(|it| it.parse().ok())
                .expect("a status line"),
            retry_after: field("Retry-After").is_some(),
            session: field("Mcp-Session-Id"),
        })
    }
}

/// One of the loopback network's addresses for each, so that a limit per address is nobody else's.
fn connect(server: SocketAddr, number: usize, habit: Habit) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let last = u8::try_from(2 + number % ADDRESSES).expect("few addresses");
    let own = SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0));
    socket
        .bind(&own.into())
        .expect("all of 127.0.0.0/8 is loopback");
    if habit == Habit::Stalls {
        socket
            .set_recv_buffer_size(READER_BUFFER)
            .expect("a small buffer");
    }
    socket.connect(&server.into()).expect("the server listens");
    socket.into()
}

/// Goes on with all of them until each has its answer or was closed, or nothing moves any more.
pub(super) fn drive(attackers: &mut [Attacker]) {
    drive_until(attackers, Attacker::is_over, &UNTIL_QUIET);
}

/// The same for those who will be answered: a pause means nothing.
pub(super) fn drive_to_answers(attackers: &mut [Attacker]) {
    drive_until(attackers, Attacker::is_over, &TO_THE_END);
}

/// Until all is sent that will be.
pub(super) fn drive_to_sent(attackers: &mut [Attacker]) {
    drive_until(attackers, |it| it.closed || it.is_sent(), &UNTIL_QUIET);
}

fn drive_until(attackers: &mut [Attacker], is_done: impl Fn(&Attacker) -> bool, waits: &Waits) {
    let begun = Instant::now();
    let mut moved_at = begun;
    while begun.elapsed() < waits.at_most && !attackers.iter().all(&is_done) {
        let mut moved = false;
        for attacker in attackers.iter_mut() {
            moved |= attacker.step();
        }
        if moved {
            moved_at = Instant::now();
            continue;
        }
        let some_are_done = attackers.iter().any(&is_done);
        let patience = if some_are_done {
            waits.quiet
        } else {
            waits.at_first
        };
        if moved_at.elapsed() > patience {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// One request, one answer: `None` if the connection closed without one.
pub(super) fn ask(server: SocketAddr, number: usize, request: Request) -> Option<Answer> {
    let mut attackers = [Attacker::new(server, number, Habit::Reads, request)];
    drive_to_answers(&mut attackers);
    let attacker = &attackers[0];
    assert!(attacker.is_over(), "neither an answer nor an end");
    attacker.answer()
}

/// A session of an attacker, unless there is no room for it.
pub(super) fn open_session(server: SocketAddr, number: usize, request: Request) -> Option<String> {
    ask(server, number, request)?.session
}

/// How many were answered how.
#[derive(Debug, Default)]
pub(super) struct Told {
    statuses: BTreeMap<u16, usize>,
    /// A refusal for now that does not say for how long.
    without_retry_after: usize,
    /// The connection ended without an answer.
    nothing: usize,
    /// The server has said nothing, and still listens.
    not_yet: usize,
}

impl Told {
    pub(super) fn of(attackers: &[Attacker]) -> Self {
        let mut told = Told::default();
        for attacker in attackers {
            match attacker.answer() {
                Some(answer) => told.add(Some(&answer)),
                None if attacker.closed => told.nothing += 1,
                None => told.not_yet += 1,
            }
        }
        told
    }

    pub(super) fn add(&mut self, answer: Option<&Answer>) {
        let Some(answer) = answer else {
            self.nothing += 1;
            return;
        };
        *self.statuses.entry(answer.status).or_default() += 1;
        if matches!(answer.status, 429 | 503) && !answer.retry_after {
            self.without_retry_after += 1;
        }
    }

    pub(super) fn and(mut self, other: Told) -> Told {
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.without_retry_after += other.without_retry_after;
        self.nothing += other.nothing;
        self.not_yet += other.not_yet;
        self
    }

    pub(super) fn count(&self, status: u16) -> usize {
        self.statuses.get(&status).copied().unwrap_or(0)
    }

    pub(super) fn not_yet(&self) -> usize {
        self.not_yet
    }

    /// Everybody who was told anything was told one of these; a refusal for now says for how long, and nobody was cut
    /// off without a word.
    pub(super) fn assert_only(&self, statuses: &[u16]) {
        let all_known = self.statuses.keys().all(|it| statuses.contains(it));
        assert!(
            all_known && self.nothing == 0 && self.without_retry_after == 0,
            "not only answers of {statuses:?}: {self:?}"
        );
    }
}

impl std::fmt::Display for Told {
    fn fmt(&self, text: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts: Vec<String> = self
            .statuses
            .iter()
            .map(|(status, count)| format!("{count} x {status}"))
            .collect();
        let others = [
            (self.nothing, "cut without a word"),
            (self.not_yet, "no answer yet"),
        ];
        let others = others.iter().filter(|(count, _)| *count > 0);
        parts.extend(others.map(|(count, what)| format!("{count} {what}")));
        text.write_str(&parts.join(", "))
    }
}
