//! The listener with real sockets; what needs none is tested in `routes` and `http`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use futures_util::future::{LocalBoxFuture, pending, ready};

use super::*;
use crate::acceptor::Listening;
use crate::admin::connection_limit::{CONNECTIONS_MAX, PUBLISHING_MAX};
use crate::admin::{
    AdminTokens, BODY_BYTES_MAX, PublishBackend, PublishItem, PublishOutcome, Revocation,
    RevokeOutcome, Target,
};
use crate::app::call::{Availability, Topic};
use std::cell::Cell;

/// Far longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Default)]
struct Counting {
    offset: Cell<u64>,
    is_shaky: bool,
    /// Looks at a shaky node, which is saturated, then not, then saturated, …
    looks: Cell<u64>,
}

impl OperatorBackend for Counting {}

impl PublishBackend for Counting {
    fn availability(&self) -> Availability {
        Availability::Ready
    }

    fn metrics(&self) -> String {
        "pinfold_sessions 0\n".to_owned()
    }

    fn revoke(&self, _: Revocation) -> LocalBoxFuture<'_, Option<RevokeOutcome>> {
        unreachable!("nobody takes tokens back here")
    }

    fn drain(&self) {}

    fn is_saturated(&self) -> bool {
        self.looks.set(self.looks.get() + 1);
        self.is_shaky && !self.looks.get().is_multiple_of(3)
    }

    /// What is for prompts is never answered.
    fn publish(&self, item: PublishItem) -> LocalBoxFuture<'_, PublishOutcome> {
        if item.target == Target::Topic(Topic::Prompts) {
            return Box::pin(pending());
        }
        self.offset.set(self.offset.get() + 1);
        Box::pin(ready(PublishOutcome::Accepted {
            offset: Some(self.offset.get()),
            kept: None,
        }))
    }
}

/// Listeners under epoll and under the machine's best driver, for as long as the test's process lives.
fn listeners() -> [SocketAddr; 2] {
    listeners_of(false)
}

fn listeners_of(is_shaky: bool) -> [SocketAddr; 2] {
    [true, false].map(|epoll| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || serve_on(listener, epoll, is_shaky));
        address
    })
}

fn serve_on(listener: std::net::TcpListener, epoll: bool, is_shaky: bool) {
    let backend = Counting {
        is_shaky,
        ..Counting::default()
    };
    let policy = AdminPolicy::new(listener.local_addr().unwrap(), AdminTokens::default(), 64);
    let serve = async move {
        let acceptor = Acceptor::new(Listening::Own(listener)).unwrap();
        AdminServer::new(acceptor, Rc::new(backend), policy)
            .serve()
            .await;
    };
    if epoll {
        let builder = monoio::RuntimeBuilder::<monoio::LegacyDriver>::new();
        let mut runtime = builder.enable_timer().build().unwrap();
        runtime.block_on(serve);
    } else {
        let builder = monoio::RuntimeBuilder::<monoio::FusionDriver>::new();
        let mut runtime = builder.enable_timer().build().unwrap();
        runtime.block_on(serve);
    }
}

/// Connects; a listener that hangs fails the test.
fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
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

