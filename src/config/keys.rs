//! The keys of a configuration file: they are the options of `pinfold serve`, asked of the command line parser itself.
//!
//! An option is defined once, in `options`, `cluster` or `traces`. Its long name is its key, the heading of its help says in which
//! table, its type what is written there, and its own parser judges the value. So a new option is a new key, with its
//! place in the schema, in `config show` and in `config init`; a new group of options wants a line in [`TABLES`].

use std::any::TypeId;
use std::error::Error as _;
use std::path::PathBuf;

use clap::builder::OsStr;
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, Args as _, Command};
use serde_json::Value;

use super::ServeOptions;
use super::log_filter::LogFilter;
use super::units::{FileOrUrl, Fraction, Milliseconds, Size};
use crate::auth::is_url;

/// Each heading of the help of `pinfold serve`, and the table that its options are in. None: they stand before all tables.
/// A table's own name is left out at the front of its keys: in a table `auth` the options `--auth-issuer` and `--auth` would
/// be `issuer` and `mode`.
const TABLES: [(&str, Option<&str>); 8] = [
    ("Where it listens, and to whom", None),
    ("How it runs", None),
    ("Who gets in", Some("auth")),
    ("What they may do", None),
    ("Several nodes", Some("cluster")),
    ("Traces", Some("otlp")),
    ("Limits of this node", Some("limits")),
    ("Times", Some("times")),
];

/// What is written for a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// `true`, `false`.
    Flag,
    /// A number.
    Count,
    /// `"4MiB"`, or a number of bytes.
    Size,
    /// `"15s"`.
    Time,
    /// `0.1`.
    Share,
    /// A file; beside the configuration file unless it is absolute, or a URL where one may be.
    Path,
    Text,
}

/// One key, and all that is known of its option.
#[derive(Clone, Debug)]
pub struct OptionKey {
    /// Of the option, for the command line parser.
    pub id: String,
    /// The option without its `--`.
    pub long: String,
    pub table: Option<&'static str>,
    /// In its table.
    pub name: String,
    pub kind: ValueKind,
    pub is_list: bool,
    /// What its heading says: tables are told apart by it, and groups within one.
    pub heading: String,
    option: Arg,
}

/// The least and the greatest value that an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinMax {
    pub min: u64,
    pub max: u64,
}

/// All of them, in the order of the help; but what stands in no table stands before all tables.
#[must_use]
pub fn keys() -> Vec<OptionKey> {
    let mut command = ServeOptions::augment_args(Command::new("pinfold"));
    command.build();
    let options = command.get_arguments().filter(|it| !it.is_hide_set());
    let mut keys: Vec<OptionKey> = options.filter_map(OptionKey::of).collect();
    keys.sort_by_key(|it| it.table.is_some());
    keys
}

/// The names of all tables.
pub(super) fn tables() -> impl Iterator<Item = &'static str> {
    TABLES.iter().filter_map(|(_, table)| *table)
}

impl OptionKey {
    /// None for what stands under no heading: `--config` itself, and the help.
    fn of(option: &Arg) -> Option<OptionKey> {
        let heading = option.get_help_heading()?;
        let (_, table) = TABLES.iter().find(|(of, _)| *of == heading)?;
        let long = option.get_long()?.to_owned();
        let shortened = table.and_then(|table| match long.strip_prefix(table)? {
            "" => Some("mode"),
            rest => rest.strip_prefix('-'),
        });
        Some(OptionKey {
            id: option.get_id().to_string(),
            table: *table,
            name: shortened.unwrap_or(&long).to_owned(),
            kind: ValueKind::of(option),
            is_list: matches!(option.get_action(), ArgAction::Append),
            heading: heading.to_owned(),
            option: option.clone(),
            long,
        })
    }

    /// As it is written at the head of a file: `limits.sessions-max`.
    #[must_use]
    pub fn path(&self) -> String {
        match self.table {
            Some(table) => format!("{table}.{}", self.name),
            None => self.name.clone(),
        }
    }

    /// What `--help` says of it, on one line; but how a list is typed.
    #[must_use]
    pub fn help(&self) -> String {
        let help = self.option.get_help().map(ToString::to_string);
        let help = help.unwrap_or_default();
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        help.replace("; repeat, or separate with commas", "")
    }

    #[must_use]
    pub fn variable(&self) -> Option<String> {
        let name = self.option.get_env()?;
        Some(name.to_string_lossy().into_owned())
    }

