//! The rules of `deploy/prometheus`, as they are and as a test wants them.

use serde_yaml_ng::Value;

use super::{deployed, read};

/// Instead of the minutes that an alert waits for.
const AT_ONCE: &str = "1s";

/// One of the rules: what it records, or what it warns of.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) expression: String,
    /// None: it records.
    pub(super) alert: Option<Alert>,
}

#[derive(Clone, Debug)]
pub(super) struct Alert {
    pub(super) severity: String,
    /// What it says, by name.
    pub(super) annotations: Vec<(String, String)>,
}

pub(super) fn all() -> Vec<Rule> {
    let rules: Value = serde_yaml_ng::from_str(&text()).expect("the rules are YAML");
    let groups = rules["groups"].as_sequence().expect("groups");
    let rules = groups
        .iter()
        .flat_map(|group| group["rules"].as_sequence().expect("rules"));
    rules.map(Rule::read).collect()
}

pub(super) fn alerts() -> impl Iterator<Item = (String, Alert)> {
    all()
        .into_iter()
        .filter_map(|rule| Some((rule.name, rule.alert?)))
}

/// With each alert firing as soon as its expression says so twice.
pub(super) fn at_once() -> String {
    let lines = text();
    let lines = lines
        .lines()
        .map(|line| match line.trim_start().starts_with("for: ") {
            true => {
                let indent = line.len() - line.trim_start().len();
                format!("{:indent$}for: {AT_ONCE}\n", "")
            }
            false => format!("{line}\n"),
        });
    lines.collect()
}

fn text() -> String {
    read(&deployed("prometheus/pinfold.rules.yml"))
}

impl Rule {
    fn read(rule: &Value) -> Rule {
        let text = |name: &str| rule[name].as_str().map(str::to_owned);
        let alert = text("alert");
        let annotations = rule["annotations"].as_mapping().into_iter().flatten();
        let annotations = annotations.map(|(name, said)| {
            let text = |value: &Value| value.as_str().expect("a text").to_owned();
            (text(name), text(said))
        });
        Rule {
            name: alert
                .clone()
                .or_else(|| text("record"))
                .expect("a rule has a name"),
            expression: text("expr").expect("a rule has an expression"),
            alert: alert.map(|_| Alert {
                severity: rule["labels"]["severity"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
                annotations: annotations.collect(),
            }),
        }
    }
}
