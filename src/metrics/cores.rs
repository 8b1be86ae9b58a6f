//! What the cores have counted, put together when the page is made. Names and labels are part of what operators build on.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use super::families::Families;
use super::reading::{CoreReading, NodeReading, ReadNode};
use crate::shard::CountOfEach;

/// Clones are the same one.
#[derive(Clone)]
pub(super) struct CoresCollector {
    read: Arc<OnceLock<ReadNode>>,
    descriptions: Arc<[Desc]>,
}

/// All that is put together here, for a registry to know that nobody else says it.
const NAMES: [&str; 27] = [
    "mcp_server_operation_duration_seconds",
    "mcp_server_session_duration_seconds",
    "pinfold_blocked_streams",
    "pinfold_build_info",
    "pinfold_calls",
    "pinfold_conflated_total",
    "pinfold_connections",
    "pinfold_connections_closed_total",
    "pinfold_core_busy_seconds_total",
    "pinfold_core_waited_seconds_total",
    "pinfold_deliveries_total",
    "pinfold_forwards_total",
    "pinfold_http_refusals_total",
    "pinfold_limit",
    "pinfold_listeners",
    "pinfold_mailbox_messages",
    "pinfold_memory_line_bytes",
    "pinfold_moves_total",
    "pinfold_node_state",
    "pinfold_pending_bytes",
    "pinfold_publications_total",
    "pinfold_publish_to_last_write_seconds",
    "pinfold_sessions_ended_total",
    "pinfold_spans_dropped_total",
    "pinfold_spans_exported_total",
    "pinfold_streams",
    "pinfold_thread_last_beat_seconds",
];

impl CoresCollector {
    /// # Errors
    /// A name is none.
    pub(super) fn new() -> prometheus::Result<Self> {
        let described = NAMES.iter().map(|name| {
            let help = "Put together of what the cores have counted.";
            Desc::new(
                (*name).to_owned(),
                help.to_owned(),
                Vec::new(),
                HashMap::new(),
            )
        });
        Ok(CoresCollector {
            read: Arc::default(),
            descriptions: described.collect::<prometheus::Result<_>>()?,
        })
    }

    pub(super) fn node(&self) -> Option<NodeReading> {
        self.read.get().map(|read| read())
    }

    pub(super) fn show(&self, read: ReadNode) {
        let _ = self.read.set(read);
    }
}

impl Collector for CoresCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = Families::default();
        if let Some(node) = self.node() {
            operations(&node, &mut families);
            counters(&node, &mut families);
            gauges(&node, &mut families);
            of_the_node(&node, &mut families);
        }
        families.into_inner()
    }
}

fn operations(node: &NodeReading, families: &mut Families) {
    let help = "Requests of clients by what they asked for and what came of it, from the whole request to the answer, as far as \
        a clock of milliseconds tells.";
    let name = "mcp_server_operation_duration_seconds";
    let mut family = families.histogram(name, help);
    for (labels, durations) in &node.operations() {
        let labels = [
            ("mcp_method_name", labels.method),
            ("gen_ai_tool_name", labels.tool),
            ("error_type", &labels.error),
            ("mcp_protocol_version", labels.version),
        ];
        family = family.durations(&labels, durations);
    }
    family.end();
    let ended = node.sessions_ended();
    let help = "How long sessions lived that have ended, by whole seconds.";
    let mut family = families.histogram("mcp_server_session_duration_seconds", help);
    for ((reason, version), lived) in &ended {
        let labels = [("reason", *reason), ("mcp_protocol_version", *version)];
        family = family.durations(&labels, lived);
    }
    family.end();
    let mut by_reason: CountOfEach<&str> = CountOfEach::default();
    for ((reason, _), lived) in &ended {
        by_reason.add(reason, lived.count());
    }
    let counts = by_reason
        .iter()
        .map(|(reason, count)| (reason, count as f64));
    let help = "Sessions that ended, by why.";
    let family = families.counter("pinfold_sessions_ended_total", help);
    family.each("reason", counts).end();
    let help = "From being published on this node to the last write of what was due on a core for it, once for all that was \
        published there meanwhile, as far as a clock of milliseconds tells.";
    let family = families.histogram("pinfold_publish_to_last_write_seconds", help);
    family.durations(&[], &node.publish_to_last_write()).end();
}

