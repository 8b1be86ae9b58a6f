//! wrk, and the scripts in bench/wrk that tell it what to ask and what is right.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::super::peers;
use super::RequestsOptions;
use crate::Outcome;
use crate::record::root;
use crate::server::Server;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Script {
    Hello,
    Ping,
    CallLegacy,
    CallModern,
    Cycle,
}

/// What a script says at its end.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Run {
    pub(super) requests: u64,
    pub(super) duration_us: f64,
    /// Answers that are not what the server had to say.
    pub(super) wrong: u64,
    /// Connections that could not be made, read or written.
    pub(super) broken: u64,
    pub(super) timeouts: u64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) max_us: f64,
    /// The first wrong answer.
    pub(super) sample: String,
}

pub(super) struct Wrk {
    program: PathBuf,
    connections: usize,
    seconds: u32,
}

/// So that code that is compiled while it runs is.
const WARM_UP_SECONDS: u32 = 1;

impl Script {
    pub(super) fn text(self) -> &'static str {
        match self {
            Script::Hello | Script::Ping => "ping",
            Script::CallLegacy => "tools/call, legacy",
            Script::CallModern => "tools/call, modern",
            Script::Cycle => "initialize and DELETE, each",
        }
    }

    pub(super) fn in_session(self) -> bool {
        matches!(self, Script::Ping | Script::CallLegacy)
    }

    fn file(self) -> &'static str {
        match self {
            Script::Hello => "hello.lua",
            Script::Ping => "ping.lua",
            Script::CallLegacy => "call_legacy.lua",
            Script::CallModern => "call_modern.lua",
            Script::Cycle => "cycle.lua",
        }
    }
}

impl Wrk {
    pub(super) fn new(options: &RequestsOptions) -> Outcome<Self> {
        Ok(Wrk {
            program: peers::wrk()?,
            connections: options.connections,
            seconds: options.seconds,
        })
    }

    pub(super) fn warm_up(
        &self,
        server: &Server,
        script: Script,
        threads: usize,
        sessions: &[String],
    ) -> Outcome<()> {
        self.run_for(WARM_UP_SECONDS, server, script, threads, sessions)?;
        Ok(())
    }

    pub(super) fn run(
        &self,
        server: &Server,
        script: Script,
        threads: usize,
        sessions: &[String],
    ) -> Outcome<Run> {
        self.run_for(self.seconds, server, script, threads, sessions)
    }

    fn run_for(
        &self,
        seconds: u32,
        server: &Server,
        script: Script,
        threads: usize,
        sessions: &[String],
    ) -> Outcome<Run> {
        let output = Command::new(&self.program)
            .args(["--timeout", "10s", "--script", script.file()])
            .args(["--threads", &threads.to_string()])
            .args(["--connections", &self.connections.to_string()])
            .args(["--duration", &format!("{seconds}s")])
            .arg(format!("http://{}/mcp", server.address()))
            .env("SESSIONS", sessions.join(" "))
            .env("THREADS", threads.to_string())
            // Where scripts find what they share.
            .current_dir(root().join("bench/wrk"))
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let last = text.trim_end().lines().next_back().unwrap_or("");
        if !output.status.success() || !last.starts_with('{') {
            return Err(format!("wrk failed with {}: {text}", script.file()).into());
        }
        let run: Run = serde_json::from_str(last)?;
        if run.requests == 0 {
            return Err(format!("nothing was answered of {}", script.file()).into());
        }
        Ok(run)
    }
}
