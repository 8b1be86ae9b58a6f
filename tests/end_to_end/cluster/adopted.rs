//! Nodes that are killed, and nodes that drain, while an official client has a session and a subscription there.
//! None of these clients begins again when its session is gone: it goes on, under the same id.
//!
//! What the SDKs do by themselves when the stream of a session breaks: those of TypeScript come back after a second, and after 1.5
//! more if that fails; then they give up. That of Python comes back once in its life, and after a second break no more (a stream
//! that ends in good order does not count): its user then opens the stream. A stream of 2026-07-28 is always its user's to open again.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::fleet::{Fleet, NODES, Plan, however_clients_are_routed};
use super::node::Node;
use super::rolling::{Deployed, script};
use super::wait_for;
use crate::clients::read_tap;
use crate::deploy_check::made_up;
use crate::handover::ask;
use crate::program::run as run_to_its_end;
use crate::server::App;

/// What becomes of nodes, and the client.
type Lost = (&'static str, Deployed);

however_clients_are_routed! { mod killed_by_name "node" {
    a_client_of_typescript_v1_that_begins_again => ("kill", ("handover.mjs", &["2025-11-25", "v1"]));
    a_client_of_typescript_v2_that_begins_again => ("kill", ("handover.mjs", &["2025-11-25", "v2"]));
    a_modern_client_of_typescript_v2_that_hears_no_more => ("kill", ("handover.mjs", &["2026-07-28", "v2"]));
    a_client_of_python_that_begins_again => ("kill", ("handover.py", &["2025-11-25"]));
    a_modern_client_of_python_that_hears_no_more => ("kill", ("handover.py", &["2026-07-28"]));
} }

however_clients_are_routed! { mod killed_in_turns "none" {
    a_client_of_typescript_v2_that_begins_again => ("kill", ("handover.mjs", &["2025-11-25", "v2"]));
    a_client_of_python_that_begins_again => ("kill", ("handover.py", &["2025-11-25"]));
} }

however_clients_are_routed! { mod drained_by_name "node" {
    a_client_of_typescript_v1_that_begins_again => ("drain", ("handover.mjs", &["2025-11-25", "v1"]));
    a_client_of_typescript_v2_that_begins_again => ("drain", ("handover.mjs", &["2025-11-25", "v2"]));
    a_modern_client_of_typescript_v2_that_hears_no_more => ("drain", ("handover.mjs", &["2026-07-28", "v2"]));
    a_client_of_python_that_begins_again => ("drain", ("handover.py", &["2025-11-25"]));
    a_modern_client_of_python_that_hears_no_more => ("drain", ("handover.py", &["2026-07-28"]));
} }

however_clients_are_routed! { mod drained_in_turns "none" {
    a_client_of_typescript_v1_that_begins_again => ("drain", ("handover.mjs", &["2025-11-25", "v1"]));
    a_client_of_python_that_begins_again => ("drain", ("handover.py", &["2025-11-25"]));
} }

fn run((what, deployed): Lost, affinity: &'static str, test: &'static str) {
    let fleet = Plan::routed(test, App::Board, affinity).start();
    let log = fleet.scratch.join("client.log");
    let mut command = script(&fleet, deployed, affinity);
    let operator = Operator::of(fleet);
    command.env("OPERATOR", format!("{}/{what}", operator.url));
    let mut tally = read_tap(&run_to_its_end(&mut command, &log));
    let fleet = operator.ends();
    if !tally.all_passed() {
        fleet.nodes.iter().for_each(|it| tally.fail(it.log()));
    }
    fleet.stop();
    tally.conclude(test);
}

/// Kills and drains nodes when the client's script asks for it: `POST /kill/1`, then `/kill/2`; `/drain/1` to `/drain/3`. Answers
/// whether the client was at that node, and which other one may be told to publish.
struct Operator {
    url: String,
    fleet: Arc<Mutex<Option<Fleet>>>,
}

impl Operator {
    fn of(fleet: Fleet) -> Operator {
        let fleet = Arc::new(Mutex::new(Some(fleet)));
        let shared = fleet.clone();
        let url = made_up(move |path| {
            let mut fleet = shared.lock().expect("it went well before");
            let fleet = fleet.as_mut().expect("the script still runs");
            let (what, round) = path[1..].split_once('/').expect("what, and how often");
            let round: usize = round.parse().expect("a number");
            match what {
                "kill" => fleet.kill_the_clients_node(round),
                _ => fleet.drain(NODES[round - 1]),
            }
        });
        Operator { url, fleet }
    }

    fn take(&self) -> Option<Fleet> {
        let fleet = self.fleet.lock();
        fleet.unwrap_or_else(PoisonError::into_inner).take()
    }

    fn ends(self) -> Fleet {
        self.take().expect("nobody else takes it")
    }
}

impl Drop for Operator {
    /// The thread that answers outlives the test; the fleet does not.
    fn drop(&mut self) {
        drop(self.take());
    }
}

impl Fleet {
    /// The one that was killed before is there again, under its name.
    fn kill_the_clients_node(&mut self, round: usize) -> Value {
        let killed = self.nodes.iter_mut().filter(|it| !it.runs());
        killed.for_each(Node::start_again);
        let node = wait_for("the client is at one node", || self.clients_node());
        let row = rows(self.node(node)).remove(0);
        let taken_over = row["fence"].as_u64().unwrap_or(0);
        let times = if row["era"] == "legacy" { round - 1 } else { 0 };
        assert_eq!(taken_over, times as u64, "{row}");
        self.node_mut(node).kill();
        self.done_to(node, true)
    }

    /// As an operator does it: the next one when this one is ready again.
    fn drain(&mut self, node: &str) -> Value {
        let was_there = !rows(self.node(node)).is_empty();
        let node = self.node_mut(node);
        node.stop().unwrap_or_else(|fault| panic!("{fault}"));
        node.start_again();
        let name = node.name.clone();
        self.done_to(&name, was_there)
    }

    fn done_to(&self, node: &str, was_there: bool) -> Value {
        let other = self.nodes.iter().find(|it| it.name != node && it.runs());
        let admin = other.expect("two others run").admin();
        json!({"node": node, "wasThere": was_there, "admin": admin})
    }

    /// None while it is at none, or at several.
    fn clients_node(&self) -> Option<&'static str> {
        let at = |name: &&&str| !rows(self.node(name)).is_empty();
        let mut nodes = NODES.iter().filter(at);
        let node = nodes.next()?;
        nodes.next().is_none().then_some(node)
    }
}

/// What the node has of the client: its session, or its stream of 2026-07-28.
fn rows(node: &Node) -> Vec<Value> {
    let page = ask(&format!("{}/sessions", node.admin())).expect("an answer");
    page["sessions"].as_array().expect("rows").clone()
}
