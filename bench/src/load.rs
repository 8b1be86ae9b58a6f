//! The loader by itself: opens streams of a server that runs already, on this machine, publishes, and tells what came.
//!
//! What scenarios do with servers that they start, without a floor beside it and without a record: to look at one thing
//! closely. Memory and CPU are those of the process that is named.

mod told;

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use indicatif::ProgressBar;
use serde::Serialize;

use self::told::{Opening, Publishing, Told};
use crate::Outcome;
use crate::loader::admin::Admin;
use crate::loader::protocol::{self, Protocol, publication};
use crate::loader::{Broadcast, Loader};
use crate::machine::{self, pin_to, raise_open_files};
use crate::scenarios::{SPARE_FILES, progress};
use crate::stats::{Times, histogram};

#[derive(Clone, Debug, Parser)]
#[command(after_help = EXAMPLES)]
pub(crate) struct LoadOptions {
    /// Where streams are opened; on this machine, by an address or as localhost
    #[arg(long, default_value = "http://127.0.0.1:8080/mcp", value_parser = url)]
    url: Url,
    /// What a client does to open its stream
    #[arg(long, value_enum, default_value = "modern")]
    protocol: Kind,
    /// How many streams
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    streams: u32,
    /// How many resources each of them hears of: board://bench, board://bench-1 and so on
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    topics: u32,
    /// Where is published, by POST; its path is /publish. Without it streams are opened and nothing more
    #[arg(long, value_name = "URL", value_parser = publish_url)]
    publish: Option<Url>,
    /// How often is published; at a rate each publication is of one topic, otherwise of all
    #[arg(long, default_value_t = 100, requires = "publish", value_parser = clap::value_parser!(u32).range(1..))]
    publications: u32,
    /// Publications per second, whether or not everybody has the last one [default: the next leaves when all have the last]
    #[arg(long, requires = "publish", value_name = "PER SECOND", value_parser = positive)]
    rate: Option<f64>,
    /// What is posted, for servers that take something else than pinfold does. Its event must say
    /// "notifications/resources/updated" to be counted
    #[arg(
        long,
        requires = "publish",
        conflicts_with = "rate",
        value_name = "TEXT"
    )]
    body: Option<String>,
    /// The server's process, for its CPU time and its memory
    #[arg(long)]
    pid: Option<u32>,
    /// The CPU that the loader runs on; better one that the server does not
    #[arg(long)]
    cpu: Option<usize>,
    /// Where the figures go as JSON [default: pinfold-load.json among the temporary files]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Try it, in two terminals:
  target/release/pinfold --cores 1
  cargo run --release -p pinfold-bench -- load --streams 5000 --publish http://127.0.0.1:9464/publish \\
      --pid $(pgrep -n -x pinfold)

At 200 publications a second, of 16 topics in turn, to sessions of 2025-11-25:
  cargo run --release -p pinfold-bench -- load --protocol legacy --topics 16 --rate 200 --publications 2000 \\
      --publish http://127.0.0.1:9464/publish

Any other server of events:
  cargo run --release -p pinfold-bench -- load --protocol raw --url http://127.0.0.1:8000/events --streams 1000

Many streams need many open files, here and in the server (ulimit -Hn).";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    /// initialize, a subscription to each topic, and a GET (2025-11-25)
    Legacy,
    /// One subscriptions/listen (2026-07-28)
    Modern,
    /// A GET, and nothing before it
    Raw,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Url {
    address: SocketAddr,
    path: String,
}

/// Streams that are opened before the progress is shown.
const STEP: usize = 1_000;
/// Memory is the slope between a fifth of the streams and all of them: what the first ones bring along is in neither.
const FEW: usize = 5;
/// Until what opening needed is freed.
const SETTLE: Duration = Duration::from_millis(500);

