//! Instructions of the shard for an event and for a request, counted by callgrind: the same on every run, whoever else is on the
//! machine, and another number with another compiler.
//!
//! `bench/tests/instructions.rs` does the work. Each test is run twice, for more and for fewer of the same: the difference of
//! both is that of so many, and what comes before and after is in neither.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser;
use clap::builder::ArgPredicate;
use serde::Serialize;
use serde_json::Value;

use super::{Common, progress};
use crate::Outcome;
use crate::record::Record;
use crate::table::{Table, thousands};
use crate::workspace;

#[derive(Clone, Debug, Parser, Serialize)]
pub(crate) struct CountedOptions {
    /// As many requests more in the second run than in the first, and a tenth as many broadcasts to a thousand streams
    #[arg(
        long,
        default_value_t = 2_000,
        default_value_if("quick", ArgPredicate::IsPresent, "200"),
        value_parser = clap::value_parser!(u64).range(10..)
    )]
    count: u64,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

#[derive(Serialize)]
struct Counted {
    what: &'static str,
    test: &'static str,
    /// In the run with fewer, and in the other.
    instructions: [u64; 2],
    /// Of these there were so many more.
    more: u64,
    each: f64,
}

/// A test, what it does `COUNT` times, and how many of what is counted that is.
struct Subject {
    test: &'static str,
    what: &'static str,
    each_time: u64,
}

const SUBJECTS: [Subject; 5] = [
    Subject {
        test: "broadcasts_to_legacy_streams",
        what: "an event on a session's GET stream",
        each_time: STREAMS,
    },
    Subject {
        test: "broadcasts_to_modern_streams",
        what: "an event on a `subscriptions/listen` stream",
        each_time: STREAMS,
    },
    Subject {
        test: "pings",
        what: "a `ping`",
        each_time: 1,
    },
    Subject {
        test: "calls_in_a_session",
        what: "a `tools/call` in a session, application included",
        each_time: 1,
    },
    Subject {
        test: "calls_without_a_session",
        what: "a `tools/call` without one, application included",
        each_time: 1,
    },
];
/// Of a broadcast of those tests.
const STREAMS: u64 = 1_000;
/// A broadcast is as much work as so many requests, or more.
const REQUESTS_OF_A_BROADCAST: u64 = 10;
/// In the run with fewer: whatever is made at the first of them has been made.
const FEW: u64 = 10;

pub(crate) fn run(options: &CountedOptions) -> Outcome<()> {
    let valgrind = Command::new("valgrind").arg("--version").output();
    let valgrind = valgrind.map_err(|_| "valgrind is needed: install it (Debian's is enough)")?;
    let version = String::from_utf8_lossy(&valgrind.stdout).trim().to_owned();
    let record = Record::begin("counted", options)?;
    let program = tests()?;
    let bar = progress(SUBJECTS.len());
    let mut counted = Vec::new();
    for subject in SUBJECTS {
        bar.set_message(subject.what);
        counted.push(subject.count(&program, options.count)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    record.end(&counted, &table(&counted, &version))
}

/// The program that `cargo test` would run.
fn tests() -> Outcome<PathBuf> {
    let output = workspace::cargo("test")
        .args(["--package", "pinfold-bench", "--test", "instructions"])
        .args(["--no-run", "--message-format=json"])
        .output()?;
    if !output.status.success() {
        let fault = String::from_utf8_lossy(&output.stderr);
        return Err(format!("the counted tests do not build: {fault}").into());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut built = text.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let is_it = message["target"]["name"] == "instructions";
        is_it.then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    built
        .next_back()
        .ok_or_else(|| "cargo does not say where the counted tests are".into())
}

impl Subject {
    fn count(&self, program: &Path, count: u64) -> Outcome<Counted> {
        let times = match self.each_time {
            1 => count,
            _ => count / REQUESTS_OF_A_BROADCAST,
        };
        let few = self.instructions(program, FEW)?;
        let many = self.instructions(program, FEW + times)?;
        let more = times * self.each_time;
        let difference = many.checked_sub(few).ok_or("more work took less")?;
        Ok(Counted {
            what: self.what,
            test: self.test,
            instructions: [few, many],
            more,
            each: difference as f64 / more as f64,
        })
    }

    fn instructions(&self, program: &Path, count: u64) -> Outcome<u64> {
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(program)
            .args(["--exact", self.test, "--test-threads=1"])
            .env("COUNT", count.to_string())
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        let ran = String::from_utf8_lossy(&output.stdout).contains("1 passed");
        let mut lines = said.lines();
        let collected =
            lines.find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
        match collected {
            Some(collected) if output.status.success() && ran => Ok(collected),
            _ => Err(format!("{} was not counted: {said}", self.test).into()),
        }
    }
}

fn table(counted: &[Counted], version: &str) -> String {
    let mut table = Table::new(&["instructions", "each", "of so many"]);
    for it in counted {
        table.row([
            it.what.to_owned(),
            thousands(it.each),
            thousands(it.more as f64),
        ]);
    }
    format!(
        "\nInstructions of the shard, by callgrind ({version})\n\n{}",
        table.text()
    )
}
