//! The files of `deploy/prometheus` and `deploy/grafana` by themselves.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::dashboards::{Dashboard, NODE, OVERVIEW};
use super::{deployed, read, rules};
use crate::program::{run, scratch_folder};
use crate::tools;

/// What somebody has to know who is woken by an alert.
const ANNOTATIONS: [&str; 3] = ["summary", "description", "first"];
const SEVERITIES: [&str; 3] = ["page", "ticket", "note"];
/// Grafana's own width of a dashboard.
const COLUMNS: u64 = 24;

fn tests_of_rules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/end_to_end/observed/rules_test.yml")
}

fn promtool(arguments: &[&str], paths: &[&Path], scratch: &Path) {
    let mut command = Command::new(tools::promtool());
    command.args(arguments).args(paths);
    let done = run(&mut command, &scratch.join("promtool.log"));
    assert!(done.status.success(), "{command:?}:\n{}", done.output);
    assert!(!done.output.contains("FAILED"), "{}", done.output);
}

#[test]
fn a_configuration_that_prometheus_does_not_take() {
    let scratch = scratch_folder("observed/configuration");
    let file = deployed("prometheus/prometheus.yml");
    // The token's file is on the operator's machine.
    promtool(&["check", "config", "--syntax-only"], &[&file], &scratch);
    let rules = deployed("prometheus/pinfold.rules.yml");
    promtool(&["check", "rules"], &[&rules], &scratch);
}

#[test]
fn a_prometheus_that_is_given_the_token_of_operators() {
    let file = read(&deployed("prometheus/prometheus.yml"));
    let (before, _) = file.split_once("credentials_file:").expect("a token");
    let comment = before.lines().rev().nth(1).expect("a comment");
    assert!(
        comment.contains("token of `--admin-read-token-file`"),
        "{comment}"
    );
    let guide = read(&deployed("README.md"));
    let (_, steps) = guide.split_once("### Prometheus and Grafana").expect("it");
    let (steps, _) = steps.split_once("\n3. ").expect("steps");
    assert!(steps.contains("`PINFOLD_ADMIN_READ_TOKEN_FILE`"), "{steps}");
    assert!(
        steps.contains("the read token in `/etc/prometheus/pinfold-token`"),
        "{steps}"
    );
}

#[test]
fn an_alert_of_another_threshold_or_another_time_than_was_meant() {
    let scratch = scratch_folder("observed/rules");
    promtool(&["test", "rules"], &[&tests_of_rules()], &scratch);
    let tests = read(&tests_of_rules());
    for (name, _) in rules::alerts() {
        let asks = format!("ALERTS{{alertname=\"{name}\",alertstate=\"firing\"}}");
        let count = tests.matches(&asks).count();
        assert!(count >= 2, "a test of {name}, before and after");
    }
}

#[test]
fn an_alert_that_says_nothing_of_what_to_do() {
    for (name, alert) in rules::alerts() {
        assert!(name.starts_with("Pinfold"), "{name}");
        assert!(
            SEVERITIES.contains(&alert.severity.as_str()),
            "{name}: {alert:?}"
        );
        let said: Vec<&str> = alert
            .annotations
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(said, ANNOTATIONS, "{name}");
        let empty = alert.annotations.iter().find(|(_, said)| said.len() < 20);
        assert!(empty.is_none(), "{name}: {empty:?}");
    }
    let names = rules::all();
    let names: BTreeSet<&str> = names.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names.len(), rules::all().len(), "a name for each rule");
}

/// A list of sessions has their streams; an answer to a POST that is not read is in none.
#[test]
fn an_alert_that_leads_to_a_list_in_which_nobody_is() {
    for (name, alert) in rules::alerts() {
        let first = alert.annotations.iter().find(|(name, _)| name == "first");
        let (_, first) = first.expect("what to do");
        let asks = ["state=slow", "sort=pending", "slow_reader"];
        if asks.iter().any(|it| first.contains(it)) {
            for word in ["POST", "GET /node", "pendingBytes"] {
                assert!(first.contains(word), "{name}: {first}");
            }
        }
    }
}