pub(crate) fn run(options: &LoadOptions) -> Outcome<()> {
    let streams = options.streams as usize;
    let needed = options.streams as u64 + SPARE_FILES;
    let allowed = raise_open_files(needed)?;
    if allowed < needed {
        return Err(format!("{needed} open files are needed and {allowed} allowed").into());
    }
    if let Some(cpu) = options.cpu {
        pin_to(cpu)?;
    }
    let server = Process(options.pid);
    server.cpu_ns()?;
    // One process asks one path.
    protocol::PATH.get_or_init(|| options.url.path.clone());
    let quiet = TcpListener::bind("127.0.0.1:0")?;
    let mut loader = loader(options, quiet.local_addr()?)?;
    let bar = progress(streams.div_ceil(STEP) + 1);
    let opening = open(&mut loader, streams, &server, &bar)?;
    bar.finish_and_clear();
    let publishing = match (&options.publish, options.rate) {
        (None, _) => None,
        (Some(_), Some(rate)) => Some(at_a_rate(options, rate, &mut loader, &server)?),
        (Some(_), None) => Some(one_by_one(options, &mut loader, &server)?),
    };
    let told = Told {
        protocol: options.protocol,
        streams,
        topics: options.topics,
        opening,
        publishing,
    };
    print!("{}", told.table());
    let path = options.json.clone();
    let path = path.unwrap_or_else(|| std::env::temp_dir().join("pinfold-load.json"));
    std::fs::write(&path, serde_json::to_string_pretty(&told)? + "\n")?;
    println!("\nfigures: {}", path.display());
    Ok(())
}

/// One that is to publish nothing has a connection to `quiet`, where nobody answers.
fn loader(options: &LoadOptions, quiet: SocketAddr) -> Outcome<Loader> {
    let topics = options.topics as usize;
    let body = options.body.clone();
    let admin = Admin::connect(
        options.publish.as_ref().map_or(quiet, |it| it.address),
        &body.unwrap_or_else(|| publication(topics)),
    )?;
    let protocol = match options.protocol {
        Kind::Legacy => Protocol::Legacy,
        Kind::Modern => Protocol::Modern,
        Kind::Raw => Protocol::Raw,
    };
    Loader::new(options.url.address, protocol, topics, admin)
}

fn open(
    loader: &mut Loader,
    streams: usize,
    server: &Process,
    bar: &ProgressBar,
) -> Outcome<Opening> {
    bar.set_message("opening streams");
    let cpu_before = server.cpu_ns()?;
    let (mut open, mut took) = (0, Duration::ZERO);
    let mut open_to = |count: usize| -> Outcome<()> {
        while open < count {
            open = count.min(open + STEP);
            took += loader.open_to(open)?;
            bar.inc(1);
        }
        Ok(())
    };
    let few = streams / FEW;
    open_to(few)?;
    let bytes_few = server.settled_bytes()?;
    open_to(streams)?;
    let cpu_ns = server.cpu_since(cpu_before)?;
    let bytes = server.settled_bytes()?;
    let slope =
        |(few_bytes, bytes): (u64, u64)| (bytes as f64 - few_bytes as f64) / (streams - few) as f64;
    Ok(Opening {
        opened_per_second: streams as f64 / took.as_secs_f64(),
        server_cpu_us_per_stream: cpu_ns.map(|it| it / 1_000.0 / streams as f64),
        user_bytes_per_stream: bytes_few.zip(bytes).map(slope),
    })
}

/// The next publication leaves when everybody has the last.
fn one_by_one(options: &LoadOptions, loader: &mut Loader, server: &Process) -> Outcome<Publishing> {
    let (mut first, mut receipts, mut last) = (histogram()?, histogram()?, histogram()?);
    let mut sum = Broadcast::default();
    let bar = progress(options.publications as usize);
    bar.set_message("publishing");
    let (started, cpu_before) = (Instant::now(), server.cpu_ns()?);
    for _ in 0..options.publications {
        let one = loader.broadcast(|ns| receipts.saturating_record(ns))?;
        if one.received > 0 {
            first.saturating_record(one.first_ns);
            last.saturating_record(one.last_ns);
        }
        sum.events += one.events;
        sum.lost += one.lost;
        sum.extra += one.extra;
        bar.inc(1);
    }
    let seconds = started.elapsed().as_secs_f64();
    let cpu_ns = server.cpu_since(cpu_before)?;
    bar.finish_and_clear();
    Ok(Publishing {
        asked_per_second: None,
        publications: u64::from(options.publications),
        publications_per_second: f64::from(options.publications) / seconds,
        events: sum.events,
        events_per_second: sum.events as f64 / seconds,
        first: Some(Times::of(&first)),
        receipts: Times::of(&receipts),
        last: Times::of(&last),
        lost: sum.lost,
        extra: sum.extra,
        server_cpu_ns_per_event: cpu_ns.map(|it| it / sum.events.max(1) as f64),
    })
}

