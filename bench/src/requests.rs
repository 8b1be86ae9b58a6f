//! Requests on 64 keep-alive connections: `ping`, `tools/call` of both eras, and sessions opened and ended, by wrk.
//!
//! Every answer is checked by the scripts in bench/wrk; a wrong one is counted, and the run says so. CPU is what the
//! scheduler accounted to the server's process meanwhile. Of pinfold on two cores only the CPU says something where there
//! are two in all: wrk has to share them with it.

mod results;
mod session;
mod wrk;

use std::path::PathBuf;

use clap::Parser;
use serde::Serialize;

use self::results::{Measured, Results};
use self::wrk::{Script, Wrk};
use crate::Outcome;
use crate::first::progress;
use crate::machine::{self, pin_to, pin_to_any, raise_open_files};
use crate::peers::{Installed, PeerName, install};
use crate::record::Record;
use crate::server::{LOADER_CPU, Launch, Program, SERVER_CPU, Server};

#[derive(Clone, Debug, Parser, Serialize)]
pub(crate) struct RequestsOptions {
    /// How often each server is measured.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    repetitions: u32,
    /// Seconds of each kind of request in one repetition.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Connections, each with one request under way.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Less of everything: one repetition of one second each.
    #[arg(long)]
    quick: bool,
    /// Another program with the command line of `pinfold serve`, in place of a `pinfold` built from this tree.
    #[arg(long)]
    program: Option<PathBuf>,
}

/// One server and what it is asked.
struct Contestant {
    name: &'static str,
    program: Program,
    scripts: &'static [Script],
    threads: usize,
    sessions: usize,
    /// Where wrk may run.
    loader: &'static [usize],
    failed: Option<String>,
}

const PEERS: [PeerName; 4] = [
    PeerName::Axum,
    PeerName::Rmcp,
    PeerName::TypeScript,
    PeerName::Python,
];
const ALL: &[Script] = &[
    Script::Ping,
    Script::CallLegacy,
    Script::CallModern,
    Script::Cycle,
];
const BOTH_CPUS: &[usize] = &[SERVER_CPU, LOADER_CPU];
/// On two cores each of wrk's threads has a session of its own: what a connection asks is about one session, as with
/// real clients, and the connection moves to that session's core once.
const THREADS_ON_TWO: usize = 8;
const OPEN_FILES: u64 = 4096;

pub(crate) fn run(options: &RequestsOptions) -> Outcome<()> {
    let mut options = options.clone();
    if options.quick {
        (options.repetitions, options.seconds) = (1, 1);
    }
    let open_files = raise_open_files(OPEN_FILES)?;
    let installed = install(&PEERS)?;
    let wrk = Wrk::new(&options)?;
    let mut contestants = contestants(&options, &installed)?;
    pin_to(LOADER_CPU)?;
    let record = Record::begin("requests", &options, open_files)?;
    let mut results = Results::new(&installed, options.connections);
    let bar = progress(options.repetitions as usize * contestants.len());
    for _ in 0..options.repetitions {
        for contestant in &mut contestants {
            bar.set_message(contestant.name);
            contestant.take_turn(&wrk, &mut results)?;
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let failures = contestants.into_iter();
    results.failed = failures
        .filter_map(|it| Some((it.name.to_owned(), it.failed?)))
        .collect();
    results.summarise();
    record.end(&results, &results.tables())?;
    results.verdict()
}

fn contestants(options: &RequestsOptions, installed: &Installed) -> Outcome<Vec<Contestant>> {
    let connections = options.connections;
    let responder = Launch {
        program: std::env::current_exe()?,
        arguments: vec!["responder".to_owned()],
        publication: None,
        cpus: &[SERVER_CPU],
    };
    let floor = Contestant::new(
        "fixed answer, monoio",
        Program::Other(responder),
        &[Script::Ping],
        0,
    );
    let one = pinfold(options, "1", &[SERVER_CPU])?;
    let two = pinfold(options, "2", BOTH_CPUS)?;
    let two = Contestant {
        threads: THREADS_ON_TWO,
        loader: BOTH_CPUS,
        ..Contestant::new("pinfold, 2 cores", two, &ALL[..3], THREADS_ON_TWO)
    };
    let mut contestants = vec![
        floor,
        Contestant::new("pinfold", one, ALL, connections),
        two,
    ];
    for peer in &installed.peers {
        let (scripts, sessions) = match peer.name {
            PeerName::Axum => (&[Script::Hello][..], 0),
            _ => (ALL, connections),
        };
        let contestant = Contestant::new(peer.name.text(), peer.program.clone(), scripts, sessions);
        contestants.push(contestant);
    }
    Ok(contestants)
}

/// With the application that has a tool.
fn pinfold(options: &RequestsOptions, cores: &str, cpus: &'static [usize]) -> Outcome<Program> {
    let Program::Pinfold(program) = Program::pinfold(options.program.as_deref())? else {
        return Err("pinfold is no pinfold".into());
    };
    let arguments = ["serve", "--app", "conformance", "--cores", cores];
    Ok(Program::Other(Launch {
        program,
        arguments: arguments.map(str::to_owned).to_vec(),
        publication: None,
        cpus,
    }))
}

impl Contestant {
    fn new(
        name: &'static str,
        program: Program,
        scripts: &'static [Script],
        sessions: usize,
    ) -> Self {
        Contestant {
            name,
            program,
            scripts,
            threads: 1,
            sessions,
            loader: &[LOADER_CPU],
            failed: None,
        }
    }

    /// A peer that fails is left out of the rest and told of.
    fn take_turn(&mut self, wrk: &Wrk, results: &mut Results) -> Outcome<()> {
        if self.failed.is_some() {
            return Ok(());
        }
        let measured = self.measure(wrk, results);
        pin_to(LOADER_CPU)?;
        if let Err(fault) = measured {
            eprintln!("NOT MEASURED any further: {}: {fault}", self.name);
            self.failed = Some(fault.to_string());
        }
        Ok(())
    }

    /// A fresh process is asked each kind of request in turn.
    fn measure(&self, wrk: &Wrk, results: &mut Results) -> Outcome<()> {
        let server = Server::start(&self.program)?;
        let sessions = session::open(server.address(), self.sessions)?;
        for (index, &script) in self.scripts.iter().enumerate() {
            let sessions = if script.in_session() {
                &sessions[..]
            } else {
                &[]
            };
            pin_to_any(self.loader)?;
            if index == 0 {
                wrk.warm_up(&server, script, self.threads, sessions)?;
            }
            let busy_before = machine::Busy::now()?;
            let cpu_before = server.cpu_time()?.all_ns;
            let (run, wrk_ns) = wrk.run(&server, script, self.threads, sessions)?;
            let cpu_ns = server.cpu_time()?.all_ns - cpu_before;
            let others_ns = machine::Busy::now()?.of_others_since(busy_before, cpu_ns + wrk_ns);
            let others_share = others_ns as f64 / (run.duration_us * 1000.0 * machine::cpus());
            results.add(self.name, script, Measured::new(run, cpu_ns, others_share));
        }
        Ok(())
    }
}
