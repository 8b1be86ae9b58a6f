//! A loader in a process of its own, so that several can be up at a time whatever a process may have open, and none
//! disturbs another's memory.
//!
//! It is told what to do line by line on its standard input and answers each line on its standard output, both JSON.
//! In between it sleeps in a read. It ends with its input, and with the process that started it.
//!
//! ```text
//! Target ─▶ Order::Open ─▶ (Order::WarmUp ─▶ Order::Measure) … ─▶ Order::ReadAtOnce ─▶ Order::Sum
//! ```

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Broadcast, Loader, Target};
use crate::Outcome;
use crate::machine::{self, LOADER_CPU, own_cpu_ns};
use crate::stats::histogram;

#[derive(Debug, Serialize, Deserialize)]
enum Order {
    /// So many clients, and further ones that nobody reads. Answered by [`Opening`].
    Open {
        streams: usize,
        stalled: usize,
    },
    /// Publications of which nothing counts but what is lost or extra.
    WarmUp(usize),
    Measure(usize),
    /// Events that are waiting are read, so often. Answered by the rates, events per second.
    ReadAtOnce(usize),
    /// Answered by [`Sum`].
    Sum,
}

/// What an order comes to; a fault is its text.
type Answer<T> = Result<T, String>;

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Opening {
    pub(crate) elapsed: Duration,
    pub(crate) loader_cpu_ns: u64,
}

/// What all measured publications come to.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Sum {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    /// Of the publications that warm up too.
    pub(crate) lost: u64,
    pub(crate) extra: u64,
    pub(crate) elapsed: Duration,
    /// Medians over the publications of the first and the last receipt; percentiles over all receipts.
    pub(crate) first_us: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) last_us: f64,
}

/// The process, as the one that started it sees it.
pub(crate) struct LoaderProcess {
    child: Child,
    /// None once the process was told to end.
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl LoaderProcess {
    pub(crate) fn start(target: &Target) -> Outcome<Self> {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]);
        command.arg(std::env::current_exe()?).arg("loader-process");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let (orders, answers) = (child.stdin.take(), child.stdout.take());
        let mut process = LoaderProcess {
            child,
            orders,
            answers: BufReader::new(answers.ok_or("the loader has no output")?),
        };
        process.ask::<()>(target)?;
        Ok(process)
    }

    pub(crate) fn open(&mut self, streams: usize, stalled: usize) -> Outcome<Opening> {
        self.ask(&Order::Open { streams, stalled })
    }

    pub(crate) fn warm_up(&mut self, publications: usize) -> Outcome<()> {
        self.ask(&Order::WarmUp(publications))
    }

    pub(crate) fn measure(&mut self, publications: usize) -> Outcome<()> {
        self.ask(&Order::Measure(publications))
    }

    pub(crate) fn read_at_once(&mut self, times: usize) -> Outcome<Vec<f64>> {
        self.ask(&Order::ReadAtOnce(times))
    }

    pub(crate) fn sum(&mut self) -> Outcome<Sum> {
        self.ask(&Order::Sum)
    }

    /// Up to when it last went to sleep, which it does after each answer.
    pub(crate) fn cpu_ns(&self) -> Outcome<u64> {
        Ok(machine::cpu_time(self.child.id())?.all_ns)
    }

    fn ask<T: DeserializeOwned>(&mut self, what: &impl Serialize) -> Outcome<T> {
        let mut line = serde_json::to_vec(what)?;
        line.push(b'\n');
        let orders = self.orders.as_mut().ok_or("the loader was told to end")?;
        orders.write_all(&line)?;
        let mut answer = String::new();
        if self.answers.read_line(&mut answer)? == 0 {
            return Err(format!("the loader ended: {}", self.child.wait()?).into());
        }
        let answer: Answer<T> = serde_json::from_str(&answer)?;
        Ok(answer?)
    }
}

impl Drop for LoaderProcess {
    /// It leaves by itself at the end of its input, and its CPU time counts as ours once it has been waited for.
    fn drop(&mut self) {
        self.orders = None;
        if let Err(fault) = self.child.wait() {
            eprintln!("the loader cannot be waited for: {fault}");
        }
    }
}

