//! One name, one meaning: no type is called as one of another module is. What a test or a function has for itself, and
//! a trait's associated types, do not count.

use std::collections::BTreeMap;

use super::{Source, no_faults, sources};

/// Names that stand in two modules for all that, and why.
const ALLOWED: [(&str, &str); 0] = [];

/// Each of these files stands in another one's place where a feature is missing, and has its names.
const STAND_INS: [&str; 7] = [
    "src/node/alone.rs",
    "src/shard/engine/no_rights.rs",
    "src/shard/http/unasked.rs",
    "src/node/unattended.rs",
    "src/node/uncounted.rs",
    "src/node/unexported.rs",
    "src/runtime/no_spans.rs",
];

const KEYWORDS: [&str; 5] = ["struct ", "enum ", "trait ", "type ", "union "];

/// The type that a line defines, outside of functions and blocks: such a line begins at its left.
fn defined(line: &str) -> Option<&str> {
    let line = match line.strip_prefix("pub") {
        Some(rest) => match rest.strip_prefix('(') {
            Some(rest) => rest.split_once(") ")?.1,
            None => rest.trim_start(),
        },
        None => line,
    };
    let line = line.strip_prefix("unsafe ").unwrap_or(line);
    let rest = KEYWORDS.iter().find_map(|word| line.strip_prefix(word))?;
    let end = rest.find(|char: char| !char.is_alphanumeric() && char != '_');
    Some(&rest[..end.unwrap_or(rest.len())])
}

fn twice(sources: &[Source]) -> Vec<String> {
    let mut places: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let counted = |source: &&Source| !STAND_INS.contains(&source.path.as_str());
    for source in sources.iter().filter(counted) {
        for (number, line) in source.lines() {
            if let Some(name) = defined(line) {
                let place = format!("{}:{number}", source.path);
                places.entry(name).or_default().push(place);
            }
        }
    }
    let is_allowed = |name: &str| ALLOWED.iter().any(|(allowed, _)| *allowed == name);
    let faults = places
        .into_iter()
        .filter(|(name, places)| places.len() > 1 && !is_allowed(name));
    faults
        .map(|(name, places)| format!("{name} has two meanings: {}", places.join(", ")))
        .collect()
}

#[test]
fn a_name_that_stands_for_two_types() {
    no_faults(&twice(&sources(&["src"])));
}

#[test]
fn a_second_meaning_that_is_not_seen() {
    let source = |path: &str, text: &str| Source {
        path: path.into(),
        text: text.into(),
    };
    for second in [
        "struct State {",
        "pub enum State<T> {",
        "pub(super) type State = u8;",
        "pub(in crate::app) trait State {",
    ] {
        let sources = [
            source("src/wire/a.rs", "pub(super) struct State;"),
            source("src/wire/b.rs", second),
        ];
        let faults = twice(&sources);
        assert_eq!(faults.len(), 1, "{second}");
        assert!(faults[0].contains("src/wire/a.rs:1, src/wire/b.rs:1"));
    }
    for other in [
        "    type State = u8;",
        "    struct State;",
        "// struct State",
        "struct States;",
        "#[cfg(test)]\nstruct State;",
    ] {
        let sources = [
            source("src/wire/a.rs", "struct State;"),
            source("src/wire/b.rs", other),
        ];
        assert!(twice(&sources).is_empty(), "{other}");
    }
}
