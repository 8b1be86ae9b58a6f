//! Tables of a configuration file that have a shape of their own, which no option has: lists of rules, for example.
//!
//! A field of [`Tables`] is a table or a list of tables, named like the field. Its type says what may stand there: serde
//! reads it and schemars has it in the schema. It comes to [`Config::check`](super::Config::check) with the options, and is
//! read again with them.

use std::collections::BTreeSet;

use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Error, ValueDeserializer};

/// All that there are: none yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tables {}

/// The names of a type's fields, as a file has them.
pub(super) fn names<T: JsonSchema>() -> BTreeSet<String> {
    let schema = schema_for!(T);
    let fields = schema.get("properties").and_then(|it| it.as_object());
    fields.into_iter().flat_map(|it| it.keys().cloned()).collect()
}

/// Reads each of them by itself, so that a mistake in one hides none in another.
pub(super) fn read<T: DeserializeOwned + Default>(
    document: &DeTable<'_>,
    names: &BTreeSet<String>,
) -> (T, Vec<Error>) {
    let of_shape = |(key, _): &(&Spanned<_>, &Spanned<DeValue<'_>>)| {
        let key: &Spanned<std::borrow::Cow<'_, str>> = key;
        names.contains(&**key.get_ref())
    };
    let found: Vec<_> = document.iter().filter(of_shape).collect();
    let alone = found.iter().filter_map(|entry| {
        deserialize::<T>(std::slice::from_ref(entry)).err()
    });
    let mistakes: Vec<Error> = alone.collect();
    match deserialize(&found) {
        Ok(tables) => (tables, mistakes),
        Err(_) => (T::default(), mistakes),
    }
}

type Entry<'a, 'i> = (&'a Spanned<std::borrow::Cow<'i, str>>, &'a Spanned<DeValue<'i>>);

fn deserialize<T: DeserializeOwned>(entries: &[Entry<'_, '_>]) -> Result<T, Error> {
    let entries = entries.iter().map(|(key, value)| ((*key).clone(), (*value).clone()));
    let table = DeValue::Table(entries.collect());
    T::deserialize(ValueDeserializer::from(Spanned::new(0..0, table)))
}
