//! The cost of a move between cores: what a request costs whose session lives on another core than its connection.
//!
//! Connections ping two sessions in turn. Either both live on one core, and the connection stays there; or they live on
//! two, and it moves with every request. That is the worst there is: a client with one session moves once at most.
//! Server and loader share the CPUs here, so CPU per request says more than times do.

use clap::Parser;
use clap::builder::ArgPredicate;
use hdrhistogram::Histogram;
use pinfold::internals::wire::session_id::SessionId;
use serde::Serialize;

use super::{Common, SPARE_FILES, progress, session};
use crate::Outcome;
use crate::loader::asker::{Answer, Askers, Script};
use crate::loader::protocol::{Protocol, legacy};
use crate::machine::{LOADER_CPU, SERVER_CPU};
use crate::record::Record;
use crate::server::{Program, Server, Setup};
use crate::stats::{Summary, Times, histogram};
use crate::table::{Table, thousands};

#[derive(Clone, Debug, Parser, Serialize)]
pub(crate) struct CoresOptions {
    /// Connections that ask at the same time, one or more counts
    #[arg(long, value_delimiter = ',', default_value = "1,64")]
    connections: Vec<usize>,
    /// Requests in one turn
    #[arg(
        long,
        default_value_t = 40_000,
        default_value_if("quick", ArgPredicate::IsPresent, "10000")
    )]
    requests: usize,
    /// Turns of each kind, one after the other
    #[arg(
        long,
        default_value_t = 6,
        default_value_if("quick", ArgPredicate::IsPresent, "2"),
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    turns: u32,
    /// Connections that are opened where they come, and where chance puts them
    #[arg(long, default_value_t = 4_000)]
    opened: usize,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

#[derive(Serialize)]
struct Results {
    moves: Vec<Moves>,
    placed: Placed,
}

#[derive(Serialize)]
struct Moves {
    connections: usize,
    staying: Turns,
    moving: Turns,
    /// What a request costs more that moves its connection.
    cpu_us_per_move: f64,
}

#[derive(Serialize)]
struct Turns {
    requests_per_second: Summary,
    cpu_us_per_request: Summary,
    times: Times,
}

/// Connections with one request each, accepted by two cores: each stays where it was accepted, or goes to a core drawn
/// by lot (`--place-at-random`), which is the other one half of the time.
#[derive(Serialize)]
struct Placed {
    connections: usize,
    cpu_us_where_they_come: Summary,
    cpu_us_at_random: Summary,
    cpu_us_per_move: f64,
}

const CPUS: &[usize] = &[SERVER_CPU, LOADER_CPU];
const TWO_CORES: Setup<'static> = Setup {
    cpus: CPUS,
    arguments: &[],
};
const AT_RANDOM: Setup<'static> = Setup {
    cpus: CPUS,
    arguments: &["--place-at-random"],
};
/// Enough of them that each core has some.
const SESSIONS: usize = 64;

pub(crate) fn run(options: &CoresOptions) -> Outcome<()> {
    let files = options.opened as u64 + SPARE_FILES;
    let program = options.common.prepare(files, files)?.program;
    let record = Record::begin("cores", options)?;
    let bar = progress(options.connections.len() + 1);
    let mut moves = Vec::new();
    for &connections in &options.connections {
        bar.set_message(format!("{connections} connections"));
        moves.push(measure_moves(options, &program, connections)?);
        bar.inc(1);
    }
    bar.set_message("placed at random");
    let placed = measure_placed(options, &program)?;
    bar.finish_and_clear();
    let results = Results { moves, placed };
    record.end(&results, &tables(&results))
}

fn measure_moves(options: &CoresOptions, program: &Program, connections: usize) -> Outcome<Moves> {
    let server = Server::start_with(program, &AT_RANDOM)?;
    let host = server.address().to_string();
    let sessions = sessions(&server)?;
    let mut askers = Askers::connect(server.address(), connections)?;
    let kinds = [false, true];
    let mut measured = [Measured::new()?, Measured::new()?];
    for _ in 0..options.turns {
        for (moving, measured) in kinds.into_iter().zip(&mut measured) {
            let mut pings = Pings::new(&host, &sessions, connections, moving);
            pings.left = options.requests;
            let before = server.cpu_time()?.all_ns;
            let elapsed = askers.run(&mut pings, &mut measured.times)?;
            let requests = options.requests as f64;
            let cpu_ns = (server.cpu_time()?.all_ns - before) as f64;
            measured.cpu_us.push(cpu_ns / 1000.0 / requests);
            measured.rates.push(requests / elapsed.as_secs_f64());
        }
    }
    let [staying, moving] = measured.map(Measured::turns);
    Ok(Moves {
        connections,
        cpu_us_per_move: moving.cpu_us_per_request.median - staying.cpu_us_per_request.median,
        staying,
        moving,
    })
}

