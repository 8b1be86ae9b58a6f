//! What a handler may do for its client, as it asks a policy, and what it is given to read.

use serde_json::json;

use crate::app::call::Outcome;
use crate::app::{Context, Error, NoArguments, Toolkit};
use crate::mcp::types::ResourceTemplate;
use crate::principal::{Action, Decision, ListKind};
use crate::testing::TestServer;

/// A rule for the one is none for the other, if an application tells them apart.
#[test]
fn a_resource_that_is_read_by_another_spelling_than_rules_were_compared_with() {
    let notes = ResourceTemplate::new("notes://{who}/{+path}", "Notes");
    let app = Toolkit::new("t", "1").resource_template(notes, |variables, _| async move {
        format!("{} {}", variables.value("who"), variables.value("path"))
    });
    let server = TestServer::new(app);
    for client in server.both_eras() {
        let client = client.policy(|_, _| Decision::Allow);
        for spelling in [
            "notes://ALICE/x",
            "NOTES://alice/y/../%78",
            "notes://%41lice/./x",
        ] {
            let read = client.read_resource(spelling).expect("it is read");
            assert_eq!(read.contents[0].as_text(), Some("alice x"), "{spelling}");
        }
        let fault = client.read_resource("no uri").expect_err("it is none");
        assert!(fault.message.contains("RFC 3986"), "{fault}");
    }
}

/// In the words for what nobody has.
#[test]
fn a_handler_that_asks_and_is_told_in_other_words() {
    let ask = |_: NoArguments, context: Context| async move {
        let mut said = Vec::new();
        for action in [
            Action::CallTool("x"),
            Action::GetPrompt("x"),
            Action::ReadResource("a:x"),
            Action::Remove("a:x"),
        ] {
            said.push(context.may(action).expect_err("it may not").to_string());
        }
        context.may(Action::List(ListKind::Tools))?;
        Ok::<_, Error>(said.join(", "))
    };
    let server = TestServer::new(Toolkit::new("t", "1").tool("ask", "", ask));
    for (client, code) in server.both_eras().into_iter().zip([-32002, -32602]) {
        let client = client.policy(|_, action| match action {
            Action::List(_) => Decision::Allow,
            _ => Decision::Unknown,
        });
        let result = client.call_tool("ask", json!({})).expect("a result");
        let expected = format!(
            "Unknown tool: x (-32602), Unknown prompt: x (-32602), Resource not found: a:x ({code}), \
             Resource not found: a:x ({code})"
        );
        assert_eq!(result.first_text(), Some(&*expected));
    }
}

#[test]
fn a_scope_that_is_missing_and_becomes_a_failure_of_the_tool() {
    let ask = |_: NoArguments, context: Context| async move {
        context.may(Action::Publish("a:x"))?;
        Ok::<_, Error>("done")
    };
    let server = TestServer::new(Toolkit::new("t", "1").tool("ask", "", ask));
    for client in server.both_eras() {
        let client = client.policy(|_, _| Decision::MissingScope("a b"));
        let outcome = client.round("tools/call", json!({"name": "ask", "arguments": {}}));
        assert!(matches!(outcome, Outcome::MissingScope { scopes } if scopes == "a b"));
    }
}