fn at_a_rate(
    options: &LoadOptions,
    rate: f64,
    loader: &mut Loader,
    server: &Process,
) -> Outcome<Publishing> {
    let time = Duration::from_secs_f64(f64::from(options.publications) / rate);
    let bar = progress(1);
    bar.set_message(format!("publishing for {:.0} s", time.as_secs_f64()));
    bar.enable_steady_tick(SETTLE);
    let cpu_before = server.cpu_ns()?;
    let pace = loader.pace(rate, time)?;
    let cpu_ns = server.cpu_since(cpu_before)?;
    bar.finish_and_clear();
    let due = pace.published * u64::from(options.streams);
    Ok(Publishing {
        asked_per_second: Some(rate),
        publications: pace.published,
        publications_per_second: pace.published as f64 / pace.publishing.as_secs_f64(),
        events: pace.events,
        events_per_second: pace.events as f64 / pace.elapsed.as_secs_f64(),
        first: None,
        receipts: Times::of(&pace.receipts),
        last: Times::of(&pace.lasts),
        lost: pace.lost,
        extra: pace.events.saturating_sub(due),
        server_cpu_ns_per_event: cpu_ns.map(|it| it / pace.events.max(1) as f64),
    })
}

/// The server's, if it was named.
struct Process(Option<u32>);

impl Process {
    fn cpu_ns(&self) -> Outcome<Option<u64>> {
        let Some(pid) = self.0 else {
            return Ok(None);
        };
        // A moment to go to sleep: what a thread used since it woke is not accounted yet.
        sleep(Duration::from_millis(5));
        let time = machine::cpu_time(pid).map_err(|fault| format!("process {pid}: {fault}"))?;
        Ok(Some(time.all_ns))
    }

    fn cpu_since(&self, before: Option<u64>) -> Outcome<Option<f64>> {
        let now = self.cpu_ns()?;
        Ok(before.zip(now).map(|(before, now)| (now - before) as f64))
    }

    fn settled_bytes(&self) -> Outcome<Option<u64>> {
        let Some(pid) = self.0 else {
            return Ok(None);
        };
        sleep(SETTLE);
        Ok(Some(machine::memory(pid)?.anonymous))
    }
}

fn positive(text: &str) -> Result<f64, &'static str> {
    let rate = text.parse().ok().filter(|it| *it > 0.0 && *it <= 1e6);
    rate.ok_or("must be a number above 0, at most a million")
}

fn publish_url(text: &str) -> Result<Url, String> {
    let url = url(text)?;
    match url.path.as_str() {
        "/publish" => Ok(url),
        _ => Err("must end in /publish, such as http://127.0.0.1:9464/publish".to_owned()),
    }
}

/// Of this machine: nothing else is ever contacted.
fn url(text: &str) -> Result<Url, String> {
    let form = "must be http://, an address of this machine, a port and a path, such as http://127.0.0.1:8080/mcp";
    let rest = text.strip_prefix("http://").ok_or(form)?;
    let (authority, path) = rest.split_at(rest.find('/').ok_or(form)?);
    let mut addresses = authority.to_socket_addrs().map_err(|_| form)?;
    let address = addresses.find(|it| it.is_ipv4() && it.ip().is_loopback());
    Ok(Url {
        address: address.ok_or(form)?,
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_a_target() {
        let parsed = url("http://127.0.0.1:80/a/b?c").unwrap();
        assert_eq!(parsed.path, "/a/b?c");
        for text in [
            "http://192.0.2.1:80/mcp",
            "127.0.0.1:80",
            "http://127.0.0.1:80",
            "https://127.0.0.1:80/",
        ] {
            assert!(url(text).is_err(), "{text}");
        }
        assert!(publish_url("http://127.0.0.1:80/pub").is_err());
    }
}
