//! What clients see of a deploy: when their streams end, with a drain and without.
//!
//! A stream's end is a client's return: what comes in one second here comes back in one second elsewhere.

use std::time::Duration;

use clap::Parser;
use clap::builder::ArgPredicate;
use serde::Serialize;

use super::{Common, ERAS, SPARE_FILES, progress};
use crate::Outcome;
use crate::loader::protocol::Protocol;
use crate::record::Record;
use crate::server::{Server, Setup};
use crate::table::{Table, thousands};

#[derive(Clone, Debug, Parser, Serialize)]
pub(crate) struct LeavingOptions {
    /// Streams that are open
    #[arg(long, default_value_t = 5_000)]
    streams: usize,
    /// Seconds in which they close if the node drains
    #[arg(
        long,
        default_value_t = 20,
        default_value_if("quick", ArgPredicate::IsPresent, "4")
    )]
    window: u64,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

#[derive(Serialize)]
struct Leaving {
    era: Protocol,
    streams: usize,
    window_s: u64,
    /// Streams that ended in each second after SIGTERM.
    ends_per_second: Vec<usize>,
    /// In the busiest tenth of a second.
    most_in_100_ms: usize,
    last_ms: f64,
}

const NOTICE_S: u64 = 1;
/// Beyond notice and window.
const SLACK: Duration = Duration::from_secs(10);

pub(crate) fn run(options: &LeavingOptions) -> Outcome<()> {
    let files = options.streams as u64 + SPARE_FILES;
    let program = options.common.prepare(files, files)?.program;
    let record = Record::begin("leaving", options)?;
    let bar = progress(2 * ERAS.len());
    let mut results = Vec::new();
    for era in ERAS {
        for window_s in [0, options.window] {
            bar.set_message(format!("{era:?}, a window of {window_s} s"));
            let notice_s = if window_s == 0 { 0 } else { NOTICE_S };
            let times = [format!("{notice_s}s"), format!("{window_s}s")];
            let arguments = ["--drain-notice", &times[0], "--drain-window", &times[1]];
            let setup = Setup {
                arguments: &arguments,
                ..Setup::default()
            };
            let server = Server::start_with(&program, &setup)?;
            let mut loader = server.loader(era, 1)?;
            loader.open_to(options.streams)?;
            server.terminate();
            let within = Duration::from_secs(notice_s + window_s) + SLACK;
            results.push(Leaving::new(era, window_s, &loader.await_ends(within)?));
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    record.end(&results, &table(&results))
}

impl Leaving {
    fn new(era: Protocol, window_s: u64, ends: &[Duration]) -> Self {
        let busiest = |slice_ms: u128| {
            let mut counts = Vec::new();
            for end in ends {
                let slice = (end.as_millis() / slice_ms) as usize;
                counts.resize(counts.len().max(slice + 1), 0);
                counts[slice] += 1;
            }
            counts
        };
        let last = ends.last().copied().unwrap_or_default();
        Leaving {
            era,
            streams: ends.len(),
            window_s,
            ends_per_second: busiest(1_000),
            most_in_100_ms: busiest(100).into_iter().max().unwrap_or(0),
            last_ms: last.as_secs_f64() * 1_000.0,
        }
    }
}

fn table(results: &[Leaving]) -> String {
    let columns = [
        "streams",
        "window",
        "N",
        "most in 100 ms",
        "most in a second",
        "last after",
    ];
    let mut table = Table::new(&columns);
    for leaving in results {
        let most = leaving.ends_per_second.iter().max().copied();
        table.row([
            format!("{:?}", leaving.era),
            match leaving.window_s {
                0 => "none".to_owned(),
                seconds => format!("{seconds} s"),
            },
            thousands(leaving.streams as f64),
            thousands(leaving.most_in_100_ms as f64),
            thousands(most.unwrap_or(0) as f64),
            format!("{:.1} s", leaving.last_ms / 1_000.0),
        ]);
    }
    format!(
        "\nWhen streams end after SIGTERM, with a drain of a window (after a notice of {NOTICE_S} s) and without\n\n{}",
        table.text()
    )
}
