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
use crate::machine::{self, Busy, CpuTime, own_cpu_ns};
use crate::server::{Program, Server};
use crate::stats::{Summary, histogram};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) protocol: Protocol,
    /// Topics that every stream hears of and that are published together.
    pub(crate) topics: usize,
    pub(crate) streams: usize,
    /// Further streams that nobody reads.
    pub(crate) stalled: usize,
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
/// The same before each turn, after others had the CPU.
const WARM_UP_OF_TURN: usize = 1;
/// How many turns each contestant's broadcasts are divided into. A turn is some 50 ms, so that what slows the whole
/// machine down for a second slows all of them down.
const TURNS: usize = 16;
const READS_AT_ONCE: usize = 5;

/// Measures several servers that are up at the same time, turn by turn. Those that wait use no CPU.
pub(crate) fn measure(contestants: &[(&Program, Load)]) -> Outcome<Vec<Sample>> {
    let opened = contestants
        .iter()
        .map(|&(program, load)| Run::open(program, load));
    let mut runs = opened.collect::<Outcome<Vec<Run>>>()?;
    let busy_before = Busy::now()?;
    let (started, loader_before, servers_before) = (Instant::now(), own_cpu_ns(), cpu_of(&runs)?);
    // Who is alone has nobody to take turns with.
    let turns = if runs.len() == 1 { 1 } else { TURNS };
    for turn in 0..turns {
        let count = runs.len();
        for offset in 0..count {
            runs[(turn + offset) % count].take_turn(turns)?;
        }
    }
    let own_ns = own_cpu_ns() - loader_before + cpu_of(&runs)? - servers_before;
    let others_ns = Busy::now()?.of_others_since(busy_before, own_ns) as f64;
    let others_share = others_ns / (started.elapsed().as_nanos() as f64 * machine::cpus());
    let samples = runs.iter_mut().map(|run| run.sample(others_share));
    samples.collect()
}

/// The bytes of one event as the program writes it.
pub(crate) fn event_of(program: &Program, protocol: Protocol) -> Outcome<Vec<u8>> {
    let server = Server::start(program)?;
    let mut loader = server.loader(protocol, 1)?;
    loader.open_to(1)?;
    let broadcast = loader.broadcast(|_| {})?;
    if broadcast.received != 1 {
        return Err("a subscriber was not told of a publication".into());
    }
    Ok(loader.sample().to_vec())
}

fn cpu_of(runs: &[Run]) -> Outcome<u64> {
    let mut all_ns = 0;
    for run in runs {
        all_ns += run.server.cpu_time()?.all_ns;
    }
    Ok(all_ns)
}

/// One contestant and what its turns added up to.
struct Run {
    // Before the server, so that the clients leave first.
    loader: Loader,
    server: Server,
    load: Load,
    floor: bool,
    opening: Duration,
    receipts: Histogram<u64>,
    firsts: Histogram<u64>,
    lasts: Histogram<u64>,
    events: u64,
    bytes: u64,
    lost: u64,
    extra: u64,
    cpu: CpuTime,
    elapsed: Duration,
}

impl Run {
    fn open(program: &Program, load: Load) -> Outcome<Self> {
        let server = Server::start(program)?;
        let mut loader = server.loader(load.protocol, load.topics)?;
        let opening = loader.open_to(load.streams + load.stalled)?;
        loader.stall(load.stalled)?;
        for _ in 0..WARM_UP {
            loader.broadcast(|_| {})?;
        }
        Ok(Run {
            loader,
            server,
            load,
            floor: matches!(program, Program::Floor(_)),
            opening,
            receipts: histogram()?,
            firsts: histogram()?,
            lasts: histogram()?,
            events: 0,
            bytes: 0,
            lost: 0,
            extra: 0,
            cpu: CpuTime::default(),
            elapsed: Duration::ZERO,
        })
    }

    fn take_turn(&mut self, turns: usize) -> Outcome<()> {
        for _ in 0..WARM_UP_OF_TURN {
            self.loader.broadcast(|_| {})?;
        }
        let before = self.server.cpu_time()?;
        let started = Instant::now();
        for _ in 0..self.load.broadcasts.div_ceil(turns) {
            let receipts = &mut self.receipts;
            let broadcast = self.loader.broadcast(|ns| receipts.saturating_record(ns))?;
            self.firsts.saturating_record(broadcast.first_ns);
            self.lasts.saturating_record(broadcast.last_ns);
            self.events += broadcast.events;
            self.bytes += broadcast.bytes;
            self.lost += broadcast.lost;
            self.extra += broadcast.extra;
        }
        self.elapsed += started.elapsed();
        let after = self.server.cpu_time()?;
        self.cpu.all_ns += after.all_ns - before.all_ns;
        self.cpu.cores_ns += after.cores_ns - before.cores_ns;
        Ok(())
    }

    fn sample(&mut self, others_share: f64) -> Outcome<Sample> {
        if self.events == 0 {
            return Err("nothing was delivered".into());
        }
        let loader_reads_per_second = match self.floor {
            true => Some(read_at_once(&mut self.loader, self.load.streams)?),
            false => None,
        };
        let per_event = |ns: u64| ns as f64 / self.events as f64;
        let us = |histogram: &Histogram<u64>, quantile| {
            histogram.value_at_quantile(quantile) as f64 / 1000.0
        };
        Ok(Sample {
            opened_per_second: (self.load.streams + self.load.stalled) as f64
                / self.opening.as_secs_f64(),
            events: self.events,
            lost: self.lost,
            extra: self.extra,
            bytes_per_event: per_event(self.bytes),
            cpu_ns_per_event: per_event(self.cpu.all_ns),
            cores_cpu_ns_per_event: (self.cpu.cores_ns > 0).then(|| per_event(self.cpu.cores_ns)),
            events_per_second: self.events as f64 / self.elapsed.as_secs_f64(),
            first_us: us(&self.firsts, 0.5),
            p50_us: us(&self.receipts, 0.5),
            p99_us: us(&self.receipts, 0.99),
            last_us: us(&self.lasts, 0.5),
            others_share,
            driver: self.server.driver(),
            loader_reads_per_second,
        })
    }
}

/// The median of a few, events per second.
fn read_at_once(loader: &mut Loader, streams: usize) -> Outcome<f64> {
    let mut rates = Vec::new();
    for _ in 0..READS_AT_ONCE {
        let (_, elapsed) = loader.read_at_once()?;
        rates.push(streams as f64 / elapsed.as_secs_f64());
    }
    Ok(Summary::of(rates).median)
}
