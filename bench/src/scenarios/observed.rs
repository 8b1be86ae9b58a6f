//! What it costs a server that somebody looks at it: nobody does, `/metrics` is scraped each second, the trace of one session is
//! watched, or that of a principal who does everything there is.
//!
//! All of it in turns of one process, so that what drifts, drifts for all. A round begins and ends with a turn in which
//! nobody looks: ratios are to the mean of these two, and the ratio between the two is the noise, for which nobody is to
//! blame. Whoever looks has the loader's CPU, so that a rate is the loader's business too where it has that CPU in full
//! use; CPU is the server's alone, all of its threads and its page of metrics included.

mod fan_out;
mod requests;
mod results;
mod tables;

use std::fs;
use std::path::PathBuf;

use clap::Parser;
use clap::builder::ArgPredicate;
use serde::Serialize;

use self::results::Turn;
use super::{Common, SPARE_FILES, peers, progress};
use crate::Outcome;
use crate::observer::{Look, Names, Observer};
use crate::record::Record;
use crate::server::Server;
use crate::{bars, reading};

#[derive(Clone, Debug, Parser, Serialize)]
pub(crate) struct ObservedOptions {
    /// Rounds of turns: in each everybody who may look has one, and nobody has two
    #[arg(
        long,
        default_value_t = 4,
        default_value_if("quick", ArgPredicate::IsPresent, "2"),
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    repetitions: u32,
    /// Seconds of a turn
    #[arg(
        long,
        default_value_t = 2,
        default_value_if("quick", ArgPredicate::IsPresent, "1"),
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    seconds: u32,
    /// Connections that ask, each with one request under way and a session of its own
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Streams that hear of a publication, one or more counts
    #[arg(long, value_delimiter = ',', default_value = "1000,10000")]
    streams: Vec<usize>,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

/// Who looks in a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Looker {
    Nobody,
    /// Prometheus, each second.
    Scraper,
    /// Somebody who watches one session of all.
    OfOneSession,
    /// Somebody who watches the principal that has all of them.
    OfEverything,
}

/// What is measured again and again.
trait Subject {
    /// For about so long: what it took.
    fn turn(&mut self, seconds: u32) -> Outcome<Turn>;
}

const LOOKERS: [Looker; 3] = [Looker::Scraper, Looker::OfOneSession, Looker::OfEverything];

pub(crate) fn run(options: &ObservedOptions) -> Outcome<()> {
    peers::install(&[])?;
    let most = options.streams.iter().copied().max().unwrap_or(0) as u64;
    let program = options.common.prepare(most, most + SPARE_FILES)?.program;
    let record = Record::begin("observed", options)?;
    let token = Token::new()?;
    let rounds = requests::SUBJECTS + fan_out::ERAS.len() * options.streams.len();
    let bar = progress(rounds * options.repetitions as usize);
    let mut results = requests::measure(options, &program, &token, &bar)?;
    results.extend(fan_out::measure(options, &program, &token, &bar)?);
    bar.finish_and_clear();
    let recorded = serde_json::to_value(&results)?;
    let reached = bars::table(&bars::observed(reading::items(&recorded)));
    record.end(&results, &tables::of(&results, &reached))
}

/// All rounds of one subject.
fn rounds(
    options: &ObservedOptions,
    server: &Server,
    subject: &mut impl Subject,
    lookers: &[Looker],
    done: impl Fn(),
) -> Outcome<Vec<Vec<Turn>>> {
    let names = Names::of_one(server.admin())?;
    // Caches, and code that was never run.
    subject.turn(1)?;
    let mut rounds = Vec::new();
    for number in 0..options.repetitions as usize {
        let mut turns = vec![look_on(options, server, subject, Looker::Nobody, &names)?];
        for place in 0..lookers.len() {
            let looker = lookers[(place + number) % lookers.len()];
            turns.push(look_on(options, server, subject, looker, &names)?);
        }
        turns.push(look_on(options, server, subject, Looker::Nobody, &names)?);
        rounds.push(turns);
        done();
    }
    Ok(rounds)
}

fn look_on(
    options: &ObservedOptions,
    server: &Server,
    subject: &mut impl Subject,
    looker: Looker,
    names: &Names,
) -> Outcome<Turn> {
    let look = match looker {
        Looker::Nobody => None,
        Looker::Scraper => Some(Look::Scrape),
        Looker::OfOneSession => Some(Look::Trace(format!("/sessions/{}/trace", names.session))),
        Looker::OfEverything => Some(Look::Trace(format!(
            "/principals/{}/trace",
            names.principal
        ))),
    };
    let observer = look.map(|it| Observer::begin(server.admin(), &it));
    let observer = observer.transpose()?;
    let before = server.cpu_time()?;
    let mut turn = subject.turn(options.seconds)?;
    let after = server.cpu_time()?;
    turn.looker = looker;
    turn.cpu_us = (after.all_ns - before.all_ns) as f64 / 1e3 / turn.count as f64;
    turn.cores_cpu_us = (after.cores_ns - before.cores_ns) as f64 / 1e3 / turn.count as f64;
    if let Some(observer) = observer {
        turn.seen = observer.end()?;
    }
    Ok(turn)
}

/// What all clients show: of one principal, whom a file knows for as long as this lives.
struct Token {
    text: String,
    file: PathBuf,
}

impl Token {
    fn new() -> Outcome<Self> {
        let text = format!("pinfold_bench_{}", "k".repeat(43));
        let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        let digits = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
        let name = format!("pinfold-bench-token-{}", std::process::id());
        let file = std::env::temp_dir().join(name);
        let line = format!("bench sha256:{}\n", digits.collect::<String>());
        fs::write(&file, line)?;
        Ok(Token { text, file })
    }

    fn arguments(&self) -> Vec<String> {
        let file = self.file.display();
        vec![
            "--auth=token".to_owned(),
            format!("--auth-token-file={file}"),
        ]
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        // It opens nothing but servers of this bench, which have ended.
        let _ = fs::remove_file(&self.file);
    }
}
