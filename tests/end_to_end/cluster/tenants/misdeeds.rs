//! What Eve tries with the id of Alice's session.

use serde_json::{Value, json};

use super::{
    Asked, Site, TOOLS_CHANGED, UPDATED, WATCHED, at_either_node, expect_alike, never_was,
};

at_either_node! {
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
fn is_told_nothing(asked: Asked, test: &str, requests: &[(&str, Value)]) {
    let site = Site::start(asked, test);
    let (alice, eve) = (site.alice(), site.eve());
    let session = alice.open(&site);
    let nothing = never_was(&session);
    for (method, params) in requests {
        let told = eve.request(site.asked(), &session, method, params.clone());
        let of_nothing = eve.request(site.asked(), &nothing, method, params.clone());
        expect_alike(&told, &of_nothing);
    }
    site.still_serves(&alice, &session);
    site.stop();
}

fn reads_by_her_session(asked: Asked, test: &str) {
    let uris = [WATCHED, "test://static-text", "test://nothing-here"];
    let reads = uris.map(|uri| ("resources/read", json!({"uri": uri})));
    is_told_nothing(asked, test, &reads);
}

fn lists_by_her_session(asked: Asked, test: &str) {
    let lists = [
        ("tools/list", json!({})),
        ("resources/list", json!({})),
        ("resources/templates/list", json!({})),
        ("prompts/list", json!({})),
        ("ping", json!({})),
        ("no/such/method", json!({})),
    ];
    is_told_nothing(asked, test, &lists);
}

fn completes_by_her_session(asked: Asked, test: &str) {
    let reference = json!({"type": "ref/prompt", "name": "test_prompt_with_arguments"});
    let params = json!({"ref": reference, "argument": {"name": "arg1", "value": "test"}});
    is_told_nothing(asked, test, &[("completion/complete", params)]);
}

fn calls_tools_by_her_session(asked: Asked, test: &str) {
    let simple = json!({"name": "test_simple_text", "arguments": {}});
    let prompt = json!({"name": "test_simple_prompt"});
    is_told_nothing(
        asked,
        test,
        &[("tools/call", simple), ("prompts/get", prompt)],
    );
}

fn sets_the_level_of_her_log(asked: Asked, test: &str) {
    let level = json!({"level": "debug"});
    is_told_nothing(asked, test, &[("logging/setLevel", level)]);
}

/// Alice would hear of what she did not ask for.
fn subscribes_her_session(asked: Asked, test: &str) {
    let site = Site::start(asked, test);
    let (alice, eve) = (site.alice(), site.eve());
    let session = alice.open(&site);
    let mut stream = alice.get(site.home(), &session, &[]).expect_open();
    let params = json!({"uri": WATCHED});
    let told = eve.request(
        site.asked(),
        &session,
        "resources/subscribe",
        params.clone(),
    );
    let nothing = never_was(&session);
    let of_nothing = eve.request(site.asked(), &nothing, "resources/subscribe", params);
    expect_alike(&told, &of_nothing);
    site.home()
        .publish(&json!([{"uri": WATCHED}, {"topic": "tools"}]));
    stream.wait_to_hear(TOOLS_CHANGED);
    assert!(!stream.has_heard(UPDATED), "{:?}", stream.heard);
    site.stop();
}

/// Alice would not hear of what she asked for.
fn unsubscribes_her_session(asked: Asked, test: &str) {
    let site = Site::start(asked, test);
    let (alice, eve) = (site.alice(), site.eve());
    let session = alice.open(&site);
    let mut stream = alice.get(site.home(), &session, &[]).expect_open();
    let params = json!({"uri": WATCHED});
    let mine = alice.request(site.home(), &session, "resources/subscribe", params.clone());
    assert_eq!(mine.status, 200, "{mine:?}");
    let told = eve.request(site.asked(), &session, "resources/unsubscribe", params);
    assert_eq!(told.status, 404, "{told:?}");
    site.home().publish(&json!([{"uri": WATCHED}]));
    stream.wait_to_hear(UPDATED);
    site.stop();
}

/// And with it Alice would lose her stream.
fn receives_what_is_hers(asked: Asked, test: &str) {
    let site = Site::start(asked, test);
    let (alice, eve) = (site.alice(), site.eve());
    let session = alice.open(&site);
    let mut stream = alice.get(site.home(), &session, &[]).expect_open();
    let mut told = eve.get(site.asked(), &session, &[]);
    let mut of_nothing = eve.get(site.asked(), &never_was(&session), &[]);
    assert_eq!((told.status(), of_nothing.status()), (404, 404));
    assert_eq!(told.refusal(), of_nothing.refusal());
    site.home().publish(&json!([{"topic": "tools"}]));
    stream.wait_to_hear(TOOLS_CHANGED);
    site.stop();
}

fn resumes_her_stream(asked: Asked, test: &str) {
    let site = Site::start(asked, test);
    let (alice, eve) = (site.alice(), site.eve());
    let session = alice.open(&site);
    let mut stream = alice.get(site.home(), &session, &[]).expect_open();
    site.home().publish(&json!([{"topic": "tools"}]));
    stream.wait_to_hear(TOOLS_CHANGED);
    let last = stream.last_id.clone();
    drop(stream);
    let from = [("Last-Event-ID", last.as_str())];
    let told = eve.get(site.asked(), &session, &from);
    assert_eq!(told.status(), 404);
    // What came meanwhile is Alice's.
    site.home().publish(&json!([{"topic": "prompts"}]));
    let mut stream = alice.get(site.home(), &session, &from).expect_open();
    stream.wait_to_hear("notifications/prompts/list_changed");
    site.stop();
}

/// The event's id names Alice's stream, and the session is Eve's.
fn resumes_her_stream_in_a_session_of_her_own(asked: Asked, test: &str) {
    let site = Site::start(asked, test);
    let (alice, eve) = (site.alice(), site.eve());
    let session = alice.open(&site);
    let mut stream = alice.get(site.home(), &session, &[]).expect_open();
    let params = json!({"uri": WATCHED});
    let mine = alice.request(site.home(), &session, "resources/subscribe", params);
    assert_eq!(mine.status, 200, "{mine:?}");
    site.home().publish(&json!([{"topic": "tools"}]));
    stream.wait_to_hear(TOOLS_CHANGED);
    let last = stream.last_id.clone();
    drop(stream);
    site.home().publish(&json!([{"uri": WATCHED}]));
    let own = eve.open(&site);
    let mut stolen = eve.get(site.asked(), &own, &[("Last-Event-ID", last.as_str())]);
    if stolen.status() == 200 {
        site.home().publish(&json!([{"topic": "prompts"}]));
        stolen.wait_to_hear("notifications/prompts/list_changed");
        assert!(!stolen.has_heard(UPDATED), "{:?}", stolen.heard);
    }
    site.stop();
}

fn deletes_her_session(asked: Asked, test: &str) {
    let site = Site::start(asked, test);
    let (alice, eve) = (site.alice(), site.eve());
    let session = alice.open(&site);
    let told = eve.delete(site.asked(), &session);
    let of_nothing = eve.delete(site.asked(), &never_was(&session));
    expect_alike(&told, &of_nothing);
    site.still_serves(&alice, &session);
    let mine = alice.delete(site.asked(), &session);
    assert!([200, 204].contains(&mine.status), "{mine:?}");
    site.stop();
}

/// An `initialize` that names the session of somebody else, and a notification that it is there.
fn renews_her_session_by_opening_it_again(asked: Asked, test: &str) {
    let site = Site::start(asked, test);
    let (alice, eve) = (site.alice(), site.eve());
    let session = alice.open(&site);
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let told = eve.post(site.asked(), &session, &ready);
    assert_eq!(told.status, 404, "{told:?}");
    let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "eve", "version": "1"},
    }});
    let told = eve.post(site.asked(), &session, &initialize);
    let id = told.field("mcp-session-id");
    assert_ne!(id, Some(session.as_str()), "{told:?}");
    site.still_serves(&alice, &session);
    site.stop();
}
