//! What is counted, for `GET /metrics` of the admin listener. Each node counts for itself, in a registry of its own or in
//! one that it is given.
//!
//! Only the control thread and the path of requests that miss their session count here. A request that finds its
//! session does not, and neither does a delivery: those are counted by their cores, of which `cores` has what the page says.
//! `reading` is the node as whoever reads it finds it, `families` what Prometheus makes of numbers.

mod cores;
mod families;
mod reading;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// The crate whose registries and counters these are.
pub use prometheus;
pub use prometheus::Registry;
use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, TextEncoder};

use self::cores::CoresCollector;
use crate::budget::Pool;
use crate::clients::EndedStreams;

pub use self::reading::{CoreReading, MemoryReading, NodeReading, ReadNode, ThreadReading};

/// The counters. Names and labels are part of what operators build on.
pub struct Metrics {
    registered: Registered,
    /// Requests for sessions that are not here, by the reason that the client got.
    pub session_misses: IntCounterVec,
    /// Requests for sessions that could not be served, by the answer's status and its reason.
    pub session_refusals: IntCounterVec,
    /// Records of sessions whose process died without a word, which this node marked as ended.
    pub records_buried: IntCounter,
    /// Sessions of other processes that this node took over.
    pub sessions_adopted: IntCounter,
    /// Sessions of this node that others took over while it was cut off or hung.
    pub sessions_lost: IntCounter,
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
    memory: MemoryGauges,
    sessions: SessionGauge,
    ended: EndedCounters,
    cores: CoresCollector,
}

/// Streams that ended for what their clients are no longer, read when the page is.
struct EndedCounters {
    streams: OnceLock<Arc<EndedStreams>>,
    by_reason: IntCounterVec,
}

/// How many sessions there are here, read when the page is.
struct SessionGauge {
    pool: OnceLock<Arc<Pool>>,
    live: IntGauge,
}

/// The memory budget, read when the page is.
struct MemoryGauges {
    pool: OnceLock<Arc<Pool>>,
    total: IntGauge,
    held: IntGauge,
    refused: IntCounter,
}

/// Prometheus's text format, version 0.0.4.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const BUS_EVENTS: &str = "On the bus: entries heard, entries or contents malformed (skipped), gaps told to subscribers, items told \
                 here ahead of the bus, items refused by Redis (tried again), messages dropped, writes overtaken by later \
                 ones, resources put back that Redis had lost, entries told before all nodes had them, topics told again \
                 because this node had them late.";

impl Default for Metrics {
    /// In a registry of its own.
    fn default() -> Self {
        Metrics::new(&Registry::new()).expect("nobody else counts there")
    }
}

