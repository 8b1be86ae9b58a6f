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
    /// Who failed while it was measured, and how.
    pub(super) failed: Vec<(String, String)>,
}

#[derive(Serialize)]
pub(super) struct FanoutResult {
    pub(super) server: String,
    pub(super) streams: usize,
    pub(super) cpu_ns_per_event: Summary,
    pub(super) cpu_ratio_to_floor: Summary,
    pub(super) last_us: Summary,
    pub(super) last_ratio_to_floor: Summary,
    pub(super) opened_per_second: Summary,
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
        }
    }

    pub(super) fn fanout_of(&self, server: &str, streams: usize) -> Option<&FanoutResult> {
        let mut results = self.fanout.iter();
        results.find(|it| it.server == server && it.streams == streams)
    }
}

impl FanoutResult {
    /// Of each repetition's sample to the floor's of the same.
    pub(super) fn new(
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
