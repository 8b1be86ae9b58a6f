//! Many topics at once: what an event costs when it leaves together with others, against one send for each event.
//!
//! Every stream hears of all topics, and all of them are published in one request. The floor tells every stream one
//! thing; the ratio is pinfold's CPU per event to the floor's CPU per event.

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
pub(crate) struct BurstOptions {
    /// Topics published together, one or more counts.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64")]
    topics: Vec<usize>,
    /// Streams that hear of all of them.
    #[arg(long, default_value_t = 1_000)]
    streams: usize,
    /// How often each contestant is measured.
    #[arg(
        long,
        default_value_t = 4,
        default_value_if("quick", ArgPredicate::IsPresent, "1"),
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    repetitions: u32,
    /// Requests that publish, in one repetition.
    #[arg(
        long,
        default_value_t = 160,
        default_value_if("quick", ArgPredicate::IsPresent, "48")
    )]
    publications: usize,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

#[derive(Serialize)]
struct BurstResult {
    era: Protocol,
    topics: usize,
    streams: usize,
    cpu_ratio_to_floor: Summary,
    floor_cpu_ns_per_event: Summary,
    cpu_ns_per_event: Summary,
    events_per_second: Summary,
    last_us: Summary,
    lost: u64,
    extra: u64,
    floor: Vec<Sample>,
    pinfold: Vec<Sample>,
}

pub(crate) fn run(options: &BurstOptions) -> Outcome<()> {
    let files = options.streams as u64 + SPARE_FILES;
    let program = options.common.prepare(files, files)?.program;
    let record = Record::begin("burst", options)?;
    let bar = progress(2 * options.topics.len() * options.repetitions as usize);
    let mut results = Vec::new();
    for era in ERAS {
        let floor = Program::Floor(fanout::event_of(&program, era)?);
        for &topics in &options.topics {
            let mut samples = (Vec::new(), Vec::new());
            for _ in 0..options.repetitions {
                bar.set_message(format!("{topics} topics, {era:?}"));
                let load = |protocol, topics| Load {
                    protocol,
                    topics,
                    streams: options.streams,
                    stalled: 0,
                    broadcasts: options.publications,
                };
                let contestants = [
                    (&floor, load(Protocol::Raw, 1)),
                    (&program, load(era, topics)),
                ];
                let mut measured = fanout::measure(&contestants)?.into_iter();
                samples.0.extend(measured.next());
                samples.1.extend(measured.next());
                bar.inc(1);
            }
            results.push(BurstResult::new(era, topics, options.streams, samples));
        }
    }
    bar.finish_and_clear();
    record.end(&results, &table(&results))
}

impl BurstResult {
    fn new(
        era: Protocol,
        topics: usize,
        streams: usize,
        (floor, pinfold): (Vec<Sample>, Vec<Sample>),
    ) -> Self {
        let pairs = pinfold.iter().zip(&floor);
        let ratios =
            pairs.map(|(pinfold, floor)| pinfold.cpu_ns_per_event / floor.cpu_ns_per_event);
        let of =
            |samples: &[Sample], value: fn(&Sample) -> f64| Summary::of(samples.iter().map(value));
        BurstResult {
            era,
            topics,
            streams,
            cpu_ratio_to_floor: Summary::of(ratios),
            floor_cpu_ns_per_event: of(&floor, |it| it.cpu_ns_per_event),
            cpu_ns_per_event: of(&pinfold, |it| it.cpu_ns_per_event),
            events_per_second: of(&pinfold, |it| it.events_per_second),
            last_us: of(&pinfold, |it| it.last_us),
            lost: pinfold.iter().map(|it| it.lost).sum(),
            extra: pinfold.iter().map(|it| it.extra).sum(),
            floor,
            pinfold,
        }
    }
}

fn table(results: &[BurstResult]) -> String {
    let mut table = Table::new(&[
        "stream",
        "topics at once",
        "CPU ns/event",
        "× one send per event",
        "events/s",
        "last µs",
        "lost",
        "extra",
    ]);
    for result in results {
        table.row([
            format!("{:?}", result.era),
            result.topics.to_string(),
            thousands(result.cpu_ns_per_event.median),
            format!("{:.3}", result.cpu_ratio_to_floor.median),
            thousands(result.events_per_second.median),
            thousands(result.last_us.median),
            result.lost.to_string(),
            result.extra.to_string(),
        ]);
    }
    format!(
        "\nMany topics published in one request to {} streams, medians\n\n{}",
        results.first().map_or(0, |it| it.streams),
        table.text()
    )
}
