//! Half a million small maps in a member that nobody asked for. Once one such request took 255 MB, and kept a core from
//! everybody else for 0.43 s.

use crate::server::{App, Server};

use super::attackers::{Told, ask, open_session};
use super::requests::{Request, in_session, initialize, many_small_maps, modern, post};
use super::siege::{Aftermath, ONE_REQUEST_MAX, Siege};

/// What nobody needs is left out, or is more than is looked at.
const RIGHT: [u16; 3] = [200, 400, 413];

/// Where the maps are, in a session's request and in one of 2026-07-28.
#[test]
fn json_that_is_built_for_nobody() {
    let siege = Siege::lay("large_json", App::Board, &[]);
    let outcome = siege.run(|server| send(server, PLACES.len()));
    outcome.told.assert_only(&RIGHT);
    outcome.assert_within(ONE_REQUEST_MAX);
    outcome.server.stop().expect("a clean end");
}

/// `MAPS` stands for them.
const PLACES: [&str; 6] = [
    r#"{"jsonrpc":"2.0","id":1,"method":"ping","x":MAPS}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":MAPS}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"x":MAPS}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"x":MAPS}}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"board://honest","x":MAPS}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"post","arguments":{"uri":"board://a","text":"a","x":MAPS}}}"#,
];

pub(super) fn send(server: &Server, places: usize) -> Aftermath {
    let initialize = initialize("2025-06-18", "{}", r#""attacker""#);
    let session = open_session(server.address(), 0, initialize);
    let maps = many_small_maps();
    let in_session = session.as_deref().map(in_session).unwrap_or_default();
    let legacy = PLACES
        .iter()
        .map(|place| post(&in_session, &place.replace("MAPS", &maps)));
    let modern = modern("tools/list", &format!(r#""x":{maps},"#), "{}");
    let requests: Vec<Request> = legacy.take(places).chain([modern]).collect();
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
