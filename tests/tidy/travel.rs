//! State that travels is taken apart field by field: a new field does not compile before somebody has decided what becomes of
//! it on the way.

use std::fs;

use super::{Source, no_faults, root, sources};

/// Each entry of a shard that travels, and where it is taken apart.
const TAKEN_APART: [(&str, &[&str]); 4] = [
    ("engine/travel.rs", &["Session", "PackedSession"]),
    (
        "engine/stream/travel.rs",
        &[
            "Stream",
            "EventQueue",
            "QueuedEvent",
            "OutgoingMessage",
            "PackedStream",
        ],
    ),
    (
        "engine/fanout/travel.rs",
        &[
            "Listener",
            "Grant",
            "HeldRights",
            "OwnNames",
            "Subscription",
            "TopicEntry",
            "PackedListener",
            "PackedGrant",
        ],
    ),
    (
        "http/connection/travel.rs",
        &["Connection", "PackedConnection"],
    ),
];

/// Fields that are left out, or come from somewhere else.
fn leaves_out(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("..") || line.contains(", .. }") || line.contains("{ .. }")
}

#[test]
fn a_field_that_is_lost_on_the_way() {
    let mut faults = Vec::new();
    for (path, types) in TAKEN_APART {
        let text = fs::read_to_string(root().join("src/shard").join(path)).expect("it is there");
        for name in types {
            if !text.contains(&format!("let {name} {{")) {
                faults.push(format!("{path} takes no {name} apart"));
            }
        }
    }
    let travels = |source: &Source| source.path.ends_with("/travel.rs");
    for source in sources(&["src/shard"]).iter().filter(|it| travels(it)) {
        let lines = source.lines().filter(|(_, line)| leaves_out(line));
        faults.extend(lines.map(|(number, line)| format!("{}:{number}: {line}", source.path)));
    }
    no_faults(&faults);
}

#[test]
fn a_field_that_is_left_out_and_not_seen() {
    for line in [
        "    ..",
        "..Session::new()",
        "let Timer { .. } = it;",
        "let A { b, .. } = c;",
    ] {
        assert!(leaves_out(line), "{line}");
    }
    for line in ["(0..connections)", "let all = first..;", "timer: _,"] {
        assert!(!leaves_out(line), "{line}");
    }
}
