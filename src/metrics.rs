//! What is counted, for `GET /metrics` of the admin listener. One registry for the process.
//!
//! Only the control thread and the path of requests that miss their session count here: no request that finds its
//! session, and no delivery, touches it.

use std::sync::LazyLock;

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

/// The counters. Names and labels are part of what operators build on.
pub struct Metrics {
    registry: Registry,
    /// Requests for sessions that are not here, by the reason that the client was told.
    pub session_misses: IntCounterVec,
    /// Commands sent to Redis, by what for.
    pub redis_commands: IntCounterVec,
    /// Bytes of those commands.
    pub redis_bytes: IntCounterVec,
    /// Connections that failed, and commands without an answer or answered by an error, by its kind.
    pub redis_errors: IntCounterVec,
    /// 1 while there is a connection, by its name in `CLIENT LIST`.
    pub redis_up: IntGaugeVec,
    /// Sessions whose record in Redis is not what it should be yet.
    pub presence_pending: IntGauge,
    /// What happened on the bus, by kind.
    pub bus_events: IntCounterVec,
    /// What this node published and the bus does not have yet.
    pub bus_queued: IntGauge,
    /// 1 once the board that nodes share was read.
    pub board_loaded: IntGauge,
    /// Requests that claimed to come from another node and did not.
    pub forged_forwards: IntCounter,
    /// What was found in Redis and is not ours, by what it should be.
    pub foreign_records: IntCounterVec,
}

/// The process's.
pub static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

/// Prometheus's text format, version 0.0.4.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

impl Metrics {
    fn new() -> Self {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, label: &str| {
            let vec = IntCounterVec::new(Opts::new(name, help), &[label]);
            register(&registry, vec)
        };
        Metrics {
            session_misses: counters(
                "pinfold_session_misses_total",
                "Requests for sessions that are not here, by the reason that the client was told.",
                "reason",
            ),
            redis_commands: counters(
                "pinfold_redis_commands_total",
                "Commands sent to Redis, by what for.",
                "kind",
            ),
            redis_bytes: counters(
                "pinfold_redis_sent_bytes_total",
                "Bytes of commands sent to Redis, by what for.",
                "kind",
            ),
            redis_errors: counters(
                "pinfold_redis_errors_total",
                "Connections and commands to Redis that failed, by how.",
                "kind",
            ),
            foreign_records: counters(
                "pinfold_foreign_records_total",
                "Records found in Redis that are not pinfold's, by what they should be.",
                "kind",
            ),
            bus_events: counters(
                "pinfold_bus_events_total",
                "On the bus: entries heard, entries or contents malformed (skipped), gaps told to subscribers, items told \
                 here ahead of the bus, items refused by Redis (tried again), messages dropped, writes overtaken by later \
                 ones, resources put back that Redis had lost, entries told before all nodes had them, topics told again \
                 because this node had them late.",
                "kind",
            ),
            bus_queued: {
                let help = "What this node published and the bus does not have yet.";
                register(&registry, IntGauge::new("pinfold_bus_queued", help))
            },
            board_loaded: {
                let help = "1 once the board that several nodes share was read from Redis.";
                register(&registry, IntGauge::new("pinfold_board_loaded", help))
            },
            redis_up: {
                let opts = Opts::new(
                    "pinfold_redis_up",
                    "1 while there is a connection to Redis.",
                );
                register(&registry, IntGaugeVec::new(opts, &["connection"]))
            },
            forged_forwards: {
                let help = "Requests refused that claimed to come from another node.";
                let name = "pinfold_forged_forwards_total";
                register(&registry, IntCounter::new(name, help))
            },
            presence_pending: {
                let help = "Sessions whose record in Redis is not up to date yet.";
                register(&registry, IntGauge::new("pinfold_presence_pending", help))
            },
            registry,
        }
    }

    /// The page.
    #[must_use]
    pub fn text(&self) -> String {
        let families = self.registry.gather();
        TextEncoder::new()
            .encode_to_string(&families)
            .expect("names and labels are fixed and valid")
    }
}

fn register<C>(registry: &Registry, collector: prometheus::Result<C>) -> C
where
    C: prometheus::core::Collector + Clone + 'static,
{
    let collector = collector.expect("names and labels are fixed and valid");
    let registered = registry.register(Box::new(collector.clone()));
    registered.expect("each name is there once");
    collector
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_what_was_counted() {
        let metrics = Metrics::new();
        metrics.session_misses.with_label_values(&["unknown"]).inc();
        metrics.redis_up.with_label_values(&["pinfold-a"]).set(1);
        let page = metrics.text();
        assert!(page.contains("pinfold_session_misses_total{reason=\"unknown\"} 1\n"));
        assert!(page.contains("pinfold_redis_up{connection=\"pinfold-a\"} 1\n"));
        assert!(page.contains("# TYPE pinfold_presence_pending gauge\n"));
    }
}
