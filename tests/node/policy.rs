//! A policy as a program of one's own has it: from the start, another one later, and one that cannot be.

use pinfold::app::{Context, Error, NoArguments, Toolkit};
use pinfold::{Action, Authenticator, Identity, Need, Node, PolicySettings, Presented, Preset};
use serde_json::json;

use crate::client::{Session, named, small, wait_until};

/// A tool that asks for more than its name says.
fn asking() -> Toolkit {
    async fn publish(_: NoArguments, context: Context) -> Result<&'static str, Error> {
        context.may(Action::Publish("own://name"))?;
        Ok("published")
    }
    named("asking")().tool("publish", "Publishes.", publish)
}

/// Everybody is Alice, who has one scope.
fn node(policy: impl Into<PolicySettings>) -> Node {
    let everybody =
        |_: Presented| async { Ok(Identity::new("my-users", "alice").with_scopes("own:read")) };
    let builder = small(Node::builder(asking));
    let builder = builder.authenticate(Authenticator::hook(everybody));
    builder.policy(policy).start().expect("it starts")
}

fn stop(node: &Node) {
    node.stop();
    node.join_blocking().expect("it ends");
}

fn writing(scope: &str) -> PolicySettings {
    PolicySettings {
        publish: Some(Need::scopes(scope)),
        ..PolicySettings::default()
    }
}

#[test]
fn a_right_that_is_taken_away_while_the_node_runs() {
    let node = node(Preset::Open);
    let session = Session::open(node.address());
    let publish = || session.call("tools/call", &json!({"name": "publish", "arguments": {}}));
    let is_published = || publish()["result"]["content"][0]["text"] == "published";
    assert!(is_published());
    // A core hears of it when its turn comes.
    node.set_policy(writing("own:write")).expect("it is sound");
    wait_until("the right is gone", || !is_published());
    let told = publish();
    assert_eq!(
        told["error"]["data"]["reason"], "insufficient_scope",
        "{told}"
    );
    assert_eq!(session.whoami(), "asking");
    node.set_policy(writing("own:read")).expect("it is sound");
    wait_until("it is there again", is_published);
    node.set_policy(Preset::ReadOnly).expect("it is sound");
    wait_until("no tool is listed", || {
        session.call("tools/list", &json!({}))["result"]["tools"] == json!([])
    });
    stop(&node);
}

#[test]
fn clients_that_do_not_hear_of_other_rules() {
    let node = node(Preset::ReadOnly);
    let session = Session::open(node.address());
    let mut stream = session.stream();
    node.set_policy(Preset::Open).expect("it is sound");
    let heard = stream.next().expect("a notification");
    assert_eq!(
        heard["method"], "notifications/tools/list_changed",
        "{heard}"
    );
    assert_eq!(session.whoami(), "asking");
    stop(&node);
}

#[test]
fn a_policy_that_cannot_be() {
    let bad = writing("own:\"write\"");
    let builder = small(Node::builder(asking)).policy(bad.clone());
    let told = builder.start().expect_err("it does not start").to_string();
    let sentence = "the policy names the scope \"own:\"write\"\", which is none";
    assert!(told.contains(sentence), "{told}");
    let node = node(Preset::ReadOnly);
    let told = node.set_policy(bad).expect_err("it is none");
    assert!(told.contains(sentence), "{told}");
    let session = Session::open(node.address());
    let listed = session.call("tools/list", &json!({}));
    assert_eq!(listed["result"]["tools"], json!([]), "it is as it was");
    stop(&node);
}

#[test]
fn a_policy_for_a_node_that_asks_nobody() {
    let node = small(Node::builder(asking)).start().expect("it starts");
    let told = node.set_policy(Preset::ReadOnly).expect_err("no place");
    assert!(told.contains("without authentication"), "{told}");
    assert_eq!(Session::open(node.address()).whoami(), "asking");
    stop(&node);
    let builder = small(Node::builder(asking)).policy(writing("own:write"));
    let told = builder.start().expect_err("nobody has the scope");
    assert!(told.to_string().contains("nobody is asked who they are"));
    let builder = small(Node::builder(asking)).policy(Preset::ReadOnly);
    let node = builder.start().expect("it starts");
    let session = Session::open(node.address());
    let told = session.call("tools/call", &json!({"name": "whoami", "arguments": {}}));
    assert_eq!(told["error"]["message"], "Unknown tool: whoami", "{told}");
    node.set_policy(Preset::Open).expect("it is sound");
    let told = node.set_policy(writing("own:write"));
    assert!(told.is_err_and(|it| it.contains("nobody is asked who they are")));
    wait_until("everybody may call it", || session.whoami() == "asking");
    stop(&node);
}
