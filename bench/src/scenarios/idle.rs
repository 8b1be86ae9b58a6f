//! What it costs to keep clients that do nothing: memory of the server and of the kernel, CPU for keep-alives, and how
//! fast they come.

use std::time::Duration;

use clap::Parser;
use clap::builder::ArgPredicate;
use serde::Serialize;

use super::{Common, SPARE_FILES, progress};
use crate::Outcome;
use crate::loader::protocol::Protocol;
use crate::memory::{self, Idle, Sample, Span};
use crate::record::Record;
use crate::stats::Summary;
use crate::table::{Table, thousands};

#[derive(Clone, Debug, Parser, Serialize)]
pub(crate) struct IdleOptions {
    /// Memory is the slope between so many idle clients …
    #[arg(long, default_value_t = 2_000)]
    few: usize,
    /// … and so many
    #[arg(long, default_value_t = 15_000)]
    many: usize,
    /// How often each kind of client is measured
    #[arg(
        long,
        default_value_t = 2,
        default_value_if("quick", ArgPredicate::IsPresent, "1"),
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    repetitions: u32,
    /// How long streams are left alone in the first repetition; a keep-alive comes every 15 s
    #[arg(
        long,
        default_value_t = 30,
        default_value_if("quick", ArgPredicate::IsPresent, "16")
    )]
    idle_seconds: u64,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

#[derive(Serialize)]
struct IdleResult {
    client: Protocol,
    few: usize,
    many: usize,
    anonymous_per_client: Summary,
    private_dirty_per_client: Summary,
    resident_per_client: Summary,
    kernel_per_client: Summary,
    opened_per_second: Summary,
    idle: Option<Idle>,
    samples: Vec<Sample>,
}

const CLIENTS: [Protocol; 3] = [Protocol::Legacy, Protocol::Modern, Protocol::KeepAlive];

pub(crate) fn run(options: &IdleOptions) -> Outcome<()> {
    if options.few >= options.many {
        return Err("--few must be less than --many".into());
    }
    let files = options.many as u64 + SPARE_FILES;
    let program = options.common.prepare(files, files)?.program;
    let record = Record::begin("idle", options)?;
    let mut samples = vec![Vec::new(); CLIENTS.len()];
    let bar = progress(options.repetitions as usize * CLIENTS.len());
    for repetition in 0..options.repetitions {
        for (samples, client) in samples.iter_mut().zip(CLIENTS) {
            bar.set_message(format!("{client:?}"));
            let left_alone = repetition == 0 && client.streams();
            let idle_seconds = if left_alone { options.idle_seconds } else { 0 };
            let span = Span {
                few: options.few,
                many: options.many,
                idle: Duration::from_secs(idle_seconds),
            };
            samples.push(memory::measure(&program, client, span)?);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let results = samples.into_iter().zip(CLIENTS);
    let results: Vec<IdleResult> = results
        .map(|(samples, client)| IdleResult::new(client, options, samples))
        .collect();
    record.end(&results, &tables(&results))
}

impl IdleResult {
    fn new(client: Protocol, options: &IdleOptions, samples: Vec<Sample>) -> Self {
        let of = |value: fn(&Sample) -> f64| Summary::of(samples.iter().map(value));
        IdleResult {
            client,
            few: options.few,
            many: options.many,
            anonymous_per_client: of(|it| it.anonymous_per_client),
            private_dirty_per_client: of(|it| it.private_dirty_per_client),
            resident_per_client: of(|it| it.resident_per_client),
            kernel_per_client: of(|it| it.kernel_per_client),
            opened_per_second: of(|it| it.opened_per_second),
            idle: samples.iter().find_map(|it| it.idle),
            samples,
        }
    }
}

fn tables(results: &[IdleResult]) -> String {
    let mut memory = Table::new(&[
        "idle client",
        "from",
        "to",
        "user bytes",
        "resident",
        "kernel, both ends",
        "opened/s",
    ]);
    let mut idle = Table::new(&[
        "streams left alone",
        "N",
        "seconds",
        "keep-alives",
        "of one CPU",
        "CPU ns/keep-alive",
    ]);
    for result in results {
        memory.row([
            format!("{:?}", result.client),
            thousands(result.few as f64),
            thousands(result.many as f64),
            thousands(result.anonymous_per_client.median),
            thousands(result.resident_per_client.median),
            thousands(result.kernel_per_client.median),
            thousands(result.opened_per_second.median),
        ]);
        let Some(alone) = result.idle else { continue };
        idle.row([
            format!("{:?}", result.client),
            thousands(result.many as f64),
            thousands(alone.seconds),
            thousands(alone.keep_alives as f64),
            format!("{:.2} %", 100.0 * alone.cpu_share),
            thousands(alone.cpu_ns_per_keep_alive),
        ]);
    }
    format!(
        "\nMemory for each idle client, median slopes. The kernel's is what its small objects of the whole machine grew \
         by, the loader's sockets included.\n\n{}\nCPU while nothing happens but keep-alives\n\n{}",
        memory.text(),
        idle.text()
    )
}
