//! `GET /node`: how a node fares, in numbers that only grow and numbers of now. Whoever wants rates asks twice.

use std::time::Duration;

use serde_json::{Value, json};

use super::operators::OperatorBackend;
use super::response::AdminResponse;
use crate::metrics::{CoreReading, NodeReading};
use crate::shard::{BOUNDS_MS, Histogram};

pub(super) fn show(backend: &dyn OperatorBackend) -> AdminResponse {
    match backend.node() {
        Some(node) => {
            let mut shown = render(&node);
            shown["handover"] = backend.handover_outlook().json();
            AdminResponse::json(200, &shown)
        }
        None => AdminResponse::error(404, "Nothing is known of a node here."),
    }
}

fn render(node: &NodeReading) -> Value {
    let memory = &node.memory;
    let lines = node.memory_lines().into_iter();
    let lines = lines.map(|(line, bytes)| json!({"line": line, "bytes": bytes}));
    let cores = node.cores.iter().enumerate();
    json!({
        "node": node.node,
        "version": node.version,
        "pid": std::process::id(),
        "incarnation": node.incarnation,
        "startedAt": node.started_at,
        "uptimeS": seconds(node.now.saturating_sub(node.started_at)),
        "state": node.state,
        "driver": node.driver,
        "now": node.now,
        "limits": {
            "connectionsMax": node.connections_max,
            "sessionsMax": node.sessions_max,
            "memoryBytesMax": memory.budget_bytes,
        },
        "memory": {
            "heldBytes": memory.held_bytes,
            "budgetBytes": memory.budget_bytes,
            "shortTotal": memory.short_total,
            "lines": lines.collect::<Value>(),
        },
        "totals": totals(node),
        "latency": {
            "operations": durations(&all_operations(node)),
            "publishToLastWrite": durations(&node.publish_to_last_write()),
        },
        "cores": cores.map(|(number, core)| render_core(number, core)).collect::<Value>(),
    })
}

fn totals(node: &NodeReading) -> Value {
    let streams = node.streams();
    let ended = node.sessions_ended();
    let ended: u64 = ended.values().map(Histogram::count).sum();
    json!({
        "connections": node.connections,
        "sessions": node.sessions,
        "streams": {"get": streams.get, "post": streams.post, "listen": streams.listen},
        "calls": node.sum(|it| it.stats.gauges.calls),
        "passedOn": node.sum(|it| it.passed_on),
        "requests": node.sum(|it| it.stats.operations.requests),
        "errors": node.sum(|it| it.stats.operations.errors),
        "publications": node.publications(),
        "deliveries": node.sum(deliveries),
        "conflated": node.sum(|it| it.stats.conflated),
        "pendingBytes": node.sum(|it| it.stats.gauges.pending_bytes),
        "blockedStreams": node.sum(|it| it.stats.gauges.blocked),
        "sessionsEnded": ended,
        "forwards": node.sum(|it| it.forwards.answered + it.forwards.broke_off + it.forwards.returned),
        "moves": node.sum(|it| it.stats.moves),
    })
}

fn render_core(number: usize, core: &CoreReading) -> Value {
    let gauges = &core.stats.gauges;
    let streams = &gauges.streams;
    json!({
        "core": number,
        "busyS": core.busy.as_secs_f64(),
        "connections": gauges.connections,
        "sessions": gauges.sessions,
        "listeners": gauges.listeners,
        "streams": streams.get + streams.post + streams.listen,
        "calls": gauges.calls,
        "requests": core.stats.operations.requests,
        "deliveries": deliveries(core),
        "pendingBytes": gauges.pending_bytes,
        "blockedStreams": gauges.blocked,
        "mailbox": core.mailbox,
        "lastBeatMs": u64::try_from(core.silent.as_millis()).unwrap_or(u64::MAX),
    })
}

fn deliveries(core: &CoreReading) -> u64 {
    core.stats.deliveries.iter().sum()
}

fn all_operations(node: &NodeReading) -> Histogram {
    let mut all = Histogram::default();
    node.operations().values().for_each(|it| all.add(it));
    all
}

/// Each bucket by itself; the last has what is past all bounds.
fn durations(histogram: &Histogram) -> Value {
    json!({
        "boundsS": BOUNDS_MS.map(seconds),
        "counts": histogram.counts,
        "sumS": seconds(histogram.sum_ms),
    })
}

fn seconds(ms: u64) -> f64 {
    Duration::from_millis(ms).as_secs_f64()
}
