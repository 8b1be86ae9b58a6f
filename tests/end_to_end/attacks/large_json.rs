//! Half a million small maps where nobody asked for them. Once a tool's arguments with them took 337 MB and kept a core
//! from everybody else for 0.45 s, and answers to questions that were not asked twice that.

use crate::server::{App, Server};

use super::attackers::{Told, ask, open_session};
use super::requests::{
    Request, in_session, initialize, many_small_maps, modern, modern_call, post,
};
use super::siege::{Aftermath, ONE_REQUEST_MAX, Siege};

/// What nobody needs is left out, or is more than is looked at.
const RIGHT: [u16; 3] = [200, 400, 413];

#[test]
fn json_that_is_built_for_nobody() {
    let siege = Siege::lay("large_json", App::Board, &[]);
    let outcome = siege.run(send);
    outcome.told.assert_only(&RIGHT);
    outcome.assert_within(ONE_REQUEST_MAX);
    outcome.server.stop().expect("a clean end");
}

/// Requests of a session; `MAPS` stands for them.
const PLACES: [&str; 7] = [
    r#"{"jsonrpc":"2.0","id":1,"method":"ping","x":MAPS}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":MAPS}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"x":MAPS}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"x":MAPS}}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"board://a","x":MAPS}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"none","arguments":{"x":MAPS}}}"#,
    "MAPS",
];

/// Each of them, and some of 2026-07-28, one after the other.
pub(super) fn send(server: &Server) -> Aftermath {
    let initialize = initialize("2025-06-18", "{}", r#""attacker""#);
    let session = open_session(server.address(), 0, initialize);
    let in_session = session.as_deref().map(in_session).unwrap_or_default();
    let maps = many_small_maps();
    let of_session = |place: &&str| post(&in_session, &place.replace("MAPS", &maps));
    let modern = [
        modern("tools/list", &format!(r#""x":{maps},"#), "{}"),
        modern("tools/list", "", &format!(r#"{{}},"x":{maps}"#)),
        modern_call("none", &format!(r#""arguments":{{"x":{maps}}},"#)),
        modern_call("none", &format!(r#""inputResponses":{{"x":{maps}}},"#)),
    ];
    let requests: Vec<Request> = PLACES.iter().map(of_session).chain(modern).collect();
    let mut told = Told::default();
    for (number, request) in requests.into_iter().enumerate() {
        told.add(ask(server.address(), number, request).as_ref());
    }
    Aftermath {
        sessions: session.into_iter().collect(),
        told,
        ..Aftermath::default()
    }
}
