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
    fields
        .into_iter()
        .flat_map(|it| it.keys().cloned())
        .collect()
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
    let alone = found
        .iter()
        .filter_map(|entry| deserialize::<T>(std::slice::from_ref(entry)).err());
    let mistakes: Vec<Error> = alone.collect();
    match deserialize(&found) {
        Ok(tables) => (tables, mistakes),
        Err(_) => (T::default(), mistakes),
    }
}

type TableEntry<'a, 'i> = (
    &'a Spanned<std::borrow::Cow<'i, str>>,
    &'a Spanned<DeValue<'i>>,
);

fn deserialize<T: DeserializeOwned>(entries: &[TableEntry<'_, '_>]) -> Result<T, Error> {
    let entries = entries
        .iter()
        .map(|(key, value)| ((*key).clone(), (*value).clone()));
    let table = DeValue::Table(entries.collect());
    T::deserialize(ValueDeserializer::from(Spanned::new(0..0, table)))
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
