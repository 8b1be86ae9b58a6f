//! Bodies under way that never end, one byte short of the largest there may be. Once 400 of them were 1.6 GB for half a
//! minute, and those that are for nobody here were collected like any other before that was said.

use std::sync::Arc;

use crate::server::{App, Server};

use super::attackers::{Attacker, Habit, Told, drive, drive_to_answers};
use super::requests::{Request, post_head};
use super::siege::{Aftermath, MIB, ONE_REQUEST_MAX, Siege};

const BODY_BYTES: usize = 4 * MIB as usize;
const COUNT: usize = 400;
const FOR_NOBODY_COUNT: usize = 60;
const UNKNOWN_SESSION: &str = "node.AAAAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA";

#[test]
fn bodies_without_an_end() {
    let siege = Siege::lay("bodies/under_way", App::Board, &[]);
    let outcome = siege.run(never_finish);
    let refused = outcome.told.count(503) + outcome.told.count(429);
    // On a machine so slow that half a minute went by, the oldest are told that they took too long.
    outcome.told.assert_only(&[408, 429, 503]);
    assert!(
        refused > 0,
        "{COUNT} bodies of {BODY_BYTES} bytes are more than there is room for: {}",
        outcome.told
    );
    outcome.assert_within_budget();
    outcome.server.stop().expect("a clean end");
}

/// Whoever is not let in is told so when the head is there: no body is waited for.
#[test]
fn a_refusal_that_waits_for_the_body() {
    let siege = Siege::lay("bodies/heads", App::Board, &[]);
    let server = &siege.server;
    for (what, head, status) in for_nobody() {
        let request = Request {
            head,
            body: Arc::default(),
        };
        let attacker = Attacker::new(server.address(), 0, Habit::Reads, request);
        let mut attackers = [attacker];
        drive_to_answers(&mut attackers);
        let told = attackers[0].answer().map(|answer| answer.status);
        assert_eq!(told, Some(status), "{what}, without a byte of its body");
    }
    let outcome = siege.run(for_nobody_here);
    outcome.told.assert_only(&[403, 404]);
    assert_eq!(outcome.told.not_yet(), 0, "{}", outcome.told);
    outcome.assert_within(ONE_REQUEST_MAX);
    outcome.server.stop().expect("a clean end");
}

pub(super) fn never_finish(server: &Server) -> Aftermath {
    // Neither ends with a message nor has a mistake that could be told before the end.
    let body = unfinished_body();
    let attackers = (0..COUNT).map(|number| {
        let request = Request {
            head: post_head("", BODY_BYTES),
            body: Arc::clone(&body),
        };
        Attacker::new(server.address(), number, Habit::Reads, request)
    });
    let mut attackers: Vec<Attacker> = attackers.collect();
    drive(&mut attackers);
    Aftermath {
        told: Told::of(&attackers),
        attackers,
        ..Aftermath::default()
    }
}

fn for_nobody_here(server: &Server) -> Aftermath {
    let body = unfinished_body();
    let heads = for_nobody();
    let attackers = (0..FOR_NOBODY_COUNT).map(|number| {
        let request = Request {
            head: heads[number % heads.len()].1.clone(),
            body: Arc::clone(&body),
        };
        Attacker::new(server.address(), number, Habit::Reads, request)
    });
    let mut attackers: Vec<Attacker> = attackers.collect();
    drive_to_answers(&mut attackers);
    Aftermath {
        told: Told::of(&attackers),
        attackers,
        ..Aftermath::default()
    }
}

/// Heads, and what they are to be told.
fn for_nobody() -> [(&'static str, String, u16); 4] {
    let head = post_head("", BODY_BYTES);
    [
        ("a wrong path", head.replace("/mcp", "/other"), 404),
        (
            "a wrong Host",
            head.replace("localhost", "evil.example.com"),
            403,
        ),
        (
            "a wrong Origin",
            post_head("Origin: https://evil.example.com\r\n", BODY_BYTES),
            403,
        ),
        (
            "an unknown session",
            post_head(
                &format!("Mcp-Session-Id: {UNKNOWN_SESSION}\r\n"),
                BODY_BYTES,
            ),
            404,
        ),
    ]
}

/// The start of a message whose only string goes on.
pub(super) fn unfinished_body() -> Arc<[u8]> {
    let start = br#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":""#;
    let mut body = vec![b'x'; BODY_BYTES - 1];
    body[..start.len()].copy_from_slice(start);
    body.into()
}
