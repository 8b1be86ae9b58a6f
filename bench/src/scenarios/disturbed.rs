//! What a broadcast does to a request that arrives in the middle of it.
//!
//! One connection asks again and again; meanwhile everybody is told something, or nobody. What the streams got is read
//! only afterwards: the loader has one CPU and would otherwise measure itself.

use std::time::{Duration, Instant};

use clap::Parser;
use clap::builder::ArgPredicate;
use hdrhistogram::Histogram;
use serde::Serialize;

use super::{Common, ERAS, SPARE_FILES, progress, session};
use crate::Outcome;
use crate::loader::Loader;
use crate::loader::asker::Askers;
use crate::loader::protocol::{Protocol, legacy};
use crate::record::Record;
use crate::server::Server;
use crate::stats::{Times, histogram};
use crate::table::{Table, thousands};

#[derive(Clone, Debug, Parser, Serialize)]
pub(crate) struct DisturbedOptions {
    /// Streams that are told.
    #[arg(long, default_value_t = 10_000)]
    streams: usize,
    /// Broadcasts, and as many rests in turn with them.
    #[arg(
        long,
        default_value_t = 100,
        default_value_if("quick", ArgPredicate::IsPresent, "15")
    )]
    broadcasts: usize,
    /// Requests during each of them.
    #[arg(long, default_value_t = 20)]
    requests: usize,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

#[derive(Serialize)]
struct Disturbed {
    era: Protocol,
    streams: usize,
    /// While nobody is told anything.
    at_rest: Times,
    /// While everybody is being told.
    in_broadcast: Times,
    /// Between the two.
    p99_more_us: f64,
}

/// Between two requests. Ten thousand sends take some tens of milliseconds.
const PAUSE: Duration = Duration::from_micros(500);

pub(crate) fn run(options: &DisturbedOptions) -> Outcome<()> {
    let files = options.streams as u64 + SPARE_FILES;
    let program = options.common.prepare(files, files)?.program;
    let record = Record::begin("disturbed", options)?;
    let bar = progress(ERAS.len() * options.broadcasts);
    let mut results = Vec::new();
    for era in ERAS {
        let server = Server::start(&program)?;
        let mut loader = server.loader(era, 1)?;
        loader.open_to(options.streams)?;
        let mut pinger = Pinger::connect(&server)?;
        let (mut rest, mut broadcast) = (histogram()?, histogram()?);
        for _ in 0..options.broadcasts {
            for _ in 0..options.requests {
                rest.saturating_record(pinger.ask()?);
            }
            ask_during_broadcast(options.requests, &mut loader, &mut pinger, &mut broadcast)?;
            bar.inc(1);
        }
        let (at_rest, in_broadcast) = (Times::of(&rest), Times::of(&broadcast));
        results.push(Disturbed {
            era,
            streams: options.streams,
            at_rest,
            in_broadcast,
            p99_more_us: in_broadcast.p99_us - at_rest.p99_us,
        });
    }
    bar.finish_and_clear();
    record.end(&results, &table(&results))
}

fn ask_during_broadcast(
    requests: usize,
    loader: &mut Loader,
    pinger: &mut Pinger,
    times: &mut Histogram<u64>,
) -> Outcome<()> {
    let published = loader.publish()?;
    for _ in 0..requests {
        times.saturating_record(pinger.ask()?);
    }
    let broadcast = loader.collect_published(published)?;
    if broadcast.lost > 0 {
        return Err(format!("{} streams were not told", broadcast.lost).into());
    }
    Ok(())
}

/// A client with a session that waits for one answer at a time, without sleeping.
pub(super) struct Pinger {
    connection: Askers,
    ping: Vec<u8>,
    pause: Duration,
}

impl Pinger {
    pub(super) fn connect(server: &Server) -> Outcome<Self> {
        let host = server.address().to_string();
        let session = session::open_one(server.address())?;
        Ok(Pinger {
            connection: Askers::connect(server.address(), 1)?,
            ping: legacy::ping(&host, &session).into_bytes(),
            pause: PAUSE,
        })
    }

    /// With so long between two requests.
    pub(super) fn pausing(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Nanoseconds from the request to its answer.
    pub(super) fn ask(&mut self) -> Outcome<u64> {
        let pause = Instant::now();
        while pause.elapsed() < self.pause {
            std::hint::spin_loop();
        }
        let (answer, time) = self.connection.ask(0, &self.ping)?;
        answer.expect_success()?;
        Ok(time.as_nanos() as u64)
    }
}

fn table(results: &[Disturbed]) -> String {
    let mut table = Table::new(&["streams", "N", "a request", "p50 µs", "p99 µs", "most µs"]);
    for result in results {
        let rows = [
            ("at rest", &result.at_rest),
            ("in a broadcast", &result.in_broadcast),
        ];
        for (when, times) in rows {
            table.row([
                format!("{:?}", result.era),
                thousands(result.streams as f64),
                when.to_owned(),
                thousands(times.p50_us),
                thousands(times.p99_us),
                thousands(times.max_us),
            ]);
        }
    }
    format!(
        "\nA `ping` while N streams are told, and at rest\n\n{}",
        table.text()
    )
}
