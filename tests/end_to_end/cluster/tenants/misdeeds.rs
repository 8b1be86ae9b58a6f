//! What Eve tries with the id of Alice's session.

use serde_json::{Value, json};

use super::super::node::Node;
use super::{Site, TOOLS_CHANGED, UPDATED, WATCHED, at_both_nodes, expect_alike, never_was};

at_both_nodes! {
    reads_by_her_session
    lists_by_her_session
    completes_by_her_session
    calls_tools_by_her_session
    subscribes_her_session
    unsubscribes_her_session
    sets_the_level_of_her_log
    receives_what_is_hers
    resumes_her_stream
    resumes_her_stream_in_a_session_of_her_own
    deletes_her_session
    renews_her_session_by_opening_it_again
}

/// What Eve is told of Alice's session and of none is the same, and Alice's is as it was.
fn is_told_nothing(site: &Site, asked: &Node, requests: &[(&str, Value)]) {
    let (alice, eve) = (site.alice(), site.eve());
    let session = alice.open(site);
    let nothing = never_was(&session);
    for (method, params) in requests {
        let told = eve.request(asked, &session, method, params.clone());
        let of_nothing = eve.request(asked, &nothing, method, params.clone());
        expect_alike(&told, &of_nothing);
    }
    site.still_serves(&alice, &session);
}

fn reads_by_her_session(site: &Site, asked: &Node) {
    let uris = [WATCHED, "test://static-text", "test://nothing-here"];
    let reads = uris.map(|uri| ("resources/read", json!({"uri": uri})));
    is_told_nothing(site, asked, &reads);
}

fn lists_by_her_session(site: &Site, asked: &Node) {
    let lists = [
        ("tools/list", json!({})),
        ("resources/list", json!({})),
        ("resources/templates/list", json!({})),
        ("prompts/list", json!({})),
        ("ping", json!({})),
        ("no/such/method", json!({})),
    ];
    is_told_nothing(site, asked, &lists);
}

fn completes_by_her_session(site: &Site, asked: &Node) {
    let reference = json!({"type": "ref/prompt", "name": "test_prompt_with_arguments"});
    let params = json!({"ref": reference, "argument": {"name": "arg1", "value": "test"}});
    is_told_nothing(site, asked, &[("completion/complete", params)]);
}

fn calls_tools_by_her_session(site: &Site, asked: &Node) {
    let simple = json!({"name": "test_simple_text", "arguments": {}});
    let prompt = json!({"name": "test_simple_prompt"});
    is_told_nothing(
        site,
        asked,
        &[("tools/call", simple), ("prompts/get", prompt)],
    );
}

fn sets_the_level_of_her_log(site: &Site, asked: &Node) {
    let level = json!({"level": "debug"});
    is_told_nothing(site, asked, &[("logging/setLevel", level)]);
}

/// Alice would hear of what she did not ask for.
fn subscribes_her_session(site: &Site, asked: &Node) {
    let (alice, eve) = (site.alice(), site.eve());
    let session = alice.open(site);
    let mut stream = alice.get(site.home(), &session, &[]).expect_open();
    let params = json!({"uri": WATCHED});
    let told = eve.request(asked, &session, "resources/subscribe", params.clone());
    let nothing = never_was(&session);
    let of_nothing = eve.request(asked, &nothing, "resources/subscribe", params);
    expect_alike(&told, &of_nothing);
    site.home()
        .publish(&json!([{"uri": WATCHED}, {"topic": "tools"}]));
    stream.wait_to_hear(TOOLS_CHANGED);
    assert!(!stream.has_heard(UPDATED), "{:?}", stream.heard);
}

/// Alice would not hear of what she asked for.
fn unsubscribes_her_session(site: &Site, asked: &Node) {
    let (alice, eve) = (site.alice(), site.eve());
    let session = alice.open(site);
    let mut stream = alice.get(site.home(), &session, &[]).expect_open();
    let params = json!({"uri": WATCHED});
    let mine = alice.request(site.home(), &session, "resources/subscribe", params.clone());
    assert_eq!(mine.status, 200, "{mine:?}");
    let told = eve.request(asked, &session, "resources/unsubscribe", params);
    assert_eq!(told.status, 404, "{told:?}");
    site.home().publish(&json!([{"uri": WATCHED}]));
    stream.wait_to_hear(UPDATED);
}

