//! What the project's documents point at is there: links between them, headings, files that they or comments name.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::{Source, files, no_faults, root, sources};

/// Where a path in backticks or brackets begins that is one of ours.
const FOLDERS: [&str; 7] = [
    "src/",
    "tests/",
    "bench/",
    "deploy/",
    "docs/",
    "examples/",
    "fuzz/",
];

/// What is installed or made, and what others wrote.
const NOT_OURS: [&str; 5] = ["target", "node_modules", ".tools", ".git", "record"];

fn documents() -> Vec<Source> {
    files(&[""], "md", &NOT_OURS)
}

/// Lines that are no code, numbered from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_code = false;
    let lines = text.lines().enumerate().filter(move |(_, line)| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_fence && !is_code
    });
    lines.map(|(index, line)| (index + 1, line))
}

/// `[text](target)` and `![text](target)`, but for the web and for rustdoc's own paths.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let targets = line
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://") && !target.contains("::"))
}

/// As the sites that show Markdown name a heading.
fn anchor_of(heading: &str) -> String {
    let kept = heading
        .trim_start_matches('#')
        .trim()
        .to_lowercase()
        .replace(' ', "-");
    kept.chars()
        .filter(|char| char.is_alphanumeric() || ['-', '_'].contains(char))
        .collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter(|(_, line)| line.starts_with('#'));
    headings.map(|(_, line)| anchor_of(line)).collect()
}

fn leads_nowhere(document: &Source, target: &str) -> bool {
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let folder = Path::new(&document.path).parent().unwrap_or(Path::new(""));
    let path = root().join(folder).join(file);
    let text = match file {
        "" => Some(document.text.clone()),
        _ if !path.exists() => return true,
        _ => fs::read_to_string(&path).ok(),
    };
    !anchor.is_empty() && text.is_none_or(|text| !anchors(&text).contains(anchor))
}

/// Files of ours that a text names, without what has a place to be filled in.
fn named_files(line: &str) -> impl Iterator<Item = &str> {
    let words = line.split(['`', '(', ')', ' ', ',', ';', '|']);
    let paths = words.filter(|word| FOLDERS.iter().any(|folder| word.starts_with(folder)));
    let paths = paths.map(|word| word.trim_end_matches(['.', ':', '/']));
    paths.filter(|path| {
        let is_pattern = path.contains(['{', '<', '*', '…', '$']);
        let is_ours = |part: &str| !NOT_OURS.contains(&part);
        !is_pattern && path.split('/').all(is_ours)
    })
}

fn misses_a_file(path: &str) -> bool {
    // A place in it: `src/limits.rs:17`, `deploy/README.md#options`. Links are followed by a test of their own.
    let file = path.split([':', '#']).next().unwrap_or(path);
    !root().join(file).exists()
}

#[test]
fn a_link_that_leads_nowhere() {
    let mut faults = Vec::new();
    for document in documents() {
        for (number, line) in prose(&document.text) {
            for target in links(line).filter(|target| leads_nowhere(&document, target)) {
                faults.push(format!("{}:{number}: {target}", document.path));
            }
        }
    }
    no_faults(&faults);
}

#[test]
fn a_document_or_a_comment_that_names_a_file_which_is_not_there() {
    let mut faults = Vec::new();
    for document in documents() {
        for (number, line) in prose(&document.text) {
            for path in named_files(line).filter(|path| misses_a_file(path)) {
                faults.push(format!("{}:{number}: {path}", document.path));
            }
        }
    }
    for source in sources(&["src", "tests", "examples"]) {
        let lines = source.text.lines().enumerate();
        let comments = lines.filter(|(_, line)| line.trim_start().starts_with("//"));
        for (index, line) in comments {
            for path in named_files(line).filter(|path| misses_a_file(path)) {
                faults.push(format!("{}:{}: {path}", source.path, index + 1));
            }
        }
    }
    no_faults(&faults);
}

#[test]
fn a_decision_that_nobody_finds() {
    let folder = root().join("docs/decisions");
    let list = fs::read_to_string(folder.join("README.md")).expect("a list of decisions");
    let mut faults = Vec::new();
    for entry in fs::read_dir(folder).expect("a readable directory") {
        let name = entry.expect("a readable directory").file_name();
        let name = name.to_string_lossy();
        if name != "README.md" && !list.contains(&format!("({name})")) {
            faults.push(format!("docs/decisions/README.md does not have {name}"));
        }
    }
    no_faults(&faults);
}

#[test]
fn a_rule_about_documents_that_lets_its_fault_pass() {
    let document = Source {
        path: "docs/decisions/README.md".into(),
        text: "# Why: one, two\n".into(),
    };
    for target in [
        "planted.md",
        "../../planted",
        "#planted",
        "../../README.md#planted",
    ] {
        assert!(leads_nowhere(&document, target), "{target}");
    }
    for target in ["#why-one-two", "../../README.md#words", "../../src"] {
        assert!(!leads_nowhere(&document, target), "{target}");
    }
    let line =
        "See [a](x.md), `src/planted.rs`, (tests/planted) and bench/record/*, [b](https://c.d).";
    assert_eq!(links(line).collect::<Vec<_>>(), ["x.md"]);
    assert_eq!(
        named_files(line).collect::<Vec<_>>(),
        ["src/planted.rs", "tests/planted"]
    );
    assert!(named_files(line).all(misses_a_file));
}
