//! What clients say of themselves: capabilities of half a million members, another text each time, and names of
//! megabytes. Once 340 MB for each request, with neither a connection nor a session.

use crate::server::{App, Server};

use super::attackers::{Told, ask};
use super::requests::{delete, initialize, many_small_maps, modern};
use super::siege::{Aftermath, ONE_REQUEST_MAX, Siege};

const TIMES: usize = 10;
const NAMES: usize = 20;
const NAME_BYTES: usize = 3_600_000;
/// Too much of it is either left out or refused.
const RIGHT: [u16; 3] = [200, 400, 413];

#[test]
fn capabilities_of_megabytes_that_are_remembered() {
    let siege = Siege::lay("profiles/modern", App::Board, &[]);
    let outcome = siege.run(modern_clients);
    outcome.told.assert_only(&RIGHT);
    outcome.assert_within(ONE_REQUEST_MAX);
    outcome.server.stop().expect("a clean end");
}

#[test]
fn capabilities_that_outlive_their_session() {
    let siege = Siege::lay("profiles/initialize", App::Board, &[]);
    let outcome =
        siege.run(|server| sessions(server, TIMES, &many_small_maps(), |_| r#""a""#.to_owned()));
    outcome.told.assert_only(&RIGHT);
    outcome.assert_within(ONE_REQUEST_MAX);
    outcome.server.stop().expect("a clean end");
}

#[test]
fn names_of_megabytes() {
    let siege = Siege::lay("profiles/names", App::Board, &[]);
    let name = "n".repeat(NAME_BYTES);
    let outcome =
        siege.run(|server| sessions(server, NAMES, "0", |number| format!("\"{number}{name}\"")));
    outcome.told.assert_only(&RIGHT);
    outcome.assert_within(ONE_REQUEST_MAX);
    outcome.server.stop().expect("a clean end");
}

/// Each without a session, and gone when it has its answer.
pub(super) fn modern_clients(server: &Server) -> Aftermath {
    let maps = many_small_maps();
    let mut told = Told::default();
    for number in 0..TIMES {
        let capabilities = format!(r#"{{"i":{number},"x":{maps}}}"#);
        let request = modern("tools/list", "", &capabilities);
        told.add(ask(server.address(), number, request).as_ref());
    }
    Aftermath {
        told,
        ..Aftermath::default()
    }
}

/// Opened, and ended by the client at once.
fn sessions(
    server: &Server,
    times: usize,
    capability: &str,
    name: impl Fn(usize) -> String,
) -> Aftermath {
    let mut told = Told::default();
    for number in 0..times {
        let capabilities = format!(r#"{{"i":{number},"x":{capability}}}"#);
        let request = initialize("2025-06-18", &capabilities, &name(number));
        let answer = ask(server.address(), number, request);
        told.add(answer.as_ref());
        if let Some(session) = answer.and_then(|it| it.session) {
            ask(server.address(), number, delete(&session));
        }
    }
    Aftermath {
        told,
        ..Aftermath::default()
    }
}
