//! SIGHUP: a right is taken away and one is given, while sessions and streams are open; and files with mistakes.

use serde_json::json;

use super::{BOTH, Site, Speaks, expect_done, expect_missing, wait_until};
use crate::cluster::node::Node;
use crate::program::scratch_folder;
use crate::server::{App, Placement};

const RULES_CHANGED: &str = "other rules of the policy hold";
const AS_IT_WAS: &str = "everything stays as it was";
const TOOLS_CHANGED: &str = "notifications/tools/list_changed";

const BEFORE: &str = "[policy]\nread = 'board:read'\n[policy.tools]\n'remove' = 'board:admin'\n";
const AFTER: &str = "[policy]\nread = 'board:read'\n[policy.tools]\n'remove' = 'board:read'\n'post' = 'board:admin'\n";

#[test]
fn a_right_that_is_taken_away_and_is_used_all_the_same() {
    let site = Site::start("policy/taken", App::Board, BEFORE);
    let visitors = BOTH.map(|speaks| site.visitor(speaks, "alice", "board:read"));
    let mut streams: Vec<_> = visitors.iter().map(|it| it.listens(&[])).collect();
    for visitor in &visitors {
        expect_done(&visitor.post("board://lunch", "soup"));
        assert_eq!(visitor.list("tools"), ["post"]);
        let removed = visitor.call("remove", &json!({"uri": "board://lunch"}));
        expect_missing(&removed, "board:admin");
    }
    site.rewrite(AFTER, RULES_CHANGED);
    assert!(
        site.home()
            .log()
            .contains("tools.\"post\", tools.\"remove\""),
        "{}",
        site.home().log()
    );
    for (visitor, stream) in visitors.iter().zip(&mut streams) {
        stream.wait_to_hear(TOOLS_CHANGED);
        assert_eq!(visitor.list("tools"), ["remove"]);
        expect_missing(&visitor.post("board://lunch", "salad"), "board:admin");
    }
    let removed = visitors[0].call("remove", &json!({"uri": "board://lunch"}));
    expect_done(&removed);
    site.stop();
}

#[test]
fn a_file_with_a_mistake_that_changes_something() {
    let site = Site::start("policy/mistake", App::Board, BEFORE);
    let visitor = site.visitor(BOTH[1], "alice", "board:read");
    for (wrong, told) in [
        (
            "[policy]\nread = 'board:read'\nraed = 'anyone'\n",
            ":3:1: unknown field `raed`",
        ),
        ("policy = 'none'\n", ":1:10: unknown variant `none`"),
        (
            "[policy.tools]\n'a' = 'b\\c'\n",
            ":2:7: the policy names the scope",
        ),
        ("[policy]\ndefault = 'anyone'\n[policy\n", ":3:"),
    ] {
        site.rewrite(wrong, AS_IT_WAS);
        assert!(
            site.home().log().contains(told),
            "{told}: {}",
            site.home().log()
        );
        let removed = visitor.call("remove", &json!({"uri": "board://lunch"}));
        expect_missing(&removed, "board:admin");
        assert!(!site.home().log().contains(RULES_CHANGED));
    }
    // The same again is no change.
    site.rewrite(BEFORE, "SIGHUP: ");
    site.rewrite("policy = 'read-only'\n", RULES_CHANGED);
    wait_until("no tool is listed", || visitor.list("tools").is_empty());
    site.stop();
}

/// Each node reads its own file: what one of them has read is no news at another one.
#[test]
fn clients_of_another_node_that_are_told_of_a_reload() {
    let site = Site::start_nodes("policy/other_node", &["a", "b"], App::Board, BEFORE);
    let here = site.visitor(Speaks::Modern, "alice", "board:read");
    let there = site.visitor_of(&site.nodes[1], Speaks::Modern, "alice", "board:read");
    let mut heard_here = here.listens(&["board://last"]);
    let mut heard_there = there.listens(&["board://last"]);
    site.rewrite(AFTER, RULES_CHANGED);
    heard_here.wait_to_hear(TOOLS_CHANGED);
    site.home().publish(&json!({"uri": "board://last"}));
    heard_there.wait_to_hear("notifications/resources/updated board://last");
    assert!(!heard_there.has_heard(TOOLS_CHANGED));
    assert_eq!(there.list("tools"), ["post"]);
    assert_eq!(here.list("tools"), ["remove"]);
    site.stop();
}

/// A node that asks nobody anything has no place for a policy.
#[test]
fn a_policy_that_seems_to_be_in_force() {
    let scratch = scratch_folder("policy/no_place");
    let file = scratch.join("pinfold.toml");
    let write = |text: &str| std::fs::write(&file, text).expect("a file can be written");
    write("log = 'info'\n");
    let path = file.display().to_string();
    let (app, placed) = (App::Board, Placement::OneCore);
    let mut node = Node::start_placed("a", app, placed, None, &["--config", &path], &scratch);
    for (policy, key) in [
        ("policy = 'read-only'\n", "key=\"policy\""),
        ("[policy.tools]\n'post' = 'nobody'\n", "key=\"policy\""),
    ] {
        let told = || {
            let log = node.log();
            let lines = log.lines().filter(|it| it.contains("wants a restart"));
            lines.filter(|it| it.contains(key)).count()
        };
        let before = told();
        write(policy);
        node.reload();
        wait_until("the log says so", || told() > before);
    }
    assert!(!node.log().contains(RULES_CHANGED), "{}", node.log());
    node.stop().unwrap_or_else(|fault| panic!("{fault}"));
}
