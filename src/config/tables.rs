//! Tables of a configuration file that have a shape of their own, which no option has: lists of rules, for example.
//!
//! A field of [`Tables`] is a table or a list of tables, named like the field. Its type says what may stand there: serde
//! reads it and schemars has it in the schema. It comes to [`Config::check`](super::Config::check) with the options, and is
//! read again with them.

use std::borrow::Cow;
use std::collections::BTreeSet;

use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Error, ValueDeserializer};

use super::mistake::Place;
use crate::auth::PolicySettings;

/// All that there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tables {
    pub policy: PolicySettings,
}

/// The names of a type's fields, as a file has them.
pub(super) fn names<T: JsonSchema>() -> BTreeSet<String> {
    let schema = schema_for!(T);
    let fields = schema.get("properties").and_then(|it| it.as_object());
    fields
        .into_iter()
        .flat_map(|it| it.keys().cloned())
        .collect()
}

/// Reads all of them; if that fails each value by itself, so that no mistake hides another one.
pub(super) fn read<T: DeserializeOwned + Default>(
    document: &DeTable<'_>,
    names: &BTreeSet<String>,
) -> (T, Vec<Error>) {
    let of_shape = |(key, _): &(&Spanned<_>, &Spanned<DeValue<'_>>)| {
        let key: &Spanned<Cow<'_, str>> = key;
        names.contains(&**key.get_ref())
    };
    let found: Vec<_> = document.iter().filter(of_shape).collect();
    match deserialize(&found) {
        Ok(tables) => (tables, Vec::new()),
        Err(first) => {
            let parts: Vec<_> = found.iter().flat_map(|it| parts(it.1, it.0)).collect();
            let parts = parts
                .iter()
                .filter_map(|(key, value)| deserialize::<T>(&[(key, value)]).err());
            (T::default(), told_once(first, parts))
        }
    }
}

/// What is wrong with each value alone; of what is wrong with several together the first.
fn told_once(first: Error, parts: impl Iterator<Item = Error>) -> Vec<Error> {
    let mut told: Vec<Error> = Vec::new();
    // Alone a value lacks what stands beside it.
    for wrong in parts.filter(|it| !it.message().starts_with("missing field")) {
        let is_same = |it: &Error| (it.span(), it.message()) == (wrong.span(), wrong.message());
        if !told.last().is_some_and(is_same) {
            told.push(wrong);
        }
    }
    if told.is_empty() {
        told.push(first);
    }
    told
}

/// The same table, once for each value that is none, with no other value in it.
fn parts<'i>(
    value: &Spanned<DeValue<'i>>,
    key: &Spanned<Cow<'i, str>>,
) -> Vec<(Spanned<Cow<'i, str>>, Spanned<DeValue<'i>>)> {
    let DeValue::Table(within) = value.get_ref() else {
        return vec![(key.clone(), value.clone())];
    };
    let inner = within.iter().flat_map(|(key, value)| parts(value, key));
    let around = |entry| {
        let table = DeValue::Table([entry].into_iter().collect());
        (key.clone(), Spanned::new(value.span(), table))
    };
    inner.map(around).collect()
}

type KeyAndValue<'a, 'i> = (&'a Spanned<Cow<'i, str>>, &'a Spanned<DeValue<'i>>);

fn deserialize<T: DeserializeOwned>(entries: &[KeyAndValue<'_, '_>]) -> Result<T, Error> {
    let entries = entries
        .iter()
        .map(|(key, value)| ((*key).clone(), (*value).clone()));
    let table = DeValue::Table(entries.collect());
    T::deserialize(ValueDeserializer::from(Spanned::new(0..0, table)))
}

/// One value in such a table, for reports.
#[derive(Clone, Debug, PartialEq)]
pub struct TableEntry {
    /// The name of the table.
    pub table: String,
    /// Where in the table, as it may be written there: `tools."echo"`.
    pub path: String,
    pub value: toml::Value,
    pub place: Place,
}

impl TableEntry {
    /// As it is written at the head of a file: `policy.tools."echo"`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}.{}", self.table, self.path)
    }
}

/// All values in a table, and in those within it.
pub(super) fn entries(
    table: &str,
    value: &Spanned<DeValue<'_>>,
    place: &impl Fn(usize) -> Place,
) -> Vec<TableEntry> {
    let mut entries = Vec::new();
    collect(&mut entries, table, String::new(), value, place);
    entries
}

fn collect(
    entries: &mut Vec<TableEntry>,
    table: &str,
    path: String,
    value: &Spanned<DeValue<'_>>,
    place: &impl Fn(usize) -> Place,
) {
    if let DeValue::Table(within) = value.get_ref() {
        for (key, value) in within {
            let key = quoted_key(key.get_ref());
            let path = match path.as_str() {
                "" => key,
                before => format!("{before}.{key}"),
            };
            collect(entries, table, path, value, place);
        }
        return;
    }
    let at = value.span().start;
    if let Ok(value) = toml::Value::deserialize(ValueDeserializer::from(value.clone())) {
        let place = place(at);
        let table = table.to_owned();
        entries.push(TableEntry {
            table,
            path,
            value,
            place,
        });
    }
}

fn quoted_key(key: &str) -> String {
    let is_bare = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_');
    match !key.is_empty() && key.chars().all(is_bare) {
        true => key.to_owned(),
        // What JSON has in quotes TOML has as well.
        false => serde_json::Value::from(key).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a later version may have them.
    #[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
    #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
    struct Shaped {
        policy: Policy,
        token: Vec<Token>,
    }

    #[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
    #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
    struct Policy {
        rule: Vec<Rule>,
    }

    #[derive(Debug, PartialEq, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    struct Rule {
        scope: String,
        #[serde(default)]
        read_only: bool,
    }

    #[derive(Debug, PartialEq, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Token {
        name: String,
    }

    fn shaped(text: &str) -> (Shaped, Vec<(usize, String)>) {
        let document = DeTable::parse(text).unwrap();
        let (tables, mistakes) = read(document.get_ref(), &names::<Shaped>());
        let told = mistakes.iter().map(|it| {
            let at = it.span().map_or(0, |span| span.start);
            (
                text[..at].matches('\n').count() + 1,
                it.message().to_owned(),
            )
        });
        (tables, told.collect())
    }

    #[test]
    fn a_table_of_a_shape_of_its_own() {
        assert_eq!(
            names::<Shaped>(),
            BTreeSet::from(["policy".to_owned(), "token".to_owned()])
        );
        let (tables, mistakes) = shaped(
            "listen = '…'\n[[policy.rule]]\nscope = 'read'\nread-only = true\n[[token]]\nname = 'ci'\n",
        );
        assert_eq!(mistakes, []);
        assert_eq!(tables.policy.rule[0].scope, "read");
        assert!(tables.policy.rule[0].read_only);
        assert_eq!(tables.token[0].name, "ci");
    }

    #[test]
    fn a_mistake_in_one_table_that_hides_one_in_another() {
        let (tables, mistakes) =
            shaped("[[policy.rule]]\nscope = 5\n[[token]]\nname = 'ci'\nadmin = true\n");
        let lines: Vec<usize> = mistakes.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [2, 5], "{mistakes:?}");
        assert_eq!(tables, Shaped::default());
    }
}
