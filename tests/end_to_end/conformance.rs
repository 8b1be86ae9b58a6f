//! The official conformance suites, every revision: two releases of the suite, since they test differently.
//!
//! A scenario passes when it has a success and neither failure, warning nor skipped check. A run passes when all of its
//! scenarios do and there are as many as there should be.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::program::{run, scratch_folder};
use crate::server::Server;
use crate::tally::Tally;
use crate::{App, Placement, on_every_placement, tools};

on_every_placement! {
    suite_0_2_2025_03_26 => all(NEW, "2025-03-26", 1);
    suite_0_2_2025_06_18 => all(NEW, "2025-06-18", 27);
    suite_0_2_2025_11_25 => all(NEW, "2025-11-25", 33);
    suite_0_2_2026_07_28 => all(NEW, "2026-07-28", 40);
    suite_0_1_2025_06_18 => all(OLD, "2025-06-18", 26);
    suite_0_1_2025_11_25 => all(OLD, "2025-11-25", 32);
    requirements_2025_11_25 => requirements("2025-11-25", 33, 30);
    requirements_2026_07_28 => requirements("2026-07-28", 50, 37);
    tasks_extension => by_name(&TASKS);
}

const NEW: &str = "@modelcontextprotocol/conformance/dist/index.js";
const OLD: &str = "@modelcontextprotocol/conformance-0.1/dist/index.js";

const TASKS: [&str; 10] = [
    "tasks-lifecycle",
    "tasks-capability-negotiation",
    "tasks-wire-fields",
    "tasks-request-state-removal",
    "tasks-mrtr-input",
    "tasks-request-headers",
    "tasks-dispatch-and-envelope",
    SKIPPED_BY_THE_SUITE,
    "tasks-required-task-error",
    "tasks-mrtr-composition",
];

/// The suite has the name of this scenario only: its body is to be rewritten, and says so in a skipped check.
const SKIPPED_BY_THE_SUITE: &str = "tasks-status-notifications";

/// Runs of a suite's program against one server, and what they must come to.
struct Suite {
    program: &'static str,
    runs: Vec<Vec<&'static str>>,
    scenarios: usize,
    /// How many of them count for the score, where the suite keeps one.
    scored: Option<usize>,
}

fn all(program: &'static str, revision: &'static str, scenarios: usize) -> Suite {
    let run = vec!["--suite", "all", "--spec-version", revision];
    Suite {
        program,
        runs: vec![run],
        scenarios,
        scored: None,
    }
}

fn requirements(revision: &'static str, scenarios: usize, scored: usize) -> Suite {
    let run = vec!["--requirements", revision];
    Suite {
        program: NEW,
        runs: vec![run],
        scenarios,
        scored: Some(scored),
    }
}

fn by_name(names: &[&'static str]) -> Suite {
    let runs = names.iter().map(|name| vec!["--scenario", *name]).collect();
    Suite {
        program: NEW,
        runs,
        scenarios: names.len(),
        scored: None,
    }
}

impl Suite {
    fn run(&self, placement: Placement, test: &str) {
        let (node, program) = (tools::node(), tools::package(self.program));
        let scratch = scratch_folder(test);
        let results = scratch.join("results");
        let server = Server::start(App::Conformance, placement, &scratch);
        let mut tally = Tally::default();
        let mut output = String::new();
        for (index, arguments) in self.runs.iter().enumerate() {
            let mut command = Command::new(&node);
            command
                .arg(&program)
                .args(["server", "--url", &server.mcp(), "-o"])
                .arg(&results)
                .args(arguments);
            let finished = run(&mut command, &scratch.join(format!("suite-{index}.log")));
            if !finished.status.success() {
                tally.fail(format!(
                    "{arguments:?}: the suite's exit is {}",
                    finished.status
                ));
            }
            output += &finished.output;
        }
        self.judge(&results, &output, &mut tally);
        tally.expect(server.stop());
        tally.conclude(test);
    }

    fn judge(&self, results: &Path, output: &str, tally: &mut Tally) {
        let scenarios = scenarios(results);
        for (name, folder) in &scenarios {
            tally.expect(judge_scenario(name, folder));
        }
        if scenarios.len() != self.scenarios {
            tally.fail(format!(
                "{} scenarios instead of {}:\n{output}",
                scenarios.len(),
                self.scenarios
            ));
        }
        if let Some(scored) = self.scored {
            let told = scenarios.len().checked_sub(unscored(output));
            if told != Some(scored) {
                tally.fail(format!(
                    "{told:?} scored scenarios instead of {scored}:\n{output}"
                ));
            }
        }
    }
}

/// The scenarios of a run: each has left a folder `server-NAME-TIMESTAMP`.
fn scenarios(results: &Path) -> BTreeMap<String, PathBuf> {
    const TIMESTAMP: usize = "-2026-07-28T00-00-00-000Z".len();
    let Ok(entries) = std::fs::read_dir(results) else {
        return BTreeMap::new();
    };
    entries
        .map(|entry| entry.expect("a results folder can be read").path())
        .map(|folder| {
            let label = folder.file_name().expect("it has a name").to_string_lossy();
            let name = label
                .strip_prefix("server-")
                .expect("results of a server's run");
            (name[..name.len() - TIMESTAMP].to_owned(), folder.clone())
        })
        .collect()
}

fn judge_scenario(name: &str, folder: &Path) -> Result<(), String> {
    let Ok(text) = std::fs::read_to_string(folder.join("checks.json")) else {
        return Err(format!("{name}: did not finish"));
    };
    let checks: Vec<Value> =
        serde_json::from_str(&text).map_err(|error| format!("{name}: {error}"))?;
    let has = |wanted: &str| checks.iter().any(|check| check["status"] == wanted);
    let mut problems = String::new();
    for check in &checks {
        let status = check["status"].as_str().unwrap_or("without status");
        let allowed = matches!(status, "SUCCESS" | "INFO")
            || (status == "SKIPPED" && name == SKIPPED_BY_THE_SUITE);
        if !allowed {
            let _ = write!(
                problems,
                "\n  {status} {}: {}",
                check["id"], check["errorMessage"]
            );
        }
    }
    if !has("SUCCESS") && name != SKIPPED_BY_THE_SUITE {
        problems += "\n  no check succeeded";
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(format!("{name}:{problems}"))
    }
}

/// The number in `Not scored for 2026-07-28: 13 scenario(s) run, …`.
fn unscored(output: &str) -> usize {
    output
        .lines()
        .find_map(|line| {
            line.strip_prefix("Not scored for ")?
                .split(": ")
                .nth(1)?
                .split(' ')
                .next()
        })
        .and_then(|count| count.parse().ok())
        .unwrap_or(0)
}
