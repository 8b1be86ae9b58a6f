//! Publishing at higher and higher rates to a fixed number of streams, until the server cannot follow any more.
//!
//! The rate stands whether or not the last publication has arrived, and the topics of publications take turns, as they
//! would with many publishers. Up to what one send per event allows, each event leaves by itself; beyond, events wait for
//! the same stream and leave together.

use std::time::Duration;

use clap::Parser;
use clap::builder::ArgPredicate;
use serde::Serialize;

use super::{Common, ERAS, SPARE_FILES, progress};
use crate::Outcome;
use crate::loader::protocol::Protocol;
use crate::record::Record;
use crate::server::{Program, Server};
use crate::stats::{Summary, Times};
use crate::table::{Table, thousands};

#[derive(Clone, Debug, Parser, Serialize)]
pub(crate) struct LadderOptions {
    /// Publications a second, step by step
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "50,100,150,200,250,300,350,400,500,700,1000,1400,2000,2800,4000",
        default_value_if("quick", ArgPredicate::IsPresent, "100,200,400,1000,4000")
    )]
    rates: Vec<f64>,
    /// Streams that hear all topics
    #[arg(long, default_value_t = 1_000)]
    streams: usize,
    /// Topics that take turns
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1000))]
    topics: u16,
    /// Seconds of one step
    #[arg(
        long,
        default_value_t = 1.5,
        default_value_if("quick", ArgPredicate::IsPresent, "0.5")
    )]
    seconds: f64,
    /// How often the ladder is climbed
    #[arg(
        long,
        default_value_t = 2,
        default_value_if("quick", ArgPredicate::IsPresent, "1"),
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    repetitions: u32,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

#[derive(Serialize)]
struct Ladder {
    era: Protocol,
    streams: usize,
    topics: u16,
    steps: Vec<Rung>,
}

/// Who did not follow.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Limit {
    Nobody,
    Server,
    LoaderOrMachine,
}

/// Of all climbs that got there.
#[derive(Serialize)]
struct Rung {
    asked_per_second: f64,
    published_per_second: Summary,
    events_per_second: Summary,
    /// Events by publications and streams: less than 1 where publications of one topic were merged.
    events_per_publication_and_stream: Summary,
    p50_us: Summary,
    p99_us: Summary,
    /// How long until a topic is published again.
    cycle_us: f64,
    /// Publications that not everybody had by then: their last receipt has no time.
    overtaken: u64,
    /// Of the last receipts of those that were not overtaken, if there are any.
    last_p50_us: Option<Summary>,
    last_p99_us: Option<Summary>,
    cpu_ns_per_event: Summary,
    /// Of one CPU.
    cpu_share: Summary,
    lost: u64,
    steps: Vec<Step>,
}

#[derive(Clone, Serialize)]
struct Step {
    limit: Limit,
    published_per_second: f64,
    events_per_second: f64,
    events_per_publication_and_stream: f64,
    receipts: Times,
    lasts: Times,
    cpu_ns_per_event: f64,
    cpu_share: f64,
    overtaken: u64,
    lost: u64,
}

/// Who publishes less than this part of what was asked does not follow.
const FOLLOWS_MIN: f64 = 0.9;
/// A server with this share of its CPU in use is full. If it is not, something else does not follow: the loader, or a
/// machine with other things to do.
const FULL_MIN: f64 = 0.8;

pub(crate) fn run(options: &LadderOptions) -> Outcome<()> {
    let files = options.streams as u64 + SPARE_FILES;
    let program = options.common.prepare(files, files)?.program;
    let record = Record::begin("ladder", options)?;
    let bar = progress(options.repetitions as usize * ERAS.len() * options.rates.len());
    let mut steps = vec![vec![Vec::new(); options.rates.len()]; ERAS.len()];
    for _ in 0..options.repetitions {
        for (era, steps) in ERAS.into_iter().zip(&mut steps) {
            let mut climber = Climber::start(options, &program, era)?;
            for (&rate, steps) in options.rates.iter().zip(steps) {
                bar.set_message(format!("{era:?}, {rate} publications/s"));
                let step = climber.step(rate)?;
                let top = step.limit == Limit::Server;
                steps.push(step);
                bar.inc(1);
                if top {
                    break;
                }
            }
        }
    }
    bar.finish_and_clear();
    let ladders = ERAS.into_iter().zip(steps).map(|(era, steps)| Ladder {
        era,
        streams: options.streams,
        topics: options.topics,
        steps: rungs(options, steps),
    });
    let ladders: Vec<Ladder> = ladders.collect();
    record.end(&ladders, &table(&ladders))
}

fn rungs(options: &LadderOptions, steps: Vec<Vec<Step>>) -> Vec<Rung> {
    let reached = options
        .rates
        .iter()
        .zip(steps)
        .filter(|(_, it)| !it.is_empty());
    reached
        .map(|(&rate, steps)| Rung::new(rate, options.topics, steps))
        .collect()
}

/// One server and its streams.
struct Climber {
    // Before the server, so that the clients leave first.
    loader: crate::loader::Loader,
    server: Server,
    streams: usize,
    time: Duration,
}

