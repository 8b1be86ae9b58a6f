//! What Alice is asked, and what goes to her and back: Eve answers, cancels, and brings it herself. And what is no misdeed.

use serde_json::{Value, json};

use super::super::node::Node;
use super::{Person, Site, at_both_nodes};

at_both_nodes! {
    answers_what_she_is_asked
    cancels_her_call
    brings_her_request_state
    comes_back_with_another_token_of_her_own
}

const STATE_TOOL: &str = "test_input_required_result_request_state";
const OTHER_STATE_TOOL: &str = "test_input_required_result_tampered_state";
const CALL: u32 = 7;

fn accepted(id: &Value, name: &str) -> Value {
    let content = json!({"username": name, "email": format!("{name}@example.org")});
    json!({"jsonrpc": "2.0", "id": id, "result": {"action": "accept", "content": content}})
}

/// Alice's call goes on when she answers herself, with what she says.
fn is_answered_by_alice(
    site: &Site,
    alice: &Person,
    session: &str,
    asked: &Value,
    mut messages: impl Iterator<Item = Value>,
) {
    let mine = alice.post(site.home(), session, &accepted(&asked["id"], "alice"));
    assert_eq!(mine.status, 202, "{mine:?}");
    let result = messages.next().expect("a result");
    let text = result["result"]["content"][0]["text"].as_str();
    assert!(
        text.is_some_and(|text| text.contains("action=accept") && text.contains("alice@")),
        "{result}"
    );
}

fn answers_what_she_is_asked(site: &Site, asked: &Node) {
    let (alice, eve) = (site.alice(), site.eve());
    let session = alice.open(site);
    let mut messages = alice.call(site.home(), &session, CALL, "test_elicitation");
    let question = messages.next().expect("a question");
    let forged = accepted(&question["id"], "eve");
    let told = eve.post(asked, &session, &forged);
    assert_eq!(told.status, 404, "{told:?}");
    // In a session of her own nobody has asked that.
    let own = eve.open(site);
    eve.post(asked, &own, &forged);
    is_answered_by_alice(site, &alice, &session, &question, messages);
}

fn cancels_her_call(site: &Site, asked: &Node) {
    let (alice, eve) = (site.alice(), site.eve());
    let session = alice.open(site);
    let mut messages = alice.call(site.home(), &session, CALL, "test_elicitation");
    let question = messages.next().expect("a question");
    let cancelled = json!({"jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": {"requestId": CALL, "reason": "because"}});
    let told = eve.post(asked, &session, &cancelled);
    assert_eq!(told.status, 404, "{told:?}");
    let own = eve.open(site);
    eve.post(asked, &own, &cancelled);
    is_answered_by_alice(site, &alice, &session, &question, messages);
}

/// What a node asks of somebody who calls this tool, and the state to bring back with the answer.
fn asked_state(person: &Person, node: &Node, tool: &str) -> Value {
    let call = json!({"name": tool, "arguments": {}});
    let answer = person.modern(node, "tools/call", tool, call);
    let question: Value = serde_json::from_str(&answer.body).expect("JSON");
    let state = question["result"]["requestState"].clone();
    assert!(state.is_string(), "{answer:?}");
    state
}

/// What a node gave Alice to bring back is hers, at whichever node. Eve is told what she is told of one of her own that belongs to
/// another request.
fn brings_her_request_state(site: &Site, asked: &Node) {
    let (alice, eve) = (site.alice(), site.eve());
    let bring = |person: &Person, state: &Value| {
        let answers = json!({"confirm": {"action": "accept", "content": {"ok": true}}});
        let call = json!({"name": STATE_TOOL, "arguments": {}, "inputResponses": answers, "requestState": state});
        person.modern(asked, "tools/call", STATE_TOOL, call)
    };
    let state = asked_state(&alice, site.home(), STATE_TOOL);
    let stolen = bring(&eve, &state);
    let of_another = bring(&eve, &asked_state(&eve, site.home(), OTHER_STATE_TOOL));
    assert!(of_another.body.contains("-32602"), "{of_another:?}");
    assert_eq!(
        (stolen.status, stolen.body),
        (of_another.status, of_another.body)
    );
    let mine = bring(&alice, &state);
    assert!(mine.body.contains("state-ok"), "{mine:?}");
}

/// A refreshed token is of the same principal: no misdeed.
fn comes_back_with_another_token_of_her_own(site: &Site, asked: &Node) {
    let session = site.alice().open(site);
    let alice = site.alice_refreshed();
    let answer = alice.request(asked, &session, "ping", json!({}));
    assert_eq!(answer.status, 200, "{answer:?}");
    site.still_serves(&alice, &session);
}
