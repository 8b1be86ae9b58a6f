//! One publication to N idle streams, again and again: what it costs the server and when it is received.
//!
//! Closed loop: the next publication leaves when everyone has the last one, so every publication is N deliveries
//! and nothing can be merged. Each contestant has a loader process of its own, which sleeps while others have the turn.

use std::time::Instant;

use serde::Serialize;

use crate::Outcome;
use crate::loader::process::{LoaderProcess, Opening};
use crate::loader::protocol::Protocol;
use crate::machine::{self, Busy, CpuTime, own_cpu_ns};
use crate::server::{Program, Server};
use crate::stats::Summary;

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
    /// CPU of the whole server process for each client that was opened.
    pub(crate) opening_cpu_us: f64,
    /// The loader's CPU by the wall clock while it opened: near 1, the loader was the limit.
    pub(crate) opening_loader_share: f64,
    pub(crate) events: u64,
    /// Of all publications, those that warm up included.
    pub(crate) lost: u64,
    pub(crate) extra: u64,
    pub(crate) bytes_per_event: f64,
    /// CPU of the whole server process, the publishing included.
    pub(crate) cpu_ns_per_event: f64,
    /// CPU of its core threads alone, where it has such.
    pub(crate) cores_cpu_ns_per_event: Option<f64>,
    /// Deliveries by the wall clock, the waiting between broadcasts included.
    pub(crate) events_per_second: f64,
    /// Deliveries between the first and the last receipt of a broadcast.
    pub(crate) receipts_per_second: f64,
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

/// Publications in one repetition, at least and at most.
const BROADCASTS_MIN: usize = 16;
const BROADCASTS_MAX: usize = 3_200;

/// How many publications make so many deliveries, about.
pub(crate) fn broadcasts(events: usize, streams: usize) -> usize {
    (events / streams.max(1)).clamp(BROADCASTS_MIN, BROADCASTS_MAX)
}

/// Measures several servers that are up at the same time, turn by turn. Those that wait use no CPU.
pub(crate) fn measure(contestants: &[(&Program, Load)]) -> Outcome<Vec<Sample>> {
    let opened = contestants
        .iter()
        .map(|&(program, load)| Run::open(program, load));
    let mut runs = opened.collect::<Outcome<Vec<Run>>>()?;
    let busy_before = Busy::now()?;
    let (started, own_before) = (Instant::now(), cpu_of(&runs)?);
    // Who is alone has nobody to take turns with.
    let most = contestants.iter().map(|(_, load)| load.broadcasts).max();
    let turns = match runs.len() {
        1 => 1,
        _ => TURNS.min(most.unwrap_or(1)).max(1),
    };
    for turn in 0..turns {
        let count = runs.len();
        for offset in 0..count {
            let run = &mut runs[(turn + offset) % count];
            run.take_turn(turns)
                .map_err(|fault| run.server.explain(fault))?;
        }
    }
    let own_ns = cpu_of(&runs)? - own_before;
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

/// CPU time of this thread, of the loaders and of the servers.
fn cpu_of(runs: &[Run]) -> Outcome<u64> {
    let mut all_ns = own_cpu_ns();
    for run in runs {
        all_ns += run.server.cpu_time()?.all_ns + run.loader.cpu_ns()?;
    }
    Ok(all_ns)
}

/// One contestant.
struct Run {
    // Before the server, so that the clients leave first.
    loader: LoaderProcess,
    server: Server,
    load: Load,
    floor: bool,
    opening: Opening,
    opening_cpu_ns: u64,
    /// Of the measured publications.
    cpu: CpuTime,
}

impl Run {
    fn open(program: &Program, load: Load) -> Outcome<Self> {
        let server = Server::start(program)?;
        let mut loader = server.loader_process(load.protocol, load.topics)?;
        let before_ns = server.cpu_time()?.all_ns;
        let opening = loader.open(load.streams, load.stalled);
        let opening = opening.map_err(|fault| server.explain(fault))?;
        let opening_cpu_ns = server.cpu_time()?.all_ns - before_ns;
        let warm = loader.warm_up(WARM_UP);
        warm.map_err(|fault| server.explain(fault))?;
        Ok(Run {
            loader,
            server,
            load,
            floor: matches!(program, Program::Floor(_)),
            opening,
            opening_cpu_ns,
            cpu: CpuTime::default(),
        })
    }

    fn take_turn(&mut self, turns: usize) -> Outcome<()> {
        self.loader.warm_up(WARM_UP_OF_TURN)?;
        let before = self.server.cpu_time()?;
        self.loader.measure(self.load.broadcasts.div_ceil(turns))?;
        let after = self.server.cpu_time()?;
        self.cpu.all_ns += after.all_ns - before.all_ns;
        self.cpu.cores_ns += after.cores_ns - before.cores_ns;
        Ok(())
    }

    fn sample(&mut self, others_share: f64) -> Outcome<Sample> {
        let loader_reads_per_second = match self.floor {
            true => Some(Summary::of(self.loader.read_at_once(READS_AT_ONCE)?).median),
            false => None,
        };
        let sum = self.loader.sum()?;
        let per_event = |ns: u64| ns as f64 / sum.events as f64;
        let opened = (self.load.streams + self.load.stalled) as f64;
        let opening_ns = self.opening.elapsed.as_nanos() as f64;
        // At least the time of one tick of the clock, where one stream is all.
        let receiving_us = (sum.last_us - sum.first_us).max(0.001);
        Ok(Sample {
            opened_per_second: opened / self.opening.elapsed.as_secs_f64(),
            opening_cpu_us: self.opening_cpu_ns as f64 / 1000.0 / opened,
            opening_loader_share: self.opening.loader_cpu_ns as f64 / opening_ns,
            events: sum.events,
            lost: sum.lost,
            extra: sum.extra,
            bytes_per_event: per_event(sum.bytes),
            cpu_ns_per_event: per_event(self.cpu.all_ns),
            cores_cpu_ns_per_event: (self.cpu.cores_ns > 0).then(|| per_event(self.cpu.cores_ns)),
            events_per_second: sum.events as f64 / sum.elapsed.as_secs_f64(),
            receipts_per_second: self.load.streams as f64 * 1e6 / receiving_us,
            first_us: sum.first_us,
            p50_us: sum.p50_us,
            p99_us: sum.p99_us,
            last_us: sum.last_us,
            others_share,
            driver: self.server.driver(),
            loader_reads_per_second,
        })
    }
}
