//! An operator's list of 10,000 sessions: how soon it is there, and how long the sessions' core lets others wait for it.
//!
//! A core reads its sessions in portions and serves others in between. How long a portion takes is measured by the program `view` in
//! a shard without a socket, in CPU time. Then a server is asked for lists, and by another connection for something else
//! meanwhile: pings, and publications to one stream. All that asks is one thread, for two would measure each other.
//! The server has one CPU here, so what its control thread takes to write a list down is in those waits as well.

use std::process::Command;
use std::time::{Duration, Instant};

use clap::Parser;
use clap::builder::ArgPredicate;
use serde::Serialize;
use serde_json::Value;

use super::disturbed::Pinger;
use super::{Common, SPARE_FILES, progress, session};
use crate::Outcome;
use crate::bars;
use crate::loader::Loader;
use crate::loader::admin::Admin;
use crate::loader::protocol::Protocol;
use crate::reading::items;
use crate::record::Record;
use crate::server::{Server, Setup};
use crate::stats::{Times, histogram};
use crate::table::{Table, thousands};
use crate::workspace;

#[derive(Clone, Debug, Parser, Serialize)]
pub(crate) struct ListedOptions {
    /// Sessions that there are
    #[arg(
        long,
        default_value_t = 10_000,
        default_value_if("quick", ArgPredicate::IsPresent, "2000")
    )]
    sessions: usize,
    /// Answers to each question, and as many meanwhile
    #[arg(
        long,
        default_value_t = 300,
        default_value_if("quick", ArgPredicate::IsPresent, "30")
    )]
    turns: usize,
    /// Turns before them, which do not count
    #[arg(long, default_value_t = 10)]
    warm_up: usize,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

#[derive(Serialize)]
struct Listed {
    sessions: usize,
    /// Of the shard alone: what `view` says.
    portions: Value,
    /// While nobody looks.
    at_rest: Waits,
    lists: Vec<ListCost>,
}

/// How long others wait for an answer of the core.
#[derive(Serialize)]
struct Waits {
    ping: Times,
    /// From publishing to the event.
    publication: Times,
}

/// One question of an operator.
#[derive(Serialize)]
struct ListCost {
    question: &'static str,
    bytes: usize,
    /// To the last byte of the answer, while nobody else asks.
    answer: Times,
    meanwhile: Waits,
    /// The longest wait more than the longest at rest; 0 if there was none.
    longest_ping_more_us: f64,
}

const QUESTIONS: [&str; 4] = [
    "/sessions?limit=100",
    "/sessions?limit=1000",
    "/sessions?limit=100&sort=activity",
    "/sessions?limit=100&client=nobody",
];
/// Between two pings: enough that the core is not asked without a pause.
const PAUSE: Duration = Duration::from_micros(100);
const ROOM: [&str; 2] = ["--initialize-per-second-max", "1000000"];
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// All that asks.
struct Askers {
    pinger: Pinger,
    /// One stream, which hears of what is published.
    stream: Loader,
    operator: Admin,
    scratch: Box<[u8]>,
}

