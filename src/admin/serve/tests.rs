//! The listener with real sockets; what needs none is tested in `routes` and `http`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use futures_util::future::{LocalBoxFuture, ready};

use super::*;
use crate::admin::{Answer, BODY_BYTES_MAX, Item};
use crate::app::call::Availability;

#[derive(Default)]
struct Counting {
    offset: Cell<u64>,
    /// Looks at a node that is saturated, then not, then saturated, …
    looks: Cell<u64>,
}

impl Desk for Counting {
    fn availability(&self) -> Availability {
        Availability::Ready
    }

    fn drain(&self) {}

    fn is_saturated(&self) -> bool {
        self.looks.set(self.looks.get() + 1);
        // Batches look once.
        self.looks.get() > 3 && !self.looks.get().is_multiple_of(3)
    }

    fn publish(&self, _: Item) -> LocalBoxFuture<'_, Answer> {
        self.offset.set(self.offset.get() + 1);
        Box::pin(ready(Answer::Accepted {
            offset: Some(self.offset.get()),
            kept: None,
        }))
    }
}

/// Listeners under epoll and under the machine's best driver, for as long as the test's process lives.
fn listeners() -> [SocketAddr; 2] {
    [true, false].map(|epoll| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || serve_on(listener, epoll));
        address
    })
}

fn serve_on(listener: std::net::TcpListener, epoll: bool) {
    let rules = Rules::new(listener.local_addr().unwrap(), None, 64);
    let serve = serve_admin(listener, Rc::new(Counting::default()), rules);
    if epoll {
        let builder = monoio::RuntimeBuilder::<monoio::LegacyDriver>::new();
        let mut runtime = builder.enable_timer().build().unwrap();
        runtime.block_on(serve).unwrap();
    } else {
        let builder = monoio::RuntimeBuilder::<monoio::FusionDriver>::new();
        let mut runtime = builder.enable_timer().build().unwrap();
        runtime.block_on(serve).unwrap();
    }
}

/// Connects; a listener that hangs fails the test.
fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream
}

/// Reads one response: its status line and its body.
fn response(reader: &mut impl BufRead) -> (String, String) {
    let mut status = String::new();
    reader.read_line(&mut status).unwrap();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    (status.trim().to_owned(), String::from_utf8(body).unwrap())
}

#[test]
fn requests_in_a_row_on_one_connection() {
    listeners().into_iter().for_each(ask_in_a_row);
}

fn ask_in_a_row(address: SocketAddr) {
    let mut stream = connect(address);
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    for offset in 1..=3 {
        let body = r#"{"topic":"tools"}"#;
        let head = format!(
            "POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        let (status, answers) = response(&mut reader);
        assert_eq!(status, "HTTP/1.1 200 OK");
        assert_eq!(
            answers,
            format!("[{{\"accepted\":true,\"offset\":{offset}}}]\n")
        );
    }
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    assert_eq!(response(&mut reader).1, "ok\n");
    assert_eq!(reader.read(&mut [0]).unwrap(), 0, "closed as asked");
}

#[test]
fn a_body_too_large_still_gets_its_answer() {
    listeners().into_iter().for_each(send_too_much);
}

fn send_too_much(address: SocketAddr) {
    let mut stream = connect(address);
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let bytes = 4 * BODY_BYTES_MAX;
    let head =
        format!("POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: {bytes}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&vec![b'x'; bytes]).unwrap();
    assert!(response(&mut reader).0.starts_with("HTTP/1.1 413"));
}

#[test]
fn one_connection_more_than_there_is_room_for() {
    listeners().into_iter().for_each(fill_the_room);
}

fn fill_the_room(address: SocketAddr) {
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        let mut stream = connect(address);
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .unwrap();
        let mut reader = BufReader::new(stream);
        assert_eq!(response(&mut reader).1, "ok\n");
        open.push(reader);
    }
    let mut surplus = BufReader::new(connect(address));
    assert!(response(&mut surplus).0.starts_with("HTTP/1.1 503"));
    assert_eq!(open.len(), CONNECTIONS_MAX);
}

#[test]
fn lines_to_a_node_that_is_saturated_now_and_then() {
    listeners().into_iter().for_each(send_lines);
}

fn send_lines(address: SocketAddr) {
    const COUNT: usize = 2000;
    let mut stream = connect(address);
    let body = "{\"topic\":\"tools\"}\n".repeat(COUNT);
    let head = format!(
        "POST /publish HTTP/1.0\r\nContent-Type: application/x-ndjson\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let (_, answers) = response.split_once("\r\n\r\n").unwrap();
    assert_eq!(answers.matches("\"accepted\":true").count(), COUNT);
}

#[test]
fn lines_that_are_not_let_in() {
    let address = listeners()[0];
    for (path, host, status) in [
        ("/healthz", "localhost", "404"),
        ("/publish", "evil.example", "403"),
    ] {
        let mut stream = connect(address);
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let refused = response(&mut BufReader::new(stream)).0;
        assert!(
            refused.starts_with(&format!("HTTP/1.1 {status}")),
            "{refused}"
        );
    }
}