impl Metrics {
    /// Counts in a registry, under names that begin with `pinfold_`.
    ///
    /// # Errors
    /// Another node counts there already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let registered = Registered::to(registry);
        let registry = &registered;
        let counters = |name, help, label| counter_vec(registry, name, help, label);
        let counter = |name: &str, help: &str| register(registry, IntCounter::new(name, help));
        let gauge = |name: &str, help: &str| register(registry, IntGauge::new(name, help));
        Ok(Metrics {
            session_misses: session_misses(registry)?,
            session_refusals: session_refusals(registry)?,
            records_buried: counter(
                "pinfold_records_buried_total",
                "Records in Redis of sessions whose process had died, marked as ended by this node.",
            )?,
            sessions_adopted: counter(
                "pinfold_sessions_adopted_total",
                "Sessions of nodes that were gone or drained, taken over by this node.",
            )?,
            sessions_lost: counter(
                "pinfold_sessions_taken_over_total",
                "Sessions of this node that others took over while it was cut off or hung.",
            )?,
            redis_commands: counters(
                "pinfold_redis_commands_total",
                "Commands sent to Redis, by what for.",
                "kind",
            )?,
            redis_bytes: counters(
                "pinfold_redis_sent_bytes_total",
                "Bytes of commands sent to Redis, by what for.",
                "kind",
            )?,
            redis_errors: counters(
                "pinfold_redis_errors_total",
                "Connections and commands to Redis that failed, by how.",
                "kind",
            )?,
            foreign_records: counters(
                "pinfold_foreign_records_total",
                "Records found in Redis that are not pinfold's, by what they should be.",
                "kind",
            )?,
            bus_events: counters("pinfold_bus_events_total", BUS_EVENTS, "kind")?,
            bus_queued: gauge(
                "pinfold_bus_queued",
                "What this node published and the bus does not have yet.",
            )?,
            board_loaded: gauge(
                "pinfold_board_loaded",
                "1 once the board that several nodes share was read from Redis.",
            )?,
            redis_up: {
                let help = "1 while there is a connection to Redis.";
                let vec = IntGaugeVec::new(Opts::new("pinfold_redis_up", help), &["connection"]);
                register(registry, vec)?
            },
            forged_forwards: counter(
                "pinfold_forged_forwards_total",
                "Requests refused that claimed to come from another node.",
            )?,
            presence_pending: gauge(
                "pinfold_presence_pending",
                "Sessions whose record in Redis is not up to date yet.",
            )?,
            memory: MemoryGauges::new(registry)?,
            sessions: SessionGauge::new(registry)?,
            ended: EndedCounters::new(registry)?,
            cores: register(registry, CoresCollector::new())?,
            registered: registered.with_process()?,
        })
    }

    /// The budget of the node that the page is about.
    pub fn show_memory(&self, pool: Arc<Pool>) {
        let _ = self.memory.pool.set(pool);
    }

    /// What is left of the sessions of the node that the page is about.
    pub fn show_sessions(&self, pool: Arc<Pool>) {
        let _ = self.sessions.pool.set(pool);
    }

    /// What ended on the node that the page is about.
    pub fn show_ended(&self, streams: Arc<EndedStreams>) {
        let _ = self.ended.streams.set(streams);
    }

    /// How the node that the page is about is read.
    pub fn show_node(&self, read: ReadNode) {
        self.cores.show(read);
    }

    /// The node that the page is about. None: none has started.
    #[must_use]
    pub fn node(&self) -> Option<NodeReading> {
        self.cores.node()
    }

    /// The page.
    #[must_use]
    pub fn text(&self) -> String {
        self.memory.read();
        self.sessions.read();
        self.ended.read();
        let families = self.registered.registry.gather();
        // A program that shares its registry may have put anything there.
        TextEncoder::new()
            .encode_to_string(&families)
            .unwrap_or_else(|fault| format!("# {fault}\n"))
    }
}

fn session_misses(registry: &Registered) -> prometheus::Result<IntCounterVec> {
    let help = "Requests for sessions that are not here, by the reason that the client was told.";
    counter_vec(registry, "pinfold_session_misses_total", help, "reason")
}

fn session_refusals(registry: &Registered) -> prometheus::Result<IntCounterVec> {
    let help = "Requests for sessions that were answered 404, 502 or 503, by the status and the reason told.";
    let opts = Opts::new("pinfold_session_refusals_total", help);
    register(registry, IntCounterVec::new(opts, &["status", "reason"]))
}

impl SessionGauge {
    fn new(registry: &Registered) -> prometheus::Result<Self> {
        let help = "Sessions that live on this node.";
        Ok(SessionGauge {
            pool: OnceLock::new(),
            live: register(registry, IntGauge::new("pinfold_sessions", help))?,
        })
    }

    fn read(&self) {
        if let Some(pool) = self.pool.get() {
            let live = pool.total() - pool.free();
            self.live.set(i64::try_from(live).unwrap_or(i64::MAX));
        }
    }
}

impl EndedCounters {
    fn new(registry: &Registered) -> prometheus::Result<Self> {
        let help = "Streams of notifications that this node ended: their token was over or taken back, or their client may not hear \
            of it any more.";
        Ok(EndedCounters {
            streams: OnceLock::new(),
            by_reason: counter_vec(registry, "pinfold_streams_ended_total", help, "reason")?,
        })
    }

