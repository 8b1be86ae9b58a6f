//! What each cargo feature brings along, and what it does not: the crates of a build, as cargo says.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Crates that only one part of pinfold needs, with the features that have it.
const NEEDED_BY: [(&str, &[&str]); 20] = [
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("toml", &["cli"]),
    ("ureq", &["auth", "otlp", "cli"]),
    ("ring", &["auth", "redis", "admin", "otlp", "cli"]),
    ("siphasher", &["auth", "cli"]),
    ("tracing-subscriber", &["cli"]),
    ("redis-protocol", &["redis", "cli"]),
    ("rustls-native-certs", &["redis", "auth", "otlp", "cli"]),
    // monoio-http asks for these two, whether it uses them or not.
    ("rustls", &["redis", "admin", "auth", "otlp", "cli"]),
    ("tokio", &["tokio", "admin", "cli"]),
    ("monoio-http", &["admin", "cli"]),
    ("monoio-codec", &["admin", "cli"]),
    ("http", &["admin", "auth", "otlp", "cli"]),
    ("subtle", &["admin", "redis", "auth", "otlp", "cli"]),
    ("prometheus", &["metrics", "admin", "redis", "cli"]),
    ("opentelemetry-proto", &["otlp"]),
    ("prost", &["otlp"]),
    ("monoio", &FEATURES),
];

const FEATURES: [&str; 8] = [
    "", "metrics", "admin", "auth", "redis", "otlp", "tokio", "cli",
];

fn crates_with(feature: &str) -> BTreeSet<String> {
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--package",
            "pinfold",
            "--edges",
            "normal",
            "--prefix",
            "none",
        ])
        .args(["--locked", "--offline", "--no-default-features"])
        .args(["--features", feature])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let said = String::from_utf8_lossy(&tree.stderr);
    assert!(tree.status.success(), "{said}");
    let lines = String::from_utf8(tree.stdout).expect("text");
    let name = |line: &str| line.split(' ').next().map(str::to_owned);
    lines.lines().filter_map(name).collect()
}

#[test]
fn a_crate_that_nobody_asked_for() {
    for feature in FEATURES {
        let crates = crates_with(feature);
        for (name, features) in NEEDED_BY {
            let (is, should) = (crates.contains(name), features.contains(&feature));
            assert_eq!(is, should, "{name} with the features [{feature}]");
        }
    }
}

/// The first column of the table of features.
fn told_in(text: &str) -> BTreeSet<String> {
    let table = text.split("| feature |").nth(1).expect("there is a table");
    let rows = table
        .lines()
        .skip(1)
        .map(|row| row.trim_start_matches("//! "));
    let rows = rows.take_while(|row| row.starts_with('|'));
    let name = |row: &str| row.split('`').nth(1).map(str::to_owned);
    rows.filter_map(name).collect()
}

#[test]
fn a_feature_that_no_document_tells_of() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(root.join(path)).expect("a file");
    let manifest = read("Cargo.toml");
    let features = manifest
        .split("[features]")
        .nth(1)
        .and_then(|rest| rest.split("\n[").next());
    let names = features.expect("it has features").lines();
    let names = names.filter_map(|line| Some(line.split_once(" = ")?.0.to_owned()));
    // The project's own.
    let of_users = |name: &String| !["default", "conformance", "internals"].contains(&&**name);
    let names: BTreeSet<String> = names.filter(of_users).collect();
    assert_eq!(names.len(), FEATURES.len() - 1);
    for document in ["src/lib.rs", "README.md"] {
        assert_eq!(told_in(&read(document)), names, "{document}");
    }
}
