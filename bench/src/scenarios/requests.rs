//! Requests on 64 keep-alive connections: `ping`, `tools/call` of both eras, and sessions opened and ended, by wrk.
//!
//! Each kind of request is asked twice in a repetition: for a moment with every answer checked by the scripts in
//! bench/wrk, and then timed without, for to look at answers makes wrk the limit. What had a wrong answer has no figure.
//! CPU is what the scheduler accounted to the server's process while it was timed. Of pinfold on two cores only the CPU
//! says something where there are two in all: wrk has to share them with it.

mod results;
mod tables;

use clap::Parser;
use clap::builder::ArgPredicate;
use serde::Serialize;

use self::results::{CpuUsed, Failed, Measured, Results, Role};
use super::peers::{Installed, PeerName, install};
use super::wrk::{Asked, Run, Script, Wrk};
use super::{Common, progress, session};
use crate::Outcome;
use crate::loader::OPENING_MAX;
use crate::machine::{LOADER_CPU, SERVER_CPU, own_and_childrens_cpu_ns, pin_to, pin_to_any};
use crate::record::Record;
use crate::server::{Launch, Program, Server, Setup};

#[derive(Clone, Debug, Parser, Serialize)]
pub(crate) struct RequestsOptions {
    /// How often each server is measured.
    #[arg(
        long,
        default_value_t = 3,
        default_value_if("quick", ArgPredicate::IsPresent, "1"),
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    repetitions: u32,
    /// Seconds of each kind of request in one repetition.
    #[arg(
        long,
        default_value_t = 3,
        default_value_if("quick", ArgPredicate::IsPresent, "1"),
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    seconds: u32,
    /// Connections, each with one request under way.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

/// One server and what it is asked.
struct Contestant {
    name: &'static str,
    role: Role,
    program: Program,
    scripts: &'static [Script],
    threads: usize,
    sessions: usize,
    setup: Setup<'static>,
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
    let installed = install(&PEERS)?;
    let program = options.common.prepare(OPEN_FILES, OPEN_FILES)?.program;
    let wrk = Wrk::new(options.connections, options.seconds);
    let mut contestants = contestants(options, &program, &installed)?;
    let record = Record::begin("requests", options)?;
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
    let failures = failures.filter_map(|it| {
        Some(Failed {
            server: it.name,
            role: it.role,
            reason: it.failed?,
        })
    });
    results.failed = failures.collect();
    results.summarise();
    record.end(&results, &results.tables()?)?;
    results.verdict()
}

fn contestants(
    options: &RequestsOptions,
    pinfold: &Program,
    installed: &Installed,
) -> Outcome<Vec<Contestant>> {
    let connections = options.connections;
    let responder = Program::Other(Launch {
        program: std::env::current_exe()?,
        arguments: vec!["responder".to_owned()],
        publication: None,
        opening_max: OPENING_MAX,
    });
    let one = with_a_tool(pinfold, "1")?;
    let two = Contestant {
        threads: THREADS_ON_TWO,
        setup: Setup {
            cpus: BOTH_CPUS,
            ..Setup::default()
        },
        loader: BOTH_CPUS,
        ..Contestant::new(
            "pinfold, 2 cores",
            Role::PinfoldOnTwo,
            with_a_tool(pinfold, "2")?,
            &ALL[..3],
            THREADS_ON_TWO,
        )
    };
    let mut contestants = vec![
        Contestant::new(
            "fixed answer, monoio",
            Role::Floor,
            responder,
            &[Script::Fixed],
            0,
        ),
        Contestant::new("pinfold", Role::Pinfold, one, ALL, connections),
        two,
    ];
    for peer in &installed.peers {
        let (scripts, sessions) = match peer.name {
            PeerName::Axum => (&[Script::Hello][..], 0),
            _ => (ALL, connections),
        };
        contestants.push(Contestant::new(
            peer.name.text(),
            Role::Peer,
            peer.program.clone(),
            scripts,
            sessions,
        ));
    }
    Ok(contestants)
}

/// pinfold with the application that has one, and no limit that wrk would reach.
pub(super) fn with_a_tool(pinfold: &Program, cores: &str) -> Outcome<Program> {
    let Program::Pinfold(program) = pinfold else {
        return Err("pinfold is to be measured".into());
    };
    let arguments = [
        "serve",
        "--app",
        "conformance",
        "--cores",
        cores,
        "--initialize-per-second-max",
        "1000000",
    ];
    Ok(Program::Other(Launch {
        program: program.clone(),
        arguments: arguments.map(str::to_owned).to_vec(),
        publication: None,
        opening_max: OPENING_MAX,
    }))
}

impl Contestant {
    fn new(
        name: &'static str,
        role: Role,
        program: Program,
        scripts: &'static [Script],
        sessions: usize,
    ) -> Self {
        Contestant {
            name,
            role,
            program,
            scripts,
            threads: 1,
            sessions,
            setup: Setup::default(),
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
        let server = Server::start_with(&self.program, &self.setup)?;
        let sessions = session::open(server.address(), self.sessions)?;
        pin_to_any(self.loader)?;
        for &script in self.scripts {
            let asked = Asked {
                server: server.address(),
                script,
                threads: self.threads,
                sessions: if script.in_session() { &sessions } else { &[] },
                token: None,
            };
            let checked = wrk.check(&asked)?;
            // Nobody wants to know how fast it is at being wrong.
            let measured = match checked.faults() {
                0 => self.time(wrk, &server, &asked, checked)?,
                _ => Measured::wrong(checked),
            };
            results.add(self.name, self.role, script, measured);
        }
        Ok(())
    }

    fn time(
        &self,
        wrk: &Wrk,
        server: &Server,
        asked: &Asked<'_>,
        checked: Run,
    ) -> Outcome<Measured> {
        let before = server.cpu_time()?.all_ns;
        // wrk is a child that has ended when this is asked again; the server has not.
        let own_before = own_and_childrens_cpu_ns()?;
        let run = wrk.time(asked)?;
        let used = CpuUsed {
            server_ns: server.cpu_time()?.all_ns - before,
            wrk_ns: own_and_childrens_cpu_ns()? - own_before,
        };
        Ok(Measured::new(checked, run, used, self.setup.cpus.len()))
    }
}
