//! What came of asking, for the record and for people, and whether it is good enough.

use serde::Serialize;

use super::wrk::{Run, Script};
use crate::Outcome;
use crate::scenarios::peers::{Installed, Missing, PeerName, Present, notes};
use crate::stats::Summary;
use crate::table::{Table, thousands};

#[derive(Serialize)]
pub(super) struct Results {
    pub(super) requests: Vec<RequestsResult>,
    bars: Vec<Bar>,
    connections: usize,
    versions: Vec<Present>,
    missing: Vec<Missing>,
    /// Who failed while it was measured, and how.
    pub(super) failed: Vec<(String, String)>,
}

/// One server asked one kind of request.
#[derive(Serialize)]
pub(super) struct RequestsResult {
    server: &'static str,
    script: Script,
    summary: Option<Summaries>,
    wrong: u64,
    broken: u64,
    timeouts: u64,
    samples: Vec<Measured>,
}

#[derive(Serialize)]
struct Summaries {
    requests_per_second: Summary,
    cpu_us_per_request: Summary,
    p50_us: Summary,
    p99_us: Summary,
    /// To axum alone in the same repetition.
    to_axum: Option<Ratios>,
    /// To rmcp with the same kind of request in the same repetition.
    to_rmcp: Option<Ratios>,
}

/// How many times as good as another server. On one core that is always busy both are the same, unless wrk is the limit;
/// where others use the core too, CPU is the better of the two.
#[derive(Clone, Copy, Serialize)]
struct Ratios {
    rate: Summary,
    /// The other's CPU per request by this one's.
    cpu: Summary,
}

/// One repetition.
#[derive(Clone, Serialize)]
pub(super) struct Measured {
    run: Run,
    requests_per_second: f64,
    cpu_us_per_request: f64,
}

/// A ratio of pinfold on one core that is to be reached.
#[derive(Serialize)]
struct Bar {
    what: String,
    measured_by_rate: f64,
    measured_by_cpu: f64,
    wanted: f64,
}

const PINFOLD: &str = "pinfold";

impl Measured {
    pub(super) fn new(run: Run, cpu_ns: u64) -> Self {
        Measured {
            requests_per_second: run.requests as f64 / run.duration_us * 1e6,
            cpu_us_per_request: cpu_ns as f64 / run.requests as f64 / 1000.0,
            run,
        }
    }
}

impl Results {
    pub(super) fn new(installed: &Installed, connections: usize) -> Self {
        Results {
            requests: Vec::new(),
            bars: Vec::new(),
            connections,
            versions: installed.present.clone(),
            missing: installed.missing.clone(),
            failed: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, server: &'static str, script: Script, measured: Measured) {
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
            let pings = matches!(script, Script::Ping | Script::Hello);
            let result = &mut self.requests[index];
            let sum = |value: fn(&Run) -> u64| result.samples.iter().map(|it| value(&it.run)).sum();
            (result.wrong, result.broken, result.timeouts) = (
                sum(|it| it.wrong),
                sum(|it| it.broken),
                sum(|it| it.timeouts),
            );
            let axum = if pings { &axum[..] } else { &[] };
            result.summary = Some(Summaries::new(&result.samples, axum, &rmcp));
        }
        self.bars = self.bars();
    }

    fn samples_of(&self, server: &str, script: Script) -> Vec<Measured> {
        let mut results = self.requests.iter();
        let found = results.find(|it| it.server == server && it.script == script);
        found.map_or_else(Vec::new, |it| it.samples.clone())
    }

    fn bars(&self) -> Vec<Bar> {
        let mut bars = Vec::new();
        for result in self.requests.iter().filter(|it| it.server == PINFOLD) {
            let Some(summary) = &result.summary else {
                continue;
            };
            let to_rmcp = match result.script {
                Script::Ping => 4.0,
                Script::CallLegacy | Script::CallModern => 3.5,
                Script::Hello | Script::Cycle => continue,
            };
            let mut add = |other: &str, ratios: Option<Ratios>, wanted| {
                bars.extend(ratios.map(|ratios| Bar {
                    what: format!("{} × {other}", result.script.text()),
                    measured_by_rate: ratios.rate.median,
                    measured_by_cpu: ratios.cpu.median,
                    wanted,
                }));
            };
            add("axum's hello", summary.to_axum, 1.0);
            add("rmcp's", summary.to_rmcp, to_rmcp);
        }
        bars
    }

