//! How cost grows with the number of streams: doubled until something breaks, or until the machine allows no more.

use clap::Parser;
use clap::builder::ArgPredicate;
use serde::Serialize;

use super::{Common, ERAS, SPARE_FILES, progress};
use crate::Outcome;
use crate::fanout::{self, Load, Sample};
use crate::loader::protocol::Protocol;
use crate::record::Record;
use crate::server::Program;
use crate::stats::Summary;
use crate::table::{Table, thousands};

#[derive(Clone, Debug, Parser, Serialize)]
pub(crate) struct GrowthOptions {
    /// Streams to begin with
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    from: u64,
    /// Streams to end with, if nothing else ends it
    #[arg(long, default_value_t = 1_024_000)]
    to: u64,
    /// By how much the number grows each time
    #[arg(
        long,
        default_value_t = 2,
        default_value_if("quick", ArgPredicate::IsPresent, "4"),
        value_parser = clap::value_parser!(u64).range(2..)
    )]
    factor: u64,
    /// How often each size is measured
    #[arg(
        long,
        default_value_t = 2,
        default_value_if("quick", ArgPredicate::IsPresent, "1"),
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    repetitions: u32,
    /// Deliveries in one repetition, about
    #[arg(
        long,
        default_value_t = 160_000,
        default_value_if("quick", ArgPredicate::IsPresent, "64000")
    )]
    events: u64,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

#[derive(Serialize)]
struct Results {
    /// Why there is no larger size.
    ended_by: String,
    sizes: Vec<Size>,
}

#[derive(Serialize)]
struct Size {
    /// `bare loop`, or an era of pinfold's.
    server: String,
    streams: u64,
    cpu_ns_per_event: Summary,
    last_us: Summary,
    opened_per_second: Summary,
    lost: u64,
    samples: Vec<Sample>,
}

struct Contestant {
    name: String,
    program: Program,
    protocol: Protocol,
}

pub(crate) fn run(options: &GrowthOptions) -> Outcome<()> {
    let bench = options
        .common
        .prepare(options.from + SPARE_FILES, options.to + SPARE_FILES)?;
    let contestants = contestants(&bench.program)?;
    let record = Record::begin("growth", options)?;
    let most = options.to.min(bench.open_files - SPARE_FILES);
    let sizes = sizes(options, most);
    let bar = progress(sizes.len());
    let mut results = Results {
        ended_by: ending(most, options),
        sizes: Vec::new(),
    };
    for streams in sizes {
        bar.set_message(format!("{streams} streams"));
        match measure(options, &contestants, streams) {
            Ok(measured) => results.sizes.extend(measured),
            Err(fault) => {
                results.ended_by = format!("with {} streams: {fault}", thousands(streams as f64));
                break;
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    record.end(&results, &tables(&results))
}

fn ending(most: u64, options: &GrowthOptions) -> String {
    if most == options.to {
        return "no more was asked for".to_owned();
    }
    "no process may have more open files here (ulimit -Hn)".to_owned()
}

/// Ends with `most`.
fn sizes(options: &GrowthOptions, most: u64) -> Vec<u64> {
    let grown = std::iter::successors(Some(options.from), |it| it.checked_mul(options.factor));
    let below = grown.take_while(|&it| it < most);
    below.chain([most]).collect()
}

fn contestants(program: &Program) -> Outcome<Vec<Contestant>> {
    let mut contestants = vec![Contestant {
        name: "bare send loop".to_owned(),
        program: Program::Floor(fanout::event_of(program, Protocol::Legacy)?),
        protocol: Protocol::Raw,
    }];
    contestants.extend(ERAS.map(|era| Contestant {
        name: era.stream_of("pinfold"),
        program: program.clone(),
        protocol: era,
    }));
    Ok(contestants)
}

/// One after the other: the largest size may need all memory that the machine has.
fn measure(
    options: &GrowthOptions,
    contestants: &[Contestant],
    streams: u64,
) -> Outcome<Vec<Size>> {
    let mut samples = vec![Vec::new(); contestants.len()];
    for _ in 0..options.repetitions {
        for (contestant, samples) in contestants.iter().zip(&mut samples) {
            let load = Load {
                protocol: contestant.protocol,
                topics: 1,
                streams: usize::try_from(streams)?,
                stalled: 0,
                broadcasts: usize::try_from((options.events / streams).max(1))?,
            };
            samples.extend(fanout::measure(&[(&contestant.program, load)])?);
        }
    }
    let sizes = contestants.iter().zip(samples);
    let sizes = sizes.map(|(contestant, samples)| {
        let of = |value: fn(&Sample) -> f64| Summary::of(samples.iter().map(value));
        Size {
            server: contestant.name.clone(),
            streams,
            cpu_ns_per_event: of(|it| it.cpu_ns_per_event),
            last_us: of(|it| it.last_us),
            opened_per_second: of(|it| it.opened_per_second),
            lost: samples.iter().map(|it| it.lost).sum(),
            samples,
        }
    });
    Ok(sizes.collect())
}

fn tables(results: &Results) -> String {
    let columns = ["server", "N", "CPU ns/event", "last µs", "opened/s", "lost"];
    let mut table = Table::new(&columns);
    for size in &results.sizes {
        table.row([
            size.server.clone(),
            thousands(size.streams as f64),
            thousands(size.cpu_ns_per_event.median),
            thousands(size.last_us.median),
            thousands(size.opened_per_second.median),
            size.lost.to_string(),
        ]);
    }
    format!(
        "\nOne publication to more and more idle streams, medians; servers one after the other. It ended there: {}.\n\n{}",
        results.ended_by,
        table.text()
    )
}
