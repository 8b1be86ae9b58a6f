//! pinfold beside the servers that a user would pick today: fan-out, openings and memory, of each era a server speaks.
//!
//! One server at a time, each a fresh process on one CPU, one after the other in every repetition; ratios are to the floor
//! of the same repetition. pinfold against the floor is measured more closely by the first figures: there they take turns.

mod installed;
mod results;
mod tables;

use std::time::Duration;

use clap::Parser;
use clap::builder::ArgPredicate;
use indicatif::ProgressBar;
use serde::Serialize;

pub(crate) use self::installed::{Installed, Missing, PeerName, Present, install, notes, wrk};
use self::results::{FanoutResult, MemoryResult, Results};
use super::{Common, ERAS, SPARE_FILES, progress};
use crate::Outcome;
use crate::fanout::{self, Load};
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
    /// Publications in one repetition; slow servers get a quarter.
    #[arg(
        long,
        default_value_t = 24,
        default_value_if("quick", ArgPredicate::IsPresent, "12"),
        value_parser = clap::value_parser!(u32).range(4..)
    )]
    publications: u32,
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
    /// Measured once the server has failed in this run: not again.
    failed: Option<String>,
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
    let mut contestants = contestants(&pinfold, &installed)?;
    let mut results = Results::new(&installed);
    for &streams in &options.streams {
        measure_fanout(options, streams, &mut contestants, &mut results)?;
    }
    measure_memory(options, &mut contestants, &mut results)?;
    results.failed = contestants.iter().filter_map(Contestant::failure).collect();
    record.end(&results, &tables::of(&results))
}

/// The floor first, then pinfold and each peer in each era it speaks.
fn contestants(pinfold: &Program, installed: &Installed) -> Outcome<Vec<Contestant>> {
    let event = fanout::event_of(pinfold, Protocol::Legacy)?;
    let floor = Program::Floor(event);
    let mut contestants = vec![Contestant::new("bare send loop", &floor, Protocol::Raw)];
    for era in ERAS {
        contestants.push(Contestant::new(&named("pinfold", era), pinfold, era));
    }
    for peer in &installed.peers {
        let name = peer.name.text();
        if matches!(peer.name, PeerName::Nchan | PeerName::Pushpin) {
            contestants.push(Contestant::new(name, &peer.program, Protocol::Raw));
            continue;
        }
        for era in ERAS {
            contestants.push(Contestant::new(&named(name, era), &peer.program, era));
        }
    }
    for contestant in &mut contestants {
        let python = contestant.name.starts_with(PeerName::Python.text());
        if python {
            contestant.streams_max = PYTHON_STREAMS_MAX;
        }
        let quick = ["bare", "pinfold", "nchan"];
        contestant.slow = !quick.iter().any(|it| contestant.name.starts_with(it));
    }
    Ok(contestants)
}

fn named(server: &str, era: Protocol) -> String {
    match era {
        Protocol::Legacy => format!("{server}, session and GET"),
        _ => format!("{server}, listen"),
    }
}

impl Contestant {
    fn new(name: &str, program: &Program, protocol: Protocol) -> Self {
        Contestant {
            name: name.to_owned(),
            program: program.clone(),
            protocol,
            streams_max: usize::MAX,
            slow: false,
            failed: None,
        }
    }

    fn failure(&self) -> Option<(String, String)> {
        let reason = self.failed.clone()?;
        Some((self.name.clone(), reason))
    }

    /// A peer that fails is left out of the rest and told of; without the floor or pinfold there is nothing to compare.
    fn attempt<T>(&mut self, measure: impl FnOnce(&Self) -> Outcome<T>) -> Outcome<Option<T>> {
        if self.failed.is_some() {
            return Ok(None);
        }
        match measure(self) {
            Ok(measured) => Ok(Some(measured)),
            Err(fault) if !matches!(self.program, Program::Other(_)) => Err(fault),
            Err(fault) => {
                eprintln!("NOT MEASURED any further: {}: {fault}", self.name);
                self.failed = Some(fault.to_string());
                Ok(None)
            }
        }
    }
}

fn measure_fanout(
    options: &PeersOptions,
    streams: usize,
    contestants: &mut [Contestant],
    results: &mut Results,
) -> Outcome<()> {
    let mut samples = vec![Vec::new(); contestants.len()];
    let bar = bar(options, contestants.len());
    for _ in 0..options.repetitions {
        for (contestant, samples) in contestants.iter_mut().zip(&mut samples) {
            bar.set_message(format!("{}, {streams} streams", contestant.name));
            if streams <= contestant.streams_max {
                let publications = match contestant.slow {
                    true => options.publications.div_ceil(4),
                    false => options.publications,
                };
                let load = Load {
                    protocol: contestant.protocol,
                    topics: 1,
                    streams,
                    stalled: 0,
                    broadcasts: publications as usize,
                };
                let sample =
                    contestant.attempt(|it| Ok(fanout::measure(&[(&it.program, load)])?.pop()))?;
                samples.extend(sample.flatten());
            }
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let floor = samples[0].clone();
    for (contestant, samples) in contestants.iter().zip(samples) {
        if !samples.is_empty() {
            let name = contestant.name.clone();
            let result = FanoutResult::new(name, streams, &floor, samples);
            results.fanout.push(result);
        }
    }
    Ok(())
}

fn measure_memory(
    options: &PeersOptions,
    contestants: &mut [Contestant],
    results: &mut Results,
) -> Outcome<()> {
    let mut samples = vec![Vec::new(); contestants.len()];
    let bar = bar(options, contestants.len() - 1);
    for _ in 0..options.repetitions {
        // All but the floor, which keeps nothing.
        for (contestant, samples) in contestants.iter_mut().zip(&mut samples).skip(1) {
            bar.set_message(format!("{}, memory", contestant.name));
            let span = span(contestant);
            let measured =
                contestant.attempt(|it| memory::measure(&it.program, it.protocol, span))?;
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
