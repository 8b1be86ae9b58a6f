//! What is open while a node changes its process: streams of both eras, connections that wait, readers that do not read.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};

use serde_json::{Value, json};

use super::failures::{Call, waits_for_a_call};
use super::{Said, Upgraded, ask};
use crate::crowd::{Habit, Listener, TOPICS, connect, exchange, open_session, post, uri};
use crate::program::begin;
use crate::server::{App, binary};
use crate::waits::{PATIENCE, wait_for};

/// So many that a reader who does not read has unread bytes in both kernels' buffers, and in the node.
const UNREAD: usize = 40;

/// Connections of operators that have not ended yet.
const OPERATORS: usize = 2;

/// Far more than those are.
const LEAVE: usize = 20;

#[test]
fn a_stream_that_ends_or_misses_something_when_the_process_is_another_one() {
    let node = Upgraded::start("streams", App::Board, &["--write-stall", "1h"]);
    let address = node.address();
    let (session, slow_session) = (open_session(address), open_session(address));
    let mut readers = [
        Listener::open(address, Some(session.clone()), Habit::Reads),
        Listener::open(address, None, Habit::Reads),
    ];
    let mut slow = [
        Listener::open(address, Some(slow_session), Habit::Stalls),
        Listener::open(address, None, Habit::Stalls),
    ];
    let mut idle = connect(address, Habit::Reads);
    assert!(is_answered(&mut idle));
    let topics: Vec<String> = (0..TOPICS).map(uri).collect();
    let open_files = node.open_files();
    for round in 0..3 {
        (0..UNREAD).for_each(|_| node.publish(&topics));
        node.upgrade();
        assert!(is_answered(&mut idle), "round {round}");
        readers.iter_mut().for_each(hears_all);
        node.publish(&topics);
        readers.iter_mut().for_each(hears_all);
    }
    // What one process has opened for a hand-over the next one does not keep.
    wait_for("it has no more open files than in the beginning", || {
        (node.open_files() <= open_files + OPERATORS).then_some(())
    });
    slow.iter_mut().for_each(hears_all);
    // By then nothing is left of what was told before.
    for listener in &mut slow {
        wait_for("a slow reader has read all", || {
            (!listener.read()).then_some(())
        });
        listener.heard.clear();
    }
    node.publish(&topics);
    slow.iter_mut().for_each(hears_all);
    let answer = calls(address, &session);
    assert!(
        answer.contains("\"result\"") && !answer.contains("isError\":true"),
        "{answer}"
    );
    node.ends();
}

#[test]
fn a_reader_that_comes_back_to_another_process_and_misses_what_it_was_not_told() {
    let node = Upgraded::start("resume", App::Board, &[]);
    let address = node.address();
    let session = open_session(address);
    let mut listener = Listener::open(address, Some(session.clone()), Habit::Reads);
    node.publish(&[uri(0)]);
    wait_for("it is told", || {
        listener.read();
        listener.heard.contains_key(&uri(0)).then_some(())
    });
    let last_id = listener.last_id.clone();
    drop(listener);
    node.publish(&[uri(1), uri(2)]);
    node.upgrade();
    node.publish(&[uri(3)]);
    let mut listener = Listener::open_at(address, Some(session), Habit::Reads, &last_id);
    for topic in 1..=3 {
        wait_for("it is told of what it missed", || {
            listener.read();
            listener.heard.contains_key(&uri(topic)).then_some(())
        });
    }
    assert!(!listener.heard.contains_key(&uri(0)), "told twice");
    node.ends();
}

#[test]
fn a_request_of_which_a_part_came_to_another_process() {
    let node = Upgraded::start("pieces", App::Board, &[]);
    let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "in pieces", "version": "1"},
    }});
    let request = post(&body, "");
    let head = request.find("\r\n\r\n").expect("a head") + 4;
    let cuts = [
        0,
        head / 2,
        head,
        head.midpoint(request.len()),
        request.len(),
    ];
    let mut socket = connect(node.address(), Habit::Reads);
    for cut in cuts.windows(2) {
        let piece = &request[cut[0]..cut[1]];
        socket
            .write_all(piece.as_bytes())
            .expect("the kernel takes it");
        if cut[1] < request.len() {
            node.upgrade();
        }
    }
    let mut answer = [0; 12];
    socket.read_exact(&mut answer).expect("an answer");
    assert_eq!(answer, *b"HTTP/1.1 200");
    node.ends();
}

