//! The table of methods against the specification's own list of each revision (its `schema.ts`: all that has a `method`).

use std::collections::BTreeSet;

use pinfold::mcp::{MethodRole, ProtocolVersion, RpcMethod};

const OF_EVERY_REVISION: [&str; 18] = [
    "tools/list",
    "tools/call",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "prompts/list",
    "prompts/get",
    "completion/complete",
    "sampling/createMessage",
    "roots/list",
    "notifications/cancelled",
    "notifications/progress",
    "notifications/message",
    "notifications/tools/list_changed",
    "notifications/prompts/list_changed",
    "notifications/resources/list_changed",
    "notifications/resources/updated",
    // Not of every one, but where it is not, no client declares what it needs.
    "elicitation/create",
];

const LEGACY: [&str; 7] = [
    "initialize",
    "ping",
    "logging/setLevel",
    "resources/subscribe",
    "resources/unsubscribe",
    "notifications/initialized",
    "notifications/roots/list_changed",
];

/// Methods that a revision adds to those above.
const MORE: [(&str, &[&str]); 2] = [
    (
        "2025-11-25",
        &[
            "tasks/get",
            "tasks/result",
            "tasks/list",
            "tasks/cancel",
            "notifications/tasks/status",
            "notifications/elicitation/complete",
        ],
    ),
    (
        "2026-07-28",
        &[
            "server/discover",
            "subscriptions/listen",
            "notifications/subscriptions/acknowledged",
        ],
    ),
];

/// What pinfold has no word for, and why it need not.
const NOT_SPOKEN: [(&str, &str); 5] = [
    (
        "notifications/roots/list_changed",
        "roots are asked for anew whenever a handler wants them",
    ),
    (
        "notifications/elicitation/complete",
        "optional; nothing here learns that a page was filled in",
    ),
    ("notifications/tasks/status", "optional, and experimental"),
    (
        "tasks/result",
        "experimental, and no extension of 2026-07-28 has it",
    ),
    (
        "tasks/list",
        "experimental, and no extension of 2026-07-28 has it",
    ),
];

/// Of an extension: no schema of the specification has it, or only one's experiment.
const OF_TASKS: [&str; 3] = ["tasks/get", "tasks/update", "tasks/cancel"];

fn specified(version: ProtocolVersion) -> BTreeSet<&'static str> {
    let mut all: BTreeSet<&str> = OF_EVERY_REVISION.into();
    if version <= ProtocolVersion::V2025_03_26 {
        all.remove("elicitation/create");
    }
    if version != ProtocolVersion::V2026_07_28 {
        all.extend(LEGACY);
    }
    let more = MORE.iter().filter(|(name, _)| *name == version.as_str());
    all.extend(more.flat_map(|(_, methods)| methods.iter().copied()));
    all
}

#[test]
fn a_method_that_a_revision_has_and_the_table_has_not_or_the_other_way_round() {
    let of_tasks: BTreeSet<&str> = OF_TASKS.into();
    for version in ProtocolVersion::ALL {
        let mut expected = specified(version);
        for (method, _) in NOT_SPOKEN {
            expected.remove(method);
        }
        let known: BTreeSet<&str> = RpcMethod::ALL
            .iter()
            .filter(|it| it.is_of(version))
            .map(|it| it.name())
            .collect();
        let expected: BTreeSet<&str> = expected.union(&of_tasks).copied().collect();
        assert_eq!(known, expected, "{}", version.as_str());
    }
}

#[test]
fn a_reason_for_a_method_that_no_revision_has_or_that_is_spoken() {
    for (method, _) in NOT_SPOKEN {
        let is_specified = |version| specified(version).contains(method);
        assert!(
            ProtocolVersion::ALL.into_iter().any(is_specified),
            "{method}"
        );
        assert_eq!(RpcMethod::of(method), None);
    }
}

/// Multi round-trip requests, "Supported Requests": these three and no others.
#[test]
fn a_method_that_asks_the_client_and_may_not() {
    let mut asking: Vec<&str> = RpcMethod::ALL
        .iter()
        .filter(|it| it.may_ask())
        .map(|it| it.name())
        .collect();
    asking.sort_unstable();
    assert_eq!(asking, ["prompts/get", "resources/read", "tools/call"]);
    for method in RpcMethod::ALL {
        assert!(!method.may_ask() || method.role() == MethodRole::Application);
    }
}
