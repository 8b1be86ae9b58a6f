//! Answers of megabytes that are asked for and not read. Once 576 MB for 150 of them.

use std::io::{Read, Write};
use std::time::Duration;

use serde_json::{Value, json};

use crate::crowd::{self, connect, read_head};
use crate::server::{App, Server};

use super::attackers::{Attacker, Habit, Told, ask, drive, open_session};
use super::requests::{Request, call, initialize};
use super::siege::{Aftermath, Siege};

const COUNT: usize = 150;
const URI: &str = "board://four-megabytes";
const TEXT_BYTES: usize = 3_800_000;
/// So that one answer is as large as a body may be.
pub(super) const ENTRY_OPTION: [&str; 2] = ["--board-entry-bytes-max", "4MiB"];
/// How often somebody without haste takes a little, before taking the rest.
const SIPS: usize = 100;

#[test]
fn answers_that_nobody_reads() {
    let siege = Siege::lay("readers/many", App::Board, &ENTRY_OPTION);
    let outcome = siege.run(do_not_read);
    outcome.told.assert_only(&[200, 429, 503]);
    outcome.assert_within_budget();
    outcome.server.stop().expect("a clean end");
}

/// There is room for one slow reader, and nobody else needs it.
#[test]
fn a_slow_reader_who_is_cut_off_without_need() {
    let siege = Siege::lay("readers/one", App::Board, &ENTRY_OPTION);
    let outcome = siege.run(|server| {
        let session = prepare(server, 0).expect("there is room for one");
        let body = sip(server, &read_request(&session));
        let answer: Value = serde_json::from_str(&body).expect("a whole answer");
        let text = answer["result"]["contents"][0]["text"].as_str();
        assert_eq!(text.map(str::len), Some(TEXT_BYTES));
        Aftermath {
            sessions: vec![session],
            ..Aftermath::default()
        }
    });
    outcome.assert_within_budget();
    outcome.server.stop().expect("a clean end");
}

pub(super) fn do_not_read(server: &Server) -> Aftermath {
    // As many calls as a session may have under way are fewer.
    let sessions: Vec<String> = (0..3).filter_map(|it| prepare(server, it)).collect();
    let count = if sessions.is_empty() { 0 } else { COUNT };
    let attackers = (0..count).map(|number| {
        let request = read_request(&sessions[number % sessions.len()]);
        Attacker::new(server.address(), number, Habit::Stalls, request)
    });
    let mut attackers: Vec<Attacker> = attackers.collect();
    drive(&mut attackers);
    Aftermath {
        told: Told::of(&attackers),
        attackers,
        sessions,
    }
}

fn read_request(session: &str) -> Request {
    call(session, "resources/read", &json!({ "uri": URI }))
}

/// A session, and what is to be read in it; unless there is no room.
fn prepare(server: &Server, number: usize) -> Option<String> {
    let initialize = initialize("2025-06-18", "{}", r#""reader""#);
    let session = open_session(server.address(), number, initialize)?;
    let arguments = json!({"uri": URI, "text": "x".repeat(TEXT_BYTES)});
    let params = json!({"name": "post", "arguments": arguments});
    let posting = call(&session, "tools/call", &params);
    let posted = ask(server.address(), number, posting)?;
    (posted.status == 200).then_some(session)
}

fn sip(server: &Server, request: &Request) -> String {
    let mut socket = connect(server.address(), crowd::Habit::Stalls);
    let sent = socket.write_all(request.head.as_bytes());
    sent.and_then(|()| socket.write_all(&request.body))
        .expect("a request can be sent");
    let head = read_head(&mut socket);
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "));
    let length: usize = length.and_then(|it| it.parse().ok()).expect("a length");
    let mut body = vec![0; length];
    let (sips, rest) = body.split_at_mut(SIPS * 4096);
    for sip in sips.chunks_mut(4096) {
        socket.read_exact(sip).expect("the answer goes on");
        std::thread::sleep(Duration::from_millis(5));
    }
    socket.read_exact(rest).expect("the answer goes on");
    String::from_utf8(body).expect("UTF-8")
}
