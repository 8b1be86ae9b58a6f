//! A node as it is found at a moment, put together of what its threads said last. The feature `metrics`.

use std::sync::Arc;
use std::time::Duration;

use super::{Node, NodeCounts};
use crate::app::call::Availability;
use crate::metrics::{CoreReading, MemoryReading, NodeReading, ReadNode, ThreadReading};
use crate::runtime::{Publisher, StatsBoard, unix_ms};

/// How a node is read. The node's own counters hold this: it must not hold them, nor the node.
///
/// `loaded` says what its board is like, if it shares that with other nodes, and `spans` how many were sent and how many lost.
pub(super) fn reader(
    node: &Node,
    board: StatsBoard,
    (loaded, spans): (
        impl Fn() -> Option<Availability> + Send + Sync + 'static,
        impl Fn() -> Option<[u64; 2]> + Send + Sync + 'static,
    ),
) -> ReadNode {
    let shared = &node.shared;
    let (watch, commons) = (shared.watch.clone(), shared.commons.clone());
    let publisher = shared.publisher.clone();
    let (name, incarnation) = (node.name().to_string(), node.options().incarnation);
    let driver = shared.driver.name();
    let started_at = unix_ms();
    Arc::new(move || {
        let counts = NodeCounts::of(&commons);
        let silent = watch.silent_for();
        let silent_for = |name: &str| silent.iter().find(|(known, _)| known == name);
        let waiting = publisher.waiting();
        let cores = board.read().into_iter().enumerate().map(|(number, core)| {
            let silent = silent_for(&format!("core-{number}"));
            CoreReading {
                stats: core.stats,
                forwards: core.forwards,
                passed_on: core.passed_on,
                busy: core.busy,
                waited: core.waited,
                mailbox: waiting.get(number).copied().unwrap_or(0),
                silent: silent.map_or(Duration::ZERO, |(_, silent)| *silent),
            }
        });
        NodeReading {
            node: name.clone(),
            version: env!("CARGO_PKG_VERSION"),
            incarnation,
            started_at,
            now: unix_ms(),
            state: word(availability(&publisher, loaded())),
            driver,
            connections: counts.connections,
            connections_max: counts.connections_max,
            sessions: counts.sessions,
            sessions_max: counts.sessions_max,
            memory: MemoryReading {
                held_bytes: counts.memory_bytes,
                budget_bytes: counts.memory_bytes_max,
                short_total: commons.memory.refused(),
            },
            spans: spans(),
            cores: cores.collect(),
            threads: silent
                .iter()
                .map(|(name, silent)| ThreadReading {
                    name: name.clone(),
                    silent: *silent,
                })
                .collect(),
        }
    })
}

/// Whether new clients should come.
pub(super) fn availability(publisher: &Publisher, loaded: Option<Availability>) -> Availability {
    match loaded {
        _ if publisher.is_leaving() => Availability::Leaving,
        _ if publisher.is_impaired() => Availability::Impaired,
        loaded => loaded.unwrap_or(Availability::Ready),
    }
}

fn word(availability: Availability) -> &'static str {
    let [ready, loading, without_board, impaired, draining] = NodeReading::STATES;
    match availability {
        Availability::Ready => ready,
        Availability::Loading => loading,
        Availability::WithoutBoard => without_board,
        Availability::Impaired => impaired,
        Availability::Leaving => draining,
    }
}
