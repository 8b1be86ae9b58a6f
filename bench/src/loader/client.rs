//! One client: a connection that walks through its protocol's requests and then counts events.
//!
//! ```text
//! ExpectAnswer(step) ──answer──▶ ExpectAnswer(step + 1) … ──head of the stream──▶ Streaming
//!                                                         ──last answer, no stream──▶ Idle
//! ```

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use memchr::memmem::Finder;
use socket2::{Domain, SockRef, Socket, Type};

use super::http::{Head, ResponseReader, Sink};
use super::protocol::{Protocol, shows};
use super::sse::EventCounter;
use crate::Outcome;

pub(super) struct Client {
    pub(super) socket: TcpStream,
    stage: Stage,
    reader: ResponseReader,
    body: Body,
    session: Option<Box<str>>,
    /// What it shows with each request until its stream is open.
    token: Option<Box<str>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    ExpectAnswer(usize),
    Streaming,
    Idle,
}

/// What every client is to do.
pub(super) struct Way {
    target: SocketAddr,
    pub(super) protocol: Protocol,
    /// How many topics it subscribes to.
    pub(super) topics: usize,
    /// Written once, for thousands of clients send them.
    requests: Vec<Request>,
}

/// The bytes of one step, and where the session's id goes in between.
struct Request {
    before: String,
    after: Option<String>,
}

/// Stands for a session's id; no request has it otherwise.
const SESSION: &str = "\u{1}session\u{1}";

impl Way {
    pub(super) fn new(target: SocketAddr, protocol: Protocol, topics: usize) -> Self {
        let host = target.to_string();
        let texts = (0..protocol.steps(topics))
            .filter_map(|step| protocol.request(step, topics, Some(SESSION), &host));
        Way {
            target,
            protocol,
            topics,
            requests: texts.map(|text| Request::new(&text)).collect(),
        }
    }
}

impl Request {
    fn new(text: &str) -> Self {
        let (before, after) = match text.split_once(SESSION) {
            Some((before, after)) => (before, Some(after.into())),
            None => (text, None),
        };
        Request {
            before: before.into(),
            after,
        }
    }
}

/// What one read brought.
#[derive(Clone, Copy, Default)]
pub(super) struct Progress {
    pub(super) bytes: usize,
    pub(super) events: u64,
    /// The protocol's last step is done since this read.
    pub(super) ready: bool,
}

/// Connections from one source address. A port range has about 28,000 by default, and the kernel searches ever longer
/// for a free one as it fills.
const CONNECTIONS_PER_ADDRESS: usize = 8_000;

/// Of the `index`th client, not connected yet.
pub(crate) fn socket_of(target: SocketAddr, index: usize) -> Outcome<Socket> {
    assert!(
        target.ip().is_loopback(),
        "only this machine is ever contacted"
    );
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    // Of this server's clients alone: two loaders that bind ports of one address would search past each other's.
    let other_address = u8::try_from(index / CONNECTIONS_PER_ADDRESS)?;
    if other_address > 0 {
        let [high, low] = target.port().to_be_bytes();
        let source = Ipv4Addr::new(127, other_address, high, low);
        socket.bind(&SocketAddr::from((source, 0)).into())?;
    }
    Ok(socket)
}

impl Client {
    /// Connects and sends the first request. `index` chooses the source address.
    pub(super) fn connect(index: usize, way: &Way, token: Option<Box<str>>) -> Outcome<Self> {
        let socket = socket_of(way.target, index)?;
        socket.connect(&way.target.into())?;
        let socket = TcpStream::from(socket);
        socket.set_nonblocking(true)?;
        let mut client = Client {
            socket,
            stage: Stage::ExpectAnswer(0),
            reader: ResponseReader::default(),
            body: Body::default(),
            session: None,
            token,
        };
        client.send(way, 0)?;
        Ok(client)
    }

