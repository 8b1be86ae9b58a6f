//! Answers that nobody waits for and that are kept for a resume: batches that read a large resource, by clients that
//! hang up at once. Once a gigabyte for a minute, for some hundred kilobytes that were sent.

use serde_json::{Value, json};

use crate::publish::http::Exchange;
use crate::server::{App, Server};

use super::attackers::{Attacker, Habit, drive_to_sent, open_session};
use super::requests::{in_session, initialize, post};
use super::siege::{Aftermath, Siege};

/// As many as a session keeps, and one answer of each: the last.
const BATCHES: usize = 64;
const SESSIONS: usize = 16;
const READS: usize = 2;
const URI: &str = "board://large";
/// With its URI just within what an entry may have.
const CONTENTS_BYTES: usize = 1_048_000;

#[test]
fn answers_of_a_gigabyte_kept_for_somebody_who_hung_up() {
    let siege = Siege::lay("kept_answers", App::Board, &[]);
    let outcome = siege.run(hang_up);
    outcome.assert_within_budget();
    outcome.server.stop().expect("a clean end");
}

pub(super) fn hang_up(server: &Server) -> Aftermath {
    publish_large(server);
    let initialize = initialize("2025-03-26", "{}", r#""attacker""#);
    let open = |number| open_session(server.address(), number, initialize.clone());
    let sessions: Vec<String> = (0..SESSIONS).filter_map(open).collect();
    let read = |id: usize| json!({"jsonrpc": "2.0", "id": id, "method": "resources/read", "params": {"uri": URI}});
    let batch: Value = (0..READS).map(read).collect();
    for (number, session) in sessions.iter().enumerate() {
        let request = post(&in_session(session), &batch.to_string());
        for _ in 0..BATCHES {
            let mut attackers = [Attacker::new(
                server.address(),
                number,
                Habit::Stalls,
                request.clone(),
            )];
            drive_to_sent(&mut attackers);
            // Closed here, with most of the answer still to come.
        }
    }
    Aftermath {
        sessions,
        ..Aftermath::default()
    }
}

fn publish_large(server: &Server) {
    let mut admin = Exchange::open(&server.admin());
    let item = json!([{"uri": URI, "contents": "x".repeat(CONTENTS_BYTES)}]);
    admin.post("/publish", "", &item.to_string());
    let (status, body) = admin.response();
    assert!(
        status == 200 && body.contains("\"accepted\":true"),
        "{status} {body}"
    );
}
