//! What `GET /node` says. Whatever a node of another version does not say is nothing here.

use serde::Deserialize;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct NodeSample {
    pub(super) node: String,
    pub(super) version: String,
    pub(super) state: String,
    pub(super) driver: String,
    pub(super) uptime_s: f64,
    /// Unix milliseconds, by the node's clock: what rates are divided by.
    pub(super) now: u64,
    pub(super) limits: SampleLimits,
    pub(super) memory: SampleMemory,
    pub(super) totals: SampleTotals,
    pub(super) latency: SampleLatency,
    pub(super) cores: Vec<SampleCore>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct SampleLimits {
    pub(super) connections_max: u64,
    pub(super) sessions_max: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct SampleMemory {
    pub(super) held_bytes: u64,
    pub(super) budget_bytes: u64,
    pub(super) short_total: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct SampleTotals {
    pub(super) connections: u64,
    pub(super) sessions: u64,
    pub(super) streams: SampleStreams,
    pub(super) calls: u64,
    pub(super) requests: u64,
    pub(super) errors: u64,
    pub(super) publications: u64,
    pub(super) deliveries: u64,
    pub(super) pending_bytes: u64,
    pub(super) blocked_streams: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SampleStreams {
    pub(super) get: u64,
    pub(super) post: u64,
    pub(super) listen: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct SampleLatency {
    pub(super) operations: SampleHistogram,
    pub(super) publish_to_last_write: SampleHistogram,
}

/// `counts` has one more than `boundsS`: what took longer than the last bound. Each counts its own bucket alone.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct SampleHistogram {
    pub(super) bounds_s: Vec<f64>,
    pub(super) counts: Vec<u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct SampleCore {
    pub(super) core: u64,
    pub(super) busy_s: f64,
    pub(super) connections: u64,
    pub(super) sessions: u64,
    pub(super) mailbox: u64,
    pub(super) last_beat_ms: u64,
}
