//! What the application is told of sessions and subscriptions, and what it sees of a request's sender.

use pinfold::app::call::{Lifecycle, Subscriber};
use pinfold::internals::limits::Limits;
use serde_json::json;

use crate::support::{Client, Request};

const V11: &str = "2025-11-25";

/// In words, since the last time: sessions and streams are counted as they come.
fn told(client: &mut Client, known: &mut Vec<Subscriber>) -> Vec<String> {
    let mut name = |subscriber: Subscriber| {
        let index = known.iter().position(|it| *it == subscriber);
        let index = index.unwrap_or_else(|| {
            known.push(subscriber);
            known.len() - 1
        });
        match subscriber {
            Subscriber::Session(_) => format!("session {index}"),
            _ => format!("stream {index}"),
        }
    };
    let mut words = |event: Lifecycle| match event {
        Lifecycle::Opened(session) => format!("{} opens", name(Subscriber::Session(session.id))),
        Lifecycle::Ended(id, why) => format!("{} ends: {why:?}", name(Subscriber::Session(id))),
        Lifecycle::Subscribed(uri, by) => format!("{} hears {uri}", name(by)),
        Lifecycle::Unsubscribed(uri, by) => format!("{} leaves {uri}", name(by)),
        other => panic!("{other:?} has no word here"),
    };
    client.node.delivered.drain(..).map(&mut words).collect()
}

#[test]
fn a_session_whose_end_nobody_is_told() {
    let mut client = Client::new();
    let mut known = Vec::new();
    let session = client.session(V11);
    assert_eq!(told(&mut client, &mut known), ["session 0 opens"]);
    for uri in ["a:1", "a:1", "a:2"] {
        client.ask(&Request::subscribe(&session, uri));
    }
    let gone = Request::call(&session, 9, "resources/unsubscribe", json!({"uri": "a:2"}));
    client.ask(&gone);
    client.ask(&gone);
    let expected = [
        "session 0 hears a:1",
        "session 0 hears a:2",
        "session 0 leaves a:2",
    ];
    assert_eq!(told(&mut client, &mut known), expected);
    client.ask(&Request::delete(&session));
    let expected = ["session 0 leaves a:1", "session 0 ends: Deleted"];
    assert_eq!(told(&mut client, &mut known), expected);
}

#[test]
fn a_session_that_is_idle_and_one_that_the_node_takes_with_it() {
    let mut client = Client::with(Limits::tiny());
    let mut known = Vec::new();
    client.session(V11);
    client.pass(Limits::tiny().session_idle_ms * 2);
    let expected = ["session 0 opens", "session 0 ends: Idle"];
    assert_eq!(told(&mut client, &mut known), expected);
    client.session(V11);
    client.node.cores[0].shard.handle_end();
    client.node.settle(0);
    let expected = ["session 1 opens", "session 1 ends: NodeEnds"];
    assert_eq!(told(&mut client, &mut known), expected);
}

#[test]
fn a_listen_stream_that_hears_for_ever() {
    let mut client = Client::new();
    let mut known = Vec::new();
    let filter = json!({"resourceSubscriptions": ["a:1", "a:1", "forbidden:1"]});
    let socket = client.open(&Request::listen(1, filter.clone()));
    let other = client.open(&Request::listen(1, filter));
    client.node.cut(socket);
    client.node.cut(other);
    let expected = [
        "stream 0 hears a:1",
        "stream 1 hears a:1",
        "stream 0 leaves a:1",
        "stream 1 leaves a:1",
    ];
    assert_eq!(told(&mut client, &mut known), expected);
}

#[test]
fn a_handler_sees_who_asks_and_no_credentials() {
    let mut client = Client::new();
    let session = client.session(V11);
    let call = Request::tool(&session, 1)
        .with("X-Tenant", "acme")
        .with("Authorization", "Bearer secret");
    let socket = client.node.connect(0, Some([192, 0, 2, 7].into()));
    client.send(socket.expect("there is room"), &call);
    let caller = client.call().request.caller;
    assert_eq!(caller.session.expect("one").text(), session);
    assert_eq!(caller.address, Some([192, 0, 2, 7].into()));
    assert_eq!(caller.headers.get("x-tenant"), Some("acme"));
    assert_eq!(caller.headers.get("authorization"), None);

    let call = Request::modern(1, "tools/call", json!({"name": "t", "arguments": {}}))
        .with("X-Tenant", "acme");
    let socket = client.connect();
    client.send(socket, &call);
    let caller = client.call().request.caller;
    assert!(caller.session.is_none());
    assert_eq!(caller.headers.get("x-tenant"), Some("acme"));
}
