//! Reads the cluster: which nodes there are, how each is, and its sessions, of which a page is held at a time.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _, stderr};

use serde_json::Value;

use super::cost::{FoundCluster, FoundNode, HandoverSaid, SilentPeer};
use super::tally::SessionTally;
use crate::cli::EXIT_NO_ANSWER;
use crate::cli::publish::{AdminClient, AdminFault};
use crate::cli::sessions::encoded;
use crate::cli::table::plain;

/// As many as a node gives.
const PAGE: u32 = 1_000;
/// Ten million sessions are more than a cluster has: whoever has more pages has no end.
const PAGES_MAX: usize = 10_000;

/// # Errors
/// Why it cannot be found out.
pub(super) fn cluster(admin: &AdminClient) -> Result<FoundCluster, AdminFault> {
    let seen = admin.get("/cluster")?;
    let states = states(&seen);
    let answer = admin.get("/node?cluster")?;
    let Value::Array(nodes) = &answer["nodes"] else {
        let sentence = format!(
            "{}: its version does not know of all nodes (?cluster)",
            admin.base()
        );
        return Err((EXIT_NO_ANSWER, sentence));
    };
    let mut found = FoundCluster {
        asked: text(&answer["node"]),
        is_alone: seen["redis"].is_null(),
        has_redis: seen["redis"]["up"] == true,
        nodes: nodes
            .iter()
            .map(node)
            .map(|it| (it.name.clone(), it))
            .collect(),
        silent: BTreeMap::new(),
    };
    note_silent(&mut found, &answer, &states);
    sessions(admin, &mut found, &states)?;
    Ok(found)
}

/// As the node that is asked sees each: of a name the process that has it now.
fn states(seen: &Value) -> BTreeMap<String, String> {
    let nodes = seen["nodes"].as_array().into_iter().flatten();
    let nodes = nodes.filter(|it| it["state"] != "restarted");
    nodes
        .map(|it| (text(&it["node"]), text(&it["state"])))
        .collect()
}

fn node(answer: &Value) -> FoundNode {
    let totals = &answer["totals"];
    FoundNode {
        name: text(&answer["node"]),
        version: text(&answer["version"]),
        state: text(&answer["state"]),
        handover: handover(&answer["handover"]),
        sessions_max: answer["limits"]["sessionsMax"].as_u64(),
        calls: totals["calls"].as_u64(),
        passed_on: totals["passedOn"].as_u64(),
        tally: SessionTally::default(),
    }
}

fn handover(said: &Value) -> HandoverSaid {
    match (said["possible"].as_bool(), &said["graceMs"]) {
        (Some(true), grace) => HandoverSaid::Tried {
            grace_ms: grace.as_u64(),
        },
        (Some(false), _) => HandoverSaid::Refused(text(&said["why"])),
        (None, _) => HandoverSaid::Unsaid,
    }
}

/// Who did not answer, and has not been noted yet.
fn note_silent(found: &mut FoundCluster, answer: &Value, states: &BTreeMap<String, String>) {
    for silent in answer["unanswered"].as_array().into_iter().flatten() {
        let name = text(&silent["node"]);
        let state = states.get(&name).cloned();
        let peer = SilentPeer {
            is_gone: state.as_deref() == Some("gone"),
            reason: text(&silent["reason"]),
        };
        found.silent.entry(name).or_insert(peer);
    }
}

fn sessions(
    admin: &AdminClient,
    found: &mut FoundCluster,
    states: &BTreeMap<String, String>,
) -> Result<(), AdminFault> {
    let progress = Progress::new();
    let (mut after, mut counted) = (String::new(), 0);
    for _ in 0..PAGES_MAX {
        let path = format!("/sessions?limit={PAGE}&sort=age&order=desc{after}&cluster");
        let page = admin.get(&path)?;
        note_silent(found, &page, states);
        for row in page["sessions"].as_array().into_iter().flatten() {
            counted += 1;
            // Of a node that came meanwhile nothing else is known: a deploy that begins now is not about it.
            let node = row["node"].as_str().and_then(|it| found.nodes.get_mut(it));
            if let Some(node) = node {
                node.tally.add(row);
            }
        }
        progress.show(counted, page["total"].as_u64().unwrap_or(0));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={}", encoded(next)),
            None => return Ok(()),
        }
    }
    let sentence = format!("there is no end to its sessions: {counted} were counted");
    Err((EXIT_NO_ANSWER, sentence))
}

fn text(value: &Value) -> String {
    plain(value.as_str().unwrap_or("?"))
}

/// How far it is, for a person who waits. It leaves nothing behind.
struct Progress {
    is_shown: bool,
}

impl Progress {
    fn new() -> Progress {
        Progress {
            is_shown: stderr().is_terminal(),
        }
    }

    fn show(&self, counted: u64, total: u64) {
        if self.is_shown {
            // Who has closed it does not want to know.
            let _ = write!(stderr(), "\r\x1b[K{counted} of {total} sessions");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}
