//! The dashboards of `deploy/grafana`, and what Grafana asks Prometheus when one is looked at.

use serde_json::Value;

use super::{deployed, read};

pub(super) const OVERVIEW: &str = "pinfold-overview";
pub(super) const NODE: &str = "pinfold-node";

/// What a variable of Grafana stands for while a test asks.
const VARIABLES: [(&str, &str); 6] = [
    ("$__rate_interval", "1m"),
    ("$__interval", "15s"),
    ("$__range", "5m"),
    ("$job", "pinfold"),
    ("$node", ".+"),
    // Grafana asks for label values by themselves.
    ("${datasource}", ""),
];

#[derive(Debug)]
pub(super) struct Dashboard {
    pub(super) name: &'static str,
    pub(super) root: Value,
}

/// One question of a dashboard.
#[derive(Clone, Debug)]
pub(super) struct Query {
    /// The dashboard, and the panel or variable.
    pub(super) place: String,
    pub(super) expression: String,
    /// It draws something, and does not fill a menu or mark a moment.
    pub(super) is_drawn: bool,
}

impl Dashboard {
    pub(super) fn read(name: &'static str) -> Dashboard {
        let text = read(&deployed(&format!("grafana/{name}.json")));
        let root = serde_json::from_str(&text);
        Dashboard {
            name,
            root: root.unwrap_or_else(|fault| panic!("{name} is no JSON: {fault}")),
        }
    }

    pub(super) fn panels(&self) -> &[Value] {
        self.root["panels"].as_array().expect("panels")
    }

    pub(super) fn variables(&self) -> &[Value] {
        let list = &self.root["templating"]["list"];
        list.as_array().expect("variables")
    }

    pub(super) fn queries(&self) -> Vec<Query> {
        let of = |place: &Value, expression: &Value, is_drawn: bool| Query {
            place: format!(
                "{}: {}",
                self.name,
                place.as_str().expect("whoever asks has a name")
            ),
            expression: with_variables(expression.as_str().expect("an expression")),
            is_drawn,
        };
        let drawn = self.panels().iter().flat_map(|panel| {
            let targets = panel["targets"].as_array().into_iter().flatten();
            targets.map(move |target| of(&panel["title"], &target["expr"], true))
        });
        let marks = self.root["annotations"]["list"]
            .as_array()
            .into_iter()
            .flatten();
        let marks = marks.map(|mark| of(&mark["name"], &mark["expr"], false));
        let menus = self
            .variables()
            .iter()
            .filter(|it| it["type"] == "query")
            .map(|it| of(&it["name"], &it["definition"], false))
            .map(Query::of_menu);
        drawn.chain(marks).chain(menus).collect()
    }
}

impl Query {
    /// `label_values(series, label)` is a function of Grafana's own.
    fn of_menu(self) -> Query {
        let inner = self
            .expression
            .strip_prefix("label_values(")
            .and_then(|rest| rest.strip_suffix(')'));
        let (series, label) = inner
            .and_then(|inner| inner.rsplit_once(", "))
            .unwrap_or_else(|| panic!("{self:?} is no menu"));
        Query {
            expression: format!("group by ({label}) ({series})"),
            ..self
        }
    }
}

fn with_variables(expression: &str) -> String {
    let mut text = expression.to_owned();
    for (name, value) in VARIABLES {
        text = text.replace(name, value);
    }
    text
}
