//! A policy as it stands in a configuration file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::de::{self, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer};

use super::pattern::Pattern;
use super::{not_a_scope, schema};
use crate::principal::is_scope;

/// Who may do what. A text in its place is a [`Preset`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields, default)]
#[schemars(transform = schema::or_a_preset)]
pub struct PolicySettings {
    /// What holds where nothing is said: open unless it is given.
    pub preset: Preset,
    /// For every kind of action that has no rule, here or by the preset.
    pub default: Option<Need>,
    /// Lists of tools, prompts, resources and templates.
    pub list: Option<Need>,
    /// Reading resources that have no rule of their own; so are the next three.
    pub read: Option<Need>,
    /// Subscribing to them.
    pub subscribe: Option<Need>,
    /// Giving them contents.
    pub publish: Option<Need>,
    /// Taking them away.
    pub remove: Option<Need>,
    /// Tools that have no rule of their own.
    pub call: Option<Need>,
    /// Prompts that have no rule of their own.
    pub prompt: Option<Need>,
    /// Completions of arguments.
    pub complete: Option<Need>,
    /// Single tools by name, or several by a name with `*` in it.
    #[serde(deserialize_with = "by_pattern")]
    pub tools: BTreeMap<String, Need>,
    /// Single prompts by name, or several by a name with `*` in it.
    #[serde(deserialize_with = "by_pattern")]
    pub prompts: BTreeMap<String, Need>,
    /// Resources by URI: `*` stands for anything, `{subject}` and `{tenant}` for one's own segment.
    #[serde(deserialize_with = "by_pattern")]
    pub resources: BTreeMap<String, ResourceNeeds>,
    /// Scopes that have others in them.
    #[serde(deserialize_with = "by_scope")]
    pub implies: BTreeMap<String, Vec<String>>,
}

/// A whole policy by one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields, default)]
#[schemars(transform = schema::or_a_need)]
pub struct ResourceNeeds {
    /// Reading it.
    pub read: Option<Need>,
    /// Subscribing to it.
    pub subscribe: Option<Need>,
    /// Giving it contents.
    pub publish: Option<Need>,
    /// Taking it away.
    pub remove: Option<Need>,
}

impl Preset {
    /// As it is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Preset::Open => "open",
            Preset::ReadOnly => "read-only",
            Preset::Closed => "closed",
        }
    }
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

    /// The rules that are others here than there, by their keys.
    #[must_use]
    pub fn that_differ(&self, others: &PolicySettings) -> Vec<String> {
        let mut keys = Vec::new();
        macro_rules! compare {
            ($($need:ident)*; $($table:ident)*) => {
                $(if self.$need != others.$need {
                    keys.push(stringify!($need).to_owned());
                })*
                $(keys.extend(differing(stringify!($table), &self.$table, &others.$table));)*
            };
        }
        compare! {
            preset default list read subscribe publish remove call prompt complete;
            tools prompts resources implies
        }
        keys
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

fn differing<V: PartialEq>(
    table: &str,
    own: &BTreeMap<String, V>,
    others: &BTreeMap<String, V>,
) -> Vec<String> {
    let names: BTreeSet<&String> = own.keys().chain(others.keys()).collect();
    let names = names
        .into_iter()
        .filter(|name| own.get(*name) != others.get(*name));
    names.map(|name| format!("{table}.{name:?}")).collect()
}

impl From<Preset> for PolicySettings {
    fn from(preset: Preset) -> PolicySettings {
        PolicySettings::of(preset)
    }
}

impl From<Need> for ResourceNeeds {
    /// The same for everything.
    fn from(need: Need) -> ResourceNeeds {
        ResourceNeeds {
            read: Some(need.clone()),
            subscribe: Some(need.clone()),
            publish: Some(need.clone()),
            remove: Some(need),
        }
    }
}

impl Need {
    /// A scope, or several with spaces between them, which are needed together.
    #[must_use]
    pub fn scopes(text: &str) -> Need {
        let scopes = text.split_ascii_whitespace().map(str::to_owned);
        Need::OneOf(vec![scopes.collect()])
    }

    /// # Errors
    /// There is nothing in it, or no scope.
    fn parse(text: &str) -> Result<Need, String> {
        match text {
            "anyone" => Ok(Need::Anyone),
            "nobody" => Ok(Need::Nobody),
            text => Ok(Need::OneOf(vec![way(text)?])),
        }
    }
}

fn way(text: &str) -> Result<Vec<String>, String> {
    let scopes: Vec<String> = text.split_ascii_whitespace().map(str::to_owned).collect();
    if scopes.is_empty() {
        return Err("an empty text, where \"anyone\", \"nobody\" or a scope is needed".to_owned());
    }
    match scopes.iter().find(|scope| !is_scope(scope)) {
        Some(scope) => Err(format!("the policy {}", not_a_scope(scope))),
        None => Ok(scopes),
    }
}

/// Looked at where it stands, so that a mistake is told with its line.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct PatternText(String);

impl<'de> Deserialize<'de> for PatternText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = |what| de::Error::custom(format!("the policy {what}"));
        Pattern::parse(&text).map_err(wrong)?;
        Ok(PatternText(text))
    }
}

fn by_pattern<'de, D: Deserializer<'de>, V: Deserialize<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, V>, D::Error> {
    let rules = BTreeMap::<PatternText, V>::deserialize(deserializer)?;
    Ok(rules.into_iter().map(|(name, it)| (name.0, it)).collect())
}

/// As [`PatternText`].
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct ScopeText(String);

impl<'de> Deserialize<'de> for ScopeText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match is_scope(&text) {
            true => Ok(ScopeText(text)),
            false => Err(de::Error::custom(format!(
                "the policy {}",
                not_a_scope(&text)
            ))),
        }
    }
}

fn by_scope<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Vec<String>>, D::Error> {
    let implied = BTreeMap::<ScopeText, Vec<ScopeText>>::deserialize(deserializer)?;
    let texts = |scopes: Vec<ScopeText>| scopes.into_iter().map(|it| it.0).collect();
    let implied = implied
        .into_iter()
        .map(|(scope, within)| (scope.0, texts(within)));
    Ok(implied.collect())
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
        NeedVisitor.visit_str(text).map(ResourceNeeds::from)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<ResourceNeeds, A::Error> {
        NeedVisitor.visit_seq(list).map(ResourceNeeds::from)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ResourceNeeds, A::Error> {
        ResourceNeeds::deserialize(MapAccessDeserializer::new(map))
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
