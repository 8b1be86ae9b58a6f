//! wrk, and the scripts in bench/wrk that tell it what to ask and what is right.

use std::net::SocketAddr;
use std::process::Stdio;

use serde::{Deserialize, Serialize};

use super::peers;
use crate::Outcome;
use crate::workspace::root;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Script {
    /// Of axum, which answers with a greeting.
    Hello,
    /// Of the floor.
    Fixed,
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
    /// Answers that are not what the server had to say; of a run that is not checked, those with a status above 399.
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
    connections: usize,
    seconds: u32,
}

/// What is asked of whom.
pub(super) struct Asked<'a> {
    pub(super) server: SocketAddr,
    pub(super) script: Script,
    /// wrk's, where it is timed.
    pub(super) threads: usize,
    pub(super) sessions: &'a [String],
    /// An access token that all of them show.
    pub(super) token: Option<&'a str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Checked,
    Timed,
}

/// Long enough that code is compiled that is compiled while it runs: this is also what warms a server up.
const CHECK_SECONDS: u32 = 1;

impl Run {
    /// Whatever went wrong.
    pub(super) fn faults(&self) -> u64 {
        self.wrong + self.broken + self.timeouts
    }
}

impl Script {
    pub(super) fn text(self) -> &'static str {
        match self {
            Script::Hello | Script::Fixed | Script::Ping => "ping",
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
            Script::Fixed => "fixed.lua",
            Script::Ping => "ping.lua",
            Script::CallLegacy => "call_legacy.lua",
            Script::CallModern => "call_modern.lua",
            Script::Cycle => "cycle.lua",
        }
    }
}

impl Wrk {
    pub(super) fn new(connections: usize, seconds: u32) -> Self {
        Wrk {
            connections,
            seconds,
        }
    }

    /// For a moment, with as many connections, each on a thread of its own, and a look at every answer.
    pub(super) fn check(&self, asked: &Asked<'_>) -> Outcome<Run> {
        self.run(asked, Mode::Checked)
    }

    /// As fast as it is answered, with a look at no more than each answer's status.
    pub(super) fn time(&self, asked: &Asked<'_>) -> Outcome<Run> {
        self.run(asked, Mode::Timed)
    }

    fn run(&self, asked: &Asked<'_>, mode: Mode) -> Outcome<Run> {
        let (threads, seconds, check) = match mode {
            Mode::Checked => (self.connections, CHECK_SECONDS, "1"),
            Mode::Timed => (asked.threads, self.seconds, "0"),
        };
        let script = asked.script.file();
        let mut wrk = peers::wrk()?;
        if let Some(token) = asked.token {
            wrk.env("TOKEN", token);
        }
        let output = wrk
            .args(["--timeout", "10s", "--script", script])
            .args(["--threads", &threads.to_string()])
            .args(["--connections", &self.connections.to_string()])
            .args(["--duration", &format!("{seconds}s")])
            .arg(format!("http://{}/mcp", asked.server))
            .env("SESSIONS", asked.sessions.join(" "))
            .env("THREADS", threads.to_string())
            .env("CHECK", check)
            // Where scripts find what they share.
            .current_dir(root().join("bench/wrk"))
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let last = text.trim_end().lines().next_back().unwrap_or("");
        if !output.status.success() || !last.starts_with('{') {
            return Err(format!("wrk failed with {script}: {text}").into());
        }
        let run: Run = serde_json::from_str(last)?;
        if run.requests == 0 {
            return Err(format!("nothing was answered of {script}").into());
        }
        Ok(run)
    }
}