/// And with it Alice would lose her stream.
fn receives_what_is_hers(site: &Site, asked: &Node) {
    let (alice, eve) = (site.alice(), site.eve());
    let session = alice.open(site);
    let mut stream = alice.get(site.home(), &session, &[]).expect_open();
    let mut told = eve.get(asked, &session, &[]);
    let mut of_nothing = eve.get(asked, &never_was(&session), &[]);
    assert_eq!((told.status(), of_nothing.status()), (404, 404));
    assert_eq!(told.refusal(), of_nothing.refusal());
    site.home().publish(&json!([{"topic": "tools"}]));
    stream.wait_to_hear(TOOLS_CHANGED);
}

fn resumes_her_stream(site: &Site, asked: &Node) {
    let (alice, eve) = (site.alice(), site.eve());
    let session = alice.open(site);
    let mut stream = alice.get(site.home(), &session, &[]).expect_open();
    site.home().publish(&json!([{"topic": "tools"}]));
    stream.wait_to_hear(TOOLS_CHANGED);
    let last = stream.last_id.clone();
    drop(stream);
    let from = [("Last-Event-ID", last.as_str())];
    let told = eve.get(asked, &session, &from);
    assert_eq!(told.status(), 404);
    // What came meanwhile is Alice's.
    site.home().publish(&json!([{"topic": "prompts"}]));
    let mut stream = alice.get(site.home(), &session, &from).expect_open();
    stream.wait_to_hear("notifications/prompts/list_changed");
}

/// The event's id names Alice's stream, and the session is Eve's.
fn resumes_her_stream_in_a_session_of_her_own(site: &Site, asked: &Node) {
    let (alice, eve) = (site.alice(), site.eve());
    let session = alice.open(site);
    let mut stream = alice.get(site.home(), &session, &[]).expect_open();
    let params = json!({"uri": WATCHED});
    let mine = alice.request(site.home(), &session, "resources/subscribe", params);
    assert_eq!(mine.status, 200, "{mine:?}");
    site.home().publish(&json!([{"topic": "tools"}]));
    stream.wait_to_hear(TOOLS_CHANGED);
    let last = stream.last_id.clone();
    drop(stream);
    site.home().publish(&json!([{"uri": WATCHED}]));
    let own = eve.open(site);
    let mut stolen = eve.get(asked, &own, &[("Last-Event-ID", last.as_str())]);
    if stolen.status() == 200 {
        site.home().publish(&json!([{"topic": "prompts"}]));
        stolen.wait_to_hear("notifications/prompts/list_changed");
        assert!(!stolen.has_heard(UPDATED), "{:?}", stolen.heard);
    }
}

fn deletes_her_session(site: &Site, asked: &Node) {
    let (alice, eve) = (site.alice(), site.eve());
    let session = alice.open(site);
    let told = eve.delete(asked, &session);
    let of_nothing = eve.delete(asked, &never_was(&session));
    expect_alike(&told, &of_nothing);
    site.still_serves(&alice, &session);
    let mine = alice.delete(asked, &session);
    assert!([200, 204].contains(&mine.status), "{mine:?}");
}

/// An `initialize` that names the session of somebody else, and a notification that it is there.
fn renews_her_session_by_opening_it_again(site: &Site, asked: &Node) {
    let (alice, eve) = (site.alice(), site.eve());
    let session = alice.open(site);
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let told = eve.post(asked, &session, &ready);
    assert_eq!(told.status, 404, "{told:?}");
    let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "eve", "version": "1"},
    }});
    let told = eve.post(asked, &session, &initialize);
    let id = told.field("mcp-session-id");
    assert_ne!(id, Some(session.as_str()), "{told:?}");
    site.still_serves(&alice, &session);
}
