//! One publication to N idle streams, again and again: what it costs the server and when it is received.
//!
//! Closed loop: the next publication leaves when everyone has the last one, so every publication is N deliveries
//! and nothing can be merged.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::Outcome;
use crate::loader::Loader;
use crate::loader::protocol::Protocol;
use crate::machine::{Busy, own_cpu_ns};
use crate::server::{Program, Server};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) protocol: Protocol,
    pub(crate) streams: usize,
    pub(crate) broadcasts: usize,
}

/// One repetition: a fresh process, its streams, and all broadcasts to them.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sample {
    pub(crate) opened_per_second: f64,
    pub(crate) events: u64,
    pub(crate) lost: u64,
    pub(crate) extra: u64,
    pub(crate) bytes_per_event: f64,
    /// CPU of the whole server process, the publishing included.
    pub(crate) cpu_ns_per_event: f64,
    /// CPU of its core threads alone, where it has such.
    pub(crate) cores_cpu_ns_per_event: Option<f64>,
    /// Deliveries by the wall clock, the waiting between broadcasts included.
    pub(crate) events_per_second: f64,
    /// Medians over the broadcasts of the first and the last receipt; percentiles over all receipts.
    pub(crate) first_us: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) last_us: f64,
    /// Share of all CPUs that went to other programs meanwhile.
    pub(crate) others_share: f64,
    pub(crate) driver: &'static str,
    /// How fast the loader reads events that are waiting for it; measured on floors.
    pub(crate) loader_reads_per_second: Option<f64>,
}

/// Broadcasts before the measured ones: caches, socket buffers and branch predictors settle.
const WARM_UP: usize = 5;
const READS_AT_ONCE: usize = 5;

pub(crate) fn measure(program: &Program, load: Load) -> Outcome<Sample> {
    let server = Server::start(program)?;
    let mut loader = server.loader(load.protocol)?;
    let opening = loader.open_to(load.streams)?;
    for _ in 0..WARM_UP {
        loader.broadcast(|_| {})?;
    }
    let measured = run_broadcasts(&server, &mut loader, load.broadcasts)?;
    let loader_reads_per_second = match program {
        Program::Floor(_) => Some(read_at_once(&mut loader, load.streams)?),
        Program::Pinfold(_) => None,
    };
    Ok(Sample {
        opened_per_second: load.streams as f64 / opening.as_secs_f64(),
        driver: server.driver(),
        loader_reads_per_second,
        ..measured
    })
}

/// The bytes of one event as the program writes it.
pub(crate) fn event_of(program: &Program, protocol: Protocol) -> Outcome<Vec<u8>> {
    let server = Server::start(program)?;
    let mut loader = server.loader(protocol)?;
    loader.open_to(1)?;
    let broadcast = loader.broadcast(|_| {})?;
    if broadcast.received != 1 {
        return Err("a subscriber was not told of a publication".into());
    }
    Ok(loader.sample().to_vec())
}

fn run_broadcasts(server: &Server, loader: &mut Loader, broadcasts: usize) -> Outcome<Sample> {
    let mut receipts = histogram()?;
    let (mut firsts, mut lasts) = (histogram()?, histogram()?);
    let (mut events, mut bytes, mut lost, mut extra) = (0, 0, 0, 0);
    let cpu_before = server.cpu_time()?;
    let busy_before = Busy::now()?;
    let loader_before = own_cpu_ns();
    let started = Instant::now();
    for _ in 0..broadcasts {
        let broadcast = loader.broadcast(|ns| receipts.saturating_record(ns))?;
        firsts.saturating_record(broadcast.first_ns);
        lasts.saturating_record(broadcast.last_ns);
        events += broadcast.received + broadcast.extra;
        bytes += broadcast.bytes;
        lost += broadcast.lost;
        extra += broadcast.extra;
    }
    let elapsed = started.elapsed();
    let loader_ns = own_cpu_ns() - loader_before;
    let cpu = server.cpu_time()?;
    let busy = Busy::now()?;
    if events == 0 {
        return Err("nothing was delivered".into());
    }
    let per_event = |ns: u64| ns as f64 / events as f64;
    let server_ns = cpu.all_ns - cpu_before.all_ns;
    let cores_ns = cpu.cores_ns - cpu_before.cores_ns;
    let cpus = std::thread::available_parallelism()
        .map_or(2, usize::from)
        .max(2) as f64;
    let others_ns = busy.of_others_since(busy_before, server_ns + loader_ns) as f64;
    let us = |histogram: &Histogram<u64>, quantile| {
        histogram.value_at_quantile(quantile) as f64 / 1000.0
    };
    Ok(Sample {
        opened_per_second: 0.0,
        events,
        lost,
        extra,
        bytes_per_event: bytes as f64 / events as f64,
        cpu_ns_per_event: per_event(server_ns),
        cores_cpu_ns_per_event: (cores_ns > 0).then(|| per_event(cores_ns)),
        events_per_second: events as f64 / elapsed.as_secs_f64(),
        first_us: us(&firsts, 0.5),
        p50_us: us(&receipts, 0.5),
        p99_us: us(&receipts, 0.99),
        last_us: us(&lasts, 0.5),
        others_share: others_ns / (elapsed.as_nanos() as f64 * cpus),
        driver: "",
        loader_reads_per_second: None,
    })
}

/// The median of a few, events per second.
fn read_at_once(loader: &mut Loader, streams: usize) -> Outcome<f64> {
    let mut rates = Vec::new();
    for _ in 0..READS_AT_ONCE {
        let (_, elapsed) = loader.read_at_once()?;
        rates.push(streams as f64 / elapsed.as_secs_f64());
    }
    Ok(crate::stats::Summary::of(rates).median)
}

/// Of nanoseconds up to a minute, to three digits.
fn histogram() -> Outcome<Histogram<u64>> {
    let most = Duration::from_secs(60).as_nanos() as u64;
    Ok(Histogram::new_with_bounds(1, most, 3)?)
}
