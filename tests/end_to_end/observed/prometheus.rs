//! A real Prometheus in front of nodes: with the configuration and the rules of `deploy`, but for addresses and times.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::{POLL, deployed, read, rules, wait_for};
use crate::ports::free_port;
use crate::program::{EndedWithItsTest, wait};
use crate::tools;

/// So often it looks, at nodes and at its rules.
const LOOKS_EVERY: &str = "500ms";
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);
const START_ATTEMPTS: usize = 5;
/// As many as the configuration is an example for.
const NODES_MAX: usize = 3;

pub(super) struct Prometheus {
    _child: EndedWithItsTest,
    port: u16,
}

/// An alert that fires, as it is told.
#[derive(Clone, Debug)]
pub(super) struct Firing {
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
}

impl Prometheus {
    /// Looks at the admin listeners of these nodes, with a token if they want one.
    pub(super) fn start(nodes: &[(&str, &str)], token: Option<&str>, scratch: &Path) -> Prometheus {
        let folder = scratch.join("prometheus");
        std::fs::create_dir_all(&folder).expect("a folder for Prometheus");
        let token_file = folder.join("token");
        std::fs::write(&token_file, token.unwrap_or("nobody asks for one")).expect("a file");
        let configuration = configuration_for(nodes, &token_file);
        std::fs::write(folder.join("prometheus.yml"), configuration).expect("a file");
        std::fs::write(folder.join("pinfold.rules.yml"), rules::at_once()).expect("a file");
        (0..START_ATTEMPTS)
            .find_map(|_| Prometheus::launch(&folder))
            .unwrap_or_else(|| {
                let log = read(&folder.join("log"));
                panic!("Prometheus does not start:\n{log}")
            })
    }

    /// None if it ended instead.
    fn launch(folder: &Path) -> Option<Prometheus> {
        let port = free_port();
        let log = File::create(folder.join("log")).expect("a log can be made");
        let also = log.try_clone().expect("a file handle can be cloned");
        let option = |name: &str, path: PathBuf| format!("--{name}={}", path.display());
        let mut command = Command::new(tools::prometheus());
        command
            .arg(option("config.file", folder.join("prometheus.yml")))
            .arg(option("storage.tsdb.path", folder.join("data")))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(also);
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let mut prometheus = Prometheus {
            _child: EndedWithItsTest(child),
            port,
        };
        while prometheus.get("/-/ready").is_none() {
            if wait(&mut prometheus._child.0, POLL).is_some() {
                return None;
            }
        }
        Some(prometheus)
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn get(&self, path: &str) -> Option<String> {
        let answer = agent().get(self.url(path)).call().ok()?;
        let is_fine = answer.status().is_success();
        let body = answer.into_body().read_to_string().ok()?;
        is_fine.then_some(body)
    }

    /// `data` of an answer, or what is wrong with the question.
    fn ask(&self, path: &str, fields: &[(&str, &str)]) -> Result<Value, String> {
        let answer = agent()
            .post(self.url(path))
            .send_form(fields.iter().copied());
        let answer = answer.expect("Prometheus answers");
        let body = answer.into_body().read_to_string().expect("a body");
        let mut body: Value = serde_json::from_str(&body).expect("Prometheus answers with JSON");
        match body["status"] == "success" {
            true => Ok(body["data"].take()),
            false => Err(body["error"].to_string()),
        }
    }

    /// The values to which an expression leads now.
    pub(super) fn query(&self, expression: &str) -> Result<Vec<f64>, String> {
        let data = self.ask("/api/v1/query", &[("query", expression)])?;
        let samples = data["result"].as_array().expect("a vector");
        let value = |sample: &Value| {
            let text = sample["value"][1].as_str().expect("a number");
            text.parse().expect("a number")
        };
        Ok(samples.iter().map(value).collect())
    }

    /// An expression that must be fine.
    pub(super) fn values(&self, expression: &str) -> Vec<f64> {
        let values = self.query(expression);
        values.unwrap_or_else(|fault| panic!("{expression}: {fault}"))
    }

    /// Each series of a metric that there has been, by its labels.
    pub(super) fn series(&self, metric: &str) -> Vec<BTreeMap<String, String>> {
        let data = self.ask("/api/v1/series", &[("match[]", metric)]);
        let data = data.unwrap_or_else(|fault| panic!("{metric}: {fault}"));
        let series = data.as_array().expect("a list");
        series.iter().map(texts).collect()
    }

    /// Rules by name that could not be evaluated, with what is wrong; and how many were.
    pub(super) fn broken_rules(&self) -> (Vec<String>, usize) {
        let body = self.get("/api/v1/rules").expect("Prometheus has rules");
        let body: Value = serde_json::from_str(&body).expect("JSON");
        let groups = body["data"]["groups"].as_array().expect("groups");
        let rules: Vec<&Value> = groups
            .iter()
            .flat_map(|group| group["rules"].as_array().expect("rules"))
            .collect();
        let fine = |rule: &&&Value| rule["health"] == "ok";
        let broken = rules.iter().filter(|rule| rule["health"] == "err");
        let broken = broken.map(|rule| format!("{}: {}", rule["name"], rule["lastError"]));
        (broken.collect(), rules.iter().filter(fine).count())
    }

    pub(super) fn firing(&self) -> Vec<Firing> {
        let body = self.get("/api/v1/alerts").expect("Prometheus has alerts");
        let body: Value = serde_json::from_str(&body).expect("JSON");
        let alerts = body["data"]["alerts"].as_array().expect("alerts");
        let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
        firing.map(Firing::read).collect()
    }

    /// Waits for an alert about a node, while `act` makes happen what it is about.
    pub(super) fn wait_to_fire(&self, alert: &str, node: &str, mut act: impl FnMut()) -> Firing {
        let look = || {
            act();
            let mut firing = self.firing().into_iter();
            firing.find(|it| it.name == alert && it.node() == node)
        };
        wait_for(look, || {
            let names: Vec<String> = self.firing().into_iter().map(|it| it.name).collect();
            let rule = rules::all().into_iter().find(|it| it.name == alert);
            let rule = rule.expect("such a rule");
            format!(
                "{alert} ({}) about {node}; there are {names:?}",
                rule.expression
            )
        })
    }

    /// Waits until this expression leads to something.
    pub(super) fn wait_to_see(&self, expression: &str) -> Vec<f64> {
        let look = || Some(self.values(expression)).filter(|found| !found.is_empty());
        wait_for(look, || expression.to_owned())
    }
}

impl Firing {
    fn read(alert: &Value) -> Firing {
        let labels = texts(&alert["labels"]);
        Firing {
            name: labels["alertname"].clone(),
            annotations: texts(&alert["annotations"]),
            labels,
        }
    }