    /// Its value may have a password in it.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.option.is_hide_env_values_set()
    }

    /// Whether this value of it is a file. A URL is none.
    #[must_use]
    pub fn is_file(&self, text: &str) -> bool {
        let may_be_url = self.option.get_value_parser().type_id() == TypeId::of::<FileOrUrl>();
        self.kind == ValueKind::Path && !(may_be_url && is_url(text))
    }

    /// What holds if nobody says anything; empty if that depends on the machine, or on other options.
    #[must_use]
    pub fn default_texts(&self) -> Vec<String> {
        let values = self.option.get_default_values().iter();
        let texts = values.map(|it| it.to_string_lossy().into_owned());
        match self.option.get_value_delimiter() {
            Some(delimiter) => texts
                .flat_map(|it| it.split(delimiter).map(str::to_owned).collect::<Vec<_>>())
                .collect(),
            None => texts.collect(),
        }
    }

    /// What its texts look like, if a parser of its own says more than that.
    #[must_use]
    pub fn pattern(&self) -> Option<&'static str> {
        let parsed = self.option.get_value_parser().type_id();
        (parsed == TypeId::of::<LogFilter>()).then_some(LogFilter::PATTERN)
    }

    /// The values that there are, if they have names; with what each of them means.
    #[must_use]
    pub fn choices(&self) -> Vec<(String, String)> {
        if self.kind != ValueKind::Text {
            return Vec::new();
        }
        let choices = self.option.get_possible_values();
        let choices = choices.iter().filter(|it| !it.is_hide_set());
        choices
            .map(|it| {
                let help = it.get_help().map(ToString::to_string);
                (it.get_name().to_owned(), help.unwrap_or_default())
            })
            .collect()
    }

    /// Whether the option's own parser takes this value.
    ///
    /// # Errors
    /// What is allowed, as the parser says it.
    pub fn check(&self, text: &str) -> Result<(), String> {
        if self.kind == ValueKind::Flag {
            return Ok(());
        }
        let option = Arg::new("value")
            .long("value")
            .action(ArgAction::Set)
            .value_parser(self.option.get_value_parser().clone());
        let parsed = Command::new("value")
            .no_binary_name(true)
            .disable_help_flag(true)
            .arg(option)
            .try_get_matches_from([format!("--value={text}")]);
        parsed.map(drop).map_err(|refused| allowed(&refused))
    }

    /// Found by trying: the parser has them, and need not say them twice. None if it is no number.
    #[must_use]
    pub fn bounds(&self) -> Option<MinMax> {
        let spell: fn(u64) -> String = match self.kind {
            ValueKind::Count => |value| value.to_string(),
            ValueKind::Size => |value| value.to_string(),
            ValueKind::Time => |value| format!("{value}ms"),
            ValueKind::Flag | ValueKind::Share | ValueKind::Path | ValueKind::Text => return None,
        };
        let takes = |value: u64| self.check(&spell(value)).is_ok();
        let inside = (0..u64::BITS).map(|bit| 1 << bit).find(|it| takes(*it))?;
        let below = if takes(0) { 0 } else { inside / 2 };
        let min = if takes(0) {
            0
        } else {
            boundary(below, inside, takes)
        };
        let beyond = (0..u64::BITS)
            .map(|bit| 1 << bit)
            .find(|it| *it > inside && !takes(*it))?;
        let max = boundary(inside, beyond, |value| !takes(value)) - 1;
        Some(MinMax { min, max })
    }

    /// A bound as it would be written.
    #[must_use]
    pub fn spell(&self, value: u64) -> String {
        match self.kind {
            ValueKind::Size => {
                usize::try_from(value).map_or_else(|_| value.to_string(), |it| Size(it).to_string())
            }
            ValueKind::Time => Milliseconds(value).to_string(),
            ValueKind::Flag
            | ValueKind::Count
            | ValueKind::Share
            | ValueKind::Path
            | ValueKind::Text => value.to_string(),
        }
    }

    /// A value of it, as JSON has it.
    #[must_use]
    pub fn json(&self, text: &str) -> Value {
        match self.kind {
            ValueKind::Flag => (text == "true").into(),
            ValueKind::Count => text
                .parse::<u64>()
                .map_or_else(|_| text.into(), Value::from),
            ValueKind::Share => text
                .parse::<f64>()
                .map_or_else(|_| text.into(), Value::from),
            ValueKind::Size | ValueKind::Time | ValueKind::Path | ValueKind::Text => text.into(),
        }
    }

    /// Puts what a file says below variables and options: in the place of the default.
    pub(super) fn lay_under(&self, command: Command, texts: &[String]) -> Command {
        let texts: Vec<OsStr> = texts.iter().map(OsStr::from).collect();
        command.mut_arg(&self.id, |option| option.default_values(texts))
    }
}

