//! What came of asking, for the record, and whether it is good enough.

use serde::Serialize;

use crate::Outcome;
use crate::scenarios::peers::{Installed, Missing, PeerName, Present};
use crate::scenarios::wrk::{Run, Script};
use crate::stats::Summary;

#[derive(Serialize)]
pub(super) struct Results {
    pub(super) requests: Vec<RequestsResult>,
    pub(super) connections: usize,
    pub(super) versions: Vec<Present>,
    pub(super) missing: Vec<Missing>,
    pub(super) failed: Vec<Failed>,
}

/// Who failed while it was measured, and how.
#[derive(Serialize)]
pub(super) struct Failed {
    pub(super) server: &'static str,
    pub(super) role: Role,
    pub(super) reason: String,
}

/// One server asked one kind of request.
#[derive(Serialize)]
pub(super) struct RequestsResult {
    pub(super) server: &'static str,
    pub(super) role: Role,
    pub(super) script: Script,
    /// Of the repetitions in which nothing was wrong; none if there is no such.
    pub(super) summary: Option<Summaries>,
    pub(super) wrong: u64,
    pub(super) broken: u64,
    pub(super) timeouts: u64,
    pub(super) samples: Vec<Measured>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Role {
    Floor,
    /// On one core, like all that it is compared with.
    Pinfold,
    /// On both CPUs, which wrk has to share.
    PinfoldOnTwo,
    Peer,
}

#[derive(Serialize)]
pub(super) struct Summaries {
    pub(super) requests_per_second: Summary,
    pub(super) cpu_us_per_request: Summary,
    pub(super) p50_us: Summary,
    pub(super) p99_us: Summary,
    /// Of the CPUs it may use.
    pub(super) server_cpu_share: Summary,
    /// Of its CPU, of which it has one.
    pub(super) wrk_cpu_share: Summary,
    pub(super) limit: Limit,
    /// To axum alone in the same repetition.
    pub(super) to_axum: Option<Ratios>,
    pub(super) to_rmcp: Option<Ratios>,
}

/// Who had nothing left to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Limit {
    Server,
    Wrk,
    /// Other programs had the CPU of one of them.
    Neither,
    /// Not known: server and wrk share CPUs.
    Shared,
}

/// How many times as good as another server.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Ratios {
    pub(super) rate: Summary,
    /// The other's CPU per request by this one's.
    pub(super) cpu: Summary,
    /// Both were saturated, so that rates can be compared. Where one of them waited, it is CPU that tells.
    pub(super) both_saturated: bool,
}

/// One repetition.
#[derive(Clone, Serialize)]
pub(super) struct Measured {
    /// With a look at every answer, before anything was timed.
    checked: Run,
    /// The timed one, if all answers were right until then.
    run: Option<Run>,
    /// Only of a repetition in which nothing was wrong.
    #[serde(flatten)]
    figures: Option<Figures>,
}

#[derive(Clone, Copy, Serialize)]
struct Figures {
    requests_per_second: f64,
    cpu_us_per_request: f64,
    server_cpu_share: f64,
    wrk_cpu_share: f64,
    #[serde(skip)]
    p50_us: f64,
    #[serde(skip)]
    p99_us: f64,
}

/// CPU time of one timed run.
#[derive(Clone, Copy)]
pub(super) struct CpuUsed {
    pub(super) server_ns: u64,
    pub(super) wrk_ns: u64,
}

/// Who used less of its CPU waited for somebody.
const SATURATED_SHARE: f64 = 0.90;

impl Measured {
    pub(super) fn new(checked: Run, run: Run, used: CpuUsed, cpus: usize) -> Self {
        let requests = run.requests as f64;
        let cpu_us = used.server_ns as f64 / 1000.0;
        let figures = Figures {
            requests_per_second: requests / run.duration_us * 1e6,
            cpu_us_per_request: cpu_us / requests,
            server_cpu_share: cpu_us / run.duration_us / cpus as f64,
            wrk_cpu_share: used.wrk_ns as f64 / 1000.0 / run.duration_us,
            p50_us: run.p50_us,
            p99_us: run.p99_us,
        };
        Measured {
            figures: (run.faults() == 0).then_some(figures),
            checked,
            run: Some(run),
        }
    }

    pub(super) fn wrong(checked: Run) -> Self {
        Measured {
            checked,
            run: None,
            figures: None,
        }
    }

    fn runs(&self) -> impl Iterator<Item = &Run> {
        [&self.checked].into_iter().chain(&self.run)
    }
}

impl Results {
    pub(super) fn new(installed: &Installed, connections: usize) -> Self {
        Results {
            requests: Vec::new(),
            connections,
            versions: installed.present.clone(),
            missing: installed.missing.clone(),
            failed: Vec::new(),
        }
    }

    pub(super) fn add(
        &mut self,
        server: &'static str,
        role: Role,
        script: Script,
        measured: Measured,
    ) {
        let known = self
            .requests
            .iter_mut()
            .find(|it| it.server == server && it.script == script);
        if let Some(result) = known {
            result.samples.push(measured);
            return;
        }
        self.requests.push(RequestsResult {
            server,
            role,
            script,
            summary: None,
            wrong: 0,
            broken: 0,
            timeouts: 0,
            samples: vec![measured],
        });
    }

