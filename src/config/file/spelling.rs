//! What a key that does not exist may have been meant to be.

use std::collections::BTreeSet;

use super::super::keys::{OptionKey, tables};

/// How alike two words are that may be one, from 0 to 1 (Jaro and Winkler): `lisen` and `listen` are 0.95.
const ALIKE: f64 = 0.85;

/// A sentence about it, with what is allowed. `table`: in which one it stands.
pub(super) fn unknown(
    keys: &[OptionKey],
    others: &BTreeSet<String>,
    table: Option<&str>,
    name: &str,
    is_table: bool,
) -> String {
    let is_new_table = is_table && table.is_none();
    let what = match table {
        _ if is_new_table => format!("unknown table '{name}'"),
        Some(table) => format!("unknown key '{name}' in [{table}]"),
        None => format!("unknown key '{name}'"),
    };
    let wanted = name.replace('_', "-").to_lowercase();
    if is_new_table {
        let mut there: Vec<&str> = others.iter().map(String::as_str).collect();
        tables().for_each(|it| there.push(it));
        let near = nearest(&wanted, there.iter().map(|it| (*it, (*it).to_owned())));
        return say(&what, near, &there);
    }
    let is_own = |key: &&OptionKey| key.table == table && key.long == wanted;
    if let Some(key) = keys.iter().find(is_own) {
        return say(&what, Some(key.name.clone()), &[]);
    }
    let is_it = |key: &&OptionKey| key.table != table && (key.name == wanted || key.long == wanted);
    if let Some(key) = keys.iter().find(is_it) {
        return match key.table {
            Some(table) => format!("{what}: it belongs into the table [{table}]"),
            None => format!("{what}: it belongs at the head of the file, before all tables"),
        };
    }
    let here = |key: &&OptionKey| key.table == table;
    let words = keys.iter().map(|key| {
        let told = if here(&key) {
            key.name.clone()
        } else {
            key.path()
        };
        (key.name.as_str(), told)
    });
    let there: Vec<&str> = keys
        .iter()
        .filter(here)
        .map(|it| it.name.as_str())
        .collect();
    say(&what, nearest(&wanted, words), &there)
}

/// Of words, and how each of them is told.
pub(in crate::config) fn nearest<'a>(
    wanted: &str,
    words: impl Iterator<Item = (&'a str, String)>,
) -> Option<String> {
    words
        .map(|(word, told)| (strsim::jaro_winkler(word, wanted), told))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, told)| told)
}

fn say(what: &str, near: Option<String>, there: &[&str]) -> String {
    match near {
        Some(meant) => format!("{what}: did you mean '{meant}'?"),
        None => format!("{what}: there are {}", there.join(", ")),
    }
}
