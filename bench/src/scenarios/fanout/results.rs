//! What the figures are made of: each contestant's samples and their summaries.

use serde::Serialize;

use crate::fanout;
use crate::loader::protocol::Protocol;
use crate::stats::Summary;

#[derive(Serialize)]
pub(super) struct FanoutResult {
    pub(super) streams: usize,
    pub(super) broadcasts: usize,
    pub(super) era: Protocol,
    pub(super) cpu_ratio_to_floor: Summary,
    pub(super) last_ratio_to_floor: Summary,
    pub(super) floor: Measured,
    pub(super) pinfold: Measured,
}

#[derive(Serialize)]
pub(super) struct Measured {
    pub(super) cpu_ns_per_event: Summary,
    pub(super) cores_cpu_ns_per_event: Option<Summary>,
    pub(super) loader_reads_per_second: Option<Summary>,
    pub(super) events_per_second: Summary,
    pub(super) receipts_per_second: Summary,
    pub(super) first_us: Summary,
    pub(super) p50_us: Summary,
    pub(super) p99_us: Summary,
    pub(super) last_us: Summary,
    pub(super) opened_per_second: Summary,
    pub(super) opening_cpu_us: Summary,
    pub(super) opening_loader_share: Summary,
    pub(super) lost: u64,
    pub(super) extra: u64,
    pub(super) samples: Vec<fanout::Sample>,
}

impl FanoutResult {
    /// Samples of the floor and of the program, repetition by repetition.
    pub(super) fn new(
        streams: usize,
        broadcasts: usize,
        era: Protocol,
        floor: Vec<fanout::Sample>,
        pinfold: Vec<fanout::Sample>,
    ) -> Self {
        let ratio = |value: fn(&fanout::Sample) -> f64| {
            let pairs = pinfold.iter().zip(&floor);
            Summary::of(pairs.map(|(pinfold, floor)| value(pinfold) / value(floor)))
        };
        FanoutResult {
            streams,
            broadcasts,
            era,
            cpu_ratio_to_floor: ratio(|it| it.cpu_ns_per_event),
            last_ratio_to_floor: ratio(|it| it.last_us),
            floor: Measured::new(floor),
            pinfold: Measured::new(pinfold),
        }
    }
}

impl Measured {
    fn new(samples: Vec<fanout::Sample>) -> Self {
        Measured {
            cpu_ns_per_event: summary(&samples, |it| it.cpu_ns_per_event),
            cores_cpu_ns_per_event: optional(&samples, |it| it.cores_cpu_ns_per_event),
            loader_reads_per_second: optional(&samples, |it| it.loader_reads_per_second),
            events_per_second: summary(&samples, |it| it.events_per_second),
            receipts_per_second: summary(&samples, |it| it.receipts_per_second),
            first_us: summary(&samples, |it| it.first_us),
            p50_us: summary(&samples, |it| it.p50_us),
            p99_us: summary(&samples, |it| it.p99_us),
            last_us: summary(&samples, |it| it.last_us),
            opened_per_second: summary(&samples, |it| it.opened_per_second),
            opening_cpu_us: summary(&samples, |it| it.opening_cpu_us),
            opening_loader_share: summary(&samples, |it| it.opening_loader_share),
            lost: samples.iter().map(|it| it.lost).sum(),
            extra: samples.iter().map(|it| it.extra).sum(),
            samples,
        }
    }
}

fn summary<S>(samples: &[S], value: impl Fn(&S) -> f64) -> Summary {
    Summary::of(samples.iter().map(value))
}

fn optional<S>(samples: &[S], value: impl Fn(&S) -> Option<f64>) -> Option<Summary> {
    let values: Vec<f64> = samples.iter().filter_map(value).collect();
    (!values.is_empty()).then(|| Summary::of(values))
}
