//! What came of measuring pinfold and its peers, as it is recorded.

use serde::Serialize;

use super::installed::{Installed, Missing, Present};
use crate::memory::Span;
use crate::stats::Summary;
use crate::{fanout, memory};

#[derive(Serialize)]
pub(super) struct Results {
    pub(super) fanout: Vec<FanoutResult>,
    pub(super) memory: Vec<MemoryResult>,
    pub(super) versions: Vec<Present>,
    pub(super) missing: Vec<Missing>,
    pub(super) failed: Vec<Failure>,
    /// pinfold's against rmcp's.
    pub(super) openings: Vec<Opening>,
}

/// Who failed while it was measured, at what, and how.
#[derive(Clone, Serialize)]
pub(super) struct Failure {
    pub(super) server: String,
    pub(super) what: String,
    pub(super) reason: String,
}

/// How many times as good as rmcp's: medians of the ratios of each repetition.
#[derive(Serialize)]
pub(super) struct Opening {
    pub(super) stream: &'static str,
    pub(super) streams: usize,
    /// Streams a second; the loader may have been the limit of pinfold's.
    pub(super) by_rate: f64,
    /// Streams for the same CPU time of the server.
    pub(super) by_cpu: f64,
    pub(super) wanted: f64,
}

/// What opens, and how many times rmcp's it is to be.
const OPENINGS: [(&str, f64); 2] = [("session and GET", 5.0), ("listen", 2.0)];

#[derive(Serialize)]
pub(super) struct FanoutResult {
    pub(super) server: String,
    pub(super) streams: usize,
    pub(super) cpu_ns_per_event: Summary,
    pub(super) cpu_ratio_to_floor: Summary,
    pub(super) last_us: Summary,
    pub(super) last_ratio_to_floor: Summary,
    pub(super) opened_per_second: Summary,
    pub(super) opening_cpu_us: Summary,
    pub(super) opening_loader_share: Summary,
    pub(super) bytes_per_event: Summary,
    pub(super) lost: u64,
    pub(super) extra: u64,
    pub(super) samples: Vec<fanout::Sample>,
}

#[derive(Serialize)]
pub(super) struct MemoryResult {
    pub(super) server: String,
    pub(super) few: usize,
    pub(super) many: usize,
    pub(super) anonymous_per_client: Summary,
    /// With memory that processes share, where some keep what they know of a stream.
    pub(super) resident_per_client: Summary,
    pub(super) samples: Vec<memory::Sample>,
}

impl Results {
    pub(super) fn new(installed: &Installed) -> Self {
        Results {
            fanout: Vec::new(),
            memory: Vec::new(),
            versions: installed.present.clone(),
            missing: installed.missing.clone(),
            failed: Vec::new(),
            openings: Vec::new(),
        }
    }

    pub(super) fn add_fanout(
        &mut self,
        server: String,
        streams: usize,
        floors: &[fanout::Sample],
        samples: Vec<fanout::Sample>,
    ) {
        let result = FanoutResult::new(server, streams, floors, samples);
        self.fanout.push(result);
    }

    /// Once all fan-outs are there.
    pub(super) fn compare_openings(&mut self) {
        for (stream, wanted) in OPENINGS {
            let [ours, rmcp] = ["pinfold", "rmcp"].map(|server| format!("{server}, {stream}"));
            for ours in self.fanout.iter().filter(|it| it.server == ours) {
                let Some(rmcp) = self.fanout_of(&rmcp, ours.streams) else {
                    continue;
                };
                let ratio = |value: fn(&fanout::Sample) -> f64| {
                    let pairs = ours.samples.iter().zip(&rmcp.samples);
                    Summary::of(pairs.map(|(ours, rmcp)| value(ours) / value(rmcp))).median
                };
                self.openings.push(Opening {
                    stream,
                    streams: ours.streams,
                    by_rate: ratio(|it| it.opened_per_second),
                    by_cpu: ratio(|it| 1.0 / it.opening_cpu_us),
                    wanted,
                });
            }
        }
    }

    fn fanout_of(&self, server: &str, streams: usize) -> Option<&FanoutResult> {
        let mut results = self.fanout.iter();
        results.find(|it| it.server == server && it.streams == streams)
    }
}

impl FanoutResult {
    /// Ratios of each sample to the floor that it took turns with.
    fn new(
        server: String,
        streams: usize,
        floor: &[fanout::Sample],
        samples: Vec<fanout::Sample>,
    ) -> Self {
        let of = |value: fn(&fanout::Sample) -> f64| Summary::of(samples.iter().map(value));
        let ratio = |value: fn(&fanout::Sample) -> f64| {
            let pairs = samples.iter().zip(floor);
            Summary::of(pairs.map(|(sample, floor)| value(sample) / value(floor)))
        };
        FanoutResult {
            server,
            streams,
            cpu_ns_per_event: of(|it| it.cpu_ns_per_event),
            cpu_ratio_to_floor: ratio(|it| it.cpu_ns_per_event),
            last_us: of(|it| it.last_us),
            last_ratio_to_floor: ratio(|it| it.last_us),
            opened_per_second: of(|it| it.opened_per_second),
            opening_cpu_us: of(|it| it.opening_cpu_us),
            opening_loader_share: of(|it| it.opening_loader_share),
            bytes_per_event: of(|it| it.bytes_per_event),
            lost: samples.iter().map(|it| it.lost).sum(),
            extra: samples.iter().map(|it| it.extra).sum(),
            samples,
        }
    }
}

impl MemoryResult {
    pub(super) fn new(server: String, span: Span, samples: Vec<memory::Sample>) -> Self {
        let of = |value: fn(&memory::Sample) -> f64| Summary::of(samples.iter().map(value));
        MemoryResult {
            server,
            few: span.few,
            many: span.many,
            anonymous_per_client: of(|it| it.anonymous_per_client),
            resident_per_client: of(|it| it.resident_per_client),
            samples,
        }
    }
}