pub(crate) fn run(options: &ListedOptions) -> Outcome<()> {
    let program = options.common.prepare(SPARE_FILES, SPARE_FILES)?.program;
    let record = Record::begin("listed", options)?;
    let portions = portions(options.sessions)?;
    let setup = Setup {
        arguments: &ROOM,
        ..Setup::default()
    };
    let server = Server::start_with(&program, &setup)?;
    session::open(server.address(), options.sessions)?;
    let mut askers = Askers::connect(&server)?;
    let bar = progress(QUESTIONS.len() + 1);
    askers.at_rest(options.warm_up)?;
    let at_rest = askers.at_rest(options.turns.max(1) * 20)?;
    bar.inc(1);
    let mut lists = Vec::new();
    for question in QUESTIONS {
        bar.set_message(question);
        lists.push(askers.ask_for(question, options, &at_rest)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let result = Listed {
        sessions: options.sessions,
        portions,
        at_rest,
        lists,
    };
    let reached = bars::table(&bars::listed(&serde_json::to_value(&result)?));
    record.end(&result, &tables(&result, &reached))
}

/// What the program beside this one finds out, which counts what it allocates and therefore is none of this.
fn portions(sessions: usize) -> Outcome<Value> {
    let built = workspace::cargo("build")
        .args(["--package", "pinfold-bench", "--bin", "view"])
        .status()?;
    if !built.success() {
        return Err("view does not build".into());
    }
    // This one was built into the same directory.
    let view = std::env::current_exe()?.with_file_name("view");
    let output = Command::new(view).arg(sessions.to_string()).output()?;
    if !output.status.success() {
        let fault = String::from_utf8_lossy(&output.stderr);
        return Err(format!("view failed: {fault}").into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

impl Askers {
    fn connect(server: &Server) -> Outcome<Self> {
        let mut stream = server.loader(Protocol::Modern, 1)?;
        stream.open_to(1)?;
        Ok(Askers {
            pinger: Pinger::connect(server)?.pausing(PAUSE),
            stream,
            operator: Admin::connect(server.admin(), "")?,
            scratch: vec![0; 256 * 1024].into(),
        })
    }

    fn at_rest(&mut self, turns: usize) -> Outcome<Waits> {
        let (mut pings, mut publications) = (histogram()?, histogram()?);
        for _ in 0..turns {
            pings.saturating_record(self.pinger.ask()?);
            publications.saturating_record(self.publish()?);
        }
        Ok(Waits {
            ping: Times::of(&pings),
            publication: Times::of(&publications),
        })
    }

    fn publish(&mut self) -> Outcome<u64> {
        let broadcast = self.stream.broadcast(|_| {})?;
        match broadcast.received {
            1 => Ok(broadcast.last_ns),
            _ => Err("a subscriber was not told of a publication".into()),
        }
    }

    fn ask_for(
        &mut self,
        question: &'static str,
        options: &ListedOptions,
        at_rest: &Waits,
    ) -> Outcome<ListCost> {
        let what = format!("GET {question}");
        let (mut answers, mut bytes) = (histogram()?, 0);
        for turn in 0..options.warm_up + options.turns {
            let asked = Instant::now();
            bytes = self.operator.read(&what)?.len();
            if turn >= options.warm_up {
                answers.saturating_record(asked.elapsed().as_nanos() as u64);
            }
        }
        let (mut pings, mut publications) = (histogram()?, histogram()?);
        self.operator.non_blocking()?;
        for _ in 0..options.turns {
            self.meanwhile(&what, &mut pings, |it| it.pinger.ask())?;
            self.meanwhile(&what, &mut publications, Askers::publish)?;
        }
        self.operator.blocking()?;
        let meanwhile = Waits {
            ping: Times::of(&pings),
            publication: Times::of(&publications),
        };
        let more = meanwhile.ping.max_us - at_rest.ping.max_us;
        Ok(ListCost {
            question,
            bytes,
            answer: Times::of(&answers),
            meanwhile,
            longest_ping_more_us: more.max(0.0),
        })
    }

    /// Asks for a list, and does something else again and again until it is there.
    fn meanwhile(
        &mut self,
        what: &str,
        times: &mut hdrhistogram::Histogram<u64>,
        act: impl Fn(&mut Self) -> Outcome<u64>,
    ) -> Outcome<()> {
        self.operator.begin(what)?;
        let asked = Instant::now();
        loop {
            let took = act(self)?;
            times.saturating_record(took);
            while let Some(whole) = self.operator.poll(&mut self.scratch)? {
                if whole {
                    return Ok(());
                }
            }
            if asked.elapsed() > ANSWER_WITHIN {
                return Err(format!("{what} was not answered").into());
            }
        }
    }
}

fn tables(result: &Listed, reached: &str) -> String {
    let mut portions = Table::new(&["a shard's", "portions", "CPU µs, p50", "p99", "most"]);
    for kind in items(&result.portions) {
        let number = |name: &str| thousands(kind[name].as_f64().unwrap_or(0.0));
        portions.row([
            kind["what"].as_str().unwrap_or_default().to_owned(),
            number("portions"),
            number("p50_us"),
            number("p99_us"),
            number("max_us"),
        ]);
    }
    let mut answers = Table::new(&["list", "bytes", "p50 ms", "p99 ms", "most ms"]);
    let mut waits = Table::new(&["meanwhile", "what", "count", "p50 µs", "p99 µs", "most µs"]);
    let mut wait = |when: &str, it: &Waits| {
        for (what, times) in [("ping", &it.ping), ("publication", &it.publication)] {
            waits.row([
                when.to_owned(),
                what.to_owned(),
                thousands(times.count as f64),
                thousands(times.p50_us),
                thousands(times.p99_us),
                thousands(times.max_us),
            ]);
        }
    };
    wait("nobody looks", &result.at_rest);
    for list in &result.lists {
        let ms = |us: f64| format!("{:.1}", us / 1000.0);
        let times = &list.answer;
        answers.row([
            list.question.to_owned(),
            thousands(list.bytes as f64),
            ms(times.p50_us),
            ms(times.p99_us),
            ms(times.max_us),
        ]);
        wait(list.question, &list.meanwhile);
    }
    format!(
        "\nWhat a core does at a time for a list, by itself\n\n{}\nOf a server with {} sessions on one core, to the last byte\n\n{}\n\
         How long others wait for that core meanwhile\n\n{}\n{reached}",
        portions.text(),
        thousands(result.sessions as f64),
        answers.text(),
        waits.text()
    )
}
