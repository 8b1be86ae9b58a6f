//! What `GET /node` says. Whatever a node of another version does not say is nothing here.

use serde::Deserialize;
use serde_json::Value;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct NodeSample {
    /// Of all nodes: their names.
    pub(super) node: String,
    pub(super) version: String,
    pub(super) state: String,
    pub(super) driver: String,
    pub(super) uptime_s: f64,
    pub(super) started_at: u64,
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
    /// Of all nodes: whose it is.
    #[serde(skip)]
    pub(super) node: String,
    pub(super) core: u64,
    pub(super) busy_s: f64,
    pub(super) connections: u64,
    pub(super) sessions: u64,
    pub(super) mailbox: u64,
    pub(super) last_beat_ms: u64,
}

impl NodeSample {
    /// What one node says, or all of them as one. None: it cannot be understood.
    pub(super) fn read(said: &Value) -> Option<NodeSample> {
        let Some(nodes) = said["nodes"].as_array() else {
            return serde_json::from_value(said.clone()).ok();
        };
        let samples = nodes
            .iter()
            .map(|it| serde_json::from_value::<NodeSample>(it.clone()).ok());
        let mut samples = samples.collect::<Option<Vec<_>>>()?;
        for sample in &mut samples {
            let node = &sample.node;
            sample
                .cores
                .iter_mut()
                .for_each(|it| it.node.clone_from(node));
        }
        let asked = said["node"].as_str().unwrap_or_default();
        // Rates are by the clock of one node.
        let clock = samples.iter().find(|it| it.node == asked);
        let now = clock.map(|it| it.now);
        let mut all = samples.into_iter().reduce(NodeSample::with)?;
        all.now = now.unwrap_or(all.now);
        Some(all)
    }

    fn with(mut self, other: NodeSample) -> NodeSample {
        self.node = format!("{}, {}", self.node, other.node);
        if self.version != other.version {
            self.version = format!("{}, {}", self.version, other.version);
        }
        // One that is not ready is what there is to be seen.
        if self.state == "ready" {
            self.state = other.state;
        }
        self.uptime_s = self.uptime_s.min(other.uptime_s);
        // Of the processes together: other ones have other sums.
        self.started_at = self
            .started_at
            .wrapping_mul(31)
            .wrapping_add(other.started_at);
        self.limits.connections_max += other.limits.connections_max;
        self.limits.sessions_max += other.limits.sessions_max;
        self.memory.held_bytes += other.memory.held_bytes;
        self.memory.budget_bytes += other.memory.budget_bytes;
        self.memory.short_total += other.memory.short_total;
        self.totals.add(&other.totals);
        self.latency.operations.add(&other.latency.operations);
        let last_write = &other.latency.publish_to_last_write;
        self.latency.publish_to_last_write.add(last_write);
        self.cores.extend(other.cores);
        self
    }
}

impl SampleTotals {
    fn add(&mut self, other: &SampleTotals) {
        self.connections += other.connections;
        self.sessions += other.sessions;
        self.streams.get += other.streams.get;
        self.streams.post += other.streams.post;
        self.streams.listen += other.streams.listen;
        self.calls += other.calls;
        self.requests += other.requests;
        self.errors += other.errors;
        // Each counts those of the log that all share.
        self.publications = self.publications.max(other.publications);
        self.deliveries += other.deliveries;
        self.pending_bytes += other.pending_bytes;
        self.blocked_streams += other.blocked_streams;
    }
}

impl SampleHistogram {
    /// A node of another version may have other bounds: what cannot be added is left out.
    fn add(&mut self, other: &SampleHistogram) {
        if self.bounds_s != other.bounds_s {
            return;
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
    }
}
