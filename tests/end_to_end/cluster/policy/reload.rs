//! SIGHUP: a right is taken away and one is given, while sessions and streams are open; and files with mistakes.

use serde_json::json;

use super::{BOTH, Site, expect_done, expect_missing};
use crate::server::App;

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
    assert_eq!(visitor.list("tools"), [""; 0]);
    site.stop();
}
