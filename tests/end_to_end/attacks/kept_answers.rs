//! Answers that nobody waits for and that are kept for a resume: batches that read a large resource many times, by
//! clients that hang up at once. Once 1 GB for a minute, for 75 kB that were sent.

use serde_json::{Value, json};

use crate::publish::http::Exchange;
use crate::server::{App, Server};

use super::attackers::{Attacker, Habit, Told, drive_to_sent, open_session};
use super::requests::{in_session, initialize, post};
use super::siege::{Aftermath, Siege};

/// As many as a session keeps.
const BATCHES: usize = 64;
const READS: usize = 16;
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
    let session = open_session(server.address(), 0, initialize);
    let read = |id: usize| json!({"jsonrpc": "2.0", "id": id, "method": "resources/read", "params": {"uri": URI}});
    let batch: Value = (0..READS).map(read).collect();
    let request = post(&in_session(&session), &batch.to_string());
    for number in 0..BATCHES {
        let attacker = Attacker::new(server.address(), number, Habit::Stalls, request.clone());
        let mut attackers = [attacker];
        drive_to_sent(&mut attackers);
        // Closed here, with all of the answer still to come.
    }
    Aftermath {
        sessions: vec![session],
        told: Told::default(),
        ..Aftermath::default()
    }
}

pub(super) fn publish_large(server: &Server) {
    let mut admin = Exchange::open(&server.admin());
    let item = json!([{"uri": URI, "contents": "x".repeat(CONTENTS_BYTES)}]);
    admin.post("/publish", "", &item.to_string());
    let (status, body) = admin.response();
    assert!(
        status == 200 && body.contains("\"accepted\":true"),
        "{status} {body}"
    );
}
