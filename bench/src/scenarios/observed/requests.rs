//! Requests, by wrk.

use indicatif::ProgressBar;

use super::results::{Cost, Turn};
use super::{LOOKERS, Looker, ObservedOptions, Subject, Token, rounds};
use crate::Outcome;
use crate::scenarios::requests::with_a_tool;
use crate::scenarios::session;
use crate::scenarios::wrk::{Asked, Script, Wrk};
use crate::server::{Program, Server};

const SCRIPTS: [Script; 3] = [Script::Ping, Script::CallLegacy, Script::CallModern];
pub(super) const SUBJECTS: usize = SCRIPTS.len();

/// One kind of request, of all connections.
struct Requests<'a> {
    server: &'a Server,
    token: &'a str,
    script: Script,
    sessions: &'a [String],
    connections: usize,
}

pub(super) fn measure(
    options: &ObservedOptions,
    program: &Program,
    token: &Token,
    bar: &ProgressBar,
) -> Outcome<Vec<Cost>> {
    let mut program = with_a_tool(program, "1")?;
    if let Program::Other(launch) = &mut program {
        launch.arguments.extend(token.arguments());
    }
    let server = Server::start(&program)?;
    let sessions = session::open_as(server.address(), options.connections, &token.text)?;
    let mut costs = Vec::new();
    for script in SCRIPTS {
        bar.set_message(script.text());
        let mut requests = Requests {
            server: &server,
            token: &token.text,
            script,
            sessions: &sessions,
            connections: options.connections,
        };
        requests.check()?;
        // Whoever has no session has none to watch.
        let lookers: Vec<Looker> = LOOKERS
            .into_iter()
            .filter(|it| script.in_session() || *it != Looker::OfOneSession)
            .collect();
        let turns = rounds(options, &server, &mut requests, &lookers, || bar.inc(1))?;
        costs.push(Cost::new(
            script.text().to_owned(),
            "request",
            &lookers,
            turns,
        ));
    }
    Ok(costs)
}

impl Requests<'_> {
    fn asked(&self) -> Asked<'_> {
        let sessions = if self.script.in_session() {
            self.sessions
        } else {
            &[]
        };
        Asked {
            server: self.server.address(),
            script: self.script,
            threads: 1,
            sessions,
            token: Some(self.token),
        }
    }

    fn check(&self) -> Outcome<()> {
        let checked = Wrk::new(self.connections, 1).check(&self.asked())?;
        match checked.faults() {
            0 => Ok(()),
            faults => Err(format!(
                "{}: {faults} faults: {}",
                self.script.text(),
                checked.sample
            )
            .into()),
        }
    }
}

impl Subject for Requests<'_> {
    fn turn(&mut self, seconds: u32) -> Outcome<Turn> {
        let run = Wrk::new(self.connections, seconds).time(&self.asked())?;
        if run.faults() > 0 {
            return Err(format!("{}: {} faults", self.script.text(), run.faults()).into());
        }
        Ok(Turn {
            count: run.requests,
            per_second: run.requests as f64 / run.duration_us * 1e6,
            p50_us: run.p50_us,
            p99_us: run.p99_us,
            ..Turn::default()
        })
    }
}
