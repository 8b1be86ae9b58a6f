//! What is measured, a scenario per file, and what all of them have in common.
//!
//! A scenario is `run(&Options)`: it begins a record, measures, and ends the record with its results and a table of them.
//! With `--quick` its options have smaller defaults; what is typed stands.

pub(crate) mod all;
pub(crate) mod authenticated;
pub(crate) mod burst;
pub(crate) mod churn;
mod cluster;
pub(crate) mod cores;
pub(crate) mod counted;
pub(crate) mod disturbed;
pub(crate) mod fanout;
pub(crate) mod forwarding;
pub(crate) mod greedy;
pub(crate) mod growth;
pub(crate) mod handover;
pub(crate) mod idle;
pub(crate) mod ladder;
pub(crate) mod leaving;
pub(crate) mod listed;
pub(crate) mod observed;
pub(crate) mod peers;
pub(crate) mod requests;
mod session;
pub(crate) mod stalled;
pub(crate) mod takeover;
mod wrk;

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::Outcome;
use crate::loader::protocol::Protocol;
use crate::machine::{LOADER_CPU, pin_to, raise_open_files};
use crate::server::Program;

/// Those that matter most come first.
pub(crate) const SCENARIOS: [&str; 20] = [
    "fanout",
    "peers",
    "requests",
    "idle",
    "burst",
    "disturbed",
    "stalled",
    "greedy",
    "authenticated",
    "observed",
    "listed",
    "counted",
    "churn",
    "ladder",
    "cores",
    "leaving",
    "handover",
    "takeover",
    "forwarding",
    "growth",
];

pub(crate) const ERAS: [Protocol; 2] = [Protocol::Legacy, Protocol::Modern];

#[derive(Clone, Debug, clap::Args, Serialize)]
pub(crate) struct Common {
    /// Fewer and shorter repetitions: shows that everything works, and the size of the figures; its record is not kept
    #[arg(long)]
    pub(crate) quick: bool,
    /// Another program with the command line of `pinfold serve`, in place of a `pinfold` built from this tree
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub(crate) program: Option<PathBuf>,
}

/// What every scenario has before it measures.
pub(crate) struct Bench {
    pub(crate) program: Program,
    /// How many files this process and each server may have open.
    pub(crate) open_files: u64,
}

impl Common {
    /// The program, built if need be; this thread on its CPU; as many open files as `wanted`, or as are allowed, which
    /// has to be `needed` at least.
    pub(crate) fn prepare(&self, needed: u64, wanted: u64) -> Outcome<Bench> {
        let open_files = raise_open_files(wanted.max(needed))?;
        if open_files < needed {
            return Err(format!(
                "{needed} open files are needed and {open_files} allowed: raise the hard limit (ulimit -Hn)"
            )
            .into());
        }
        let program = Program::pinfold(self.program.as_deref())?;
        pin_to(LOADER_CPU)?;
        Ok(Bench {
            program,
            open_files,
        })
    }
}

/// Descriptors that are not clients.
pub(crate) const SPARE_FILES: u64 = 64;

pub(crate) fn progress(steps: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:32} {pos}/{len} {msg} (about {eta} left)");
    let bar = ProgressBar::new(steps as u64);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
