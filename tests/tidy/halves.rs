//! The two halves of a shard know nothing of each other but what stands between them.

use std::fs;

use super::{no_faults, root, sources};

/// The two halves of a shard, each with what it must not name: the other half, and what that one is about.
const HALVES: [(&str, &[&str]); 2] = [
    (
        "src/shard/http/",
        &[
            "engine",
            "SessionKey",
            "StreamKey",
            "CallKey",
            "ListenerKey",
            "json_rpc::",
        ],
    ),
    (
        "src/shard/engine/",
        &[
            "http::",
            "::http",
            "Connection<",
            "HeadView",
            "wire::http1",
            "wire::response",
            "wire::chunked",
        ],
    ),
];

/// Where both are known, and one is handed what the other gives.
const ABOVE_BOTH: [&str; 4] = [
    "src/shard/mod.rs",
    "src/shard/effect.rs",
    "src/shard/setup.rs",
    "src/shard/travel.rs",
];

#[test]
fn a_half_of_the_shard_that_knows_the_other() {
    let mut faults = Vec::new();
    for source in sources(&["src/shard"]) {
        let own = HALVES
            .iter()
            .find(|(half, _)| source.path.starts_with(half));
        let forbidden: Vec<&str> = match own {
            Some((_, forbidden)) => forbidden.to_vec(),
            None if ABOVE_BOTH.contains(&source.path.as_str()) => continue,
            // What both share knows neither.
            None => vec!["engine::", "http::", "::engine", "::http;"],
        };
        for (number, line) in source.lines() {
            for word in forbidden.iter().filter(|word| line.contains(**word)) {
                faults.push(format!("{}:{number}: {word}", source.path));
            }
        }
    }
    no_faults(&faults);
}

#[test]
fn a_half_of_the_shard_with_a_field_that_others_see() {
    let mut faults = Vec::new();
    for (half, name) in [("http", "Http<"), ("engine", "Engine ")] {
        let path = root().join(format!("src/shard/{half}/mod.rs"));
        let text = fs::read_to_string(path).expect("a half has a mod.rs");
        let begins = format!("pub(super) struct {name}");
        let fields = text
            .split(&begins)
            .nth(1)
            .and_then(|it| it.split("\n}").next());
        let fields = fields.expect("it has its state there");
        let seen = fields.lines().filter(|line| line.trim().starts_with("pub"));
        faults.extend(seen.map(|line| format!("{half}: {}", line.trim())));
    }
    no_faults(&faults);
}
