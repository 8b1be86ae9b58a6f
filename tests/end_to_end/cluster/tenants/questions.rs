//! What Alice is asked, and what goes to her and back: Eve answers, cancels, and brings it herself. And what is no misdeed.

use serde_json::{Value, json};

use super::{Asked, Person, Site, at_either_node};

at_either_node! {
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

fn answers_what_she_is_asked(asked: Asked, test: &str) {
    let site = Site::start(asked, test);
    let (alice, eve) = (site.alice(), site.eve());
    let session = alice.open(&site);
    let mut messages = alice.call(site.home(), &session, CALL, "test_elicitation");
    let question = messages.next().expect("a question");
    let forged = accepted(&question["id"], "eve");
    let told = eve.post(site.asked(), &session, &forged);
    assert_eq!(told.status, 404, "{told:?}");
    // In a session of her own nobody has asked that.
    let own = eve.open(&site);
    eve.post(site.asked(), &own, &forged);
    is_answered_by_alice(&site, &alice, &session, &question, messages);
    site.stop();
}

fn cancels_her_call(asked: Asked, test: &str) {
    let site = Site::start(asked, test);
    let (alice, eve) = (site.alice(), site.eve());
    let session = alice.open(&site);
    let mut messages = alice.call(site.home(), &session, CALL, "test_elicitation");
    let question = messages.next().expect("a question");
    let cancelled = json!({"jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": {"requestId": CALL, "reason": "because"}});
    let told = eve.post(site.asked(), &session, &cancelled);
    assert_eq!(told.status, 404, "{told:?}");
    let own = eve.open(&site);
    eve.post(site.asked(), &own, &cancelled);
    is_answered_by_alice(&site, &alice, &session, &question, messages);
    site.stop();
}

/// What a node gave Alice to bring back is hers, at whichever node.
fn brings_her_request_state(asked: Asked, test: &str) {
    let site = Site::start(asked, test);
    let (alice, eve) = (site.alice(), site.eve());
    let mut call = json!({"name": STATE_TOOL, "arguments": {}});
    let answer = alice.modern(site.home(), "tools/call", STATE_TOOL, call.clone());
    let question: Value = serde_json::from_str(&answer.body).expect("JSON");
    let state = question["result"]["requestState"].clone();
    assert!(state.is_string(), "{answer:?}");
    call["inputResponses"] = json!({"confirm": {"action": "accept", "content": {"ok": true}}});
    call["requestState"] = state.clone();
    let stolen = eve.modern(site.asked(), "tools/call", STATE_TOOL, call.clone());
    assert!(!stolen.body.contains("state-ok"), "{stolen:?}");
    // As one that nobody gave out.
    let changed = state.as_str().unwrap_or_default();
    let changed = format!("{}{}", &changed[..changed.len() - 8], "AAAAAAAA");
    let mut made_up = call.clone();
    made_up["requestState"] = json!(changed);
    let of_nothing = eve.modern(site.asked(), "tools/call", STATE_TOOL, made_up);
    assert_eq!(
        (stolen.status, stolen.body),
        (of_nothing.status, of_nothing.body)
    );
    let mine = alice.modern(site.asked(), "tools/call", STATE_TOOL, call);
    assert!(mine.body.contains("state-ok"), "{mine:?}");
    site.stop();
}

/// A refreshed token is of the same principal: no misdeed.
fn comes_back_with_another_token_of_her_own(asked: Asked, test: &str) {
    let site = Site::start(asked, test);
    let session = site.alice().open(&site);
    let mut later = crate::auth::claims(&site.issuer.name(), super::PUBLIC, "alice");
    later["jti"] = json!("another");
    later["scope"] = json!("more");
    let alice = Person {
        authorization: format!("Bearer {}", site.key.token(&later)),
    };
    let answer = alice.request(site.asked(), &session, "ping", json!({}));
    assert_eq!(answer.status, 200, "{answer:?}");
    site.still_serves(&alice, &session);
    site.stop();
}
