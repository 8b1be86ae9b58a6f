//! A record that is read again, for plots and reports. What a record does not have is left out there.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::Outcome;
use crate::record::{UNFINISHED, records};

pub(crate) struct Reading {
    pub(crate) directory: PathBuf,
}

impl Reading {
    /// The record in `directory`, or the one of the newest run.
    pub(crate) fn open(directory: Option<&Path>) -> Outcome<Self> {
        let directory = match directory {
            Some(directory) => directory.to_owned(),
            None => newest()?,
        };
        if !directory.join(ENVIRONMENT).is_file() {
            let name = directory.display();
            return Err(format!("{name} is no record: it has no {ENVIRONMENT}").into());
        }
        Ok(Reading { directory })
    }

    pub(crate) fn environment(&self) -> Outcome<Value> {
        self.json(ENVIRONMENT)?
            .ok_or_else(|| "the record has no environment any more".into())
    }

    /// All that is recorded of a scenario, if it was run.
    pub(crate) fn scenario(&self, name: &str) -> Outcome<Option<Value>> {
        self.json(&format!("{name}.json"))
    }

    /// Why there is nothing of a scenario that was begun.
    pub(crate) fn unfinished(&self, name: &str) -> Option<String> {
        let path = self.directory.join(name).with_extension(UNFINISHED);
        let text = fs::read_to_string(path).ok()?;
        Some(text.lines().next().unwrap_or_default().to_owned())
    }

    /// The results of a scenario; nothing if it was not run.
    pub(crate) fn results(&self, scenario: &str) -> Outcome<Value> {
        let recorded = self.scenario(scenario)?;
        Ok(recorded.map_or(Value::Null, |mut it| it["results"].take()))
    }

    fn json(&self, name: &str) -> Outcome<Option<Value>> {
        let path = self.directory.join(name);
        if !path.is_file() {
            return Ok(None);
        }
        let read = fs::read_to_string(&path)?;
        let read = serde_json::from_str(&read);
        Ok(Some(read.map_err(|fault| {
            format!("{} cannot be understood: {fault}", path.display())
        })?))
    }
}

const ENVIRONMENT: &str = "environment.json";

/// By what the runs themselves say of when they began; a copy or a checkout gives files other times.
fn newest() -> Outcome<PathBuf> {
    let mut newest = None;
    for entry in fs::read_dir(records())? {
        let directory = entry?.path();
        let Ok(reading) = Reading::open(Some(&directory)) else {
            continue;
        };
        let environment = reading.environment()?;
        // Older records have a date only.
        let began = match text(&environment, "began") {
            "" => text(&environment, "date"),
            began => began,
        };
        newest = newest.max(Some((began.to_owned(), directory)));
    }
    let (_, directory) = newest.ok_or("there is no record yet: run pinfold-bench")?;
    Ok(directory)
}

/// The elements of a list; none of anything else.
pub(crate) fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The number at a path such as `cpu/median`.
pub(crate) fn number(value: &Value, path: &str) -> Option<f64> {
    value.pointer(&format!("/{path}"))?.as_f64()
}

pub(crate) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}
