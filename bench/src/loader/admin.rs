//! The connection that publishes, in the loader's own epoll set so that nothing else has to run.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::http::{Head, ResponseReader, Sink};
use crate::Outcome;

pub(crate) struct Admin {
    pub(super) socket: TcpStream,
    address: SocketAddr,
    reader: ResponseReader,
    answer: Answer,
    publish: Vec<u8>,
    /// What it answered last.
    text: Vec<u8>,
}

#[derive(Default)]
struct Answer {
    status: u16,
    text: Vec<u8>,
}

const ANSWER_WITHIN: Duration = Duration::from_secs(10);

impl Admin {
    /// `publish` is the body of each publication.
    pub(crate) fn connect(address: SocketAddr, publish: &str) -> Outcome<Self> {
        assert!(
            address.ip().is_loopback(),
            "only this machine is ever contacted"
        );
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(ANSWER_WITHIN))?;
        Ok(Admin {
            socket,
            address,
            reader: ResponseReader::default(),
            answer: Answer::default(),
            publish: request(address, "POST /publish", publish.as_bytes()),
            text: Vec::new(),
        })
    }

    /// Asks and waits for the answer. Only before [`non_blocking`](Admin::non_blocking).
    pub(crate) fn ask(&mut self, what: &str, body: &[u8]) -> Outcome<()> {
        self.socket.write_all(&request(self.address, what, body))?;
        let mut scratch = [0; 4096];
        while !self.receive(&mut scratch)? {}
        Ok(())
    }

    /// The same, with what was answered.
    pub(crate) fn read(&mut self, what: &str) -> Outcome<&[u8]> {
        self.ask(what, b"")?;
        Ok(&self.text)
    }

    /// Asks; [`poll`](Admin::poll) reads the answer. Only after [`non_blocking`](Admin::non_blocking).
    pub(crate) fn begin(&mut self, what: &str) -> Outcome<()> {
        Ok(self.socket.write_all(&request(self.address, what, b""))?)
    }

    /// Reads once, after [`begin`](Admin::begin): whether the answer is whole now. None: nothing was there.
    pub(crate) fn poll(&mut self, scratch: &mut [u8]) -> Outcome<Option<bool>> {
        match self.socket.peek(&mut [0]) {
            Err(fault) if fault.kind() == ErrorKind::WouldBlock => Ok(None),
            _ => self.receive(scratch).map(Some),
        }
    }

    /// What was answered last.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    pub(crate) fn non_blocking(&self) -> Outcome<()> {
        Ok(self.socket.set_nonblocking(true)?)
    }

    pub(crate) fn blocking(&self) -> Outcome<()> {
        Ok(self.socket.set_nonblocking(false)?)
    }

    pub(super) fn publish(&mut self) -> Outcome<()> {
        Ok(self.socket.write_all(&self.publish)?)
    }

    /// The request that publishes `body`, for [`send`](Admin::send).
    pub(super) fn publication(&self, body: &str) -> Vec<u8> {
        request(self.address, "POST /publish", body.as_bytes())
    }

    pub(super) fn send(&mut self, request: &[u8]) -> Outcome<()> {
        Ok(self.socket.write_all(request)?)
    }

    /// Reads once. True at the end of an answer, which was a success.
    pub(super) fn receive(&mut self, scratch: &mut [u8]) -> Outcome<bool> {
        let count = match self.socket.read(scratch) {
            Ok(0) => return Err("the admin listener closed the connection".into()),
            Ok(count) => count,
            Err(fault) if fault.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(fault) => return Err(fault.into()),
        };
        let (used, end) = self.reader.feed(&scratch[..count], &mut self.answer)?;
        if used < count {
            return Err("the admin listener answered more than it was asked".into());
        }
        if !end {
            return Ok(false);
        }
        let answer = std::mem::take(&mut self.answer);
        self.text = answer.text;
        match answer.status {
            200..300 => Ok(true),
            status => {
                let text = String::from_utf8_lossy(&self.text);
                Err(format!("the admin listener answered {status}: {text}").into())
            }
        }
    }
}

fn request(address: SocketAddr, what: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "{what} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

impl Sink for Answer {
    fn head(&mut self, head: Head) {
        self.status = head.status;
    }

    fn body(&mut self, bytes: &[u8]) {
        self.text.extend_from_slice(bytes);
    }
}
