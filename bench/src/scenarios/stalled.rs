//! Readers that stop reading: what they cost the others, and what is held for them.

use std::thread::sleep;
use std::time::Duration;

use clap::Parser;
use clap::builder::ArgPredicate;
use serde::Serialize;

use super::{Common, ERAS, SPARE_FILES, progress};
use crate::Outcome;
use crate::fanout::{self, Load, Sample};
use crate::loader::protocol::Protocol;
use crate::machine;
use crate::record::Record;
use crate::server::{Program, Server};
use crate::stats::Summary;
use crate::table::{Table, thousands};

#[derive(Clone, Debug, Parser, Serialize)]
pub(crate) struct StalledOptions {
    /// Streams that read.
    #[arg(long, default_value_t = 1_000)]
    streams: usize,
    /// How often each contestant is measured.
    #[arg(
        long,
        default_value_t = 6,
        default_value_if("quick", ArgPredicate::IsPresent, "2"),
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    repetitions: u32,
    /// Publications in one repetition.
    #[arg(
        long,
        default_value_t = 300,
        default_value_if("quick", ArgPredicate::IsPresent, "96")
    )]
    broadcasts: usize,
    /// Readers that stall while so much is published …
    #[arg(long, default_value_t = 200)]
    held_readers: usize,
    /// … as this. Less than a write may stall (30 s) must pass meanwhile, or they are closed.
    #[arg(
        long,
        default_value_t = 100_000,
        default_value_if("quick", ArgPredicate::IsPresent, "10000")
    )]
    held_publications: usize,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

#[derive(Serialize)]
struct Results {
    others: Vec<OthersResult>,
    held: Vec<Held>,
}

/// The others with one stalled reader among them, against the others alone.
#[derive(Serialize)]
struct OthersResult {
    era: Protocol,
    streams: usize,
    last_ratio: Summary,
    p99_ratio: Summary,
    cpu_ratio: Summary,
    lost: u64,
    without: Vec<Sample>,
    with_one: Vec<Sample>,
}

/// What is held for one stalled reader after so many publications.
#[derive(Serialize)]
struct Held {
    era: Protocol,
    readers: usize,
    publications: usize,
    /// In the server's own memory.
    user_bytes: f64,
    /// In the server's sockets: written and not taken by the reader's kernel.
    kernel_bytes: f64,
    /// What all publications would have been.
    published_bytes: f64,
    seconds: f64,
}

/// Until what was needed for a moment is freed.
const SETTLE: Duration = Duration::from_millis(500);

pub(crate) fn run(options: &StalledOptions) -> Outcome<()> {
    let files = options.streams as u64 + SPARE_FILES;
    let program = options.common.prepare(files, files)?.program;
    let record = Record::begin("stalled", options)?;
    let bar = progress(ERAS.len() * (options.repetitions as usize + 1));
    let (mut others, mut held) = (Vec::new(), Vec::new());
    for era in ERAS {
        let mut samples = (Vec::new(), Vec::new());
        for _ in 0..options.repetitions {
            bar.set_message(format!("one stalled, {era:?}"));
            let load = |stalled| Load {
                protocol: era,
                topics: 1,
                streams: options.streams,
                stalled,
                broadcasts: options.broadcasts,
            };
            let measured = fanout::measure(&[(&program, load(0)), (&program, load(1))])?;
            let mut measured = measured.into_iter();
            samples.0.extend(measured.next());
            samples.1.extend(measured.next());
            bar.inc(1);
        }
        others.push(OthersResult::new(era, options.streams, samples));
        bar.set_message(format!("held, {era:?}"));
        held.push(hold(options, &program, era)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let results = Results { others, held };
    record.end(&results, &tables(&results))
}

/// Publishes to one reader that reads and to many that do not.
fn hold(options: &StalledOptions, program: &Program, era: Protocol) -> Outcome<Held> {
    let server = Server::start(program)?;
    let mut loader = server.loader(era, 1)?;
    loader.open_to(1 + options.held_readers)?;
    loader.stall(options.held_readers)?;
    sleep(SETTLE);
    let before = server.memory()?;
    let started = std::time::Instant::now();
    let mut bytes = 0;
    for _ in 0..options.held_publications {
        let broadcast = loader.broadcast(|_| {})?;
        if broadcast.lost > 0 {
            return Err("the reader that reads lost an event".into());
        }
        bytes += broadcast.bytes;
    }
    let seconds = started.elapsed().as_secs_f64();
    sleep(SETTLE);
    let after = server.memory()?;
    let readers = options.held_readers as f64;
    Ok(Held {
        era,
        readers: options.held_readers,
        publications: options.held_publications,
        user_bytes: (after.anonymous as f64 - before.anonymous as f64) / readers,
        kernel_bytes: machine::unsent_bytes(server.address())? as f64 / readers,
        published_bytes: bytes as f64,
        seconds,
    })
}

impl OthersResult {
    fn new(era: Protocol, streams: usize, (without, with_one): (Vec<Sample>, Vec<Sample>)) -> Self {
        let ratio = |value: fn(&Sample) -> f64| {
            let pairs = with_one.iter().zip(&without);
            Summary::of(pairs.map(|(with_one, without)| value(with_one) / value(without)))
        };
        OthersResult {
            era,
            streams,
            last_ratio: ratio(|it| it.last_us),
            p99_ratio: ratio(|it| it.p99_us),
            cpu_ratio: ratio(|it| it.cpu_ns_per_event),
            lost: with_one.iter().map(|it| it.lost).sum(),
            without,
            with_one,
        }
    }
}

fn tables(results: &Results) -> String {
    let mut others = Table::new(&["stream", "N", "last ×", "p99 ×", "CPU/event ×", "lost"]);
    for result in &results.others {
        others.row([
            format!("{:?}", result.era),
            thousands(result.streams as f64),
            format!("{:.2}", result.last_ratio.median),
            format!("{:.2}", result.p99_ratio.median),
            format!("{:.2}", result.cpu_ratio.median),
            result.lost.to_string(),
        ]);
    }
    let mut held = Table::new(&[
        "stalled reader",
        "publications",
        "their bytes",
        "held, user bytes",
        "held, socket bytes",
    ]);
    for result in &results.held {
        held.row([
            format!("{:?}", result.era),
            thousands(result.publications as f64),
            thousands(result.published_bytes),
            thousands(result.user_bytes),
            thousands(result.kernel_bytes),
        ]);
    }
    format!(
        "\nOne stalled reader among N: the others with it, against the others without it\n\n{}\n\
         What is held for a reader that stalls while others are told\n\n{}",
        others.text(),
        held.text()
    )
}
