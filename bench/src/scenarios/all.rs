//! Every scenario, in one command that can be left alone.
//!
//! Each is run as if it had been typed by itself, and its record is on disk when it ends: an interrupted run keeps what
//! was done. A scenario that fails is told at the end and does not keep the others from running. Plots and a report come
//! last.

use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;

use super::SCENARIOS;
use crate::reading::Reading;
use crate::{Outcome, plot, record, redis, report, run_as_typed};

#[derive(Clone, Debug, Parser)]
pub(crate) struct AllOptions {
    /// Fewer and shorter repetitions: shows that everything works, and the size of the figures
    #[arg(long)]
    quick: bool,
    /// Only these scenarios
    #[arg(long, value_delimiter = ',', value_name = "SCENARIO", value_parser = SCENARIOS)]
    only: Vec<String>,
    /// All but these scenarios
    #[arg(long, value_delimiter = ',', value_name = "SCENARIO", value_parser = SCENARIOS)]
    without: Vec<String>,
    /// Another program with the command line of `pinfold serve`, in place of a `pinfold` built from this tree
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

pub(crate) fn run(options: &AllOptions) -> Outcome<()> {
    if options.wants("forwarding") || options.wants("takeover") {
        // Better told now than in an hour.
        redis::present()?;
    }
    let started = Instant::now();
    let mut failed = Vec::new();
    for scenario in SCENARIOS.into_iter().filter(|it| options.wants(it)) {
        eprintln!("\n== {scenario} (at {} s)", started.elapsed().as_secs());
        if let Err(fault) = run_as_typed(&options.typed(scenario)?) {
            eprintln!("error: {scenario}: {fault}");
            record::failed(scenario, options.quick, &fault.to_string())?;
            failed.push(scenario);
        }
    }
    let record = Reading::open(Some(&record::of_this_run(options.quick)?))?;
    plot::draw(&record)?;
    report::save(&record)?;
    eprintln!("\n== done (at {} s)", started.elapsed().as_secs());
    match failed[..] {
        [] => Ok(()),
        _ => Err(format!("these scenarios failed: {}", failed.join(", ")).into()),
    }
}

impl AllOptions {
    fn wants(&self, scenario: &str) -> bool {
        let named = |list: &[String]| list.iter().any(|it| it == scenario);
        (self.only.is_empty() || named(&self.only)) && !named(&self.without)
    }

    fn typed(&self, scenario: &'static str) -> Outcome<Vec<&str>> {
        let mut typed = vec![scenario];
        if self.quick {
            typed.push("--quick");
        }
        if let Some(program) = &self.program {
            let program = program.to_str().ok_or("--program must be valid UTF-8")?;
            typed.extend(["--program", program]);
        }
        Ok(typed)
    }
}
