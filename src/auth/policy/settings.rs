//! A policy as it stands in a configuration file.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer};

/// Who may do what. A text in its place is a [`Preset`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, default)]
pub struct PolicySettings {
    /// What holds where nothing is said. [`Preset::Open`] unless it is given.
    pub preset: Preset,
    /// For every kind of action that has no rule, here or by the preset.
    pub default: Option<Need>,
    /// Lists of tools, prompts, resources and templates.
    pub list: Option<Need>,
    pub read: Option<Need>,
    pub subscribe: Option<Need>,
    pub publish: Option<Need>,
    pub remove: Option<Need>,
    /// Tools that have no rule of their own.
    pub call: Option<Need>,
    pub prompt: Option<Need>,
    pub complete: Option<Need>,
    pub tools: BTreeMap<String, Need>,
    pub prompts: BTreeMap<String, Need>,
    pub resources: BTreeMap<String, ResourceNeeds>,
    /// Scopes that have others in them.
    pub implies: BTreeMap<String, Vec<String>>,
}

/// A whole policy by one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Whoever was let in may do everything.
    #[default]
    Open,
    /// They may list, read, subscribe, ask for prompts and completions; calling tools, publishing and removing are
    /// nobody's.
    ReadOnly,
    /// Nothing is anybody's but what a rule gives.
    Closed,
}

/// What it takes: `"anyone"`, `"nobody"`, a scope, several with spaces between them (all of them), or a list (one of
/// them).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing more than to be let in.
    Anyone,
    /// It is as if it were not there.
    Nobody,
    /// Any of these, each of which is some scopes together.
    OneOf(Vec<Vec<String>>),
}

/// What it takes to do something with resources; one need for all of it may stand in its place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, default)]
pub struct ResourceNeeds {
    pub read: Option<Need>,
    pub subscribe: Option<Need>,
    pub publish: Option<Need>,
    pub remove: Option<Need>,
}

impl PolicySettings {
    /// Nothing but a preset.
    #[must_use]
    pub fn of(preset: Preset) -> PolicySettings {
        PolicySettings {
            preset,
            ..PolicySettings::default()
        }
    }

    /// The same, with what the preset says where nothing is said.
    pub(super) fn with_preset(&self) -> PolicySettings {
        let mut settings = self.clone();
        match self.preset {
            Preset::Open => {}
            Preset::Closed => {
                settings.default.get_or_insert(Need::Nobody);
            }
            Preset::ReadOnly => {
                for writing in [
                    &mut settings.call,
                    &mut settings.publish,
                    &mut settings.remove,
                ] {
                    writing.get_or_insert(Need::Nobody);
                }
            }
        }
        settings
    }
}

impl Need {
    /// # Errors
    /// There is nothing in it.
    fn parse(text: &str) -> Result<Need, &'static str> {
        match text {
            "anyone" => Ok(Need::Anyone),
            "nobody" => Ok(Need::Nobody),
            text => Ok(Need::OneOf(vec![way(text)?])),
        }
    }
}

fn way(text: &str) -> Result<Vec<String>, &'static str> {
    let scopes: Vec<String> = text.split_ascii_whitespace().map(str::to_owned).collect();
    match scopes.is_empty() {
        true => Err("an empty text, where \"anyone\", \"nobody\" or a scope is needed"),
        false => Ok(scopes),
    }
}

impl<'de> Deserialize<'de> for Need {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NeedVisitor)
    }
}

struct NeedVisitor;

impl<'de> Visitor<'de> for NeedVisitor {
    type Value = Need;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"anyone\", \"nobody\", a scope, or a list of scopes of which one is needed")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Need, E> {
        Need::parse(text).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Need, A::Error> {
        let mut ways = Vec::new();
        while let Some(text) = list.next_element::<String>()? {
            ways.push(way(&text).map_err(de::Error::custom)?);
        }
        match ways.is_empty() {
            true => Err(de::Error::custom("an empty list: write \"nobody\"")),
            false => Ok(Need::OneOf(ways)),
        }
    }
}

impl<'de> Deserialize<'de> for ResourceNeeds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ResourceVisitor)
    }
}

struct ResourceVisitor;

impl<'de> Visitor<'de> for ResourceVisitor {
    type Value = ResourceNeeds;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what all of it takes, or a table of read, subscribe, publish and remove")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<ResourceNeeds, E> {
        NeedVisitor.visit_str(text).map(ResourceNeeds::all)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<ResourceNeeds, A::Error> {
        NeedVisitor.visit_seq(list).map(ResourceNeeds::all)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ResourceNeeds, A::Error> {
        ResourceNeeds::deserialize(MapAccessDeserializer::new(map))
    }
}

impl ResourceNeeds {
    /// The same for everything.
    fn all(need: Need) -> ResourceNeeds {
        ResourceNeeds {
            read: Some(need.clone()),
            subscribe: Some(need.clone()),
            publish: Some(need.clone()),
            remove: Some(need),
        }
    }
}

impl<'de> Deserialize<'de> for PolicySettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PolicyVisitor)
    }
}

struct PolicyVisitor;

impl<'de> Visitor<'de> for PolicyVisitor {
    type Value = PolicySettings;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"open\", \"read-only\", \"closed\", or a table of rules")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<PolicySettings, E> {
        Preset::deserialize(de::value::StrDeserializer::new(text)).map(PolicySettings::of)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PolicySettings, A::Error> {
        PolicySettings::deserialize(MapAccessDeserializer::new(map))
    }
}
