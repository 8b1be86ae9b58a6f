//! What is in force, and who said so: each option's value and whether it is a default, a line of the configuration file, a
//! variable or an option on the command line.

use std::collections::BTreeSet;

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::file::ConfigFile;
use super::keys::{OptionKey, keys};
use super::mistake::{Mistake, Place};
use super::tables::TableEntry;
use super::{Config, ConfigError, Milliseconds, Size};
use crate::auth::Preset;
use crate::redis::RedisUrl;

/// Who said it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Default,
    File(Place),
    /// By its name.
    Variable(String),
    /// With its `--`.
    Flag(String),
}

/// An option and its value.
#[derive(Clone)]
pub struct Setting {
    pub key: OptionKey,
    /// As the option would be given. One that is not given, and has no default of its own, is empty until the rest is
    /// known: see [`EffectiveSettings::fill_in`].
    pub texts: Vec<String>,
    pub origin: Origin,
}

/// Those of all options, in the order of the help, and what stands in tables that no option has.
#[derive(Clone)]
pub struct EffectiveSettings {
    settings: Vec<Setting>,
    entries: Vec<TableEntry>,
}

impl EffectiveSettings {
    pub(super) fn of(matches: &ArgMatches, file: Option<&ConfigFile>) -> EffectiveSettings {
        let setting = |key: OptionKey| {
            let raw = matches.get_raw(&key.id).into_iter().flatten();
            Setting {
                texts: raw.map(|it| it.to_string_lossy().into_owned()).collect(),
                origin: origin(&key, matches, file),
                key,
            }
        };
        let mut all = EffectiveSettings {
            settings: keys().into_iter().map(setting).collect(),
            entries: file.map_or_else(Vec::new, |it| it.entries.clone()),
        };
        all.overrule();
        all
    }

    /// Of an option and a table of one name, one counts: the table, unless somebody outside of the file has said the option.
    fn overrule(&mut self) {
        let EffectiveSettings { settings, entries } = self;
        settings.retain(|setting| {
            let is_of_it = |it: &TableEntry| it.table == setting.key.path();
            let is_said = setting.origin != Origin::Default;
            if is_said {
                entries.retain(|it| !is_of_it(it));
            }
            is_said || !entries.iter().any(is_of_it)
        });
    }

    pub fn iter(&self) -> impl Iterator<Item = &Setting> {
        self.settings.iter()
    }

    /// What is in force of tables that no option has.
    pub fn entries(&self) -> impl Iterator<Item = &TableEntry> {
        self.entries.iter()
    }

    /// The option's, without its `--`.
    #[must_use]
    pub fn of_option(&self, long: &str) -> Option<&Setting> {
        self.iter().find(|it| it.key.long == long)
    }

    /// What follows from the machine and from other options.
    pub fn fill_in(&mut self, config: &Config) {
        for setting in self.settings.iter_mut().filter(|it| it.texts.is_empty()) {
            if setting.origin == Origin::Default {
                setting.texts.extend(follows(&setting.key.id, config));
            }
        }
    }

    /// The options that have another value here than there.
    #[must_use]
    pub fn that_differ(&self, others: &EffectiveSettings) -> Vec<&Setting> {
        let is_other = |setting: &&Setting| {
            let other = others.of_option(&setting.key.long);
            other.is_none_or(|it| it.texts != setting.texts)
        };
        self.iter().filter(is_other).collect()
    }

    /// The tables that have other values here than there, unless [`that_differ`](EffectiveSettings::that_differ) has the option
    /// of the same name.
    #[must_use]
    pub fn tables_that_differ<'a>(&'a self, others: &'a EffectiveSettings) -> BTreeSet<&'a str> {
        let of = |settings: &'a EffectiveSettings, table: &'a str| {
            let entries = settings.entries().filter(move |it| it.table == table);
            entries.map(|it| (&it.path, &it.value))
        };
        let both = self.entries().chain(others.entries());
        let tables = both.map(|it| it.table.as_str());
        tables
            .filter(|table| self.of_option(table).is_none())
            .filter(|table| !of(self, table).eq(of(others, table)))
            .collect()
    }

    /// A value that cannot be used, and where it was said.
    pub(super) fn locate(&self, wrong: &ConfigError) -> Mistake {
        let long = wrong.flag.trim_start_matches("--");
        let setting = self.of_option(long);
        let (place, sentence) = match setting.map(|it| (&it.origin, it)) {
            Some((Origin::File(place), setting)) => {
                let named = wrong.named(&setting.key.path());
                (Some(place.clone()), named)
            }
            Some((Origin::Variable(name), _)) => (None, wrong.named(name)),
            Some((Origin::Default | Origin::Flag(_), _)) => (None, wrong.to_string()),
            None => match self.entries().find(|it| it.table == long) {
                Some(entry) => (Some(entry.place.clone()), wrong.named(long)),
                None => (None, wrong.to_string()),
            },
        };
        Mistake {
            place,
            option: Some(long.to_owned()),
            sentence,
        }
    }
}

impl Setting {
    /// As people may see it: without the password of a URL.
    #[must_use]
    pub fn shown(&self) -> Vec<String> {
        let show = |text: &String| match text.parse::<RedisUrl>() {
            Ok(url) if url.has_password() => url.to_string(),
            Ok(_) => text.clone(),
            Err(_) => "…".to_owned(),
        };
        match self.key.is_secret() {
            true => self.texts.iter().map(show).collect(),
            false => self.texts.clone(),
        }
    }

    /// Whether [`shown`](Setting::shown) leaves out something.
    #[must_use]
    pub fn hides_something(&self) -> bool {
        self.shown() != self.texts
    }
}

fn origin(key: &OptionKey, matches: &ArgMatches, file: Option<&ConfigFile>) -> Origin {
    match (matches.value_source(&key.id), key.variable()) {
        (Some(ValueSource::EnvVariable), Some(name)) => Origin::Variable(name),
        (Some(ValueSource::CommandLine), _) => Origin::Flag(format!("--{}", key.long)),
        _ => {
            let said = file.and_then(|it| it.said(&key.id));
            said.map_or(Origin::Default, |it| Origin::File(it.place.clone()))
        }
    }
}

/// An option that has no value of its own has this one.
fn follows(id: &str, config: &Config) -> Option<String> {
    let node = &config.node;
    let of_client = node.limits.of_client();
    let drain = node.drain;
    match id {
        "cores" => Some(node.cores.to_string()),
        "node" => Some(node.node_name().to_string()),
        "memory_max" => Some(Size(node.limits.memory_bytes_max).to_string()),
        "connections_per_client_max" => Some(of_client.connections_max.to_string()),
        "sessions_per_client_max" => Some(of_client.sessions_max.to_string()),
        "initialize_per_second_per_client_max" => {
            Some(of_client.initialize_per_second_max.to_string())
        }
        "subscription_bytes_per_client_max" => {
            Some(Size(of_client.subscription_bytes_max).to_string())
        }
        "advertise" => {
            let cluster = node.cluster.as_ref()?;
            cluster.advertised.as_ref().map(|it| it.url.clone())
        }
        "policy" => Some(Preset::Open.word().to_owned()),
        "drain_notice" => drain.map(|it| Milliseconds(it.notice_ms).to_string()),
        "drain_window" => drain.map(|it| Milliseconds(it.window_ms).to_string()),
        _ => None,
    }
}
