//! What one client that tries everything costs the others: sessions, streams with subscriptions, calls, large bodies.
//!
//! One connection asks again and again; meanwhile another address attacks, or nobody does, in turns of one run. The
//! attacker sends at a given rate, since one that sends as fast as it is answered would measure the loader's only CPU.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use clap::Parser;
use clap::builder::ArgPredicate;
use serde::Serialize;
use socket2::{Domain, Socket, Type};

use super::disturbed::Pinger;
use super::{Common, SPARE_FILES, progress};
use crate::Outcome;
use crate::loader::protocol::{Protocol, legacy};
use crate::record::Record;
use crate::server::{Server, Setup};
use crate::stats::{Times, histogram};
use crate::table::{Table, thousands};

#[derive(Clone, Debug, Parser, Serialize)]
pub(crate) struct GreedyOptions {
    /// Turns with the attacker, and as many without.
    #[arg(
        long,
        default_value_t = 10,
        default_value_if("quick", ArgPredicate::IsPresent, "3")
    )]
    turns: usize,
    /// Requests of the others in each turn.
    #[arg(long, default_value_t = 2_000)]
    requests: usize,
    /// Requests of the attacker in a second.
    #[arg(long, default_value_t = 2_000)]
    attacks_per_second: u32,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

#[derive(Serialize)]
struct Greedy {
    /// A request of the others while nobody attacks.
    alone: Times,
    attacked: Times,
    p99_ratio: f64,
    attacks: u64,
    /// Those among them that were refused.
    refused: u64,
}

/// What one client may take by default of a node of this size.
const LIMITS: [&str; 16] = [
    "--connections-max",
    "400",
    "--connections-per-client-max",
    "300",
    "--sessions-max",
    "2000",
    "--sessions-per-client-max",
    "500",
    "--initialize-per-second-max",
    "2000",
    "--initialize-per-second-per-client-max",
    "500",
    "--calls-per-client-max",
    "1024",
    "--calls-per-second-per-client-max",
    "1000",
];
/// Between two requests of the others, who ask half as fast as they may: what is refused has no figure.
const PAUSE: Duration = Duration::from_millis(2);
const CONNECTIONS: usize = 16;
/// Streams that it tries to have at once.
const STREAMS: usize = 400;
/// More than one read brings, and less than what the kernel takes at once.
const BODY_BYTES: usize = 256 * 1024;
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

pub(crate) fn run(options: &GreedyOptions) -> Outcome<()> {
    let files = (STREAMS + CONNECTIONS) as u64 + SPARE_FILES;
    let program = options.common.prepare(files, files)?.program;
    let record = Record::begin("greedy", options)?;
    let setup = Setup {
        arguments: &LIMITS,
        ..Setup::default()
    };
    let server = Server::start_with(&program, &setup)?;
    let mut pinger = Pinger::connect(&server)?.pausing(PAUSE);
    let (mut alone, mut attacked) = (histogram()?, histogram()?);
    let (mut attacks, mut refused) = (0, 0);
    let bar = progress(options.turns);
    for _ in 0..options.turns {
        for _ in 0..options.requests {
            alone.saturating_record(pinger.ask()?);
        }
        let attacker = Attacker::begin(server.address(), options.attacks_per_second);
        for _ in 0..options.requests {
            attacked.saturating_record(pinger.ask()?);
        }
        let told = attacker.end()?;
        attacks += told.0;
        refused += told.1;
        bar.inc(1);
    }
    bar.finish_and_clear();
    let (alone, attacked) = (Times::of(&alone), Times::of(&attacked));
    let result = Greedy {
        alone,
        attacked,
        p99_ratio: attacked.p99_us / alone.p99_us,
        attacks,
        refused,
    };
    record.end(&result, &table(&result))
}

/// Another address, in a thread of its own.
struct Attacker {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<(u64, u64), String>>,
}

impl Attacker {
    fn begin(server: SocketAddr, per_second: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let its_stop = Arc::clone(&stop);
        let attack = move || attack(server, per_second, &its_stop).map_err(|it| it.to_string());
        let thread = thread::spawn(attack);
        Attacker { stop, thread }
    }

    /// How many requests it sent, and how many of them were refused.
    fn end(self) -> Outcome<(u64, u64)> {
        self.stop.store(true, Ordering::Relaxed);
        let told = self.thread.join().map_err(|_| "the attacker panicked")?;
        Ok(told?)
    }
}

fn attack(server: SocketAddr, per_second: u32, stop: &AtomicBool) -> Outcome<(u64, u64)> {
    let host = server.to_string();
    let request = |protocol: Protocol| protocol.request(0, 1, None, &host).unwrap_or_default();
    let session = legacy::initialize(&host);
    let kinds = [
        session.clone(),
        request(Protocol::Modern),
        request(Protocol::KeepAlive),
        large(&session),
    ];
    let mut connections: Vec<Option<TcpStream>> = (0..CONNECTIONS).map(|_| None).collect();
    let mut streams = Vec::new();
    let (mut sent, mut refused) = (0_u64, 0);
    let begun = Instant::now();
    let pause = Duration::from_secs(1) / per_second.max(1);
    while !stop.load(Ordering::Relaxed) {
        let due = pause.saturating_mul(u32::try_from(sent).unwrap_or(u32::MAX));
        thread::sleep(due.saturating_sub(begun.elapsed()));
        let kind = sent as usize % kinds.len();
        let place = &mut connections[sent as usize % CONNECTIONS];
        let mut connection = match place.take() {
            Some(connection) => connection,
            None => connect(server)?,
        };
        sent += 1;
        match ask(&mut connection, kinds[kind].as_bytes()) {
            Ok(200) if kind == 1 && streams.len() < STREAMS => streams.push(connection),
            Ok(200) if kind == 1 => {}
            Ok(200) => *place = Some(connection),
            Ok(_) => {
                refused += 1;
                *place = Some(connection);
            }
            // It was closed, with an answer that came before or without one.
            Err(_) => refused += 1,
        }
    }
    Ok((sent, refused))
}

fn large(request: &str) -> String {
    let head = request.split("Content-Length").next().unwrap_or_default();
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"{}"}}"#,
        "x".repeat(BODY_BYTES)
    );
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn connect(server: SocketAddr) -> Outcome<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), 0)).into())?;
    socket.connect(&server.into())?;
    let connection = TcpStream::from(socket);
    connection.set_nodelay(true)?;
    connection.set_read_timeout(Some(ANSWER_WITHIN))?;
    Ok(connection)
}

/// The status of an answer, all of which one read brings.
fn ask(connection: &mut TcpStream, request: &[u8]) -> Outcome<u16> {
    connection.write_all(request)?;
    let mut answer = [0; 16 * 1024];
    let count = connection.read(&mut answer)?;
    let text = String::from_utf8_lossy(&answer[..count]);
    let status = text.split(' ').nth(1).ok_or("no answer")?;
    Ok(status.parse()?)
}

fn table(result: &Greedy) -> String {
    let mut table = Table::new(&["a request", "p50 µs", "p99 µs", "most µs"]);
    for (when, times) in [
        ("alone", &result.alone),
        ("beside one that tries everything", &result.attacked),
    ] {
        table.row([
            when.to_owned(),
            thousands(times.p50_us),
            thousands(times.p99_us),
            thousands(times.max_us),
        ]);
    }
    format!(
        "\nA `ping` of others while one client sent {} requests, of which {} were refused: p99 × {:.2}\n\n{}",
        thousands(result.attacks as f64),
        thousands(result.refused as f64),
        result.p99_ratio,
        table.text()
    )
}
