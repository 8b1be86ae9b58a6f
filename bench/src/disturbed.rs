//! What a broadcast does to a request that arrives in the middle of it.
//!
//! One connection asks again and again; meanwhile everybody is told something, or nobody. What the streams got is read
//! only afterwards: the loader has one CPU and would otherwise measure itself.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Parser;
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::Outcome;
use crate::first::progress;
use crate::loader::Loader;
use crate::loader::protocol::Protocol;
use crate::machine::{pin_to, raise_open_files};
use crate::record::Record;
use crate::server::{LOADER_CPU, Program, Server};
use crate::table::{Table, thousands};

#[derive(Clone, Debug, Parser, Serialize)]
pub(crate) struct DisturbedOptions {
    /// Streams that are told.
    #[arg(long, default_value_t = 10_000)]
    streams: usize,
    /// Broadcasts, and as many rests in turn with them.
    #[arg(long, default_value_t = 60)]
    broadcasts: usize,
    /// Requests during each of them.
    #[arg(long, default_value_t = 20)]
    requests: usize,
    /// Another program with the command line of `pinfold serve`, in place of a `pinfold` built from this tree.
    #[arg(long)]
    program: Option<PathBuf>,
}

#[derive(Serialize)]
struct Disturbed {
    era: Protocol,
    streams: usize,
    /// While nobody is told anything.
    at_rest: Times,
    /// While everybody is being told.
    in_broadcast: Times,
}

/// From a request's first byte to its answer's, microseconds.
#[derive(Serialize)]
struct Times {
    requests: u64,
    p50_us: f64,
    p99_us: f64,
    max_us: f64,
}

const ERAS: [Protocol; 2] = [Protocol::Legacy, Protocol::Modern];
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Between two requests. Ten thousand sends take some tens of milliseconds.
const PAUSE: Duration = Duration::from_micros(500);
const SPARE_FILES: u64 = 64;

pub(crate) fn run(options: &DisturbedOptions) -> Outcome<()> {
    let open_files = raise_open_files(options.streams as u64 + SPARE_FILES)?;
    let program = Program::pinfold(options.program.as_deref())?;
    pin_to(LOADER_CPU)?;
    let record = Record::begin("disturbed", options, open_files)?;
    let bar = progress(ERAS.len() * options.broadcasts);
    let mut results = Vec::new();
    for era in ERAS {
        let server = Server::start(&program)?;
        let mut loader = server.loader(era, 1)?;
        loader.open_to(options.streams)?;
        let mut asker = Asker::connect(&server)?;
        let (mut rest, mut broadcast) = (histogram()?, histogram()?);
        for _ in 0..options.broadcasts {
            for _ in 0..options.requests {
                rest.saturating_record(asker.ask()?);
            }
            ask_during_broadcast(options.requests, &mut loader, &mut asker, &mut broadcast)?;
            bar.inc(1);
        }
        results.push(Disturbed {
            era,
            streams: options.streams,
            at_rest: Times::of(&rest),
            in_broadcast: Times::of(&broadcast),
        });
    }
    bar.finish_and_clear();
    record.end(&results, &table(&results))
}

fn ask_during_broadcast(
    requests: usize,
    loader: &mut Loader,
    asker: &mut Asker,
    times: &mut Histogram<u64>,
) -> Outcome<()> {
    let published = loader.publish()?;
    for _ in 0..requests {
        times.saturating_record(asker.ask()?);
    }
    let broadcast = loader.collect_published(published)?;
    if broadcast.lost > 0 {
        return Err(format!("{} streams were not told", broadcast.lost).into());
    }
    Ok(())
}

/// A client that waits for one answer at a time, without sleeping.
struct Asker {
    socket: TcpStream,
    request: Vec<u8>,
    scratch: Vec<u8>,
}

impl Asker {
    fn connect(server: &Server) -> Outcome<Self> {
        let socket = TcpStream::connect(server.address())?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let host = server.address().to_string();
        let request = Protocol::KeepAlive.request(0, 0, None, &host);
        Ok(Asker {
            socket,
            request: request.ok_or("a request")?.into_bytes(),
            scratch: vec![0; 64 * 1024],
        })
    }

    /// Nanoseconds until the first byte of the answer, which is small and comes in one piece.
    fn ask(&mut self) -> Outcome<u64> {
        let pause = Instant::now();
        while pause.elapsed() < PAUSE {
            std::hint::spin_loop();
        }
        let asked = Instant::now();
        self.socket.write_all(&self.request)?;
        loop {
            match self.socket.read(&mut self.scratch) {
                Ok(0) => return Err("the server closed the connection".into()),
                Ok(_) => return Ok(asked.elapsed().as_nanos() as u64),
                Err(fault) if fault.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(fault) => return Err(fault.into()),
            }
            if asked.elapsed() > ANSWER_WITHIN {
                return Err("a request was not answered".into());
            }
        }
    }
}

impl Times {
    fn of(histogram: &Histogram<u64>) -> Self {
        let us = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        Times {
            requests: histogram.len(),
            p50_us: us(0.5),
            p99_us: us(0.99),
            max_us: histogram.max() as f64 / 1000.0,
        }
    }
}

fn histogram() -> Outcome<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(
        1,
        ANSWER_WITHIN.as_nanos() as u64,
        3,
    )?)
}

fn table(results: &[Disturbed]) -> String {
    let mut table = Table::new(&["streams", "N", "a request", "p50 µs", "p99 µs", "most µs"]);
    for result in results {
        let rows = [
            ("at rest", &result.at_rest),
            ("in a broadcast", &result.in_broadcast),
        ];
        for (when, times) in rows {
            table.row([
                format!("{:?}", result.era),
                thousands(result.streams as f64),
                when.to_owned(),
                thousands(times.p50_us),
                thousands(times.p99_us),
                thousands(times.max_us),
            ]);
        }
    }
    format!(
        "\nA request (server/discover) while N streams are told, and at rest\n\n{}",
        table.text()
    )
}
