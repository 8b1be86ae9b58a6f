//! Another node's session: what a request and a stream cost that are passed on to the node which has it.
//!
//! Two nodes and a Redis. The same session is asked on its own node and through the other one, in short turns; both
//! nodes share a CPU, as they answer one after the other anyway.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use clap::Parser;
use clap::builder::ArgPredicate;
use hdrhistogram::Histogram;
use serde::Serialize;

use super::cluster::{Cluster, MEET};
use super::{Common, SPARE_FILES, progress, session};
use crate::Outcome;
use crate::loader::asker::Askers;
use crate::loader::protocol::legacy;
use crate::record::Record;
use crate::redis;
use crate::server::Server;
use crate::stats::{Times, histogram};
use crate::table::{Table, thousands};

#[derive(Clone, Debug, Parser, Serialize)]
pub(crate) struct ForwardingOptions {
    /// Turns of each kind, one after the other
    #[arg(
        long,
        default_value_t = 60,
        default_value_if("quick", ArgPredicate::IsPresent, "10")
    )]
    turns: usize,
    /// Requests in one turn
    #[arg(long, default_value_t = 500)]
    requests: usize,
    /// Memory is the slope between so many forwarded streams …
    #[arg(long, default_value_t = 500)]
    few: usize,
    /// … and so many
    #[arg(
        long,
        default_value_t = 4_000,
        default_value_if("quick", ArgPredicate::IsPresent, "1500")
    )]
    many: usize,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

#[derive(Serialize)]
struct Results {
    local: Asked,
    forwarded: Asked,
    p50_ratio: f64,
    p99_ratio: f64,
    stream_user_bytes: f64,
    few: usize,
    many: usize,
}

#[derive(Serialize)]
struct Asked {
    times: Times,
    /// Of both nodes together.
    cpu_us_per_request: f64,
}

/// Until what was needed for a moment is freed.
const SETTLE: Duration = Duration::from_millis(500);

pub(crate) fn run(options: &ForwardingOptions) -> Outcome<()> {
    redis::present()?;
    // The node in between holds two connections for each stream.
    let files = 2 * options.many as u64 + SPARE_FILES;
    let program = options.common.prepare(files, files)?.program;
    if options.few >= options.many {
        return Err("--few must be less than --many".into());
    }
    let record = Record::begin("forwarding", options)?;
    let cluster = Cluster::start(&program, &[])?;
    let (owner, other) = (cluster.node("owner")?, cluster.node("other")?);
    sleep(MEET);
    let results = measure(options, &owner, &other)?;
    // What runs on would count as a stranger: the record knows of children that have ended.
    drop((owner, other));
    drop(cluster);
    record.end(&results, &tables(&results))
}

fn measure(options: &ForwardingOptions, owner: &Server, other: &Server) -> Outcome<Results> {
    let bar = progress(options.turns + 1);
    let session = session::open_one(owner.address())?;
    let nodes = [owner, other];
    let mut measured = [(histogram()?, 0.0), (histogram()?, 0.0)];
    let mut askers = [connect(owner)?, connect(other)?];
    bar.set_message("requests");
    for _ in 0..options.turns {
        for ((askers, (times, cpu_ns)), node) in askers.iter_mut().zip(&mut measured).zip(nodes) {
            let ping = legacy::ping(&node.address().to_string(), &session);
            let before = cpu_ns_of(&nodes)?;
            for _ in 0..options.requests {
                let (answer, time) = askers.ask(0, ping.as_bytes())?;
                answer.expect_success()?;
                times.saturating_record(time.as_nanos() as u64);
            }
            *cpu_ns += cpu_ns_of(&nodes)? - before;
        }
        bar.inc(1);
    }
    bar.set_message("streams");
    let stream_user_bytes = measure_streams(options, owner, other)?;
    bar.finish_and_clear();
    let [local, forwarded] = measured.map(|(times, cpu_ns)| Asked::new(&times, cpu_ns));
    Ok(Results {
        p50_ratio: forwarded.times.p50_us / local.times.p50_us,
        p99_ratio: forwarded.times.p99_us / local.times.p99_us,
        local,
        forwarded,
        stream_user_bytes,
        few: options.few,
        many: options.many,
    })
}

impl Asked {
    fn new(times: &Histogram<u64>, cpu_ns: f64) -> Self {
        Asked {
            times: Times::of(times),
            cpu_us_per_request: cpu_ns / 1_000.0 / times.len() as f64,
        }
    }
}

fn connect(node: &Server) -> Outcome<Askers> {
    Askers::connect(node.address(), 1)
}

fn cpu_ns_of(nodes: &[&Server]) -> Outcome<f64> {
    let times = nodes.iter().map(|node| Ok(node.cpu_time()?.all_ns as f64));
    times.sum()
}

/// User memory of the node in between for each stream that it passes on.
fn measure_streams(options: &ForwardingOptions, owner: &Server, other: &Server) -> Outcome<f64> {
    let mut streams = Vec::new();
    let mut open_to = |count: usize| -> Outcome<f64> {
        while streams.len() < count {
            let session = session::open_one(owner.address())?;
            streams.push(open_stream(other, &session)?);
        }
        sleep(SETTLE);
        Ok(other.memory()?.anonymous as f64)
    };
    let few = open_to(options.few)?;
    let many = open_to(options.many)?;
    Ok((many - few) / (options.many - options.few) as f64)
}

fn open_stream(node: &Server, session: &str) -> Outcome<TcpStream> {
    let address = node.address();
    let mut socket = TcpStream::connect(address)?;
    socket.write_all(legacy::get(&address.to_string(), session).as_bytes())?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    match head.starts_with(b"HTTP/1.1 200 ") {
        true => Ok(socket),
        false => Err(format!("no stream: {}", String::from_utf8_lossy(&head)).into()),
    }
}

fn tables(results: &Results) -> String {
    let columns = ["a ping to", "p50 µs", "p99 µs", "CPU µs of both nodes"];
    let mut table = Table::new(&columns);
    let rows = [
        ("the session's node", &results.local),
        ("another node", &results.forwarded),
    ];
    for (name, asked) in rows {
        table.row([
            name.to_owned(),
            format!("{:.1}", asked.times.p50_us),
            format!("{:.1}", asked.times.p99_us),
            format!("{:.1}", asked.cpu_us_per_request),
        ]);
    }
    format!(
        "\nRequests passed on to the session's node: {:.2} × the time of a local one (p50), {:.2} × (p99)\n\n{}\n\
         A stream that is passed on costs the node in between {} user bytes (slope from {} to {} of them).\n",
        results.p50_ratio,
        results.p99_ratio,
        table.text(),
        thousands(results.stream_user_bytes),
        thousands(results.few as f64),
        thousands(results.many as f64),
    )
}
