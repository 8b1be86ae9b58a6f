//! Hand-overs of a node with many clients: whether any of them notices, and for how long nobody is served.
//!
//! On each driver a chain of hand-overs, from each process to the next one. Meanwhile something is published every 50 ms to streams
//! of both eras, some of which read slowly; short connections come and go, some connections ask all the time, and some requests
//! arrive in pieces, of which each waits for the next hand-over. Each stream is followed: every event has to come once and in its
//! order. The server has two cores, and the clients run on the same CPUs: a pause is longer here than where they are elsewhere.

mod asker;
mod crowd;
mod faults;
mod operator;
mod sequence;
mod stream;

use std::net::SocketAddr;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use clap::Parser;
use clap::builder::ArgPredicate;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, set_child_subreaper, waitpid};
use serde::Serialize;

use self::crowd::{Crowd, Window};
use self::faults::Faults;
use self::operator::{HandOver, Shared};
use super::{Common, ERAS, SPARE_FILES, progress};
use crate::Outcome;
use crate::bars;
use crate::machine;
use crate::record::Record;
use crate::server::{Program, Server, Setup};
use crate::stats::Summary;
use crate::table::{Table, thousands};

#[derive(Clone, Debug, Parser, Serialize)]
pub(crate) struct HandoverOptions {
    /// Streams that are open
    #[arg(
        long,
        default_value_t = 10_000,
        default_value_if("quick", ArgPredicate::IsPresent, "200")
    )]
    pub(super) streams: usize,
    /// Of these, how many read rarely
    #[arg(
        long,
        default_value_t = 100,
        default_value_if("quick", ArgPredicate::IsPresent, "20")
    )]
    slow: usize,
    /// Connections whose requests arrive in pieces
    #[arg(
        long,
        default_value_t = 100,
        default_value_if("quick", ArgPredicate::IsPresent, "20")
    )]
    pieces: usize,
    /// Short connections
    #[arg(
        long,
        default_value_t = 20_000,
        default_value_if("quick", ArgPredicate::IsPresent, "2000")
    )]
    connections: usize,
    /// Hand-overs on each driver
    #[arg(
        long,
        default_value_t = 20,
        default_value_if("quick", ArgPredicate::IsPresent, "4")
    )]
    hand_overs: usize,
    /// Drivers of the server
    #[arg(long, value_delimiter = ',', default_value = "uring,epoll")]
    drivers: Vec<String>,
    /// Contents of the board, MB: for each the hand-overs are made
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "0,256",
        default_value_if("quick", ArgPredicate::IsPresent, "0,16")
    )]
    board_mb: Vec<usize>,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

#[derive(Serialize)]
struct OfDriver {
    driver: String,
    board_mb: usize,
    streams: usize,
    slow: usize,
    publications: u64,
    /// That were asked for once more, since the answer did not come.
    publications_again: u64,
    slowest_publication_ms: f64,
    events: u64,
    /// To short connections and others.
    answers: u64,
    faults: Faults,
    faults_sum: u64,
    pause_ms: Option<Summary>,
    whole_ms: Option<Summary>,
    cpu_old_ms: Option<Summary>,
    cpu_new_ms: Option<Summary>,
    /// Of both processes together, bytes.
    peak: Option<Summary>,
    /// The longest waits of clients in each hand-over, and in between.
    silence_ms: Option<Summary>,
    short_ms: Option<Summary>,
    steady_ms: Option<Summary>,
    at_rest: Vec<Window>,
    seen: Vec<Window>,
    hand_overs: Vec<HandOver>,
}

impl OfDriver {
    fn name(&self) -> String {
        bars::handover_name(&self.driver, self.board_mb as f64)
    }
}

/// From SIGTERM on. Who takes longer is killed.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

impl HandoverOptions {
    /// They are spread over all hand-overs, of which each takes about so long with what is between two.
    fn connections_per_second(&self) -> f64 {
        self.connections as f64 / (self.hand_overs.max(1) as f64 * 1.3)
    }
}

