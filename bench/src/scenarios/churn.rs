//! Sessions opened and closed: how many a second, and whether any memory stays behind.
//!
//! A few connections open session after session. Every second one is ended by DELETE, the others by the server, once
//! they were idle for as long as it was told to keep them. So after that time as many end as begin, and memory has no
//! reason to grow any more: from there on its slope over sessions is taken.

use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Parser;
use clap::builder::ArgPredicate;
use serde::Serialize;

use super::{Common, SPARE_FILES, progress};
use crate::Outcome;
use crate::loader::asker::{Answer, Askers, Script};
use crate::loader::protocol::legacy;
use crate::machine::SERVER_CPU;
use crate::record::Record;
use crate::server::{Server, Setup};
use crate::stats::{Times, histogram, slope};
use crate::table::{Table, thousands};

#[derive(Clone, Debug, Parser, Serialize)]
pub(crate) struct ChurnOptions {
    /// Sessions that are opened
    #[arg(
        long,
        default_value_t = 1_000_000,
        default_value_if("quick", ArgPredicate::IsPresent, "300000")
    )]
    sessions: usize,
    /// Connections that open them
    #[arg(long, default_value_t = 64)]
    connections: usize,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

#[derive(Serialize)]
struct Churn {
    sessions: usize,
    /// By DELETE; the others by being idle.
    deleted: usize,
    sessions_per_second: f64,
    requests_per_second: f64,
    cpu_us_per_session: f64,
    /// Of one request.
    times: Times,
    /// Memory in bytes over sessions opened, once as many ended as began.
    resident_slope_per_session: f64,
    resident_slope_error: f64,
    /// The slope is within two standard errors of none, or below a byte.
    no_slope: bool,
    resident_at_start: u64,
    /// When all sessions were over.
    resident_at_end: u64,
    /// Sessions opened and resident bytes then.
    points: Vec<(f64, f64)>,
}

/// How long the server keeps an idle session here.
const SESSION_IDLE: Duration = Duration::from_secs(1);
const SETUP: Setup = Setup {
    cpus: &[SERVER_CPU],
    // All come from one client at a rate that is nobody's.
    arguments: &[
        "--session-idle",
        "1s",
        "--initialize-per-second-max",
        "10000000",
    ],
};
/// Memory is looked at so often.
const POINTS: usize = 40;

pub(crate) fn run(options: &ChurnOptions) -> Outcome<()> {
    let files = options.connections as u64 + SPARE_FILES;
    let program = options.common.prepare(files, files)?.program;
    let record = Record::begin("churn", options)?;
    let server = Server::start_with(&program, &SETUP)?;
    let mut connections = Askers::connect(server.address(), options.connections)?;
    let mut sessions = Sessions::new(server.address().to_string(), options.connections);
    let mut times = histogram()?;
    let resident_at_start = server.memory()?.resident;
    let cpu_before = server.cpu_time()?.all_ns;
    let (started, mut asking) = (Instant::now(), Duration::ZERO);
    let (mut points, mut settled) = (Vec::new(), None);
    let bar = progress(POINTS);
    for point in 1..=POINTS {
        sessions.due = options.sessions * point / POINTS;
        asking += connections.run(&mut sessions, &mut times)?;
        points.push((sessions.opened as f64, server.memory()?.resident as f64));
        if settled.is_none() && started.elapsed() > 2 * SESSION_IDLE {
            settled = Some(points.len());
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let cpu_ns = (server.cpu_time()?.all_ns - cpu_before) as f64;
    sleep(3 * SESSION_IDLE);
    // The first quarter is left out in any case: the number of sessions that live finds its level there. More than
    // 200,000 are left then.
    let settled = settled.map(|it| it.max(POINTS / 4));
    let settled = settled.filter(|&it| it + 3 <= points.len());
    let settled = settled.ok_or("it was over before the first sessions ended: raise --sessions")?;
    let (slope, error) = slope(&points[settled..]);
    let churn = Churn {
        sessions: sessions.opened,
        deleted: sessions.deleted,
        sessions_per_second: sessions.opened as f64 / asking.as_secs_f64(),
        requests_per_second: times.len() as f64 / asking.as_secs_f64(),
        cpu_us_per_session: cpu_ns / 1000.0 / sessions.opened as f64,
        times: Times::of(&times),
        resident_slope_per_session: slope,
        resident_slope_error: error,
        no_slope: slope < 1.0 || slope < 2.0 * error,
        resident_at_start,
        resident_at_end: server.memory()?.resident,
        points,
    };
    // What runs on would count as a stranger: the record knows of children that have ended.
    drop(server);
    record.end(&churn, &table(&churn))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Delete,
    Idle,
}

/// Each connection opens a session, ends it if it is its turn to be ended, and so on.
struct Sessions {
    host: String,
    initialize: Vec<u8>,
    due: usize,
    opened: usize,
    deleted: usize,
    /// The request under way on each connection opens a session that is to end so.
    opening: Vec<Option<Ending>>,
}

impl Sessions {
    fn new(host: String, connections: usize) -> Self {
        Sessions {
            initialize: legacy::initialize(&host).into_bytes(),
            host,
            due: 0,
            opened: 0,
            deleted: 0,
            opening: vec![None; connections],
        }
    }
}

impl Script for Sessions {
    fn next(&mut self, connection: usize, answer: Option<&Answer>) -> Outcome<Option<Vec<u8>>> {
        if let Some(answer) = answer {
            answer.expect_success()?;
            if self.opening[connection].take() == Some(Ending::Delete) {
                let session = answer
                    .session
                    .as_deref()
                    .ok_or("initialize gave no session")?;
                self.deleted += 1;
                return Ok(Some(legacy::delete(&self.host, session).into_bytes()));
            }
        }
        if self.opened == self.due {
            return Ok(None);
        }
        self.opened += 1;
        self.opening[connection] = Some(match self.opened.is_multiple_of(2) {
            true => Ending::Delete,
            false => Ending::Idle,
        });
        Ok(Some(self.initialize.clone()))
    }
}

fn table(churn: &Churn) -> String {
    let mut table = Table::new(&["sessions opened and ended", "figure"]);
    let mut row = |name: &str, figure: String| table.row([name.to_owned(), figure]);
    row("sessions", thousands(churn.sessions as f64));
    row("of these ended by DELETE", thousands(churn.deleted as f64));
    row("sessions/s", thousands(churn.sessions_per_second));
    row("requests/s", thousands(churn.requests_per_second));
    row("CPU µs/session", format!("{:.1}", churn.cpu_us_per_session));
    row("a request, p50 µs", thousands(churn.times.p50_us));
    row("a request, p99 µs", thousands(churn.times.p99_us));
    row(
        "resident bytes/session",
        format!(
            "{:.2} ± {:.2}",
            churn.resident_slope_per_session, churn.resident_slope_error
        ),
    );
    row(
        "resident at start",
        thousands(churn.resident_at_start as f64),
    );
    row("resident at end", thousands(churn.resident_at_end as f64));
    format!(
        "\nSessions opened one after the other on a few connections; half are ended by DELETE, half by being idle. The \
         slope is taken from when as many end as begin; memory grows with sessions: {}\n\n{}",
        if churn.no_slope { "no" } else { "yes" },
        table.text()
    )
}
