//! A rolling deploy: three nodes behind the proxy go on in new processes, one after the other, twice, while an official client has a
//! session and a subscription. None of these clients begins again when its session is gone.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use super::fleet::{Fleet, PLAIN, Plan, however_clients_are_routed};
use super::node::Node;
use super::{wait_for, wait_until};
use crate::clients::read_tap;
use crate::handover::ask;
use crate::program::run as run_to_its_end;
use crate::server::{App, binary};
use crate::tools;

/// The script, its revision, and which SDK.
type Deployed = (&'static str, &'static [&'static str]);

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

fn run((script, arguments): Deployed, affinity: &'static str, test: &'static str) {
    let fleet = Plan::routed(test, App::Board, affinity).start();
    let processes = Successors::of(&fleet);
    let began = processes.serving();
    let admins: Vec<String> = fleet.nodes.iter().map(Node::admin).collect();
    let certificate = fleet.traefik.certificate();
    let mut command = tools::script(script);
    command
        .args([fleet.traefik.mcp(), admins.join(",")])
        .args(arguments);
    command.env("PINFOLD", binary());
    if affinity != PLAIN {
        command
            .env("NODE_EXTRA_CA_CERTS", &certificate)
            .env("SSL_CERT_FILE", &certificate);
    }
    let mut tally = read_tap(&run_to_its_end(
        &mut command,
        &fleet.scratch.join("client.log"),
    ));
    if !tally.all_passed() {
        fleet.nodes.iter().for_each(|it| tally.fail(it.log()));
    }
    assert!(began.is_disjoint(&processes.serving()), "all are new ones");
    processes.end();
    for node in &fleet.nodes {
        let log = node.log();
        assert!(!log.contains("panicked at"), "{log}");
    }
    tally.conclude(test);
}

/// The processes that serve by now. A fleet knows the first ones alone.
struct Successors {
    /// Of each node: where it listens, and its admin listener.
    nodes: Vec<(String, String)>,
}

impl Successors {
    fn of(fleet: &Fleet) -> Successors {
        let nodes = fleet.nodes.iter();
        let nodes = nodes.map(|it| (it.address().to_string(), it.admin()));
        Successors {
            nodes: nodes.collect(),
        }
    }

    /// One of each node.
    fn serving(&self) -> BTreeSet<u32> {
        let pids = self.nodes.iter().map(|(_, admin)| {
            wait_for("a node answers", || {
                let node = ask(&format!("{admin}/node"))?;
                u32::try_from(node["pid"].as_u64()?).ok()
            })
        });
        pids.collect()
    }

    /// All that were started for one of the nodes and have not ended.
    fn all(&self) -> BTreeSet<u32> {
        let all = fs::read_dir("/proc").expect("there is /proc");
        let pids = all.filter_map(|it| it.ok()?.file_name().to_str()?.parse::<u32>().ok());
        let is_of_a_node = |pid: &u32| {
            // Empty of one that has ended and was not waited for.
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let mut words = line.split(|&byte| byte == 0);
            words.any(|word| self.nodes.iter().any(|(it, _)| it.as_bytes() == word))
        };
        pids.filter(is_of_a_node).collect()
    }

    /// No process is left over, but those that serve; and these end as they are told to.
    fn end(self) {
        wait_until("each node has one process", || {
            self.all().len() == self.nodes.len()
        });
        for pid in self.serving() {
            signal("-TERM", pid);
        }
        wait_until("all processes end", || self.all().is_empty());
    }
}

impl Drop for Successors {
    fn drop(&mut self) {
        for pid in self.all() {
            signal("-KILL", pid);
        }
    }
}

/// It may have ended.
fn signal(name: &str, pid: u32) {
    let _ = Command::new("kill").args([name, &pid.to_string()]).status();
}
