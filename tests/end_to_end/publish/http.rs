//! HTTP by hand, to send what no library would.

#![expect(clippy::unwrap_used, reason = "a socket that fails fails the test")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

pub(crate) const LINES: &str = "Content-Type: application/x-ndjson\r\n";
pub(crate) const CHUNKED: &str =
    "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n";

/// No answer takes a tenth of this, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Exchange {
    pub(crate) stream: TcpStream,
    reader: BufReader<TcpStream>,
}

pub(crate) struct Response {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl Exchange {
    /// Connects to the server of a URL.
    pub(crate) fn open(url: &str) -> Self {
        let authority = url.split('/').nth(2).expect("a URL with an authority");
        Exchange::over(TcpStream::connect(authority).expect("the server listens"))
    }

    /// On a connection that is there.
    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let reader = BufReader::new(stream.try_clone().unwrap());
        Exchange { stream, reader }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// One request with a body of known length.
    pub(crate) fn post(&mut self, path: &str, headers: &str, body: &str) {
        let length = body.len();
        self.send(format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        ));
    }

    pub(crate) fn head(&mut self) -> Response {
        let status = self.line();
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(": ").expect("a header field");
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        Response {
            status: status.expect("a status line"),
            headers,
        }
    }

    /// A line without its end; nothing at the end of the connection.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// One chunk's bytes; none for the last.
    pub(crate) fn chunk(&mut self) -> Vec<u8> {
        let size = self.line();
        let size = usize::from_str_radix(&size, 16).expect("a chunk's size");
        let mut bytes = vec![0; size];
        self.reader.read_exact(&mut bytes).unwrap();
        assert_eq!(self.line(), "", "a chunk's end");
        bytes
    }

    /// The body of a response, however it is framed.
    pub(crate) fn body(&mut self, response: &Response) -> String {
        let mut body = Vec::new();
        if response.header("transfer-encoding") == Some("chunked") {
            loop {
                let chunk = self.chunk();
                if chunk.is_empty() {
                    break;
                }
                body.extend(chunk);
            }
        } else if let Some(length) = response.header("content-length") {
            body.resize(length.parse().unwrap(), 0);
            self.reader.read_exact(&mut body).unwrap();
        } else {
            self.reader.read_to_end(&mut body).unwrap();
        }
        String::from_utf8(body).unwrap()
    }

    /// Status and body of the next response.
    pub(crate) fn response(&mut self) -> (u16, String) {
        let head = self.head();
        let body = self.body(&head);
        (head.status, body)
    }

    /// A stream of events up to the first line with this text.
    pub(crate) fn event(&mut self, text: &str) -> String {
        loop {
            let mut line = String::new();
            let count = self.reader.read_line(&mut line).unwrap();
            assert!(count > 0, "the stream ended before {text}");
            if line.contains(text) {
                return line.trim_end().to_owned();
            }
        }
    }
}

/// A JSON value per line.
pub(crate) fn values(lines: &str) -> Vec<Value> {
    let value = |line| serde_json::from_str(line).expect("an answer is JSON");
    lines.lines().map(value).collect()
}

pub(crate) fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}
