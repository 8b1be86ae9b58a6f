//! pinfold beside the servers that a user would pick today: fan-out, openings and memory, of each era a server speaks.
//!
//! Each server is a fresh process on one CPU and takes turns with a floor that sends the bytes pinfold sends in that era:
//! ratios are to this floor. Servers of one repetition follow one another, and rmcp's openings are compared with those of
//! the same repetition.

mod installed;
mod results;
mod tables;

use std::time::Duration;

use clap::Parser;
use clap::builder::ArgPredicate;
use indicatif::ProgressBar;
use serde::Serialize;

pub(crate) use self::installed::{Installed, Missing, PeerName, Present, install, notes, wrk};
use self::results::{Failure, MemoryResult, Results};
use super::{Common, ERAS, SPARE_FILES, progress};
use crate::Outcome;
use crate::fanout::{self, Load, Sample};
use crate::loader::protocol::Protocol;
use crate::memory::{self, Span};
use crate::record::Record;
use crate::server::Program;

#[derive(Clone, Debug, Parser, Serialize)]
pub(crate) struct PeersOptions {
    /// Streams to publish to, one or more counts. The Python SDK takes part up to 1,000.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "1000,10000",
        default_value_if("quick", ArgPredicate::IsPresent, "1000")
    )]
    streams: Vec<usize>,
    /// How often each server is measured.
    #[arg(
        long,
        default_value_t = 3,
        default_value_if("quick", ArgPredicate::IsPresent, "1"),
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    repetitions: u32,
    /// Deliveries in one repetition, about; slow servers get a quarter
    #[arg(
        long,
        default_value_t = 160_000,
        default_value_if("quick", ArgPredicate::IsPresent, "24000")
    )]
    events: usize,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

/// One server in one era.
struct Contestant {
    name: String,
    program: Program,
    protocol: Protocol,
    streams_max: usize,
    slow: bool,
    /// What it failed at is not tried again; everything else is.
    failures: Vec<Failure>,
}

/// A floor that sends what pinfold sends in that era.
struct Floor {
    era: Protocol,
    program: Program,
}

/// What one contestant and its floors came to.
#[derive(Clone, Default)]
struct Samples {
    floors: Vec<Sample>,
    of_server: Vec<Sample>,
}

const PEERS: [PeerName; 5] = [
    PeerName::Rmcp,
    PeerName::TypeScript,
    PeerName::Python,
    PeerName::Nchan,
    PeerName::Pushpin,
];
/// Opening ten thousand of its sessions alone would take a minute.
const PYTHON_STREAMS_MAX: usize = 1_000;
/// Publications in one repetition, at least and at most.
const PUBLICATIONS_MIN: usize = 6;
const PUBLICATIONS_MAX: usize = 400;
/// Between which counts of idle streams memory is measured.
const SPAN: Span = Span {
    few: 500,
    many: 3_000,
    idle: Duration::ZERO,
};
const SPAN_PYTHON: Span = Span {
    few: 100,
    many: 600,
    idle: Duration::ZERO,
};

pub(crate) fn run(options: &PeersOptions) -> Outcome<()> {
    let streams = options.streams.iter().copied();
    let most = streams.fold(SPAN.many, usize::max);
    let files = most as u64 + SPARE_FILES;
    let installed = install(&PEERS)?;
    let pinfold = options.common.prepare(files, files)?.program;
    let record = Record::begin("peers", options)?;
    let floors = floors(&pinfold)?;
    let mut contestants = contestants(&pinfold, &installed);
    let mut results = Results::new(&installed);
    for &streams in &options.streams {
        measure_fanout(options, streams, &floors, &mut contestants, &mut results)?;
    }
    measure_memory(options, &mut contestants, &mut results)?;
    results.failed = contestants.into_iter().flat_map(|it| it.failures).collect();
    results.compare_openings();
    record.end(&results, &tables::of(&results))
}

fn floors(pinfold: &Program) -> Outcome<Vec<Floor>> {
    let mut floors = Vec::new();
    for era in ERAS {
        let program = Program::Floor(fanout::event_of(pinfold, era)?);
        floors.push(Floor { era, program });
    }
    Ok(floors)
}

/// pinfold first, then each peer in each era it speaks.
fn contestants(pinfold: &Program, installed: &Installed) -> Vec<Contestant> {
    let mut contestants = Vec::new();
    for era in ERAS {
        contestants.push(Contestant::new(&era.stream_of("pinfold"), pinfold, era));
    }
    for peer in &installed.peers {
        let name = peer.name.text();
        let raw = matches!(peer.name, PeerName::Nchan | PeerName::Pushpin);
        let first = contestants.len();
        match raw {
            true => contestants.push(Contestant::new(name, &peer.program, Protocol::Raw)),
            false => contestants
                .extend(ERAS.map(|era| Contestant::new(&era.stream_of(name), &peer.program, era))),
        }
        for contestant in &mut contestants[first..] {
            contestant.slow = peer.name != PeerName::Nchan;
            if peer.name == PeerName::Python {
                contestant.streams_max = PYTHON_STREAMS_MAX;
            }
        }
    }
    contestants
}