pub(crate) fn run(options: &HandoverOptions) -> Outcome<()> {
    let files = options.streams as u64 + options.pieces as u64 + 512 + SPARE_FILES;
    let program = options.common.prepare(files, u64::MAX)?.program;
    // Whoever takes over is a child of one that has ended: it is this process's then.
    set_child_subreaper(Some(rustix::process::getpid()))?;
    let record = Record::begin("handover", options)?;
    let bar = progress(options.drivers.len() * options.board_mb.len());
    let mut results = Vec::new();
    for driver in &options.drivers {
        for &board_mb in &options.board_mb {
            bar.set_message(format!("{driver}, a board of {board_mb} MB"));
            results.push(measure(&program, (driver, board_mb), options)?);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let reached = bars::table(&bars::handover(&serde_json::to_value(&results)?));
    record.end(&results, &tables(&results, &reached))
}

fn measure(
    program: &Program,
    (driver, board_mb): (&str, usize),
    options: &HandoverOptions,
) -> Outcome<OfDriver> {
    let mut arguments = vec!["--driver", driver, "--initialize-per-second-max", "1000000"];
    // A request takes as long as some hand-overs, and these take as long as the machine is busy.
    for limit in ["--head-timeout", "--body-timeout", "--write-stall"] {
        arguments.extend([limit, "1h"]);
    }
    let setup = Setup {
        cpus: &[0, 1],
        arguments: &arguments,
    };
    let server = Server::start_with(program, &setup)?;
    machine::pin_to_any(&[0, 1])?;
    let last = Successors(Shared::default());
    let shared = &last.0;
    shared.process.store(server.process(), SeqCst);
    let admin: SocketAddr = server.admin();
    operator::fill_board(admin, board_mb)?;
    let mut crowd = Crowd::open(server.address(), options)?;
    let (windows, published, (hand_overs, refused)) = std::thread::scope(|scope| {
        let publisher = scope.spawn(|| operator::publish(admin, shared));
        let operator = scope.spawn(|| operator::hand_over(admin, options.hand_overs, shared));
        let windows = crowd.follow(shared);
        // In either case they end.
        shared.publishes_no_more.store(true, SeqCst);
        let published = publisher.join().map_err(|_| "who publishes panicked");
        let handed_over = operator.join().map_err(|_| "who hands over panicked");
        Ok::<_, Box<dyn std::error::Error>>((windows?, published?, handed_over?))
    })?;
    let mut faults = std::mem::take(&mut crowd.faults);
    faults.refusals += refused.refusals;
    faults.publications_failed += published.faults.publications_failed;
    for what in refused.first.into_iter().chain(published.faults.first) {
        faults.say(what);
    }
    let summary = |of: &dyn Fn(&HandOver) -> f64| {
        (!hand_overs.is_empty()).then(|| Summary::of(hand_overs.iter().map(of)))
    };
    let seen = |of: &dyn Fn(&Window) -> f64| {
        let windows = &windows.hand_overs;
        (!windows.is_empty()).then(|| Summary::of(windows.iter().map(of)))
    };
    Ok(OfDriver {
        driver: driver.to_owned(),
        board_mb,
        streams: options.streams,
        slow: options.slow,
        publications: shared.published.load(SeqCst),
        publications_again: published.again,
        slowest_publication_ms: published.slowest_ms,
        events: crowd.events(),
        answers: crowd.answers,
        faults_sum: faults.sum(),
        faults,
        pause_ms: summary(&|it| it.pause_ms),
        whole_ms: summary(&|it| it.whole_ms),
        cpu_old_ms: summary(&|it| it.cpu_old_ms),
        cpu_new_ms: summary(&|it| it.cpu_new_ms),
        peak: summary(&|it| (it.peak_old + it.peak_new) as f64),
        silence_ms: seen(&|it| it.silence_ms),
        short_ms: seen(&|it| it.short_ms),
        steady_ms: seen(&|it| it.steady_ms),
        at_rest: windows.at_rest,
        seen: windows.hand_overs,
        hand_overs,
    })
}

/// Ends the process that serves at the end, which is no child of the server's.
struct Successors(Shared);

impl Drop for Successors {
    fn drop(&mut self) {
        let process = self.0.process.load(SeqCst).cast_signed();
        let Some(process) = Pid::from_raw(process) else {
            return;
        };
        let _ = kill_process(process, Signal::TERM);
        let asked = Instant::now();
        while matches!(waitpid(Some(process), WaitOptions::NOHANG), Ok(None)) {
            if asked.elapsed() > ENDS_WITHIN {
                let _ = kill_process(process, Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        // And those in between, which have ended.
        while matches!(waitpid(None, WaitOptions::NOHANG), Ok(Some(_))) {}
    }
}

fn tables(results: &[OfDriver], reached: &str) -> String {
    let mut table = Table::new(&["hand-overs", "figure", "median", "least", "most"]);
    let mut row = |driver: &str, what: &str, summary: Option<Summary>, unit: f64| {
        let figure = |it: fn(&Summary) -> f64| match &summary {
            Some(summary) => format!("{:.1}", it(summary) / unit),
            None => "–".to_owned(),
        };
        let cells = [
            figure(|it| it.median),
            figure(|it| it.least),
            figure(|it| it.most),
        ];
        table.row(
            [driver.to_owned(), what.to_owned()]
                .into_iter()
                .chain(cells),
        );
    };
    for it in results {
        let name = &it.name();
        row(name, "pause, ms", it.pause_ms, 1.0);
        row(name, "a stream's longest silence, ms", it.silence_ms, 1.0);
        row(
            name,
            "a short connection's longest wait, ms",
            it.short_ms,
            1.0,
        );
        row(
            name,
            "another request's longest wait, ms",
            it.steady_ms,
            1.0,
        );
        row(name, "from the request to its answer, ms", it.whole_ms, 1.0);
        row(name, "CPU of the old process, ms", it.cpu_old_ms, 1.0);
        row(
            name,
            "CPU of the new one until it serves, ms",
            it.cpu_new_ms,
            1.0,
        );
        row(name, "peak memory of both, MB", it.peak, 1e6);
    }
    let counted = results.iter().map(|it| {
        let (events, answers) = (thousands(it.events as f64), thousands(it.answers as f64));
        let words = it.faults.first.join("; ");
        format!(
            "- {}: {} hand-overs of {} streams ({} of them slow), {} publications, {events} events, {answers} answers; lost, \
             doubled, ended, refused, broken or failed: **{}** {words}\n",
            it.name(),
            it.hand_overs.len(),
            thousands(it.streams as f64),
            it.slow,
            it.publications,
            it.faults_sum,
        )
    });
    let counted: String = counted.collect();
    format!(
        "{reached}\nHand-overs one after the other, under load. The pause is from when the old process reads nothing more until the \
         cores of the new one serve; something is published every 50 ms.\n\n{counted}\n{}",
        table.text()
    )
}
