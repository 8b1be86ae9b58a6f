//! The first figures: CPU and time per delivered event of both eras against a bare loop of `send(2)`, and the memory
//! of an idle client.
//!
//! Every repetition runs all contestants one after the other, each in a fresh process, starting with another one
//! each time: what drifts, drifts for all. Ratios are of one repetition to the floor of the same.

mod results;
mod tables;

use std::path::PathBuf;
use std::process::Command;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use self::results::{FanoutResult, MemoryResult, Results};
use crate::Outcome;
use crate::fanout::{self, Load};
use crate::loader::protocol::Protocol;
use crate::machine::{pin_to, raise_open_files};
use crate::memory::{self, Span};
use crate::record::{Record, root};
use crate::server::{LOADER_CPU, Program};

#[derive(Clone, Debug, Parser, Serialize)]
pub(crate) struct FirstOptions {
    /// Streams to publish to, one or more counts; 100, 1000 and 10000 are the usual ones.
    #[arg(long, value_delimiter = ',', default_value = "1000")]
    streams: Vec<usize>,
    /// How often each contestant is measured.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    repetitions: u32,
    /// Deliveries in one repetition, about: divided by the streams, it is the number of publications.
    #[arg(long, default_value_t = 300_000)]
    events: usize,
    /// How often memory is measured; 0 leaves it out.
    #[arg(long, default_value_t = 3)]
    memory_repetitions: u32,
    /// Memory is the slope between so many idle clients …
    #[arg(long, default_value_t = 2_000)]
    few: usize,
    /// … and so many.
    #[arg(long, default_value_t = 10_000)]
    many: usize,
    /// Another program with the command line of `pinfold serve`, in place of a `pinfold` built from this tree.
    #[arg(long)]
    program: Option<PathBuf>,
}

/// Publications in one repetition, at least.
const BROADCASTS_MIN: usize = 20;
/// Descriptors that are not clients.
const SPARE_FILES: u64 = 64;

/// A server and what its streams are to look like.
struct Contestant {
    era: Protocol,
    program: Program,
    speaks: Protocol,
}

const ERAS: [Protocol; 2] = [Protocol::Legacy, Protocol::Modern];
const IDLE_CLIENTS: [Protocol; 3] = [Protocol::Legacy, Protocol::Modern, Protocol::KeepAlive];

pub(crate) fn run(options: &FirstOptions) -> Outcome<()> {
    let clients = options.streams.iter().copied().chain([options.many]).max();
    let open_files_needed = clients.unwrap_or(0) as u64 + SPARE_FILES;
    let open_files = raise_open_files(open_files_needed)?;
    if open_files < open_files_needed {
        return Err(format!(
            "{open_files_needed} open files are needed and {open_files} allowed: raise the hard limit (ulimit -Hn)"
        )
        .into());
    }
    let program = Program::Pinfold(match &options.program {
        Some(path) => path.canonicalize()?,
        None => built()?,
    });
    pin_to(LOADER_CPU)?;
    let record = Record::begin("first", options, open_files)?;
    let contestants = contestants(&program)?;
    let results = Results {
        fanout: measure_fanout(options, &contestants)?,
        memory: measure_memory(options, &program)?,
    };
    record.end(&results, &tables::of(&results))
}

/// `pinfold` as a user gets it, up to date with this tree.
fn built() -> Outcome<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args([
            "build",
            "--release",
            "--package",
            "pinfold",
            "--bin",
            "pinfold",
        ])
        .current_dir(root())
        .status()?;
    if !status.success() {
        return Err("pinfold does not build".into());
    }
    // The bench itself was built into the same directory.
    let here = std::env::current_exe()?;
    Ok(here.with_file_name("pinfold"))
}

/// For each era the program and a floor that sends the same bytes.
fn contestants(program: &Program) -> Outcome<Vec<Contestant>> {
    let mut contestants = Vec::new();
    for era in ERAS {
        let event = fanout::event_of(program, era)?;
        println!(
            "an event of the {era:?} era, {} bytes: {}",
            event.len(),
            event.escape_ascii()
        );
        contestants.push(Contestant {
            era,
            program: Program::Floor(event),
            speaks: Protocol::Raw,
        });
        contestants.push(Contestant {
            era,
            program: program.clone(),
            speaks: era,
        });
    }
    Ok(contestants)
}

fn measure_fanout(
    options: &FirstOptions,
    contestants: &[Contestant],
) -> Outcome<Vec<FanoutResult>> {
    let mut results = Vec::new();
    for &streams in &options.streams {
        let broadcasts = (options.events / streams.max(1)).max(BROADCASTS_MIN);
        let mut samples = vec![Vec::new(); contestants.len()];
        let bar = progress(options.repetitions as usize * contestants.len());
        for repetition in 0..options.repetitions as usize {
            for turn in 0..contestants.len() {
                let index = (repetition + turn) % contestants.len();
                let contestant = &contestants[index];
                bar.set_message(format!("{streams} streams, {:?}", contestant.era));
                let load = Load {
                    protocol: contestant.speaks,
                    streams,
                    broadcasts,
                };
                samples[index].push(fanout::measure(&contestant.program, load)?);
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        let mut samples = samples.into_iter();
        for era in ERAS {
            if let (Some(floor), Some(pinfold)) = (samples.next(), samples.next()) {
                results.push(FanoutResult::new(streams, broadcasts, era, floor, pinfold));
            }
        }
    }
    Ok(results)
}

fn measure_memory(options: &FirstOptions, program: &Program) -> Outcome<Vec<MemoryResult>> {
    let span = Span {
        few: options.few,
        many: options.many,
    };
    if options.memory_repetitions == 0 {
        return Ok(Vec::new());
    }
    if span.few >= span.many {
        return Err("--few must be less than --many".into());
    }
    let mut samples = vec![Vec::new(); IDLE_CLIENTS.len()];
    let bar = progress(options.memory_repetitions as usize * IDLE_CLIENTS.len());
    for _ in 0..options.memory_repetitions {
        for (samples, client) in samples.iter_mut().zip(IDLE_CLIENTS) {
            bar.set_message(format!("memory, {client:?}"));
            samples.push(memory::measure(program, client, span)?);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let results = samples.into_iter().zip(IDLE_CLIENTS);
    let results = results.map(|(samples, client)| MemoryResult::new(client, span, samples));
    Ok(results.collect())
}

fn progress(steps: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:32} {pos}/{len} {msg} (about {eta} left)");
    let bar = ProgressBar::new(steps as u64);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