/// Session ids by core.
fn sessions(server: &Server) -> Outcome<[Vec<String>; 2]> {
    let mut sessions = [Vec::new(), Vec::new()];
    for id in session::open(server.address(), SESSIONS)? {
        let parsed = SessionId::parse(&id).ok_or("a session id that pinfold would not write")?;
        let of_core = sessions.get_mut(usize::from(parsed.locator.core));
        of_core.ok_or("there is a third core")?.push(id);
    }
    if sessions.iter().any(|it| it.len() < 2) {
        return Err("one core got nearly all sessions: run it again".into());
    }
    Ok(sessions)
}

/// Two requests for each connection, asked in turn.
struct Pings {
    pairs: Vec<[Vec<u8>; 2]>,
    asked: Vec<usize>,
    left: usize,
}

impl Pings {
    fn new(host: &str, sessions: &[Vec<String>; 2], connections: usize, moving: bool) -> Self {
        let ping = |core: usize, index: usize| {
            let of_core = &sessions[core];
            legacy::ping(host, &of_core[index % of_core.len()]).into_bytes()
        };
        let pairs = (0..connections).map(|connection| {
            let core = connection % 2;
            match moving {
                false => [ping(core, connection), ping(core, connection + 1)],
                true => [ping(0, connection), ping(1, connection)],
            }
        });
        Pings {
            pairs: pairs.collect(),
            asked: vec![0; connections],
            left: 0,
        }
    }
}

impl Script for Pings {
    fn next(&mut self, connection: usize, answer: Option<&Answer>) -> Outcome<Option<Vec<u8>>> {
        answer.map_or(Ok(()), Answer::expect_success)?;
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.asked[connection] += 1;
        Ok(Some(
            self.pairs[connection][self.asked[connection] % 2].clone(),
        ))
    }
}

struct Measured {
    rates: Vec<f64>,
    cpu_us: Vec<f64>,
    times: Histogram<u64>,
}

impl Measured {
    fn new() -> Outcome<Self> {
        Ok(Measured {
            rates: Vec::new(),
            cpu_us: Vec::new(),
            times: histogram()?,
        })
    }

    fn turns(self) -> Turns {
        Turns {
            requests_per_second: Summary::of(self.rates),
            cpu_us_per_request: Summary::of(self.cpu_us),
            times: Times::of(&self.times),
        }
    }
}

fn measure_placed(options: &CoresOptions, program: &Program) -> Outcome<Placed> {
    let mut samples = [Vec::new(), Vec::new()];
    for _ in 0..options.turns {
        for (setup, samples) in [TWO_CORES, AT_RANDOM].iter().zip(&mut samples) {
            let server = Server::start_with(program, setup)?;
            let mut loader = server.loader(Protocol::KeepAlive, 1)?;
            let before = server.cpu_time()?.all_ns;
            loader.open_to(options.opened)?;
            let cpu_ns = (server.cpu_time()?.all_ns - before) as f64;
            samples.push(cpu_ns / 1000.0 / options.opened as f64);
        }
    }
    let [where_they_come, at_random] = samples.map(Summary::of);
    Ok(Placed {
        connections: options.opened,
        cpu_us_where_they_come: where_they_come,
        cpu_us_at_random: at_random,
        cpu_us_per_move: 2.0 * (at_random.median - where_they_come.median),
    })
}

fn tables(results: &Results) -> String {
    let columns = [
        "connections",
        "",
        "requests/s",
        "CPU µs/request",
        "p50 µs",
        "p99 µs",
    ];
    let mut table = Table::new(&columns);
    for moves in &results.moves {
        for (name, turns) in [("stay", &moves.staying), ("move", &moves.moving)] {
            table.row([
                moves.connections.to_string(),
                name.to_owned(),
                thousands(turns.requests_per_second.median),
                format!("{:.2}", turns.cpu_us_per_request.median),
                thousands(turns.times.p50_us),
                thousands(turns.times.p99_us),
            ]);
        }
    }
    let costs = results.moves.iter().map(|it| {
        let (connections, cost) = (it.connections, it.cpu_us_per_move);
        format!("{cost:.1} µs with {connections} connections at once")
    });
    let placed = &results.placed;
    format!(
        "\nPings to two sessions in turn, both on one core or one on each of two; two cores share the CPUs with the \
         loader\n\n{}\nA move costs {}. A connection that is handed to another core as it is accepted costs {:.1} µs more \
         ({:.1} µs with its one request where it came, {:.1} µs where half of them are handed over).\n",
        table.text(),
        costs.collect::<Vec<_>>().join(", "),
        placed.cpu_us_per_move,
        placed.cpu_us_where_they_come.median,
        placed.cpu_us_at_random.median,
    )
}
