//! Everything that rules and dashboards ask, asked by a Prometheus that has looked at two nodes at work.

use std::collections::BTreeSet;
use std::path::Path;

use super::dashboards::{Dashboard, NODE, OVERVIEW, Query};
use super::expressions::names;
use super::load::Load;
use super::prometheus::Prometheus;
use super::{rules, wait_for};
use crate::cluster::node::Node;
use crate::cluster::redis::Redis;
use crate::program::scratch_folder;
use crate::server::{App, Placement};

const TOKEN: &str = "what-an-operator-has";
const READ_TOKEN: &str = "what-prometheus-has";
/// Names that Prometheus gives to all of its series, or to those of its own.
const ITS_LABELS: [&str; 2] = ["job", "instance"];

struct Scene {
    nodes: [Node; 2],
    redis: Redis,
    prometheus: Prometheus,
    load: Load,
}

impl Scene {
    /// Two nodes at work, one that is not there, and a Prometheus whose token may only read.
    fn set(scratch: &Path) -> Scene {
        let redis = Redis::start(scratch);
        let written = |name: &str, token: &str| {
            let file = scratch.join(name);
            std::fs::write(&file, token).expect("a file");
            file.display().to_string()
        };
        let token = written("admin-token", TOKEN);
        let read_token = written("read-token", READ_TOKEN);
        let options = [
            "--admin-token-file",
            token.as_str(),
            "--admin-read-token-file",
            read_token.as_str(),
        ];
        let start = |name: &str| {
            let app = (App::Board, Placement::AtRandom);
            Node::start_placed(name, app.0, app.1, Some(&redis), &options, scratch)
        };
        let nodes = [start("a"), start("b")];
        let nobody = format!("127.0.0.1:{}", crate::ports::free_port());
        let (here, there) = (nodes[0].admin(), nodes[1].admin());
        let targets = [
            ("a", here.as_str()),
            ("b", there.as_str()),
            ("c", nobody.as_str()),
        ];
        let prometheus = Prometheus::start(&targets, Some(READ_TOKEN), scratch);
        let load = Load::begin([&nodes[0], &nodes[1]]);
        Scene {
            nodes,
            redis,
            prometheus,
            load,
        }
    }

    fn go_on(&mut self) {
        self.load.go_on([&self.nodes[0], &self.nodes[1]], TOKEN);
    }

    /// Goes on until a question has an answer.
    fn until_answered(&mut self, query: &Query) {
        let deadline = std::time::Instant::now() + super::PATIENCE;
        loop {
            let answer = self.prometheus.query(&query.expression);
            let answer = answer.unwrap_or_else(|fault| panic!("{query:?}: {fault}"));
            if answer.iter().any(|value| !value.is_nan()) {
                return;
            }
            let in_time = std::time::Instant::now() < deadline;
            assert!(in_time, "{query:?} shows nothing: {answer:?}");
            self.go_on();
        }
    }
}

fn dashboards() -> Vec<Query> {
    let dashboards = [OVERVIEW, NODE].map(Dashboard::read);
    dashboards.iter().flat_map(Dashboard::queries).collect()
}

/// What every rule and dashboard asks.
fn all_queries() -> Vec<Query> {
    let rules = rules::all().into_iter().map(|rule| Query {
        place: rule.name,
        expression: rule.expression,
        is_drawn: false,
    });
    rules.chain(dashboards()).collect()
}

#[test]
fn a_panel_that_shows_nothing_and_a_name_that_no_node_has() {
    let scratch = scratch_folder("observed/queries");
    let mut scene = Scene::set(&scratch);
    scene.go_on();
    for query in dashboards().iter().filter(|query| query.is_drawn) {
        if !is_of_faults(&query.expression) {
            scene.until_answered(query);
        }
    }
    // What is counted only when something is wrong.
    scene.redis.stop();
    let errors = |prometheus: &Prometheus| prometheus.values("pinfold_redis_errors_total");
    wait_for(
        || (!errors(&scene.prometheus).is_empty()).then_some(()),
        || "an error of Redis".into(),
    );
    let faults: Vec<String> = all_queries()
        .iter()
        .filter_map(|query| fault_in(query, &scene.prometheus))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    every_rule_is_evaluated(&scene.prometheus);
    Node::stop_all(&mut scene.nodes);
}

/// Counted from the first fault of its kind on.
fn is_of_faults(expression: &str) -> bool {
    expression.contains("pinfold_redis_errors_total")
}

/// Prometheus cannot evaluate it, or it has a name that is none.
fn fault_in(query: &Query, prometheus: &Prometheus) -> Option<String> {
    let found = match prometheus.query(&query.expression) {
        Err(fault) => Err(fault),
        Ok(_) => unknown_name(&query.expression, prometheus),
    };
    found
        .err()
        .map(|fault| format!("{}: {fault} in {}", query.place, query.expression))
}

fn unknown_name(expression: &str, prometheus: &Prometheus) -> Result<(), String> {
    let names = names(expression);
    let mut labels: BTreeSet<String> = ITS_LABELS.map(str::to_owned).into();
    for metric in &names.metrics {
        let series = prometheus.series(metric);
        if series.is_empty() {
            return Err(format!("there is no {metric}"));
        }
        labels.extend(series.into_iter().flatten().map(|(name, _)| name));
    }
    match names.labels.difference(&labels).next() {
        Some(label) => Err(format!("none of its metrics has a label {label}")),
        None => Ok(()),
    }
}

fn every_rule_is_evaluated(prometheus: &Prometheus) {
    let count = rules::all().len();
    let look = || {
        let (broken, fine) = prometheus.broken_rules();
        assert!(broken.is_empty(), "{}", broken.join("\n"));
        (fine == count).then_some(())
    };
    wait_for(look, || format!("{count} rules are evaluated"));
}
