//! A node that takes its leave without ending: `POST /drain`, with streams of both eras open.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::crowd::{Habit, connect, exchange, listen_request, open_session, post, read_head};
use crate::program::scratch_folder;
use crate::server::{App, Placement, Server};
use crate::waits::agent;

const STREAMS: usize = 40;
const DEADLINE: Duration = Duration::from_secs(120);

#[test]
fn a_deploy_that_cuts_everybody_off_at_once() {
    let scratch = scratch_folder("drain");
    let options = ["--drain-notice", "300ms", "--drain-window", "10s"];
    let server = Server::start_with(&options, App::Board, Placement::AtRandom, &scratch);
    let address = server.address();
    let streams: Vec<TcpStream> = (0..STREAMS).map(|index| open(address, index)).collect();

    let url = format!("{}/drain", server.admin());
    let answer = agent().post(&url).send_empty().expect("an answer");
    assert_eq!(answer.status(), 202);
    assert_eq!(
        status(address, "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        503
    );
    let ready = agent().get(&format!("{}/readyz", server.admin())).call();
    assert!(
        matches!(ready, Err(ureq::Error::StatusCode(503))),
        "{ready:?}"
    );

    let ends = ends(streams);
    let together = ends.windows(STREAMS / 4);
    let spread = together.map(|ends| ends[ends.len() - 1] - ends[0]);
    let least = spread.min().expect("more streams than a quarter of them");
    assert!(
        least > 0,
        "a quarter of the streams ended in one moment: {ends:?}"
    );

    assert_eq!(status(address, &initialize()), 503);
    assert_eq!(
        status(address, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        200
    );
    let started = Instant::now();
    for word in [
        "streams_left",
        "requests_in_flight",
        "seconds_to_go",
        "drained",
    ] {
        while !server.log().contains(word) {
            let log = server.log();
            assert!(started.elapsed() < DEADLINE, "no {word} in the log:\n{log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    server.stop().expect("it ends when it is told to");
}

fn open(address: SocketAddr, index: usize) -> TcpStream {
    use std::io::Write;
    let request = match index % 2 {
        0 => listen_request(),
        _ => format!(
            "GET /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nMcp-Session-Id: {}\r\n\r\n",
            open_session(address)
        ),
    };
    let mut socket = connect(address, Habit::Reads);
    socket
        .write_all(request.as_bytes())
        .expect("a request can be sent");
    assert!(read_head(&mut socket).starts_with("HTTP/1.1 200"));
    socket
        .set_nonblocking(true)
        .expect("a socket can be non-blocking");
    socket
}

/// When each stream ended, milliseconds from now, in order.
fn ends(mut streams: Vec<TcpStream>) -> Vec<u64> {
    let started = Instant::now();
    let mut ends = Vec::new();
    let mut buffer = [0; 4096];
    while !streams.is_empty() {
        assert!(
            started.elapsed() < DEADLINE,
            "{} streams go on",
            streams.len()
        );
        streams.retain_mut(|stream| {
            loop {
                match stream.read(&mut buffer) {
                    Ok(0) => return false,
                    Ok(_) => {}
                    Err(fault) if fault.kind() == std::io::ErrorKind::WouldBlock => return true,
                    Err(_) => return false,
                }
            }
        });
        let now = started.elapsed().as_millis() as u64;
        ends.resize(STREAMS - streams.len(), now);
        std::thread::sleep(Duration::from_millis(5));
    }
    ends
}

fn initialize() -> String {
    let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "late", "version": "1"},
    }});
    post(&body, "")
}

fn status(address: SocketAddr, request: &str) -> u16 {
    let answer = exchange(address, request);
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    status.expect("a status line")
}
