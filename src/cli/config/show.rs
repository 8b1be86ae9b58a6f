//! What is in force, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::config::{EffectiveSettings, Origin, Place, Setting, TableEntry};

/// A line for each option, and each value in a table that no option has: key, value, and where it comes from.
pub(super) fn table(settings: &EffectiveSettings) -> String {
    let options = settings
        .iter()
        .map(|it| [it.key.path(), value(it), origin(&it.origin)]);
    let entries = settings
        .entries()
        .map(|it| [it.key(), value_of(it), line(&it.place)]);
    let rows: Vec<[String; 3]> = options.chain(entries).collect();
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

/// An object for each of them.
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
    let of_table = |it: &TableEntry| {
        json!({
            "key": it.key(),
            "option": null,
            "variable": null,
            "value": it.value,
            "from": from(&Origin::File(it.place.clone())),
        })
    };
    let options = settings.iter().map(one);
    let all: Vec<Value> = options.chain(settings.entries().map(of_table)).collect();
    format!("{:#}\n", Value::Array(all))
}

fn value(setting: &Setting) -> String {
    match (setting.key.is_list, setting.shown().as_slice()) {
        (_, []) => "-".to_owned(),
        (_, texts) => texts.join(", "),
    }
}

/// A text without its quotes, as those of options are.
fn value_of(entry: &TableEntry) -> String {
    let text = entry.value.as_str().map(str::to_owned);
    text.unwrap_or_else(|| entry.value.to_string())
}

fn line(place: &Place) -> String {
    format!("{}:{}", place.file.display(), place.line)
}

fn origin(origin: &Origin) -> String {
    match origin {
        Origin::Default => "default".to_owned(),
        Origin::File(place) => line(place),
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
