//! Clients that send a whole request and then end their sending, as `nc -N` does, against the real program: sockets that
//! are half closed, and sockets that are gone and look the same at first.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::on_every_placement;
use crate::program::scratch_folder;
use crate::server::{App, Placement, Server};

const LIMIT: Duration = Duration::from_secs(60);
const GONE: usize = 30;

/// What is done to a server.
struct Clients(fn(&Server));

on_every_placement! {
    answers_that_wait_for_a_half_closed_client => Clients(answered);
    streams_of_clients_that_are_gone => Clients(gone);
}

impl Clients {
    fn run(&self, placement: Placement, test: &str) {
        let server = Server::start(App::Conformance, placement, &scratch_folder(test));
        (self.0)(&server);
        server.stop().unwrap_or_else(|fault| panic!("{fault}"));
    }
}

/// Of a tool that takes its time, and of what is answered at once.
fn answered(server: &Server) {
    let slow = r#""name":"test_tool_with_progress","arguments":{}"#;
    let session = session(server);
    let named = format!("Mcp-Session-Id: {session}\r\n");
    let legacy = |id, method, params| {
        post(
            &named,
            &format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{params}}}}}"#),
        )
    };
    let requests = [
        (
            modern("tools/call", slow, "test_tool_with_progress"),
            "Progress test completed",
        ),
        (
            modern("tools/list", r#""cursor":null"#, ""),
            "test_simple_text",
        ),
        (legacy(1, "tools/call", slow), "Progress test completed"),
        (legacy(2, "ping", ""), r#""id":2"#),
        // Two at once, and the end.
        (
            legacy(3, "tools/call", slow) + &legacy(4, "ping", ""),
            r#""id":4"#,
        ),
        (
            format!("DELETE /mcp HTTP/1.1\r\nHost: localhost\r\n{named}\r\n"),
            " 204 ",
        ),
    ];
    for (request, answer) in requests {
        let mut socket = connect(server);
        socket.write_all(request.as_bytes()).expect("it reads");
        socket.shutdown(Shutdown::Write).expect("a half-close");
        let read = read_to_end(&mut socket);
        assert!(read.contains(answer), "{request}: {read}");
    }
}

/// The end of what they send is all that the kernel tells of them, until something is written.
fn gone(server: &Server) {
    let session = session(server);
    let named = format!("Mcp-Session-Id: {session}\r\n");
    let get =
        format!("GET /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{named}\r\n");
    let listen = modern(
        "subscriptions/listen",
        r#""notifications":{"toolsListChanged":true}"#,
        "",
    );
    let before = open_files(server);
    for request in [&get, &listen] {
        let mut sockets: Vec<TcpStream> = (0..GONE).map(|_| connect(server)).collect();
        for socket in &mut sockets {
            socket.write_all(request.as_bytes()).expect("it reads");
            let mut head = [0; 15];
            socket.read_exact(&mut head).expect("a stream");
            assert_eq!(&head, b"HTTP/1.1 200 OK");
        }
        for mut socket in sockets {
            // What waits in it unread would make the kernel send a reset at once.
            socket.set_nonblocking(true).expect("an option");
            let mut rest = [0; 4096];
            while socket.read(&mut rest).is_ok_and(|count| count > 0) {}
        }
        let deadline = Instant::now() + LIMIT;
        while open_files(server) > before {
            assert!(Instant::now() < deadline, "streams that nobody reads");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn open_files(server: &Server) -> usize {
    let folder = PathBuf::from(format!("/proc/{}/fd", server.id()));
    std::fs::read_dir(folder).expect("it runs").count()
}

fn connect(server: &Server) -> TcpStream {
    let address = server.mcp();
    let address = address
        .trim_start_matches("http://")
        .trim_end_matches("/mcp");
    let socket = TcpStream::connect(address).expect("it listens");
    socket.set_read_timeout(Some(LIMIT)).expect("a limit");
    socket
}

fn read_to_end(socket: &mut TcpStream) -> String {
    let mut read = String::new();
    socket.read_to_string(&mut read).expect("a clean end");
    read
}

fn post(fields: &str, body: &str) -> String {
    format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\n{fields}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn modern(method: &str, params: &str, name: &str) -> String {
    let name = match name {
        "" => String::new(),
        name => format!("Mcp-Name: {name}\r\n"),
    };
    let fields = format!("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\n{name}");
    let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
    post(
        &fields,
        &format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params},{meta}}}}}"#),
    )
}

fn session(server: &Server) -> String {
    let params = r#"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}"#;
    let body = format!(r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{params}}}"#);
    let mut socket = connect(server);
    let request = post("Connection: close\r\n", &body);
    socket.write_all(request.as_bytes()).expect("it reads");
    let answer = read_to_end(&mut socket);
    let id = answer
        .lines()
        .find_map(|line| line.strip_prefix("Mcp-Session-Id: "));
    id.unwrap_or_else(|| panic!("no session: {answer}"))
        .to_owned()
}
