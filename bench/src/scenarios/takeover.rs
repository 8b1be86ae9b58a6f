//! A node that is killed, whose sessions another one takes over: whether any is lost, and when their clients hear again.
//!
//! Three nodes with `--on-owner-loss adopt` on a Redis. One publishes all the time and is never killed. All clients are at one of
//! the two others: it is killed, its clients pause as the SDKs do, and ask the other one for their stream, with the same session.
//! The one that was killed starts again, and is the next they go to. All nodes share a CPU, and so do clients and Redis.

mod client;
mod crowd;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Parser;
use clap::builder::ArgPredicate;
use serde::Serialize;

use self::client::Back;
use self::crowd::{Counts, Crowd};
use super::cluster::{Cluster, MEET};
use super::{Common, SPARE_FILES, progress};
use crate::Outcome;
use crate::bars;
use crate::loader::admin::Admin;
use crate::loader::protocol::publication;
use crate::record::Record;
use crate::redis;
use crate::server::Server;
use crate::stats::{Times, histogram};
use crate::table::{Table, thousands};

#[derive(Clone, Debug, Parser, Serialize)]
pub(crate) struct TakeoverOptions {
    /// Clients, each with a session, a subscription and a stream
    #[arg(
        long,
        default_value_t = 1_000,
        default_value_if("quick", ArgPredicate::IsPresent, "100")
    )]
    clients: usize,
    /// How often the node that has them is killed
    #[arg(
        long,
        default_value_t = 10,
        default_value_if("quick", ArgPredicate::IsPresent, "3")
    )]
    kills: usize,
    /// Milliseconds between two publications
    #[arg(long, default_value_t = 50)]
    publish_ms: u64,
    /// Milliseconds that a client waits before it asks again
    #[arg(long, default_value_t = 1_000)]
    pause_ms: u64,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

#[derive(Serialize)]
struct Results {
    clients: usize,
    pause_ms: u64,
    publications: u64,
    counts: Counts,
    /// Clients that were told 503 at least once, in all kills together.
    told_503: usize,
    all: Ways,
    /// Of the time until half of them heard again, what their pause was.
    pause_share: f64,
    kills: Vec<Kill>,
}

#[derive(Serialize)]
struct Kill {
    ways: Ways,
    told_503: usize,
}

/// The parts of the way back, over clients.
#[derive(Clone, Copy, Serialize)]
struct Ways {
    /// From the kill to the end of the stream.
    broke: Times,
    /// From the first request after the pause to the stream.
    answered: Times,
    /// From the kill to the next notification.
    heard: Times,
}

/// They are killed in turns.
const NAMES: [&str; 2] = ["second", "third"];
/// Until heartbeats have told everybody who is there.
const SETTLE: Duration = MEET;
const WRITTEN_WITHIN: Duration = Duration::from_secs(60);

pub(crate) fn run(options: &TakeoverOptions) -> Outcome<()> {
    redis::present()?;
    if options.kills == 0 || options.clients == 0 {
        return Err("--kills and --clients must be at least 1".into());
    }
    let files = options.clients as u64 + SPARE_FILES;
    let program = options.common.prepare(files, files)?.program;
    let record = Record::begin("takeover", options)?;
    let adopt = ["--on-owner-loss", "adopt"];
    let limits = ["--initialize-per-second-max", "1000000"];
    let arguments = [adopt, limits].concat();
    let cluster = Cluster::start(&program, &arguments)?;
    let publisher = cluster.node("first")?;
    let over = AtomicBool::new(false);
    let (ways, publications) = std::thread::scope(|scope| {
        let publishing = scope.spawn(|| publish(&publisher, options.publish_ms, &over));
        let ways = kill_in_turns(options, &cluster);
        // In either case it ends.
        over.store(true, Relaxed);
        let publications = publishing.join().map_err(|_| "who publishes panicked");
        Ok::<_, Box<dyn std::error::Error>>((ways?, publications??))
    })?;
    // What runs on would count as a stranger: the record knows of children that have ended.
    drop(publisher);
    drop(cluster);
    let (counts, ways) = ways;
    let results = Results::new(options, publications, counts, &ways)?;
    let reached = bars::table(&bars::takeover(&serde_json::to_value(&results)?));
    record.end(&results, &tables(&results, &reached))
}

/// Until it is over: how often.
fn publish(node: &Server, every_ms: u64, over: &AtomicBool) -> Result<u64, String> {
    let body = publication(1);
    let said = |fault: Box<dyn std::error::Error>| fault.to_string();
    let mut admin = Admin::connect(node.admin(), "").map_err(said)?;
    let mut count = 0;
    while !over.load(Relaxed) {
        admin.ask("POST /publish", body.as_bytes()).map_err(said)?;
        count += 1;
        sleep(Duration::from_millis(every_ms));
    }
    Ok(count)
}

/// When a node was killed, and the ways back of its clients.
type Killed = (Instant, Vec<Back>);