impl Contestant {
    fn new(name: &str, program: &Program, protocol: Protocol) -> Self {
        Contestant {
            name: name.to_owned(),
            program: program.clone(),
            protocol,
            streams_max: usize::MAX,
            slow: false,
            failures: Vec::new(),
        }
    }

    /// A peer that fails at something is told of and left out there; without pinfold there is nothing to compare.
    fn attempt<T>(
        &mut self,
        what: &str,
        measure: impl FnOnce(&Self) -> Outcome<T>,
    ) -> Outcome<Option<T>> {
        if self.failures.iter().any(|it| it.what == what) {
            return Ok(None);
        }
        match measure(self) {
            Ok(measured) => Ok(Some(measured)),
            Err(fault) if !matches!(self.program, Program::Other(_)) => Err(fault),
            Err(fault) => {
                eprintln!("NOT MEASURED: {}, {what}: {fault}", self.name);
                self.failures.push(Failure {
                    server: self.name.clone(),
                    what: what.to_owned(),
                    reason: fault.to_string(),
                });
                Ok(None)
            }
        }
    }

    fn load(&self, options: &PeersOptions, streams: usize) -> Load {
        let events = match self.slow {
            true => options.events.div_ceil(4),
            false => options.events,
        };
        let publications = (events / streams.max(1)).clamp(PUBLICATIONS_MIN, PUBLICATIONS_MAX);
        Load {
            protocol: self.protocol,
            topics: 1,
            streams,
            stalled: 0,
            broadcasts: publications,
        }
    }
}

fn measure_fanout(
    options: &PeersOptions,
    streams: usize,
    floors: &[Floor],
    contestants: &mut [Contestant],
    results: &mut Results,
) -> Outcome<()> {
    let mut samples = vec![Samples::default(); contestants.len()];
    let what = format!("{streams} streams");
    let bar = bar(options, contestants.len());
    for _ in 0..options.repetitions {
        for (contestant, samples) in contestants.iter_mut().zip(&mut samples) {
            bar.set_message(format!("{}, {what}", contestant.name));
            if streams <= contestant.streams_max {
                let load = contestant.load(options, streams);
                let measured =
                    contestant.attempt(&what, |it| beside_floor(&it.program, load, floors))?;
                if let Some([floor, of_server]) = measured {
                    samples.floors.push(floor);
                    samples.of_server.push(of_server);
                }
            }
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    for (contestant, samples) in contestants.iter().zip(samples) {
        if samples.of_server.is_empty() {
            continue;
        }
        if matches!(contestant.program, Program::Pinfold(_)) {
            let floor = format!("bare send loop, {:?} event", contestant.protocol);
            results.add_fanout(floor, streams, &samples.floors, samples.floors.clone());
        }
        let name = contestant.name.clone();
        results.add_fanout(name, streams, &samples.floors, samples.of_server);
    }
    Ok(())
}

/// Samples of the floor and of the server. Who speaks no MCP is compared with the legacy event.
fn beside_floor(program: &Program, load: Load, floors: &[Floor]) -> Outcome<[Sample; 2]> {
    let of_era = floors.iter().find(|it| it.era == load.protocol);
    let floor = of_era.or(floors.first()).ok_or("there is no floor")?;
    let floor_load = Load {
        protocol: Protocol::Raw,
        ..load
    };
    let measured = fanout::measure(&[(&floor.program, floor_load), (program, load)])?;
    measured
        .try_into()
        .map_err(|_| "a contestant has no sample".into())
}

fn measure_memory(
    options: &PeersOptions,
    contestants: &mut [Contestant],
    results: &mut Results,
) -> Outcome<()> {
    let mut samples = vec![Vec::new(); contestants.len()];
    let bar = bar(options, contestants.len());
    for _ in 0..options.repetitions {
        for (contestant, samples) in contestants.iter_mut().zip(&mut samples) {
            bar.set_message(format!("{}, memory", contestant.name));
            let span = span(contestant);
            let measured = contestant.attempt("memory", |it| {
                memory::measure(&it.program, it.protocol, span)
            })?;
            samples.extend(measured);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    for (contestant, samples) in contestants.iter().zip(samples) {
        if !samples.is_empty() {
            let name = contestant.name.clone();
            results
                .memory
                .push(MemoryResult::new(name, span(contestant), samples));
        }
    }
    Ok(())
}

fn span(contestant: &Contestant) -> Span {
    match contestant.streams_max {
        PYTHON_STREAMS_MAX => SPAN_PYTHON,
        _ => SPAN,
    }
}

fn bar(options: &PeersOptions, contestants: usize) -> ProgressBar {
    progress(options.repetitions as usize * contestants)
}