    /// Reads once.
    pub(super) fn receive(
        &mut self,
        scratch: &mut [u8],
        needle: &Finder<'_>,
        way: &Way,
    ) -> Outcome<Progress> {
        let bytes = match self.socket.read(scratch) {
            Ok(0) => return Err("the server closed a connection".into()),
            Ok(bytes) => bytes,
            Err(fault) if fault.kind() == ErrorKind::WouldBlock => return Ok(Progress::default()),
            Err(fault) => return Err(fault.into()),
        };
        let mut progress = Progress {
            bytes,
            ..Progress::default()
        };
        let mut input = &scratch[..bytes];
        while !input.is_empty() {
            let mut sink = Split {
                needle,
                body: &mut self.body,
                streaming: self.stage == Stage::Streaming,
                events: 0,
                head: None,
            };
            let (used, end) = self.reader.feed(input, &mut sink)?;
            let (events, head) = (sink.events, sink.head);
            input = &input[used..];
            progress.events += events;
            if let Some(head) = head {
                progress.ready |= self.take_head(head, way);
            }
            if end {
                progress.ready |= self.take_end(way)?;
            }
        }
        Ok(progress)
    }

    /// Reads once, whatever it is. True if nothing more will come.
    pub(super) fn has_ended(&mut self, scratch: &mut [u8]) -> bool {
        match self.socket.read(scratch) {
            Ok(count) => count == 0,
            Err(fault) => fault.kind() != ErrorKind::WouldBlock,
        }
    }

    fn take_head(&mut self, head: Head, way: &Way) -> bool {
        if head.session_id.is_some() {
            self.session = head.session_id;
        }
        self.body.status = head.status;
        let opened = self.stage == Stage::ExpectAnswer(way.requests.len() - 1)
            && way.protocol.streams()
            && head.status == 200
            && head.event_stream;
        if opened {
            self.stage = Stage::Streaming;
            self.token = None;
        }
        opened
    }

    fn take_end(&mut self, way: &Way) -> Outcome<bool> {
        let Stage::ExpectAnswer(step) = self.stage else {
            return Err("the server ended a stream".into());
        };
        let last = step + 1 == way.requests.len();
        if !(200..300).contains(&self.body.status) || (last && way.protocol.streams()) {
            let text = String::from_utf8_lossy(&self.body.kept);
            let status = self.body.status;
            return Err(format!(
                "step {step} of {:?} was answered {status}: {text}",
                way.protocol
            )
            .into());
        }
        self.body.kept.clear();
        if last {
            self.body.kept.shrink_to_fit();
            self.stage = Stage::Idle;
            return Ok(true);
        }
        self.stage = Stage::ExpectAnswer(step + 1);
        self.send(way, step + 1)?;
        Ok(false)
    }

    fn send(&mut self, way: &Way, step: usize) -> Outcome<()> {
        let request = way.requests.get(step);
        let request = request.ok_or("a step that the protocol does not have")?;
        let (before, after) = (&request.before, request.after.as_deref());
        let whole = match (after, self.session.as_deref()) {
            (None, _) => before.clone(),
            (Some(_), None) => return Err("the server opened no session".into()),
            (Some(after), Some(session)) => format!("{before}{session}{after}"),
        };
        let whole = match &self.token {
            Some(token) => shows(&whole, token),
            None => whole,
        };
        // One small request on a connection that has nothing else to send: the kernel takes all of it.
        Ok(self.socket.write_all(whole.as_bytes())?)
    }
}

impl Drop for Client {
    /// Nothing lingers when thousands are dropped at once: no TIME_WAIT for the next repetition.
    fn drop(&mut self) {
        // If not, it lingers.
        let _ = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
    }
}

/// The body of an answer for error messages, or the counter of a stream.
#[derive(Default)]
struct Body {
    status: u16,
    kept: Vec<u8>,
    counter: EventCounter,
}

const KEPT_BYTES_MAX: usize = 512;

struct Split<'a> {
    needle: &'a Finder<'a>,
    body: &'a mut Body,
    streaming: bool,
    events: u64,
    head: Option<Head>,
}

impl Sink for Split<'_> {
    fn head(&mut self, head: Head) {
        self.streaming = head.event_stream;
        self.head = Some(head);
    }

    fn body(&mut self, bytes: &[u8]) {
        if self.streaming {
            self.events += self.body.counter.feed(bytes, self.needle);
            return;
        }
        let room = KEPT_BYTES_MAX - self.body.kept.len();
        self.body
            .kept
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}
