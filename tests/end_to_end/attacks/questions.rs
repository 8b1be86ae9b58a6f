//! Questions to a user whose client has left: calls that wait, each with an argument of a megabyte. Once 536 MB for two
//! minutes for 128 of them.

use serde_json::json;

use crate::server::{App, Server};

use super::attackers::{Attacker, Habit, Told, drive, open_session};
use super::requests::{call, initialize};
use super::siege::{Aftermath, Siege};

/// As many as a session may have under way, twice.
const SESSIONS: usize = 2;
const CALLS: usize = 64;
const MESSAGE_BYTES: usize = 1_000_000;

#[test]
fn questions_that_nobody_is_there_to_answer() {
    let siege = Siege::lay("questions", App::Conformance, &[]);
    let outcome = siege.run(abandon);
    outcome.told.assert_only(&[200, 413, 429, 503]);
    outcome.assert_within_budget();
    outcome.server.stop().expect("a clean end");
}

pub(super) fn abandon(server: &Server) -> Aftermath {
    let arguments = json!({"message": "m".repeat(MESSAGE_BYTES)});
    let params = json!({"name": "test_elicitation", "arguments": arguments});
    let mut aftermath = Aftermath::default();
    for number in 0..SESSIONS {
        let initialize = initialize("2025-06-18", r#"{"elicitation":{}}"#, r#""attacker""#);
        let Some(session) = open_session(server.address(), number, initialize) else {
            continue;
        };
        let request = call(&session, "tools/call", &params);
        let attackers = (0..CALLS)
            .map(|number| Attacker::new(server.address(), number, Habit::Stalls, request.clone()));
        let mut attackers: Vec<Attacker> = attackers.collect();
        drive(&mut attackers);
        aftermath.told = aftermath.told.and(Told::of(&attackers));
        aftermath.sessions.push(session);
        // Here all of them hang up.
    }
    aftermath
}
