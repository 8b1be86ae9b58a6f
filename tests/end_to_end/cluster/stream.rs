//! A stream that listens: a session's GET, or a listen request of 2026-07-28. Non-blocking, so that hundreds are read
//! by one thread.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use pinfold::internals::wire::sse::EventParser;
use serde_json::{Value, json};

use super::wait_until;
use crate::dechunker::Dechunker;

/// Of such a client: its kernel is called twice.
const BETWEEN_PACKETS: Duration = Duration::from_micros(500);

pub(crate) struct Stream {
    socket: TcpStream,
    head: String,
    body: Dechunker,
    parser: EventParser,
    /// Methods of the notifications that came, with the URI if there is one.
    pub(crate) heard: Vec<String>,
    /// The last event id; empty if there was none.
    pub(crate) last_id: String,
    ended: bool,
}

impl Stream {
    pub(crate) fn of_session(address: SocketAddr, session: &str) -> Stream {
        Stream::try_of_session(address, session, &[]).expect("somebody listens")
    }

    /// `None` if nobody takes the connection.
    pub(crate) fn try_of_session(
        address: SocketAddr,
        session: &str,
        fields: &[(&str, &str)],
    ) -> Option<Stream> {
        let fields = lines(fields);
        let request = format!(
            "GET /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\nMcp-Session-Id: {session}\r\n{fields}\r\n"
        );
        Stream::open(address, &request).ok()
    }

    /// Hears of the list of tools and of these resources.
    pub(crate) fn listening(address: SocketAddr, uris: &[&str]) -> Stream {
        Stream::try_listening(address, uris).expect("somebody listens")
    }

    /// `None` if nobody takes the connection.
    pub(crate) fn try_listening(address: SocketAddr, uris: &[&str]) -> Option<Stream> {
        Stream::try_listening_with(address, uris, &[])
    }

    /// The same with more fields.
    pub(crate) fn try_listening_with(
        address: SocketAddr,
        uris: &[&str],
        fields: &[(&str, &str)],
    ) -> Option<Stream> {
        let body = json!({"jsonrpc": "2.0", "id": "fleet", "method": "subscriptions/listen", "params": {
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
            },
            "notifications": {"toolsListChanged": true, "resourceSubscriptions": uris},
        }});
        let body = body.to_string();
        let request = format!(
            "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\n\
             Mcp-Method: subscriptions/listen\r\n{}Content-Length: {}\r\n\r\n{body}",
            lines(fields),
            body.len()
        );
        Stream::open(address, &request).ok()
    }

    /// Head and body are two packets, as some clients send them.
    fn open(address: SocketAddr, request: &str) -> io::Result<Stream> {
        let mut socket = TcpStream::connect(address)?;
        let limit = Some(super::PATIENCE);
        socket
            .set_read_timeout(limit)
            .expect("a time limit can be set");
        socket.set_nodelay(true).expect("an option can be set");
        let body = request.find("\r\n\r\n").expect("a head") + 4;
        let (head, body) = request.as_bytes().split_at(body);
        socket.write_all(head)?;
        std::thread::sleep(BETWEEN_PACKETS);
        socket.write_all(body)?;
        let head = read_head(&mut socket);
        socket
            .set_nonblocking(true)
            .expect("a socket can be non-blocking");
        Ok(Stream {
            socket,
            head,
            body: Dechunker::default(),
            parser: EventParser::new(1 << 20),
            heard: Vec::new(),
            last_id: String::new(),
            ended: false,
        })
    }

    /// The body of an answer that is no stream.
    pub(crate) fn refusal(&mut self) -> String {
        let head = self.head.to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"));
        let length = length.and_then(|it| it.trim().parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        let blocking = self.socket.set_nonblocking(false);
        match blocking.and_then(|()| self.socket.read_exact(&mut body)) {
            Ok(()) => String::from_utf8_lossy(&body).into_owned(),
            Err(_) => String::new(),
        }
    }

    /// 0 if there was no answer.
    pub(crate) fn status(&self) -> u16 {
        let status = self.head.split(' ').nth(1);
        status.and_then(|it| it.parse().ok()).unwrap_or_default()
    }

    pub(crate) fn expect_open(self) -> Stream {
        assert_eq!(self.status(), 200, "{}", self.head);
        self
    }

    /// True once the server, or the proxy, has ended it.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.read();
        self.ended
    }

    pub(crate) fn has_heard(&mut self, what: &str) -> bool {
        self.read();
        self.heard.iter().any(|it| it == what)
    }

    pub(crate) fn wait_to_hear(&mut self, what: &str) {
        wait_until(what, || {
            let has_heard = self.has_heard(what);
            assert!(
                has_heard || !self.ended,
                "the stream ended before {what}; it heard {:?}",
                self.heard
            );
            has_heard
        });
    }

    /// Takes what is there.
    fn read(&mut self) {
        let mut buffer = [0; 16 * 1024];
        while !self.ended {
            match self.socket.read(&mut buffer) {
                Ok(0) => self.ended = true,
                Ok(count) => self.take(&buffer[..count]),
                Err(fault) if fault.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.ended = true,
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        let text = self.body.take(bytes);
        self.ended |= self.body.is_over;
        let mut rest = text.as_slice();
        while !rest.is_empty() {
            let (used, event) = self.parser.parse(rest).expect("events of a sane size");
            rest = &rest[used..];
            let Some(event) = event else {
                continue;
            };
            self.last_id = event.id;
            if event.data.is_empty() {
                continue;
            }
            let message: Value = serde_json::from_str(&event.data).expect("an event is JSON");
            let method = message["method"].as_str().unwrap_or_default();
            let heard = match message["params"]["uri"].as_str() {
                Some(uri) => format!("{method} {uri}"),
                None => method.to_owned(),
            };
            self.heard.push(heard);
        }
    }
}

fn lines(fields: &[(&str, &str)]) -> String {
    let fields = fields.iter();
    fields
        .map(|(name, it)| format!("{name}: {it}\r\n"))
        .collect()
}

/// Byte by byte: what follows the head belongs to someone else.
fn read_head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match socket.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}
