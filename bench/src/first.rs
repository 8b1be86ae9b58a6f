//! The first figures: CPU and time per delivered event of both eras against a bare loop of `send(2)`, and the memory
//! of an idle client.
//!
//! In every repetition the floor and pinfold are both up, each a fresh process, and take many short turns: what drifts,
//! drifts for both. (Where the limit on open files allows no two at a time, they follow one another.) Ratios are of one
//! repetition to the floor of the same.

mod results;
mod tables;

use std::path::PathBuf;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use self::results::{FanoutResult, MemoryResult, Results};
use crate::Outcome;
use crate::fanout::{self, Load};
use crate::loader::protocol::Protocol;
use crate::machine::{pin_to, raise_open_files};
use crate::memory::{self, Span};
use crate::record::Record;
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
const BROADCASTS_MIN: usize = 32;
/// Descriptors that are not clients.
const SPARE_FILES: u64 = 64;

/// The floor and the program in one era.
struct Pair {
    era: Protocol,
    floor: Program,
    program: Program,
}

const ERAS: [Protocol; 2] = [Protocol::Legacy, Protocol::Modern];
const IDLE_CLIENTS: [Protocol; 3] = [Protocol::Legacy, Protocol::Modern, Protocol::KeepAlive];

pub(crate) fn run(options: &FirstOptions) -> Outcome<()> {
    let clients = options.streams.iter().copied().chain([options.many]).max();
    let open_files_needed = clients.unwrap_or(0) as u64 + SPARE_FILES;
    // Twice as many let two servers be up at a time.
    let open_files = raise_open_files(2 * open_files_needed)?;
    if open_files < open_files_needed {
        return Err(format!(
            "{open_files_needed} open files are needed and {open_files} allowed: raise the hard limit (ulimit -Hn)"
        )
        .into());
    }
    let program = Program::pinfold(options.program.as_deref())?;
    pin_to(LOADER_CPU)?;
    let record = Record::begin("first", options, open_files)?;
    let pairs = pairs(&program)?;
    let results = Results {
        fanout: measure_fanout(options, &pairs, open_files)?,
        memory: measure_memory(options, &program)?,
    };
    record.end(&results, &tables::of(&results))
}

/// For each era the program and a floor that sends the same bytes.
fn pairs(program: &Program) -> Outcome<Vec<Pair>> {
    let mut pairs = Vec::new();
    for era in ERAS {
        let event = fanout::event_of(program, era)?;
        println!(
            "{era:?} event, {} bytes: {}",
            event.len(),
            event.escape_ascii()
        );
        pairs.push(Pair {
            era,
            floor: Program::Floor(event),
            program: program.clone(),
        });
    }
    Ok(pairs)
}

fn measure_fanout(
    options: &FirstOptions,
    pairs: &[Pair],
    open_files: u64,
) -> Outcome<Vec<FanoutResult>> {
    let mut results = Vec::new();
    for &streams in &options.streams {
        let broadcasts = (options.events / streams.max(1)).max(BROADCASTS_MIN);
        let side_by_side = 2 * streams as u64 + SPARE_FILES <= open_files;
        let mut samples = vec![(Vec::new(), Vec::new()); pairs.len()];
        let bar = progress(options.repetitions as usize * pairs.len());
        for _ in 0..options.repetitions {
            for (pair, (floors, pinfolds)) in pairs.iter().zip(&mut samples) {
                bar.set_message(format!("{streams} streams, {:?}", pair.era));
                let load = |protocol| Load {
                    protocol,
                    topics: 1,
                    streams,
                    stalled: 0,
                    broadcasts,
                };
                let floor = (&pair.floor, load(Protocol::Raw));
                let pinfold = (&pair.program, load(pair.era));
                let measured = match side_by_side {
                    true => fanout::measure(&[floor, pinfold])?,
                    false => [fanout::measure(&[floor])?, fanout::measure(&[pinfold])?].concat(),
                };
                for (sample, samples) in measured.into_iter().zip([floors, pinfolds]) {
                    samples.push(sample);
                }
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        for (pair, (floor, pinfold)) in pairs.iter().zip(samples) {
            let era = pair.era;
            results.push(FanoutResult::new(streams, broadcasts, era, floor, pinfold));
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

pub(crate) fn progress(steps: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:32} {pos}/{len} {msg} (about {eta} left)");
    let bar = ProgressBar::new(steps as u64);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