impl Climber {
    fn start(options: &LadderOptions, program: &Program, era: Protocol) -> Outcome<Self> {
        let server = Server::start(program)?;
        let mut loader = server.loader(era, options.topics.into())?;
        loader.open_to(options.streams)?;
        loader.broadcast(|_| {})?;
        Ok(Climber {
            loader,
            server,
            streams: options.streams,
            time: Duration::from_secs_f64(options.seconds),
        })
    }

    fn step(&mut self, rate: f64) -> Outcome<Step> {
        let before = self.server.cpu_time()?.all_ns;
        let pace = self.loader.pace(rate, self.time)?;
        let cpu_ns = (self.server.cpu_time()?.all_ns - before) as f64;
        let (events, elapsed) = (pace.events as f64, pace.elapsed);
        if pace.events == 0 {
            return Err("nothing was delivered".into());
        }
        let cpu_share = cpu_ns / elapsed.as_nanos() as f64;
        let publishing = pace.publishing.max(self.time).as_secs_f64();
        let published_per_second = pace.published as f64 / publishing;
        Ok(Step {
            limit: match published_per_second >= FOLLOWS_MIN * rate {
                true => Limit::Nobody,
                false if cpu_share >= FULL_MIN => Limit::Server,
                false => Limit::LoaderOrMachine,
            },
            published_per_second,
            events_per_second: events / elapsed.as_secs_f64(),
            events_per_publication_and_stream: events
                / (pace.published as f64 * self.streams as f64),
            receipts: Times::of(&pace.receipts),
            lasts: Times::of(&pace.lasts),
            cpu_ns_per_event: cpu_ns / events,
            cpu_share,
            overtaken: pace.overtaken,
            lost: pace.lost,
        })
    }
}

impl Rung {
    fn new(asked_per_second: f64, topics: u16, steps: Vec<Step>) -> Self {
        let of = |value: fn(&Step) -> f64| Summary::of(steps.iter().map(value));
        Rung {
            asked_per_second,
            published_per_second: of(|it| it.published_per_second),
            events_per_second: of(|it| it.events_per_second),
            events_per_publication_and_stream: of(|it| it.events_per_publication_and_stream),
            p50_us: of(|it| it.receipts.p50_us),
            p99_us: of(|it| it.receipts.p99_us),
            cycle_us: f64::from(topics) / asked_per_second * 1e6,
            overtaken: steps.iter().map(|it| it.overtaken).sum(),
            last_p50_us: lasts(&steps, |it| it.p50_us),
            last_p99_us: lasts(&steps, |it| it.p99_us),
            cpu_ns_per_event: of(|it| it.cpu_ns_per_event),
            cpu_share: of(|it| it.cpu_share),
            lost: steps.iter().map(|it| it.lost).sum(),
            steps,
        }
    }

    fn limit(&self) -> &'static str {
        let any = |limit| self.steps.iter().any(|it| it.limit == limit);
        match () {
            () if any(Limit::Server) => "the server",
            () if any(Limit::LoaderOrMachine) => "loader or machine",
            () => "",
        }
    }
}

/// Of those steps that have such times.
fn lasts(steps: &[Step], value: fn(&Times) -> f64) -> Option<Summary> {
    let timed = steps.iter().filter(|it| it.lasts.count > 0);
    let values: Vec<f64> = timed.map(|it| value(&it.lasts)).collect();
    (!values.is_empty()).then(|| Summary::of(values))
}

fn last(time: Option<Summary>) -> String {
    time.map_or_else(String::new, |it| thousands(it.median))
}

fn table(ladders: &[Ladder]) -> String {
    let columns = [
        "stream",
        "asked/s",
        "published/s",
        "events/s",
        "p50 µs",
        "p99 µs",
        "cycle µs",
        "overtaken",
        "last, p50 µs",
        "last, p99 µs",
        "CPU ns/event",
        "of the CPU",
        "not merged",
        "lost",
        "the limit is",
    ];
    let mut table = Table::new(&columns);
    for ladder in ladders {
        for rung in &ladder.steps {
            table.row([
                format!("{:?}", ladder.era),
                thousands(rung.asked_per_second),
                thousands(rung.published_per_second.median),
                thousands(rung.events_per_second.median),
                thousands(rung.p50_us.median),
                thousands(rung.p99_us.median),
                thousands(rung.cycle_us),
                thousands(rung.overtaken as f64),
                last(rung.last_p50_us),
                last(rung.last_p99_us),
                thousands(rung.cpu_ns_per_event.median),
                format!("{:.0} %", 100.0 * rung.cpu_share.median),
                format!(
                    "{:.0} %",
                    100.0 * rung.events_per_publication_and_stream.median
                ),
                rung.lost.to_string(),
                rung.limit().to_owned(),
            ]);
        }
    }
    let first = ladders.first();
    format!(
        "\nPublishing at a rate to {} streams, {} topics in turn, each stream subscribed to all; times from when a \
         publication was due. An event's is the age of the newest publication of its topic, which is published again \
         after a cycle; one that not everybody had by then is overtaken, and its last receipt has no time.\n\n{}",
        first.map_or(0, |it| it.streams),
        first.map_or(0, |it| it.topics),
        table.text()
    )
}
