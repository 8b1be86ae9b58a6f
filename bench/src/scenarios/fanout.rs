//! CPU and time per delivered event of both eras against a bare loop of `send(2)`.
//!
//! In every repetition the floor and pinfold are both up, each a fresh process, and take many short turns: what drifts,
//! drifts for both. Ratios are of one repetition to the floor of the same. Both get the same `POST /publish` and answer
//! it, so what that costs is in both figures; it shows where few streams share it.

mod results;
mod tables;

use clap::Parser;
use clap::builder::ArgPredicate;
use serde::Serialize;

use self::results::FanoutResult;
use super::{Common, ERAS, SPARE_FILES, progress};
use crate::Outcome;
use crate::fanout::{self, Load, Sample};
use crate::loader::protocol::Protocol;
use crate::record::Record;
use crate::server::Program;

#[derive(Clone, Debug, Parser, Serialize)]
pub(crate) struct FanoutOptions {
    /// Streams to publish to, one or more counts; with 1, what a publication costs by itself
    #[arg(long, value_delimiter = ',', default_value = "1,100,1000,10000")]
    streams: Vec<usize>,
    /// How often each contestant is measured
    #[arg(
        long,
        default_value_t = 6,
        default_value_if("quick", ArgPredicate::IsPresent, "2"),
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    repetitions: u32,
    /// Deliveries in one repetition, about: divided by the streams, it is the number of publications
    #[arg(
        long,
        default_value_t = 240_000,
        default_value_if("quick", ArgPredicate::IsPresent, "60000")
    )]
    events: usize,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

/// The floor and the program in one era.
struct Pair {
    era: Protocol,
    floor: Program,
    program: Program,
}

pub(crate) fn run(options: &FanoutOptions) -> Outcome<()> {
    let most = options.streams.iter().copied().max().unwrap_or(0) as u64;
    let files = most + SPARE_FILES;
    let program = options.common.prepare(files, files)?.program;
    let record = Record::begin("fanout", options)?;
    let pairs = pairs(&program)?;
    let mut results = Vec::new();
    let bar = progress(options.streams.len() * options.repetitions as usize * pairs.len());
    for &streams in &options.streams {
        let broadcasts = fanout::broadcasts(options.events, streams);
        let mut samples = vec![(Vec::new(), Vec::new()); pairs.len()];
        for _ in 0..options.repetitions {
            for (pair, (floors, pinfolds)) in pairs.iter().zip(&mut samples) {
                bar.set_message(format!("{streams} streams, {:?}", pair.era));
                let [floor, pinfold] = pair.measure(streams, broadcasts)?;
                floors.push(floor);
                pinfolds.push(pinfold);
                bar.inc(1);
            }
        }
        for (pair, (floor, pinfold)) in pairs.iter().zip(samples) {
            let era = pair.era;
            results.push(FanoutResult::new(streams, broadcasts, era, floor, pinfold));
        }
    }
    bar.finish_and_clear();
    record.end(&results, &tables::of(&results))
}

/// For each era the program and a floor that sends the same bytes.
fn pairs(program: &Program) -> Outcome<Vec<Pair>> {
    let mut pairs = Vec::new();
    for era in ERAS {
        pairs.push(Pair {
            era,
            floor: Program::Floor(fanout::event_of(program, era)?),
            program: program.clone(),
        });
    }
    Ok(pairs)
}

impl Pair {
    fn measure(&self, streams: usize, broadcasts: usize) -> Outcome<[Sample; 2]> {
        let load = |protocol| Load {
            protocol,
            topics: 1,
            streams,
            stalled: 0,
            broadcasts,
        };
        let floor = (&self.floor, load(Protocol::Raw));
        let pinfold = (&self.program, load(self.era));
        let measured = fanout::measure(&[floor, pinfold])?;
        measured
            .try_into()
            .map_err(|_| "a contestant has no sample".into())
    }
}
