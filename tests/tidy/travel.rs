//! State that travels is taken apart field by field: a new field does not compile before somebody has decided what becomes of
//! it on the way.

use std::fs;

use super::{Source, no_faults, root, sources};

/// Each entry of a shard that travels, and where it is taken apart; and all that owns such entries, with a line for each part of
/// it: by that it travels, or why it does not.
const TAKEN_APART: [(&str, &[&str]); 17] = [
    ("shard/freeze.rs", &["FrozenShard"]),
    ("shard/travel.rs", &["Shard"]),
    ("node/travel.rs", &["NodeInner"]),
    ("shard/engine/position.rs", &["Engine", "CorePosition"]),
    (
        "shard/engine/view/travel.rs",
        &["Records", "EndedRow", "PackedRecords", "PackedEnded"],
    ),
    ("shard/http/travel.rs", &["Http"]),
    (
        "shard/http/partial/travel.rs",
        &[
            "Partial",
            "PackedPartial",
            "Sender",
            "Refused",
            "PackedIdentity",
            "PackedRefusal",
        ],
    ),
    (
        "forward/travel.rs",
        &["Passage", "Forwarder", "TravellingStream"],
    ),
    (
        "forward/relay.rs",
        &["Relay", "RelayExtras", "TravellingRelay"],
    ),
    ("runtime/standstill.rs", &["CoreState"]),
    ("runtime/core_loop/travel.rs", &["Core"]),
    ("runtime/forward/travel.rs", &["Forwarding"]),
    (
        "clients/travel.rs",
        &["Commons", "Clients", "ClientEntry", "UsedRates"],
    ),
    ("shard/engine/travel.rs", &["Session", "PackedSession"]),
    (
        "shard/engine/stream/travel.rs",
        &[
            "Stream",
            "EventQueue",
            "QueuedEvent",
            "OutgoingMessage",
            "PackedStream",
        ],
    ),
    (
        "shard/engine/fanout/travel.rs",
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
        "shard/http/connection/travel.rs",
        &["Connection", "PackedConnection", "PackedUnderWay"],
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
        let text = fs::read_to_string(root().join("src").join(path)).expect("it is there");
        for name in types {
            if !text.contains(&format!("let {name} {{")) {
                faults.push(format!("{path} takes no {name} apart"));
            }
        }
    }
    let travels = |source: &Source| source.path.ends_with("/travel.rs");
    for source in sources(&["src"]).iter().filter(|it| travels(it)) {
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