    fn read(&self) {
        let streams = self.streams.get().into_iter();
        for (reason, count) in streams.flat_map(|streams| streams.counts()) {
            let counter = self.by_reason.with_label_values(&[reason]);
            counter.inc_by(count.saturating_sub(counter.get()));
        }
    }
}

impl MemoryGauges {
    fn new(registry: &Registered) -> prometheus::Result<Self> {
        let gauge = |name, help| register(registry, IntGauge::new(name, help));
        Ok(MemoryGauges {
            pool: OnceLock::new(),
            total: gauge(
                "pinfold_memory_budget_bytes",
                "What clients may make this node hold altogether (--memory-max).",
            )?,
            held: gauge(
                "pinfold_memory_held_bytes",
                "Of the budget: bodies that arrive, unread and kept answers, calls under way, and what cores keep in reserve.",
            )?,
            refused: register(
                registry,
                IntCounter::new(
                    "pinfold_memory_short_total",
                    "How often the budget had no room for what was asked for.",
                ),
            )?,
        })
    }

    fn read(&self) {
        let Some(pool) = self.pool.get() else { return };
        let bytes = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.total.set(bytes(pool.total()));
        self.held.set(bytes(pool.total() - pool.free()));
        self.refused
            .inc_by(pool.refused().saturating_sub(self.refused.get()));
    }
}

fn counter_vec(
    registry: &Registered,
    name: &str,
    help: &str,
    label: &str,
) -> prometheus::Result<IntCounterVec> {
    register(
        registry,
        IntCounterVec::new(Opts::new(name, help), &[label]),
    )
}

fn register<C>(registry: &Registered, collector: prometheus::Result<C>) -> prometheus::Result<C>
where
    C: Collector + Clone + 'static,
{
    let collector = collector?;
    registry.registry.register(Box::new(collector.clone()))?;
    let mut collectors = registry.lock();
    collectors.push(Box::new(collector.clone()));
    Ok(collector)
}

/// What this node counts, out of the registry when nobody holds the node any more: another one may count there then.
struct Registered {
    registry: Registry,
    collectors: Mutex<Vec<Box<dyn Collector>>>,
}

impl Registered {
    fn to(registry: &Registry) -> Self {
        Registered {
            registry: registry.clone(),
            collectors: Mutex::default(),
        }
    }

    /// What the process takes, unless somebody else says so in this registry.
    fn with_process(self) -> prometheus::Result<Self> {
        let process = || Box::new(ProcessCollector::for_self());
        match self.registry.register(process()) {
            Ok(()) => self.lock().push(process()),
            Err(prometheus::Error::AlreadyReg) => {}
            Err(fault) => return Err(fault),
        }
        Ok(self)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Box<dyn Collector>>> {
        let collectors = self.collectors.lock();
        collectors.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let collectors = std::mem::take(&mut *self.lock());
        for collector in collectors {
            // It is there, unless somebody else has taken it out.
            let _ = self.registry.unregister(collector);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_what_was_counted() {
        let metrics = Metrics::default();
        metrics.session_misses.with_label_values(&["unknown"]).inc();
        metrics.redis_up.with_label_values(&["pinfold-a"]).set(1);
        let pool = Pool::new(100);
        metrics.show_memory(pool.clone());
        pool.take(40).expect("there is room");
        pool.want(70);
        let page = metrics.text();
        assert!(page.contains("pinfold_memory_held_bytes 40\n"), "{page}");
        assert!(page.contains("pinfold_memory_short_total 1\n"), "{page}");
        assert!(page.contains("pinfold_session_misses_total{reason=\"unknown\"} 1\n"));
        assert!(page.contains("pinfold_redis_up{connection=\"pinfold-a\"} 1\n"));
        assert!(page.contains("# TYPE pinfold_presence_pending gauge\n"));
    }
}