    pub(super) fn tables(&self) -> String {
        let mut text = format!(
            "\nRequests on {} keep-alive connections, one under way on each; medians of the repetitions\n\n{}",
            self.connections,
            self.requests_table()
        );
        text.push_str(&format!("\n{}", self.bars_table()));
        text.push_str(&notes(&self.versions, &self.missing));
        for (server, reason) in &self.failed {
            text.push_str(&format!(
                "\nFailed while it was measured: {server}: {reason}\n"
            ));
        }
        for fault in self.faults() {
            text.push_str(&format!("\n{fault}\n"));
        }
        text
    }

    fn requests_table(&self) -> String {
        let mut table = Table::new(&[
            "request",
            "server",
            "requests/s",
            "× axum",
            "× rmcp",
            "CPU µs each",
            "axum's by it",
            "rmcp's by it",
            "p50 µs",
            "p99 µs",
            "wrong",
        ]);
        let text =
            |ratio: Option<Summary>| ratio.map_or(String::new(), |it| format!("{:.2}", it.median));
        for result in &self.requests {
            let Some(summary) = &result.summary else {
                continue;
            };
            table.row([
                result.script.text().to_owned(),
                result.server.to_owned(),
                thousands(summary.requests_per_second.median),
                text(summary.to_axum.map(|it| it.rate)),
                text(summary.to_rmcp.map(|it| it.rate)),
                format!("{:.2}", summary.cpu_us_per_request.median),
                text(summary.to_axum.map(|it| it.cpu)),
                text(summary.to_rmcp.map(|it| it.cpu)),
                thousands(summary.p50_us.median),
                thousands(summary.p99_us.median),
                (result.wrong + result.broken + result.timeouts).to_string(),
            ]);
        }
        table.text()
    }

    fn bars_table(&self) -> String {
        let mut table = Table::new(&["pinfold on one core", "by requests/s", "by CPU", "bar"]);
        for bar in &self.bars {
            table.row([
                bar.what.clone(),
                format!("{:.2}", bar.measured_by_rate),
                format!("{:.2}", bar.measured_by_cpu),
                format!("{:.1}", bar.wanted),
            ]);
        }
        table.text()
    }

    /// Servers that did not answer as they had to.
    fn faults(&self) -> Vec<String> {
        let faulty = self
            .requests
            .iter()
            .filter(|it| it.wrong + it.broken + it.timeouts > 0);
        let sentence = |result: &RequestsResult| {
            let samples = result.samples.iter().map(|it| it.run.sample.as_str());
            let sample = samples.fold(
                "",
                |first, next| if first.is_empty() { next } else { first },
            );
            format!(
                "FAILED: {} of {}: {} wrong answers, {} broken connections, {} timeouts. The first wrong one: {sample:?}",
                result.script.text(),
                result.server,
                result.wrong,
                result.broken,
                result.timeouts
            )
        };
        faulty.map(sentence).collect()
    }

    /// # Errors
    /// pinfold or a floor answered wrongly. Peers that did are told of in the tables.
    pub(super) fn verdict(&self) -> Outcome<()> {
        let ours = |text: &&String| text.contains(" of pinfold") || text.contains(" of fixed");
        match self.faults().iter().find(ours) {
            Some(fault) => Err(fault.clone().into()),
            None => Ok(()),
        }
    }
}

impl Summaries {
    fn new(samples: &[Measured], axum: &[Measured], rmcp: &[Measured]) -> Self {
        let of = |value: fn(&Measured) -> f64| Summary::of(samples.iter().map(value));
        Summaries {
            to_axum: Ratios::new(samples, axum),
            to_rmcp: Ratios::new(samples, rmcp),
            requests_per_second: of(|it| it.requests_per_second),
            cpu_us_per_request: of(|it| it.cpu_us_per_request),
            p50_us: of(|it| it.run.p50_us),
            p99_us: of(|it| it.run.p99_us),
        }
    }
}

impl Ratios {
    fn new(samples: &[Measured], others: &[Measured]) -> Option<Self> {
        let of = |ratio: fn(&Measured, &Measured) -> f64| {
            let pairs = samples.iter().zip(others);
            Summary::of(pairs.map(|(own, other)| ratio(own, other)))
        };
        (!others.is_empty()).then(|| Ratios {
            rate: of(|own, other| own.requests_per_second / other.requests_per_second),
            cpu: of(|own, other| other.cpu_us_per_request / own.cpu_us_per_request),
        })
    }
}