/// The process itself.
pub(crate) fn run() -> Outcome<()> {
    machine::pin_to(LOADER_CPU)?;
    let mut lines = std::io::stdin().lines();
    let Some(target) = lines.next() else {
        return Ok(());
    };
    let target: Target = serde_json::from_str(&target?)?;
    let worker = target.loader().and_then(Worker::new);
    let mut worker = match worker {
        Ok(worker) => worker,
        Err(fault) => return answer::<()>(Err(fault)),
    };
    answer(Ok(()))?;
    for line in lines {
        worker.obey(&serde_json::from_str(&line?)?)?;
    }
    Ok(())
}

fn answer<T: Serialize>(outcome: Outcome<T>) -> Outcome<()> {
    let answer: Answer<T> = outcome.map_err(|fault| fault.to_string());
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    Ok(std::io::stdout().write_all(&line)?)
}

/// A loader and what its publications added up to.
struct Worker {
    loader: Loader,
    receipts: Histogram<u64>,
    firsts: Histogram<u64>,
    lasts: Histogram<u64>,
    events: u64,
    bytes: u64,
    lost: u64,
    extra: u64,
    elapsed: Duration,
}

impl Worker {
    fn new(loader: Loader) -> Outcome<Self> {
        Ok(Worker {
            loader,
            receipts: histogram()?,
            firsts: histogram()?,
            lasts: histogram()?,
            events: 0,
            bytes: 0,
            lost: 0,
            extra: 0,
            elapsed: Duration::ZERO,
        })
    }

    fn obey(&mut self, order: &Order) -> Outcome<()> {
        match *order {
            Order::Open { streams, stalled } => answer(self.open(streams, stalled)),
            Order::WarmUp(publications) => answer(self.warm_up(publications)),
            Order::Measure(publications) => answer(self.measure(publications)),
            Order::ReadAtOnce(times) => answer(self.read_at_once(times)),
            Order::Sum => answer(self.sum()),
        }
    }

    fn open(&mut self, streams: usize, stalled: usize) -> Outcome<Opening> {
        let before_ns = own_cpu_ns();
        let elapsed = self.loader.open_to(streams + stalled)?;
        let loader_cpu_ns = own_cpu_ns() - before_ns;
        self.loader.stall(stalled)?;
        Ok(Opening {
            elapsed,
            loader_cpu_ns,
        })
    }

    fn warm_up(&mut self, publications: usize) -> Outcome<()> {
        for _ in 0..publications {
            let broadcast = self.loader.broadcast(|_| {})?;
            self.count_faults(&broadcast);
        }
        Ok(())
    }

    fn measure(&mut self, publications: usize) -> Outcome<()> {
        let started = Instant::now();
        for _ in 0..publications {
            let receipts = &mut self.receipts;
            let broadcast = self.loader.broadcast(|ns| receipts.saturating_record(ns))?;
            self.firsts.saturating_record(broadcast.first_ns);
            self.lasts.saturating_record(broadcast.last_ns);
            self.events += broadcast.events;
            self.bytes += broadcast.bytes;
            self.count_faults(&broadcast);
        }
        self.elapsed += started.elapsed();
        Ok(())
    }

    fn count_faults(&mut self, broadcast: &Broadcast) {
        self.lost += broadcast.lost;
        self.extra += broadcast.extra;
    }

    fn read_at_once(&mut self, times: usize) -> Outcome<Vec<f64>> {
        let mut rates = Vec::new();
        for _ in 0..times {
            let (broadcast, elapsed) = self.loader.read_at_once()?;
            self.count_faults(&broadcast);
            rates.push(broadcast.events as f64 / elapsed.as_secs_f64());
        }
        Ok(rates)
    }

    fn sum(&mut self) -> Outcome<Sum> {
        if self.events == 0 {
            return Err("nothing was delivered".into());
        }
        let us = |histogram: &Histogram<u64>, quantile| {
            histogram.value_at_quantile(quantile) as f64 / 1000.0
        };
        Ok(Sum {
            events: self.events,
            bytes: self.bytes,
            lost: self.lost,
            extra: self.extra,
            elapsed: self.elapsed,
            first_us: us(&self.firsts, 0.5),
            p50_us: us(&self.receipts, 0.5),
            p99_us: us(&self.receipts, 0.99),
            last_us: us(&self.lasts, 0.5),
        })
    }
}