    pub(super) fn node(&self) -> &str {
        self.labels.get("instance").map_or("", String::as_str)
    }

    /// Its sentences are whole: nothing in them is what Prometheus did not find.
    pub(super) fn expect_readable(&self) {
        for (name, said) in &self.annotations {
            let is_whole =
                !said.contains("<no value>") && !said.contains("<error") && !said.contains("{{");
            assert!(is_whole, "{} of {}: {said}", name, self.name);
        }
    }
}

fn texts(object: &Value) -> BTreeMap<String, String> {
    let members = object.as_object().expect("an object").iter();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    members
        .map(|(name, value)| (name.clone(), text(value)))
        .collect()
}

/// The example of `deploy`, with the nodes of a test.
fn configuration_for(nodes: &[(&str, &str)], token_file: &Path) -> String {
    assert!(nodes.len() <= NODES_MAX, "the example has fewer");
    let mut text = read(&deployed("prometheus/prometheus.yml"));
    let mut replace = |old: &str, new: &str| {
        assert!(text.contains(old), "prometheus.yml has no {old}");
        text = text.replace(old, new);
    };
    replace("_interval: 15s", &format!("_interval: {LOOKS_EVERY}"));
    replace(
        "/etc/prometheus/pinfold-token",
        &token_file.display().to_string(),
    );
    let examples = ["a", "b", "c"];
    for (index, example) in examples.iter().enumerate() {
        let address = format!("10.0.0.{}:9464", index + 1);
        let lines = target(&address, example);
        let (name, admin) = nodes.get(index).copied().unwrap_or_default();
        let wanted = match name {
            "" => String::new(),
            name => target(admin.trim_start_matches("http://"), name),
        };
        replace(&lines, &wanted);
    }
    text
}

/// A node's lines in the configuration.
fn target(address: &str, name: &str) -> String {
    format!("      - targets: ['{address}']\n        labels: {{ instance: {name} }}\n")
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(ANSWERS_WITHIN))
        .proxy(None);
    config.build().into()
}
