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

/// What a node gave Alice to bring back is hers, at whichever node.
fn brings_her_request_state(site: &Site, asked: &Node) {
    let (alice, eve) = (site.alice(), site.eve());
    let mut call = json!({"name": STATE_TOOL, "arguments": {}});
    let answer = alice.modern(site.home(), "tools/call", STATE_TOOL, call.clone());
    let question: Value = serde_json::from_str(&answer.body).expect("JSON");
    let state = question["result"]["requestState"].clone();
    assert!(state.is_string(), "{answer:?}");
    call["inputResponses"] = json!({"confirm": {"action": "accept", "content": {"ok": true}}});
    call["requestState"] = state.clone();
    let stolen = eve.modern(asked, "tools/call", STATE_TOOL, call.clone());
    assert!(!stolen.body.contains("state-ok"), "{stolen:?}");
    // As one that nobody gave out.
    let changed = state.as_str().unwrap_or_default();
    let changed = format!("{}{}", &changed[..changed.len() - 8], "AAAAAAAA");
    let mut made_up = call.clone();
    made_up["requestState"] = json!(changed);
    let of_nothing = eve.modern(asked, "tools/call", STATE_TOOL, made_up);
    assert_eq!(
        (stolen.status, stolen.body),
        (of_nothing.status, of_nothing.body)
    );
    let mine = alice.modern(asked, "tools/call", STATE_TOOL, call);
    assert!(mine.body.contains("state-ok"), "{mine:?}");
}

/// A refreshed token is of the same principal: no misdeed.
fn comes_back_with_another_token_of_her_own(site: &Site, asked: &Node) {
    let session = site.alice().open(site);
    let mut later = crate::auth::claims(&site.issuer.name(), super::PUBLIC, "alice");
    later["jti"] = json!("another");
    later["scope"] = json!("more");
    let alice = Person {
        authorization: format!("Bearer {}", site.key.token(&later)),
    };
    let answer = alice.request(asked, &session, "ping", json!({}));
    assert_eq!(answer.status, 200, "{answer:?}");
    site.still_serves(&alice, &session);
}