fn counters(node: &NodeReading, families: &mut Families) {
    let sum = |of: fn(&CoreReading) -> u64| node.sum(of) as f64;
    let help = "Notifications of topics that this node was told to deliver.";
    let family = families.counter("pinfold_publications_total", help);
    family.with(&[], node.publications() as f64).end();
    let help = "Notifications of topics written to streams.";
    let deliveries = [
        ("legacy", sum(|it| it.stats.deliveries[0])),
        ("modern", sum(|it| it.stats.deliveries[1])),
    ];
    let family = families.counter("pinfold_deliveries_total", help);
    family.each("era", deliveries).end();
    let help = "Notifications that were not written by themselves: their listener was still to be notified of the same topic.";
    let family = families.counter("pinfold_conflated_total", help);
    family.with(&[], sum(|it| it.stats.conflated)).end();
    let help = "Connections of clients that ended, by why.";
    let closed = node.count_of_each(|it| &it.connections_closed);
    let closed = closed.map(|(reason, count)| (reason.word(), count as f64));
    let family = families.counter("pinfold_connections_closed_total", help);
    family.each("reason", closed).end();
    let help = "Answers to clients with a status of 400 or above.";
    let refusals = node.count_of_each(|it| &it.refusals);
    let refusals = refusals.map(|(status, count)| (status.to_string(), count as f64));
    let family = families.counter("pinfold_http_refusals_total", help);
    family.each("status", refusals).end();
    let help = "Requests for sessions of other nodes, by what became of them.";
    let forwards = [
        ("answered", sum(|it| it.forwards.answered)),
        ("broke_off", sum(|it| it.forwards.broke_off)),
        ("returned", sum(|it| it.forwards.returned)),
    ];
    let family = families.counter("pinfold_forwards_total", help);
    family.each("outcome", forwards).end();
    let help = "Connections that went to the core of their session.";
    let family = families.counter("pinfold_moves_total", help);
    family.with(&[], sum(|it| it.stats.moves)).end();
    if let Some([exported, dropped]) = node.spans {
        let help = "Spans that the collector of --otlp-endpoint took.";
        let family = families.counter("pinfold_spans_exported_total", help);
        family.with(&[], exported as f64).end();
        let help =
            "Spans that were lost: more waited than may, or the collector did not take them.";
        let family = families.counter("pinfold_spans_dropped_total", help);
        family.with(&[], dropped as f64).end();
    }
    let help = "Seconds for which the thread of a core has had a CPU.";
    let family = families.counter("pinfold_core_busy_seconds_total", help);
    let busy = each_core(node, |it| it.busy.as_secs_f64());
    family.each("core", busy).end();
    let help =
        "Seconds for which the thread of a core had something to do and no CPU, which others had.";
    let family = families.counter("pinfold_core_waited_seconds_total", help);
    let waited = each_core(node, |it| it.waited.as_secs_f64());
    family.each("core", waited).end();
}

fn gauges(node: &NodeReading, families: &mut Families) {
    let mut gauge = |name, help, number: usize| {
        families.gauge(name, help).with(&[], number as f64).end();
    };
    let help = "Connections of clients, those included that are passed on to other nodes.";
    gauge("pinfold_connections", help, node.connections);
    let help = "Sessions and listen streams, each of which is notified of what it subscribed to.";
    let listeners = node.sum(|it| it.stats.gauges.listeners);
    gauge("pinfold_listeners", help, listeners);
    let help = "Requests that the application works on.";
    gauge("pinfold_calls", help, node.sum(|it| it.stats.gauges.calls));
    let help =
        "Bytes that the kernel has not taken of writes under way: their clients do not read.";
    let pending = node.sum(|it| it.stats.gauges.pending_bytes);
    gauge("pinfold_pending_bytes", help, pending);
    let help = "Connections with a write that the kernel has not taken whole.";
    let blocked = node.sum(|it| it.stats.gauges.blocked);
    gauge("pinfold_blocked_streams", help, blocked);
    let streams = node.streams();
    let streams = [
        ("get", streams.get as f64),
        ("listen", streams.listen as f64),
        ("post", streams.post as f64),
    ];
    let family = families.gauge("pinfold_streams", "Open streams, by what opened them.");
    family.each("kind", streams).end();
    let lines = node.memory_lines();
    let lines = lines.into_iter().map(|(line, bytes)| (line, bytes as f64));
    let help = "Bytes of what there is on the cores, by line of the memory bill.";
    let family = families.gauge("pinfold_memory_line_bytes", help);
    family.each("line", lines).end();
    let help = "Messages of other threads that wait for a core.";
    let family = families.gauge("pinfold_mailbox_messages", help);
    family
        .each("core", each_core(node, |it| it.mailbox as f64))
        .end();
}

fn of_the_node(node: &NodeReading, families: &mut Families) {
    let help =
        "Seconds since a thread was last heard of, which is a few times a second unless it hangs.";
    let family = families.gauge("pinfold_thread_last_beat_seconds", help);
    let threads = node.threads.iter();
    let threads = threads.map(|it| (it.name.as_str(), it.silent.as_secs_f64()));
    family.each("thread", threads).end();
    let help = "1 for what the node is like: ready, loading (its board), without_board, impaired (a thread hangs), draining.";
    let family = families.gauge("pinfold_node_state", help);
    let states = NodeReading::STATES.into_iter();
    let states = states.map(|state| (state, f64::from(u8::from(state == node.state))));
    family.each("state", states).end();
    let family = families.gauge("pinfold_build_info", "1, with the version that runs.");
    family.with(&[("version", node.version)], 1.0).end();
    let limits = [
        ("connections", node.connections_max as f64),
        ("sessions", node.sessions_max as f64),
    ];
    let family = families.gauge("pinfold_limit", "As many there may be.");
    family.each("what", limits).end();
}

fn each_core(
    node: &NodeReading,
    of: impl Fn(&CoreReading) -> f64,
) -> impl Iterator<Item = (String, f64)> {
    let cores = node.cores.iter().enumerate();
    cores.map(move |(number, core)| (number.to_string(), of(core)))
}