#[test]
fn a_session_whose_end_is_forgotten() {
    let node = Upgraded::start("ended", App::Board, &[]);
    let session = open_session(node.address());
    let fields = format!("Host: localhost\r\nMcp-Session-Id: {session}\r\n");
    exchange(
        node.address(),
        &format!("DELETE /mcp HTTP/1.1\r\n{fields}\r\n"),
    );
    let url = format!("{}/sessions/ended", node.admin());
    // When it ended each process says by its own clock, to the millisecond.
    let ended = || {
        let shown = ask(&url).expect("an answer");
        ["name", "client", "reason", "requests"].map(|it| shown["ended"][0][it].clone())
    };
    let before = ended();
    assert_eq!(before[2], "deleted", "{before:?}");
    node.upgrade();
    assert_eq!(ended(), before);
    node.upgrade();
    assert_eq!(ended(), before);
    node.ends();
}

/// The new process has the sockets of all who are there, and then the old one waits for a call.
#[test]
fn a_connection_that_comes_or_goes_while_both_processes_have_its_socket() {
    let grace = ["--handover-grace", "1h"];
    let node = Upgraded::start("ahead", App::Conformance, &grace);
    let address = node.address();
    let call = Call::begin(address);
    let mut before: [TcpStream; 3] = std::array::from_fn(|_| connect(address, Habit::Reads));
    let mut leave: Vec<_> = (0..LEAVE).map(|_| connect(address, Habit::Reads)).collect();
    assert!(before.iter_mut().chain(&mut leave).all(is_answered));
    let open_files = node.open_files();
    let asking = begin(&mut node.upgrading());
    waits_for_a_call(&node);
    let [mut stays, mut is_closed, mut closes] = before;
    drop(leave);
    let last = b"OPTIONS /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    is_closed.write_all(last).expect("the kernel takes it");
    let mut answer = String::new();
    is_closed.read_to_string(&mut answer).expect("its end");
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    closes.shutdown(Shutdown::Write).expect("a socket");
    assert_eq!(closes.read(&mut [0]).expect("its end"), 0);
    let mut comes = connect(address, Habit::Reads);
    assert!(is_answered(&mut comes) && is_answered(&mut stays));
    call.end(address);
    let done = Said::of(asking.output());
    assert_eq!(done.code, Some(0), "{done:?}\n{}", node.log());
    assert!(is_answered(&mut comes) && is_answered(&mut stays));
    drop((comes, stays));
    wait_for("nothing is left of those who have gone", || {
        (node.open_files() + LEAVE <= open_files + OPERATORS).then_some(())
    });
    node.ends();
}

/// As if it had been accepted a moment before the new process was started.
#[test]
fn a_connection_that_never_ends_since_the_next_process_has_it_without_knowing() {
    let node = Upgraded::start("inherited", App::Board, &[]);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    let binary = binary().display().to_string();
    node.is_now(&format!(
        "exec bash -c 'exec 9<>/dev/tcp/127.0.0.1/{port}; exec {binary} \"$@\"' pinfold \"$@\""
    ));
    node.upgrade();
    let (mut connection, _) = listener.accept().expect("somebody came");
    let patience = connection.set_read_timeout(Some(PATIENCE));
    patience.expect("a socket");
    let read = connection.read(&mut [0]);
    assert_eq!(read.expect("it ends while that process goes on"), 0);
    node.ends();
}

fn hears_all(listener: &mut Listener) {
    wait_for("a reader is told of all topics", || {
        listener.read();
        (listener.heard.len() == TOPICS).then_some(())
    });
    while listener.read() {}
    listener.heard.clear();
}

/// On a connection that waited meanwhile.
fn is_answered(socket: &mut TcpStream) -> bool {
    let request = b"OPTIONS /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n";
    socket.write_all(request).expect("the kernel takes it");
    let (mut answer, mut byte) = (Vec::new(), [0]);
    while !answer.ends_with(b"\r\n\r\n") {
        if socket.read_exact(&mut byte).is_err() {
            return false;
        }
        answer.extend(byte);
    }
    answer.starts_with(b"HTTP/1.1 204 ")
}

fn calls(address: std::net::SocketAddr, session: &str) -> String {
    let arguments = json!({ "uri": "board://called", "text": "by a session that came along" });
    let body: Value = json!({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": "post", "arguments": arguments}});
    exchange(
        address,
        &post(&body, &format!("Mcp-Session-Id: {session}\r\n")),
    )
}