#[test]
fn a_dashboard_that_grafana_does_not_take() {
    for name in [OVERVIEW, NODE] {
        let dashboard = Dashboard::read(name);
        assert_eq!(dashboard.root["uid"], name, "the other one links to it so");
        let has = |kind: &str, name: &str| {
            let mut variables = dashboard.variables().iter();
            variables.any(|it| it["type"] == kind && it["name"] == name)
        };
        assert!(has("datasource", "datasource"), "{name}");
        assert!(has("query", "job") && has("query", "node"), "{name}");
        let ids: BTreeSet<u64> = dashboard
            .panels()
            .iter()
            .filter_map(|it| it["id"].as_u64())
            .collect();
        assert_eq!(
            ids.len(),
            dashboard.panels().len(),
            "an id for each panel of {name}"
        );
        let mut taken = BTreeSet::new();
        for panel in dashboard.panels() {
            look_at(panel, &mut taken)
                .unwrap_or_else(|fault| panic!("{name}: {fault} in {panel:#}"));
        }
    }
}

/// By the types that Grafana publishes of its own model. What Grafana itself would make of it, which needs Grafana, is not shown.
#[test]
fn a_member_of_a_dashboard_that_grafana_does_not_know() {
    let scratch = scratch_folder("observed/model");
    let look = |files: &[PathBuf]| {
        let mut command = tools::script("dashboards.mjs");
        run(command.args(files), &scratch.join("dashboards.log"))
    };
    let files = [OVERVIEW, NODE].map(|name| deployed(&format!("grafana/{name}.json")));
    let done = look(&files);
    assert!(done.status.success(), "{}", done.output);
    // And each kind of fault is seen: of the dashboard, of a panel, of its options, of its fields, and of its question.
    let right = read(&files[1]);
    for (old, new) in [
        ("\"timezone\":", "\"timezones\":"),
        ("\"type\": \"stat\"", "\"type\": \"status\""),
        ("\"gridPos\":", "\"gridpos\":"),
        ("\"drawStyle\": \"line\"", "\"drawStyle\": \"lines\""),
        ("\"showLegend\":", "\"legendShown\":"),
        ("\"expr\":", "\"expression\":"),
    ] {
        assert!(right.contains(old), "{old} is not there to be made wrong");
        let wrong = scratch.join("wrong.json");
        std::fs::write(&wrong, right.replacen(old, new, 1)).expect("a file");
        let done = look(&[wrong]);
        assert!(!done.status.success(), "{new} passes: {}", done.output);
    }
}

/// A panel has its place, and says what it shows.
fn look_at(panel: &Value, taken: &mut BTreeSet<(u64, u64)>) -> Result<(), String> {
    let place = |name: &str| panel["gridPos"][name].as_u64().ok_or(format!("no {name}"));
    let (x, y, width, height) = (place("x")?, place("y")?, place("w")?, place("h")?);
    let fields = (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y)));
    for field in fields {
        if field.0 >= COLUMNS || !taken.insert(field) {
            return Err(format!("{field:?} is no place for it"));
        }
    }
    if panel["type"] == "row" {
        return Ok(());
    }
    let has_text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    let queries = panel["targets"].as_array().ok_or("no queries")?;
    let sources = queries
        .iter()
        .map(|query| &query["datasource"])
        .chain([&panel["datasource"]]);
    let mut sources = sources.map(|source| source["uid"] == "${datasource}");
    let unit = &panel["fieldConfig"]["defaults"]["unit"];
    match has_text(&panel["title"]) && has_text(&panel["description"]) && has_text(unit) {
        false => Err("no title, description or unit".into()),
        true if queries.is_empty() || !sources.all(|it| it) => {
            Err("not of the data source that was chosen".into())
        }
        true => Ok(()),
    }
}