const GET: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Each route answers who comes now, on a connection of its own.
fn serves_everybody(address: SocketAddr) {
    let publish = "POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 17\r\n\r\n{\"topic\":\"tools\"}";
    for (request, status) in [
        ("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
        ("GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
        ("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
        (
            "POST /drain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
            202,
        ),
        (publish, 200),
    ] {
        let mut stream = connect(address);
        stream.write_all(request.as_bytes()).unwrap();
        let (line, _) = response(&mut BufReader::new(stream));
        assert!(
            line.starts_with(&format!("HTTP/1.1 {status}")),
            "{request}: {line}"
        );
    }
}

/// That many connections which begin with these bytes and say nothing more.
fn crowd(address: SocketAddr, count: usize, bytes: &[u8]) -> Vec<TcpStream> {
    let open = |_| {
        let mut stream = connect(address);
        stream.write_all(bytes).unwrap();
        stream
    };
    (0..count).map(open).collect()
}

/// The listener ended this connection, after whatever it answered.
fn is_ended(mut stream: &TcpStream) -> bool {
    let read = stream.read_to_end(&mut Vec::new());
    !matches!(read, Err(fault) if fault.kind() == std::io::ErrorKind::WouldBlock)
}

#[test]
fn connections_without_a_complete_request_that_keep_others_out() {
    let half_a_body = b"POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{";
    for address in listeners() {
        for (count, bytes) in [
            (64, &b""[..]),
            (200, b""),
            (1000, b""),
            (200, b"GET /healthz HT"),
            (200, half_a_body),
            (200, GET),
        ] {
            let crowd = crowd(address, count, bytes);
            serves_everybody(address);
            if count > CONNECTIONS_MAX {
                // Whoever came first was cut, and not merely left without an answer.
                assert!(is_ended(&crowd[0]));
            }
        }
    }
}

#[test]
fn answers_that_nobody_reads_and_that_keep_others_out() {
    for address in listeners() {
        let many = GET.repeat(500_000);
        let mut deaf = connect(address);
        socket2::SockRef::from(&deaf)
            .set_recv_buffer_size(4096)
            .unwrap();
        // Until the listener reads no further, because it cannot write.
        let no_progress = Some(Duration::from_secs(1));
        deaf.set_write_timeout(no_progress).unwrap();
        assert!(deaf.write_all(&many).is_err());
        let _crowd = crowd(address, CONNECTIONS_MAX, b"");
        serves_everybody(address);
        assert!(is_ended(&deaf));
    }
}

const LINES: &str = "POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A publisher of lines; a line and its answer.
struct Slow(BufReader<TcpStream>);

impl Slow {
    fn open(address: SocketAddr) -> Self {
        let mut stream = connect(address);
        stream.write_all(LINES.as_bytes()).unwrap();
        let mut reader = BufReader::new(stream);
        // The head of the answers: the listener knows that it publishes.
        assert_eq!(response(&mut reader).0, "HTTP/1.1 200 OK");
        Slow(reader)
    }

    fn publish(&mut self) {
        let line = "{\"topic\":\"tools\"}\n";
        let chunk = format!("{:x}\r\n{line}\r\n", line.len());
        self.0.get_mut().write_all(chunk.as_bytes()).unwrap();
        let mut answer = String::new();
        while !answer.contains("\"accepted\":true") {
            answer.clear();
            assert_ne!(self.0.read_line(&mut answer).unwrap(), 0, "it was cut");
        }
    }
}

#[test]
fn a_slow_publisher_among_a_thousand_who_say_nothing() {
    for address in listeners() {
        let mut slow = Slow::open(address);
        slow.publish();
        let _crowd = crowd(address, 1000, b"");
        slow.publish();
        serves_everybody(address);
        slow.publish();
    }
}

#[test]
fn publishers_of_no_lines_that_keep_others_out() {
    for address in listeners() {
        let mut slow = Slow::open(address);
        slow.publish();
        let mut silent: Vec<_> = (1..PUBLISHING_MAX).map(|_| Slow::open(address)).collect();
        slow.publish();
        serves_everybody(address);
        slow.publish();
        let _more: Vec<_> = (0..200).map(|_| Slow::open(address)).collect();
        serves_everybody(address);
        let mut told = String::new();
        let _ = silent[0].0.read_to_string(&mut told);
        assert!(told.contains("{\"error\":\"Too many publish"), "{told}");
    }
}

/// What they sent is on its way; who cannot be served now is told so, and the node's health is not hidden.
#[test]
fn publishers_whose_items_are_under_way() {
    let stuck = b"POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 19\r\n\r\n{\"topic\":\"prompts\"}";
    for address in listeners() {
        let crowd = crowd(address, PUBLISHING_MAX + 1, stuck);
        crowd
            .iter()
            .for_each(|it| it.set_nonblocking(true).unwrap());
        let refused = loop {
            let is_answered = |it: &&TcpStream| it.peek(&mut [0]).is_ok();
            match crowd.iter().find(is_answered) {
                Some(refused) => break refused,
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        refused.set_nonblocking(false).unwrap();
        let (status, _) = response(&mut BufReader::new(refused));
        assert!(status.starts_with("HTTP/1.1 503"), "{status}");
        let mut probe = connect(address);
        probe.write_all(GET).unwrap();
        assert_eq!(response(&mut BufReader::new(probe)).1, "ok\n");
    }
}

#[test]
fn lines_to_a_node_that_is_saturated_now_and_then() {
    listeners_of(true).into_iter().for_each(send_lines);
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
        ("/healthz", "localhost", "405"),
        ("/elsewhere", "localhost", "404"),
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