    pub(super) fn summarise(&mut self) {
        self.requests.sort_by_key(|it| it.script.text());
        let axum = self.samples_of(PeerName::Axum.text(), Script::Hello);
        for index in 0..self.requests.len() {
            let script = self.requests[index].script;
            let rmcp = self.samples_of(PeerName::Rmcp.text(), script);
            let pings = matches!(script, Script::Ping | Script::Hello | Script::Fixed);
            self.requests[index].summarise(if pings { &axum } else { &[] }, &rmcp);
        }
    }

    fn samples_of(&self, server: &str, script: Script) -> Vec<Measured> {
        let mut results = self.requests.iter();
        let found = results.find(|it| it.server == server && it.script == script);
        found.map_or_else(Vec::new, |it| it.samples.clone())
    }

    /// # Errors
    /// pinfold or the floor answered wrongly, or was not measured to the end. Peers are told of in the tables.
    pub(super) fn verdict(&self) -> Outcome<()> {
        let mut ours = self.requests.iter().filter(|it| it.role != Role::Peer);
        let fault = ours.find_map(RequestsResult::fault);
        let failed = self.failed.iter().find(|it| it.role != Role::Peer);
        let failed = failed.map(|it| format!("{} was not measured: {}", it.server, it.reason));
        match fault.or(failed) {
            Some(fault) => Err(fault.into()),
            None => Ok(()),
        }
    }
}

impl RequestsResult {
    fn summarise(&mut self, axum: &[Measured], rmcp: &[Measured]) {
        let sum = |of: fn(&Run) -> u64| self.samples.iter().flat_map(Measured::runs).map(of).sum();
        (self.wrong, self.broken, self.timeouts) = (
            sum(|it| it.wrong),
            sum(|it| it.broken),
            sum(|it| it.timeouts),
        );
        // Two cores beside one would be a comparison of cores.
        let (axum, rmcp) = match self.role {
            Role::PinfoldOnTwo => (&[][..], &[][..]),
            _ => (axum, rmcp),
        };
        self.summary = Summaries::new(&self.samples, self.role, axum, rmcp);
    }

    /// A server that did not answer as it had to, in a sentence.
    pub(super) fn fault(&self) -> Option<String> {
        let samples = self.samples.iter().flat_map(Measured::runs);
        let first = samples
            .map(|it| it.sample.as_str())
            .find(|it| !it.is_empty());
        (self.wrong + self.broken + self.timeouts > 0).then(|| {
            format!(
                "FAILED: {} of {}: {} wrong answers, {} broken connections, {} timeouts. The first wrong one: {:?}",
                self.script.text(),
                self.server,
                self.wrong,
                self.broken,
                self.timeouts,
                first.unwrap_or("not kept"),
            )
        })
    }
}

impl Summaries {
    fn new(samples: &[Measured], role: Role, axum: &[Measured], rmcp: &[Measured]) -> Option<Self> {
        let figures: Vec<Figures> = samples.iter().filter_map(|it| it.figures).collect();
        if figures.is_empty() {
            return None;
        }
        let of = |value: fn(&Figures) -> f64| Summary::of(figures.iter().map(value));
        let server_cpu_share = of(|it| it.server_cpu_share);
        let wrk_cpu_share = of(|it| it.wrk_cpu_share);
        let busy = [server_cpu_share, wrk_cpu_share].map(|it| it.median >= SATURATED_SHARE);
        Some(Summaries {
            to_axum: Ratios::new(samples, axum),
            to_rmcp: Ratios::new(samples, rmcp),
            requests_per_second: of(|it| it.requests_per_second),
            cpu_us_per_request: of(|it| it.cpu_us_per_request),
            p50_us: of(|it| it.p50_us),
            p99_us: of(|it| it.p99_us),
            server_cpu_share,
            wrk_cpu_share,
            limit: match busy {
                _ if role == Role::PinfoldOnTwo => Limit::Shared,
                [true, _] => Limit::Server,
                [false, true] => Limit::Wrk,
                [false, false] => Limit::Neither,
            },
        })
    }
}

impl Ratios {
    /// Of the repetitions in which nothing was wrong with either.
    fn new(samples: &[Measured], others: &[Measured]) -> Option<Self> {
        let pairs = samples.iter().zip(others);
        let pairs: Vec<(Figures, Figures)> = pairs
            .filter_map(|(own, other)| Some((own.figures?, other.figures?)))
            .collect();
        if pairs.is_empty() {
            return None;
        }
        let of = |ratio: fn(&(Figures, Figures)) -> f64| Summary::of(pairs.iter().map(ratio));
        let shares = [
            of(|(own, _)| own.server_cpu_share),
            of(|(_, other)| other.server_cpu_share),
        ];
        Some(Ratios {
            rate: of(|(own, other)| own.requests_per_second / other.requests_per_second),
            cpu: of(|(own, other)| other.cpu_us_per_request / own.cpu_us_per_request),
            both_saturated: shares.iter().all(|it| it.median >= SATURATED_SHARE),
        })
    }
}
