//! What is in force, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::config::{EffectiveSettings, Origin, Setting};

/// A line for each option: key, value, and where it comes from.
pub(super) fn table(settings: &EffectiveSettings) -> String {
    let rows: Vec<[String; 3]> = settings
        .iter()
        .map(|it| [it.key.path(), value(it), origin(&it.origin)])
        .collect();
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let (keys, values) = (width(0), width(1).min(VALUE_WIDTH_MAX));
    let mut text = String::new();
    for [key, value, origin] in &rows {
        let _ = writeln!(text, "{key:keys$}  {value:values$}  {origin}");
    }
    text
}

/// In columns; a longer one pushes what is behind it aside, in its own line alone.
const VALUE_WIDTH_MAX: usize = 40;

/// An object for each option.
pub(super) fn json(settings: &EffectiveSettings) -> String {
    let one = |it: &Setting| {
        let shown = it.shown();
        let values = || shown.iter().map(|text| it.key.json(text));
        let value = match it.key.is_list {
            true => values().collect(),
            false => values().next().unwrap_or(Value::Null),
        };
        let mut of = json!({
            "key": it.key.path(),
            "option": format!("--{}", it.key.long),
            "variable": it.key.variable(),
            "value": value,
            "from": from(&it.origin),
        });
        if it.hides_something() {
            of["hidden"] = true.into();
        }
        of
    };
    let all: Vec<Value> = settings.iter().map(one).collect();
    format!("{:#}\n", Value::Array(all))
}

fn value(setting: &Setting) -> String {
    match (setting.key.is_list, setting.shown().as_slice()) {
        (_, []) => "-".to_owned(),
        (_, texts) => texts.join(", "),
    }
}

fn origin(origin: &Origin) -> String {
    match origin {
        Origin::Default => "default".to_owned(),
        Origin::File(place) => format!("{}:{}", place.file.display(), place.line),
        Origin::Variable(name) => name.clone(),
        Origin::Flag(name) => name.clone(),
    }
}

fn from(origin: &Origin) -> Value {
    match origin {
        Origin::Default => json!({"kind": "default"}),
        Origin::File(place) => json!({
            "kind": "file",
            "file": place.file,
            "line": place.line,
            "column": place.column,
        }),
        Origin::Variable(name) => json!({"kind": "variable", "name": name}),
        Origin::Flag(name) => json!({"kind": "flag", "name": name}),
    }
}
