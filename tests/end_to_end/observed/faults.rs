//! A run of faults on three nodes, and an operator who is told nothing of them: what it is and where, is said from alerts, from
//! what the admin listeners answer and from logs, and by nothing else.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::alerts::LargeResource;
use super::prometheus::{Firing, Prometheus};
use super::wait_for;
use crate::cluster::client::{Session, initialize};
use crate::cluster::node::Node;
use crate::cluster::redis::Redis;
use crate::program::scratch_folder;
use crate::server::{App, Placement};

const NODES: [&str; 3] = ["a", "b", "c"];
/// A reader is slow for as long as the test wants; and a client in a loop soon asks for more than it may.
const OPTIONS: [&str; 6] = [
    "--board-entry-bytes-max",
    "4MiB",
    "--write-stall",
    "1h",
    "--initialize-per-second-per-client-max",
    "5",
];
/// For a listener that may not answer at all.
const WITHIN_A_MOMENT: Duration = Duration::from_secs(2);

/// What an operator says is the matter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Finding {
    /// The process is no longer there.
    IsDead(String),
    /// It is there, and does nothing.
    Hangs(String),
    RedisIsAway,
    HasSlowReaders(String),
    ClientLoops(String),
}

/// What somebody has who keeps nodes running, and is on none of their machines.
struct Operator<'a> {
    prometheus: &'a Prometheus,
    /// Of each node, its admin listener and its log.
    nodes: Vec<(&'a str, String, &'a Path)>,
}

/// How an admin listener answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Some,
    /// The connection stands, and nothing comes.
    Silence,
    /// Nobody takes the connection.
    Nobody,
}

impl Operator<'_> {
    fn findings(&self) -> BTreeSet<Finding> {
        let firing = self.prometheus.firing();
        let about =
            |alert: &str| -> Vec<&Firing> { firing.iter().filter(|it| it.name == alert).collect() };
        let mut findings = BTreeSet::new();
        for alert in about("PinfoldNodeGone") {
            let node = alert.node().to_owned();
            match self.word_of(&node) {
                Word::Nobody => findings.insert(Finding::IsDead(node)),
                Word::Silence => findings.insert(Finding::Hangs(node)),
                // Prometheus does not know it yet.
                Word::Some => false,
            };
        }
        // One node that has lost its connection has a fault of its own; all of them are what Redis is.
        if about("PinfoldRedisAway").len() == self.nodes.len() && self.all_logs_speak_of_redis() {
            findings.insert(Finding::RedisIsAway);
        }
        for alert in about("PinfoldSlowReaders") {
            findings.insert(Finding::HasSlowReaders(alert.node().to_owned()));
        }
        for alert in about("PinfoldClientsThrottled") {
            findings.insert(Finding::ClientLoops(alert.node().to_owned()));
        }
        findings
    }

    fn word_of(&self, node: &str) -> Word {
        let mut nodes = self.nodes.iter();
        let (_, admin, _) = nodes.find(|it| it.0 == node).expect("one of the nodes");
        let config = ureq::Agent::config_builder().max_idle_connections(0);
        let config = config.timeout_global(Some(WITHIN_A_MOMENT)).proxy(None);
        let agent: ureq::Agent = config.build().into();
        match agent.get(format!("{admin}/healthz")).call() {
            Ok(_) => Word::Some,
            Err(ureq::Error::Timeout(_)) => Word::Silence,
            Err(_) => Word::Nobody,
        }
    }

    fn all_logs_speak_of_redis(&self) -> bool {
        let speaks = |log: &Path| super::read(log).contains("Redis");
        self.nodes.iter().all(|(_, _, log)| speaks(log))
    }

    /// Waits until this and nothing else is the matter.
    fn finds(&self, wanted: &[Finding], mut while_waiting: impl FnMut()) {
        let wanted: BTreeSet<Finding> = wanted.iter().cloned().collect();
        let look = || {
            while_waiting();
            (self.findings() == wanted).then_some(())
        };
        wait_for(look, || {
            let firing = self.prometheus.firing();
            let firing: Vec<String> = firing
                .iter()
                .map(|it| format!("{} {}", it.name, it.node()))
                .collect();
            format!(
                "{wanted:?} is found; {:?} is, by {firing:?}",
                self.findings()
            )
        });
    }
}

#[test]
fn a_fault_that_an_operator_cannot_name() {
    let scratch = scratch_folder("observed/faults");
    let mut redis = Redis::start(&scratch);
    let start = |name: &&str| {
        let (app, place) = (App::Board, Placement::OneCore);
        Node::start_placed(name, app, place, Some(&redis), &OPTIONS, &scratch)
    };
    let mut nodes: Vec<Node> = NODES.iter().map(start).collect();
    let admins: Vec<String> = nodes.iter().map(Node::admin).collect();
    let logs = NODES.map(|name| scratch.join(format!("node-{name}.log")));
    let targets: Vec<(&str, &str)> = NODES
        .into_iter()
        .zip(admins.iter().map(String::as_str))
        .collect();
    let prometheus = Prometheus::start(&targets, None, &scratch);
    let seen = NODES.into_iter().zip(&admins).zip(&logs);
    let seen = seen.map(|((name, admin), log)| (name, admin.clone(), log.as_path()));
    let operator = Operator {
        prometheus: &prometheus,
        nodes: seen.collect(),
    };
    let of = |node: &str| node.to_owned();
    wait_for(
        || (prometheus.values("up == 1").len() == 3).then_some(()),
        || "Prometheus sees all nodes".into(),
    );
    operator.finds(&[], || {});

    let session = Session::open(&nodes[1].mcp());
    assert_eq!(session.ping().status, 200);
    nodes[1].kill();
    operator.finds(&[Finding::IsDead(of("b"))], || {});
    nodes[1].start_again();
    operator.finds(&[], || {});

    nodes[2].hang();
    operator.finds(&[Finding::Hangs(of("c"))], || {});
    nodes[2].go_on();
    operator.finds(&[], || {});

    redis.stop();
    operator.finds(&[Finding::RedisIsAway], || {});
    redis.start_again();
    operator.finds(&[], || {});

    let large = LargeResource::post(&nodes[0]);
    let readers = large.unread(0..5);
    operator.finds(&[Finding::HasSlowReaders(of("a"))], || {});
    drop(readers);
    operator.finds(&[], || {});

    // Two at once, one of which lasts.
    let readers = large.unread(0..5);
    let both = [
        Finding::HasSlowReaders(of("a")),
        Finding::ClientLoops(of("b")),
    ];
    operator.finds(&both, || {
        (0..50).for_each(|_| _ = initialize(&nodes[1].mcp(), &[]));
    });
    drop(readers);
    Node::stop_all(&mut nodes);
}