impl ValueKind {
    fn of(option: &Arg) -> ValueKind {
        if matches!(option.get_action(), ArgAction::SetTrue) {
            return ValueKind::Flag;
        }
        let parsed = option.get_value_parser().type_id();
        let kinds = [
            (TypeId::of::<u32>(), ValueKind::Count),
            (TypeId::of::<Size>(), ValueKind::Size),
            (TypeId::of::<Milliseconds>(), ValueKind::Time),
            (TypeId::of::<Fraction>(), ValueKind::Share),
            (TypeId::of::<PathBuf>(), ValueKind::Path),
            (TypeId::of::<FileOrUrl>(), ValueKind::Path),
        ];
        let found = kinds.iter().find(|(of, _)| parsed == *of);
        found.map_or(ValueKind::Text, |(_, kind)| *kind)
    }
}

/// The least value above `low` of which `holds` is true; it is true of `high`, not of `low`, and of all from one on.
fn boundary(mut low: u64, mut high: u64, holds: impl Fn(u64) -> bool) -> u64 {
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

/// The end of a sentence that begins with the value.
fn allowed(refused: &clap::Error) -> String {
    if let Some(own) = refused.source() {
        return own.to_string();
    }
    match refused.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) if !values.is_empty() => {
            format!("must be one of {}", values.join(", "))
        }
        _ => "must not be empty".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(path: &str) -> OptionKey {
        let mut all = keys().into_iter();
        all.find(|it| it.path() == path)
            .unwrap_or_else(|| panic!("no {path}"))
    }

    #[test]
    fn an_option_that_a_file_cannot_say() {
        let mut command = ServeOptions::augment_args(Command::new("pinfold"));
        command.build();
        let keys = keys();
        for option in command.get_arguments().filter(|it| !it.is_hide_set()) {
            let id = option.get_id().as_str();
            let is_key = keys.iter().any(|key| key.id == id);
            assert_eq!(
                is_key,
                !["config", "help", "no_parent"].contains(&id),
                "{id}: its heading is in TABLES"
            );
        }
        assert!(keys.iter().all(|it| it.long != "break-thread"));
    }

    #[test]
    fn two_options_of_one_key() {
        let mut paths: Vec<String> = keys().iter().map(OptionKey::path).collect();
        paths.sort();
        let count = paths.len();
        paths.dedup();
        assert_eq!(paths.len(), count, "{paths:?}");
        assert!(tables().all(|table| !paths.contains(&table.to_owned())));
        let shaped = super::super::tables::names::<super::super::Tables>();
        assert!(tables().all(|table| !shaped.contains(table)));
    }

    #[test]
    fn what_a_key_takes() {
        let kinds = [
            ("listen", ValueKind::Text, false),
            ("allow-origin", ValueKind::Text, true),
            ("admin-token-file", ValueKind::Path, false),
            ("auth.jwks", ValueKind::Path, true),
            ("cores", ValueKind::Count, false),
            ("cluster.no-forward", ValueKind::Flag, false),
            ("limits.body-bytes-max", ValueKind::Size, false),
            ("times.keep-alive", ValueKind::Time, false),
            ("otlp.sample", ValueKind::Share, false),
        ];
        for (path, kind, is_list) in kinds {
            let key = key(path);
            assert_eq!((key.kind, key.is_list), (kind, is_list), "{path}");
        }
    }

    #[test]
    fn bounds_that_are_not_those_of_the_parser() {
        let bounds = |path: &str| key(path).bounds().map(|it| (it.min, it.max));
        assert_eq!(bounds("cores"), Some((1, 512)));
        assert_eq!(bounds("limits.sessions-max"), Some((1, 100_000_000)));
        assert_eq!(bounds("limits.body-bytes-max"), Some((1 << 10, 1 << 30)));
        assert_eq!(bounds("limits.memory-max"), Some((1 << 20, 1 << 44)));
        assert_eq!(bounds("times.keep-alive"), Some((10, 30 * 86_400_000)));
        assert_eq!(bounds("cluster.drain-notice"), Some((0, 3_600_000)));
        assert_eq!(bounds("listen"), None);
    }

    #[test]
    fn a_value_that_the_option_would_not_take() {
        let refused = |path: &str, text: &str| key(path).check(text).unwrap_err();
        assert!(refused("listen", "localhost").contains("127.0.0.1:8080"));
        assert_eq!(refused("app", "bored"), "must be one of board");
        assert!(refused("limits.sessions-max", "-1").contains("from 1 to"));
        assert_eq!(refused("admin-token-file", ""), "must not be empty");
        assert!(
            refused("allow-origin", "https://a.example,https://b.example").contains("https://")
        );
        assert_eq!(key("times.keep-alive").check("15s"), Ok(()));
    }
}
