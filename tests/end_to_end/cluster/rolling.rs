//! A rolling deploy: three nodes behind the proxy go on in new processes, one after the other, twice, while an official client has a
//! session and a subscription. None of these clients begins again when its session is gone.

use std::collections::BTreeSet;
use std::process::Command;

use super::fleet::{Fleet, PLAIN, Plan, however_clients_are_routed};
use super::node::Node;
use crate::clients::read_tap;
use crate::handover::ask;
use crate::processes::signal;
use crate::program::run as run_to_its_end;
use crate::server::{App, binary};
use crate::tools;
use crate::waits::{wait_for, wait_until};

/// The script, its revision, and which SDK.
pub(super) type Deployed = (&'static str, &'static [&'static str]);

however_clients_are_routed! { mod by_name "node" {
    a_client_of_typescript_v1_that_notices => ("handover.mjs", &["2025-11-25", "v1"]);
    a_client_of_typescript_v2_that_notices => ("handover.mjs", &["2025-11-25", "v2"]);
    a_modern_client_of_typescript_v2_that_notices => ("handover.mjs", &["2026-07-28", "v2"]);
    a_client_of_python_that_notices => ("handover.py", &["2025-11-25"]);
    a_modern_client_of_python_that_notices => ("handover.py", &["2026-07-28"]);
} }

however_clients_are_routed! { mod in_turns "none" {
    a_client_of_typescript_v1_that_notices => ("handover.mjs", &["2025-11-25", "v1"]);
    a_modern_client_of_typescript_v2_that_notices => ("handover.mjs", &["2026-07-28", "v2"]);
    a_client_of_python_that_notices => ("handover.py", &["2025-11-25"]);
} }

however_clients_are_routed! { mod plainly PLAIN {
    a_client_of_typescript_v2_that_notices => ("handover.mjs", &["2025-11-25", "v2"]);
    a_modern_client_of_python_that_notices => ("handover.py", &["2026-07-28"]);
} }

fn run(deployed: Deployed, affinity: &'static str, test: &'static str) {
    let fleet = Plan::routed(test, App::Board, affinity).start();
    let began = serving(&fleet);
    let mut command = script(&fleet, deployed, affinity);
    let mut tally = read_tap(&run_to_its_end(
        &mut command,
        &fleet.scratch.join("client.log"),
    ));
    if !tally.all_passed() {
        fleet.nodes.iter().for_each(|it| tally.fail(it.log()));
    }
    assert!(began.is_disjoint(&serving(&fleet)), "all are new ones");
    end(&fleet);
    for node in &fleet.nodes {
        let log = node.log();
        assert!(!log.contains("panicked at"), "{log}");
    }
    tally.conclude(test);
}

/// The client, which comes by way of the proxy.
pub(super) fn script(fleet: &Fleet, (name, arguments): Deployed, affinity: &str) -> Command {
    let admins: Vec<String> = fleet.nodes.iter().map(Node::admin).collect();
    let certificate = fleet.traefik.certificate();
    let mut command = tools::script(name);
    command
        .args([fleet.traefik.mcp(), admins.join(",")])
        .args(arguments);
    command.env("PINFOLD", binary());
    if affinity != PLAIN {
        command
            .env("NODE_EXTRA_CA_CERTS", &certificate)
            .env("SSL_CERT_FILE", &certificate);
    }
    command
}

/// The processes that serve by now, one of each node.
fn serving(fleet: &Fleet) -> BTreeSet<u32> {
    let pids = fleet.nodes.iter().map(|node| {
        wait_for("a node answers", || {
            let node = ask(&format!("{}/node", node.admin()))?;
            u32::try_from(node["pid"].as_u64()?).ok()
        })
    });
    pids.collect()
}

/// No process is left over, but those that serve; and these end as they are told to.
fn end(fleet: &Fleet) {
    for node in &fleet.nodes {
        wait_until("each node has one process", || node.processes().len() == 1);
    }
    for pid in serving(fleet) {
        assert!(signal("TERM", pid), "{pid} is gone");
    }
    wait_until("all processes end", || {
        fleet.nodes.iter().all(|it| it.processes().is_empty())
    });
}
