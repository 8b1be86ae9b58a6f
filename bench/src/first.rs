//! The first figures: CPU and time per delivered event of both eras against a bare loop of `send(2)`, and the memory
//! of an idle client.
//!
//! Every repetition runs all contestants one after the other, each in a fresh process, starting with another one
//! each time: what drifts, drifts for all. Ratios are of one repetition to the floor of the same.

use std::path::PathBuf;
use std::process::Command;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::Outcome;
use crate::fanout::{self, Load};
use crate::loader::protocol::Protocol;
use crate::machine::{pin_to, raise_open_files};
use crate::memory::{self, Span};
use crate::record::{Record, root};
use crate::server::{LOADER_CPU, Program};
use crate::stats::Summary;
use crate::table::{Table, thousands};

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
/// Other programs used so much of the CPUs that the figures are doubtful.
const OTHERS_SHARE_MAX: f64 = 0.03;

#[derive(Serialize)]
struct Results {
    fanout: Vec<FanoutResult>,
    memory: Vec<MemoryResult>,
}

#[derive(Serialize)]
struct FanoutResult {
    streams: usize,
    broadcasts: usize,
    era: Protocol,
    cpu_ratio_to_floor: Summary,
    last_ratio_to_floor: Summary,
    floor: Measured,
    pinfold: Measured,
}

#[derive(Serialize)]
struct Measured {
    cpu_ns_per_event: Summary,
    cores_cpu_ns_per_event: Option<Summary>,
    loader_cpu_ns_per_event: Summary,
    loader_reads_per_second: Option<Summary>,
    events_per_second: Summary,
    first_us: Summary,
    p50_us: Summary,
    p99_us: Summary,
    last_us: Summary,
    opened_per_second: Summary,
    lost: u64,
    extra: u64,
    samples: Vec<fanout::Sample>,
}

#[derive(Serialize)]
struct MemoryResult {
    client: Protocol,
    few: usize,
    many: usize,
    private_dirty_per_client: Summary,
    resident_per_client: Summary,
    samples: Vec<memory::Sample>,
}

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
    print(&results);
    record.end(&results)
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
                results.push(compared(streams, broadcasts, era, floor, pinfold));
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
    let results = results.map(|(samples, client)| MemoryResult {
        client,
        few: span.few,
        many: span.many,
        private_dirty_per_client: summary(&samples, |it| it.private_dirty_per_client),
        resident_per_client: summary(&samples, |it| it.resident_per_client),
        samples,
    });
    Ok(results.collect())
}

fn compared(
    streams: usize,
    broadcasts: usize,
    era: Protocol,
    floor: Vec<fanout::Sample>,
    pinfold: Vec<fanout::Sample>,
) -> FanoutResult {
    let ratio = |value: fn(&fanout::Sample) -> f64| {
        let pairs = pinfold.iter().zip(&floor);
        Summary::of(pairs.map(|(pinfold, floor)| value(pinfold) / value(floor)))
    };
    FanoutResult {
        streams,
        broadcasts,
        era,
        cpu_ratio_to_floor: ratio(|it| it.cpu_ns_per_event),
        last_ratio_to_floor: ratio(|it| it.last_us),
        floor: measured(floor),
        pinfold: measured(pinfold),
    }
}

fn measured(samples: Vec<fanout::Sample>) -> Measured {
    Measured {
        cpu_ns_per_event: summary(&samples, |it| it.cpu_ns_per_event),
        cores_cpu_ns_per_event: optional(&samples, |it| it.cores_cpu_ns_per_event),
        loader_cpu_ns_per_event: summary(&samples, |it| it.loader_cpu_ns_per_event),
        loader_reads_per_second: optional(&samples, |it| it.loader_reads_per_second),
        events_per_second: summary(&samples, |it| it.events_per_second),
        first_us: summary(&samples, |it| it.first_us),
        p50_us: summary(&samples, |it| it.p50_us),
        p99_us: summary(&samples, |it| it.p99_us),
        last_us: summary(&samples, |it| it.last_us),
        opened_per_second: summary(&samples, |it| it.opened_per_second),
        lost: samples.iter().map(|it| it.lost).sum(),
        extra: samples.iter().map(|it| it.extra).sum(),
        samples,
    }
}

fn summary<S>(samples: &[S], value: impl Fn(&S) -> f64) -> Summary {
    Summary::of(samples.iter().map(value))
}

fn optional<S>(samples: &[S], value: impl Fn(&S) -> Option<f64>) -> Option<Summary> {
    let values: Vec<f64> = samples.iter().filter_map(value).collect();
    (!values.is_empty()).then(|| Summary::of(values))
}

fn progress(steps: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:32} {pos}/{len} {msg} (about {eta} left)");
    let bar = ProgressBar::new(steps as u64);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn print(results: &Results) {
    print_fanout(&results.fanout);
    if !results.memory.is_empty() {
        print_memory(&results.memory);
    }
    let samples = results
        .fanout
        .iter()
        .flat_map(|it| it.floor.samples.iter().chain(&it.pinfold.samples));
    let others = samples.map(|it| it.others_share).fold(0.0, f64::max);
    if others > OTHERS_SHARE_MAX {
        println!(
            "\nDoubtful: in one repetition other programs had {:.0} % of the CPUs. Run it again on a quiet machine.",
            others * 100.0
        );
    }
}

fn print_fanout(results: &[FanoutResult]) {
    println!("\nOne publication to N idle streams (medians)\n");
    let mut table = Table::new(&[
        "server",
        "N",
        "CPU ns/event",
        "× floor",
        "first µs",
        "p50 µs",
        "p99 µs",
        "last µs",
        "× floor",
        "events/s",
        "lost",
        "extra",
    ]);
    for result in results {
        for (name, measured, ratios) in [
            ("bare send loop", &result.floor, None),
            (
                "pinfold",
                &result.pinfold,
                Some((result.cpu_ratio_to_floor, result.last_ratio_to_floor)),
            ),
        ] {
            let ratio =
                |ratio: Option<Summary>| ratio.map_or("1".into(), |it| format!("{:.2}", it.median));
            table.row([
                format!("{name}, {:?}", result.era),
                thousands(result.streams as f64),
                thousands(measured.cpu_ns_per_event.median),
                ratio(ratios.map(|(cpu, _)| cpu)),
                thousands(measured.first_us.median),
                thousands(measured.p50_us.median),
                thousands(measured.p99_us.median),
                thousands(measured.last_us.median),
                ratio(ratios.map(|(_, last)| last)),
                thousands(measured.events_per_second.median),
                measured.lost.to_string(),
                measured.extra.to_string(),
            ]);
        }
    }
    table.print();
    for result in results {
        if let Some(limit) = result.floor.loader_reads_per_second {
            println!(
                "The loader reads {} waiting events a second with {} streams; it used {} ns of CPU per event.",
                thousands(limit.median),
                thousands(result.streams as f64),
                thousands(result.pinfold.loader_cpu_ns_per_event.median),
            );
        }
    }
}

fn print_memory(results: &[MemoryResult]) {
    println!("\nMemory of an idle client (medians of the slope)\n");
    let mut table = Table::new(&["client", "from", "to", "user bytes", "resident", "opened/s"]);
    for result in results {
        table.row([
            format!("{:?}", result.client),
            thousands(result.few as f64),
            thousands(result.many as f64),
            thousands(result.private_dirty_per_client.median),
            thousands(result.resident_per_client.median),
            thousands(summary(&result.samples, |it| it.opened_per_second).median),
        ]);
    }
    table.print();
}