fn kill_in_turns(
    options: &TakeoverOptions,
    cluster: &Cluster<'_>,
) -> Outcome<(Counts, Vec<Killed>)> {
    let bar = progress(options.kills);
    let mut here = cluster.node(NAMES[0])?;
    let mut next = cluster.node(NAMES[1])?;
    sleep(SETTLE);
    let pause = Duration::from_millis(options.pause_ms);
    let mut crowd = Crowd::open(here.address(), options.clients, pause)?;
    let mut killed = Vec::new();
    for number in 0..options.kills {
        bar.set_message(format!("{} clients", options.clients));
        crowd.listen_for(SETTLE)?;
        await_records(&here, &mut crowd)?;
        crowd.all_hear()?;
        crowd.go_next_to(next.address());
        let at = Instant::now();
        here.kill();
        killed.push((at, crowd.come_back()?));
        let again = cluster.node(NAMES[number % NAMES.len()])?;
        here = std::mem::replace(&mut next, again);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok((crowd.counts, killed))
}

/// Redis knows of each session what another node needs to go on with it.
fn await_records(node: &Server, crowd: &mut Crowd) -> Outcome<()> {
    let began = Instant::now();
    loop {
        let mut admin = Admin::connect(node.admin(), "")?;
        let page = String::from_utf8_lossy(admin.read("GET /metrics")?).into_owned();
        if page
            .lines()
            .any(|line| line == "pinfold_presence_pending 0")
        {
            return Ok(());
        }
        if began.elapsed() > WRITTEN_WITHIN {
            return Err("the records of sessions are not written".into());
        }
        crowd.listen_for(Duration::from_millis(100))?;
    }
}

impl Results {
    fn new(
        options: &TakeoverOptions,
        publications: u64,
        counts: Counts,
        killed: &[Killed],
    ) -> Outcome<Results> {
        let all = Ways::of(killed)?;
        let kills = killed.iter().map(|it| {
            Ok(Kill {
                ways: Ways::of(std::slice::from_ref(it))?,
                told_503: told_503(&it.1),
            })
        });
        Ok(Results {
            clients: options.clients,
            pause_ms: options.pause_ms,
            publications,
            counts,
            told_503: killed.iter().map(|it| told_503(&it.1)).sum(),
            pause_share: options.pause_ms as f64 * 1_000.0 / all.heard.p50_us,
            all,
            kills: kills.collect::<Outcome<_>>()?,
        })
    }
}

fn told_503(backs: &[Back]) -> usize {
    backs.iter().filter(|it| it.refused > 0).count()
}

impl Ways {
    fn of(killed: &[Killed]) -> Outcome<Ways> {
        let (mut broke, mut answered, mut heard) = (histogram()?, histogram()?, histogram()?);
        for (at, back) in killed
            .iter()
            .flat_map(|(at, all)| all.iter().map(move |it| (*at, it)))
        {
            let parts = [
                (&mut broke, Some(at), back.broke),
                (&mut answered, back.asked, back.opened),
                (&mut heard, Some(at), back.heard),
            ];
            for (times, from, to) in parts {
                if let (Some(from), Some(to)) = (from, to) {
                    let time = to.saturating_duration_since(from);
                    times.saturating_record(time.as_nanos() as u64);
                }
            }
        }
        Ok(Ways {
            broke: Times::of(&broke),
            answered: Times::of(&answered),
            heard: Times::of(&heard),
        })
    }
}

fn tables(results: &Results, reached: &str) -> String {
    let counts = &results.counts;
    format!(
        "\nA node with {} clients is killed, {} times; something is published {} times meanwhile.\n\n\
         Sessions lost: {}. `initialize` sent again: {}. Clients that hear no more: {}. Requests answered 503: {}, to {} of the \
         clients. Failed otherwise: {}.\n\n{}\n\
         Of the time until half of them heard again, the pause of {} ms that each client makes is {:.0} %.\n\n{}\n{reached}",
        thousands(results.clients as f64),
        results.kills.len(),
        thousands(results.publications as f64),
        counts.lost,
        counts.initialized_again,
        counts.silent,
        counts.refused_503,
        thousands(results.told_503 as f64),
        counts.failed,
        parts(results),
        thousands(results.pause_ms as f64),
        results.pause_share * 100.0,
        kills(results),
    )
}

fn parts(results: &Results) -> String {
    let mut table = Table::new(&["ms, over clients and kills", "p50", "p99", "most"]);
    let ways = &results.all;
    for (what, times) in [
        ("from the kill to the end of the stream", &ways.broke),
        (
            "from the request after the pause to the stream",
            &ways.answered,
        ),
        ("from the kill to the next notification", &ways.heard),
    ] {
        let [p50, p99, most] = cells(times);
        table.row([what.to_owned(), p50, p99, most]);
    }
    table.text()
}

fn kills(results: &Results) -> String {
    let mut table = Table::new(&[
        "kill",
        "next notification, p50 ms",
        "p99 ms",
        "most ms",
        "told 503",
    ]);
    for (number, kill) in results.kills.iter().enumerate() {
        let [p50, p99, most] = cells(&kill.ways.heard);
        let told = thousands(kill.told_503 as f64);
        table.row([(number + 1).to_string(), p50, p99, most, told]);
    }
    table.text()
}

fn cells(times: &Times) -> [String; 3] {
    let of = [times.p50_us, times.p99_us, times.max_us];
    of.map(|us| thousands(us / 1_000.0))
}
