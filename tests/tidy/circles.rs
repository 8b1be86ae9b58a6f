//! No circle among modules: what a file names by `crate::`, `super::` or `self::` is an arrow to another file, and
//! whoever follows the arrows never comes back. An arrow to a module that a file is inside of does not count: a room's
//! `mod.rs` says what the room has, and its files use that.

use std::collections::{BTreeMap, BTreeSet};

use super::{Source, no_faults, sources};

/// Which modules each module names.
type Arrows = BTreeMap<String, BTreeSet<String>>;

/// `shard::engine::fanout` for `src/shard/engine/fanout/mod.rs`.
fn module_of(path: &str) -> String {
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
    inner.trim_end_matches("/mod").replace('/', "::")
}

fn arrows(sources: &[Source]) -> Arrows {
    let is_module = |source: &&Source| !["lib", "main", "internals"].contains(&source.module());
    let modules: BTreeSet<String> = sources
        .iter()
        .filter(is_module)
        .map(|source| module_of(&source.path))
        .collect();
    let arrows_of = |source: &Source| {
        let own = module_of(&source.path);
        let code: Vec<&str> = source.lines().map(|(_, line)| line).collect();
        let named = paths(&code.join("\n"));
        let targets = named.iter().filter_map(|path| target(&own, path, &modules));
        let is_inside = |of: &String| own == *of || own.starts_with(&format!("{of}::"));
        let targets = targets.filter(|target| !is_inside(target)).collect();
        (own, targets)
    };
    sources.iter().filter(is_module).map(arrows_of).collect()
}

/// The module that a path leads to, as seen from another one.
fn target(own: &str, path: &str, modules: &BTreeSet<String>) -> Option<String> {
    let mut at: Vec<&str> = match path.starts_with("crate") {
        true => Vec::new(),
        false => own.split("::").collect(),
    };
    let mut steps = path.split("::").peekable();
    while let Some(step) = steps.next_if(|step| ["crate", "self", "super"].contains(step)) {
        if step == "super" {
            at.pop();
        }
    }
    for step in steps {
        at.push(step);
        if !modules.contains(&at.join("::")) {
            at.pop();
            break;
        }
    }
    Some(at.join("::")).filter(|module| modules.contains(module))
}

/// All that code names from one of the three roots, what stands in braces included.
fn paths(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for root in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(root) {
            let before = code[..at].chars().next_back();
            let is_start = before.is_none_or(|it| !it.is_alphanumeric() && !"_:".contains(it));
            if is_start {
                expand("", &code[at..], &mut found);
            }
        }
    }
    found
}

/// Reads one tree of a `use`, and returns what is behind it.
fn expand<'a>(prefix: &str, tree: &'a str, found: &mut Vec<String>) -> &'a str {
    let is_path = |char: char| char.is_alphanumeric() || char == '_' || char == ':';
    let tree = tree.trim_start();
    let end = tree.find(|char| !is_path(char)).unwrap_or(tree.len());
    let (path, mut rest) = tree.split_at(end);
    let path = format!("{prefix}{path}");
    let Some(inside) = rest.strip_prefix('{').filter(|_| path.ends_with("::")) else {
        found.push(path);
        return rest;
    };
    rest = inside;
    loop {
        rest = expand(&path, rest, found).trim_start();
        // Behind an `as`, or a glob.
        rest = rest.trim_start_matches(|char| !['{', '}', ',', ';'].contains(&char));
        match rest.strip_prefix(',') {
            Some(next) if !next.trim_start().starts_with('}') => rest = next,
            Some(next) => return next.trim_start().strip_prefix('}').unwrap_or(next),
            None => return rest.strip_prefix('}').unwrap_or(rest),
        }
    }
}

fn reachable(from: &str, arrows: &Arrows) -> BTreeSet<String> {
    let (mut seen, mut next) = (BTreeSet::new(), vec![from.to_owned()]);
    while let Some(module) = next.pop() {
        for target in arrows.get(&module).into_iter().flatten() {
            if seen.insert(target.clone()) {
                next.push(target.clone());
            }
        }
    }
    seen
}

/// Modules that reach each other, in groups.
fn circles(arrows: &Arrows) -> BTreeSet<BTreeSet<String>> {
    let reach: BTreeMap<&String, BTreeSet<String>> = arrows
        .keys()
        .map(|module| (module, reachable(module, arrows)))
        .collect();
    let group = |module: &String| {
        let both =
            |other: &&&String| reach[module].contains(**other) && reach[*other].contains(module);
        reach.keys().filter(both).map(|it| (*it).clone()).collect()
    };
    let in_one = |module: &&String| reach[*module].contains(*module);
    arrows.keys().filter(in_one).map(group).collect()
}

#[test]
fn a_room_that_cannot_be_understood_without_the_one_that_needs_it() {
    let circles = circles(&arrows(&sources(&["src"])));
    let told = |circle: &BTreeSet<String>| format!("a circle: {circle:?}");
    let faults: Vec<_> = circles.iter().map(told).collect();
    no_faults(&faults);
}

#[test]
fn a_circle_that_is_not_seen() {
    let source = |path: &str, text: &str| Source {
        path: path.into(),
        text: text.into(),
    };
    let sources = [
        source(
            "src/a/mod.rs",
            "mod one;\nmod two;\npub use self::one::One;",
        ),
        source(
            "src/a/one.rs",
            "use super::{B,\n    two::{self as other, Two}};",
        ),
        source("src/a/two.rs", "fn f() { crate::b::go(); }"),
        source("src/b.rs", "use crate::{a::One, c::*};"),
        source("src/c.rs", "// use crate::b;\nstruct C;"),
    ];
    let arrows = arrows(&sources);
    let named = |module: &str| Vec::from_iter(arrows[module].iter().map(String::as_str));
    assert_eq!(named("a::one"), ["a::two"]);
    assert_eq!(named("a::two"), ["b"]);
    assert_eq!(named("b"), ["a", "c"]);
    assert_eq!(named("c"), [""; 0]);
    let circle = ["a", "a::one", "a::two", "b"].map(str::to_owned);
    assert_eq!(circles(&arrows), BTreeSet::from([BTreeSet::from(circle)]));
}
