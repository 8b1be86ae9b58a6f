//! What a handler and a collector know of the same call: its span.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;

use pinfold::{Node, OtlpOptions, TraceContext};

use crate::client::{Session, TRACE, named, small};

/// The body of the next request, which is answered.
fn posted(listener: &TcpListener) -> Vec<u8> {
    let (mut stream, _) = listener.accept().expect("a connection");
    let mut reader = BufReader::new(stream.try_clone().expect("a descriptor"));
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a line");
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(bytes) = line.strip_prefix("content-length: ") {
            length = bytes.parse().expect("a number");
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    stream.write_all(answer.as_bytes()).expect("it is read");
    body
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|it| it == part)
}

#[test]
fn a_handler_that_goes_on_with_another_span() {
    let collector = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = collector.local_addr().expect("it is bound");
    let options = OtlpOptions::to(&format!("http://{address}")).expect("a URL");
    let node = small(Node::builder(named("traced"))).otlp(options);
    let node = node.start().expect("it starts");
    let said = Session::open(node.address()).said("trace");
    let seen = said.as_str().and_then(TraceContext::parse);
    let seen = seen.expect("the handler has a trace");
    let sent = TraceContext::parse(TRACE).expect("it is one");
    assert_eq!(seen.trace_id(), sent.trace_id());
    assert_ne!(seen.parent_id(), sent.parent_id());
    assert!(seen.is_sampled());
    let body = posted(&collector);
    for part in [
        &seen.trace_id().to_be_bytes()[..],
        &seen.parent_id().to_be_bytes(),
        &sent.parent_id().to_be_bytes(),
    ] {
        assert!(contains(&body, part), "{part:?}");
    }
    node.stop();
    node.join_blocking().expect("it ends");
}
