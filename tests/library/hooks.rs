//! What an application is told of sessions and subscriptions, and what happens if it panics there.

use std::sync::mpsc::{Receiver, channel};

use pinfold::app::{Context, NoArguments, Toolkit};
use pinfold::internals::runtime::Driver;
use pinfold::mcp::types::Resource;
use serde_json::{Value, json};

use crate::server::{LIMIT, Served};

fn served(panics: bool) -> (Served, Receiver<String>) {
    let (sender, told) = channel();
    let app = move || {
        let tell = || {
            let sender = sender.clone();
            move |what: String| {
                let _ = sender.send(what);
                assert!(!panics, "as this test has it");
            }
        };
        let (opened, ended, heard, left) = (tell(), tell(), tell(), tell());
        Toolkit::new("t", "1")
            .tool("add", "", |_: NoArguments, _| async { "3" })
            .tool("peer", "", |_: NoArguments, context: Context| async move {
                let peer = context.peer().map(|peer| peer.ip().to_string());
                let named = context.client_address().map(|address| address.to_string());
                format!("{peer:?} {named:?}")
            })
            .resource(Resource::new("a://b", "B"), |_| async { "b" })
            .on_session_opened(move |session| opened(format!("{} opens", session.id.text())))
            .on_session_ended(move |id, why| ended(format!("{} ends: {why:?}", id.text())))
            .on_subscribed(move |uri, _| heard(format!("heard: {uri}")))
            .on_unsubscribed(move |uri, _| left(format!("left: {uri}")))
    };
    (Served::start(Driver::Auto, app), told)
}

/// A session that comes, hears, and goes; and one that is there when the server ends.
fn live(panics: bool) {
    let (mut served, told) = served(panics);
    let next = || told.recv_timeout(LIMIT).expect("the application is told");
    let session = served.session();
    assert_eq!(next(), format!("{session} opens"));
    let subscribe = json!({"jsonrpc": "2.0", "id": 1, "method": "resources/subscribe",
        "params": {"uri": "a://b"}});
    let answer = served.send("POST", &subscribe, &[("Mcp-Session-Id", &session)]);
    assert_eq!(answer.status(), 200);
    assert_eq!(next(), "heard: a://b");
    let gone = served.send("DELETE", &Value::Null, &[("Mcp-Session-Id", &session)]);
    assert_eq!(gone.status(), 204);
    assert_eq!(next(), "left: a://b");
    assert_eq!(next(), format!("{session} ends: Deleted"));
    assert_eq!(served.text("add"), "3");
    let loopback = r#"Some("127.0.0.1")"#;
    assert_eq!(served.text("peer"), format!("{loopback} {loopback}"));
    let other = served.session();
    assert_eq!(next(), format!("{other} opens"));
    served.stop();
    assert_eq!(next(), format!("{other} ends: NodeEnds"));
}

#[test]
fn an_application_that_is_not_told() {
    live(false);
}

#[test]
fn a_hook_that_panics_takes_the_core_with_it() {
    live(true);
}
