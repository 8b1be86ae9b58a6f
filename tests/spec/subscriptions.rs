//! 2026-07-28, patterns, "Subscriptions".

use pinfold::app::call::{Notice, Topic};
use serde_json::{Value, json};

use crate::support::{Client, Request};

const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";

fn subscription(message: &Value) -> &Value {
    &message["params"]["_meta"][SUBSCRIPTION_ID]
}

/// The acknowledgement is the first message and names what is honoured; each message carries the id of the request,
/// as the value it was.
#[test]
fn an_event_before_the_acknowledgement() {
    for id in [json!(1_700_000_000_000_u64), json!("sub \"1\"")] {
        let mut client = Client::new();
        client.publish(Topic::Tools);
        let filter =
            json!({"toolsListChanged": true, "resourceSubscriptions": ["a:1", "forbidden:1"]});
        let socket = client.open(&Request::listen(id.clone(), filter));
        client.updated("a:1");
        client.publish(Topic::Tools);
        let messages = client.messages(socket);
        assert_eq!(
            messages[0]["method"],
            "notifications/subscriptions/acknowledged"
        );
        assert_eq!(
            messages[0]["params"]["notifications"],
            json!({"toolsListChanged": true, "resourceSubscriptions": ["a:1"]})
        );
        assert_eq!(messages.len(), 3);
        assert!(
            messages.iter().all(|message| *subscription(message) == id),
            "{messages:?}"
        );
        assert_eq!(messages[1]["params"]["uri"], "a:1");
    }
}

/// An integer beyond 64 bits is an id as good as any other.
#[test]
fn a_long_id_rounded() {
    let mut client = Client::new();
    let mut request = Request::listen(1, json!({"toolsListChanged": true}));
    let long = "123456789012345678901234567890";
    let body = String::from_utf8(request.body)
        .expect("text")
        .replace("\"id\":1,", &format!("\"id\":{long},"));
    request.body = body.into_bytes();
    let socket = client.open(&request);
    client.publish(Topic::Tools);
    for frame in client.frames(socket) {
        assert!(
            frame
                .data
                .expect("a message")
                .contains(&format!("\"{SUBSCRIPTION_ID}\":{long}"))
        );
    }
}

/// Only what was asked for.
#[test]
fn a_notification_nobody_asked_for() {
    let mut client = Client::new();
    let socket = client.open(&Request::listen(
        1,
        json!({"promptsListChanged": true, "toolsListChanged": false}),
    ));
    client.frames(socket);
    client.publish(Topic::Tools);
    client.publish(Topic::Resources);
    client.updated("a:1");
    assert!(client.messages(socket).is_empty());
    client.publish(Topic::Prompts);
    assert_eq!(client.topics(socket), ["prompts/list_changed"]);
}

/// Several at once, each for itself.
#[test]
fn one_subscription_that_hears_another_ones_events() {
    let mut client = Client::new();
    let first = client.open(&Request::listen(
        1,
        json!({"resourceSubscriptions": ["a:1"]}),
    ));
    let second = client.open(&Request::listen(
        2,
        json!({"resourceSubscriptions": ["a:1", "a:2"]}),
    ));
    let (_, _) = (client.frames(first), client.frames(second));
    client.updated("a:1");
    client.updated("a:2");
    let heard: Vec<_> = client
        .messages(second)
        .iter()
        .map(|message| subscription(message).clone())
        .collect();
    assert_eq!(heard, [json!(2), json!(2)]);
    assert_eq!(client.topics(first), ["a:1"]);
}

/// Closing the stream ends the subscription, and nothing is left of it.
#[test]
fn a_subscription_that_outlives_its_stream() {
    let mut client = Client::new();
    let socket = client.open(&Request::listen(
        1,
        json!({"resourceSubscriptions": ["a:1"]}),
    ));
    assert_eq!(client.node.cores[0].shard.counts().topics, 4);
    client.node.cut(socket);
    let counts = client.node.cores[0].shard.counts();
    assert_eq!(
        (counts.listeners, counts.topics, counts.connections),
        (0, 3, 0)
    );
}

#[test]
fn a_filter_that_makes_no_sense() {
    let mut client = Client::tiny();
    let long = format!("a:{}", "x".repeat(64));
    for notifications in [
        json!([]),
        json!([true, true, true, []]),
        json!({"toolsListChanged": 1}),
        json!({"resourceSubscriptions": [""]}),
        json!({"resourceSubscriptions": [long]}),
        json!({"resourceSubscriptions": ["a:1", "a:2", "a:3", "a:4"]}),
    ] {
        let answer = client.ask(&Request::listen(1, notifications.clone()));
        assert_eq!(answer.code(), -32602, "{notifications}");
        answer.sentence();
    }
    let answer = client.ask(&Request::modern(1, "subscriptions/listen", json!({})));
    assert_eq!(answer.code(), -32602, "the filter is required");
    assert_eq!(client.node.cores[0].shard.counts().listeners, 0);
}

#[test]
fn a_subscriber_taken_in_while_the_node_goes_down() {
    let mut client = Client::new();
    client.node.cores[0]
        .shard
        .handle_drain(1_000, Default::default());
    for request in [
        Request::listen(1, json!({"toolsListChanged": true})),
        Request::initialize("2025-11-25"),
    ] {
        let answer = client.ask(&request);
        assert_eq!(
            (
                answer.status,
                answer.field("retry-after"),
                &*answer.reason()
            ),
            (503, Some("1"), "busy")
        );
    }
    assert_eq!(
        client
            .ask(&Request::modern(1, "server/discover", json!({})))
            .status,
        200
    );
}

/// While a write is stuck, changes of one topic are one event, and no publication makes it more.
#[test]
fn a_slow_subscriber_that_is_told_everything_twice() {
    let mut client = Client::new();
    let socket = client.open(&Request::listen(
        1,
        json!({"toolsListChanged": true, "resourceSubscriptions": ["a:1"]}),
    ));
    client.frames(socket);
    client.node.set_room(socket, 10);
    client.publish(Topic::Tools);
    for _ in 0..10_000 {
        client.node.unchecked = true;
        client.updated("a:1");
        client.publish(Topic::Tools);
    }
    client.node.set_room(socket, usize::MAX);
    let mut topics = client.topics(socket);
    topics.sort();
    assert_eq!(topics, ["a:1", "tools/list_changed", "tools/list_changed"]);
}

/// Spellings of one URI (RFC 3986, 6.2.2) are one resource, and each client is told of it by the name it knows.
#[test]
fn a_resource_by_a_name_that_its_client_does_not_know() {
    let mut client = Client::new();
    let spellings = ["a://Gr%c3%bcn/x", "A://gr\u{fc}n/%78", "a://gr%C3%BCn/./x"];
    let filter = json!({"resourceSubscriptions": spellings});
    let modern = client.open(&Request::listen(1, filter));
    let acknowledged = client.messages(modern);
    assert_eq!(
        acknowledged[0]["params"]["notifications"]["resourceSubscriptions"],
        json!(spellings)
    );
    let session = client.session("2025-11-25");
    let legacy = client.open(&Request::get(&session));
    client.ask(&Request::subscribe(&session, spellings[1]));
    client.updated("a://gr%C3%BCn/x");
    client.updated("a://gr%C3%BCn/X");
    let uris = |messages: Vec<Value>| -> Vec<String> {
        let uri = |it: &Value| it["params"]["uri"].as_str().map(str::to_owned);
        messages.iter().filter_map(uri).collect()
    };
    let mut told = uris(client.messages(modern));
    told.sort_unstable();
    assert_eq!(told, [spellings[1], spellings[0], spellings[2]]);
    assert_eq!(uris(client.messages(legacy)), [spellings[1]]);
    let notice = Notice::Changed(Topic::Resource("a://gr%C3%BCn/x".into()));
    client.tell(&session, &notice).expect("it is there");
    assert_eq!(uris(client.messages(legacy)), [spellings[1]]);
    let params = json!({"uri": "a://GR%C3%BCN/x"});
    client.ask(&Request::call(&session, 2, "resources/unsubscribe", params));
    client.updated("a://gr%C3%BCn/x");
    assert!(client.messages(legacy).is_empty());
}

#[test]
fn a_subscription_to_what_is_no_uri() {
    let mut client = Client::new();
    let session = client.session("2025-11-25");
    for wrong in ["a|b:c", "a://b|c", "a://b c", "a://100%", "lunch"] {
        let filter = json!({"resourceSubscriptions": ["a:1", wrong]});
        let modern = client.ask(&Request::listen(1, filter));
        let legacy = client.ask(&Request::subscribe(&session, wrong));
        for answer in [modern, legacy] {
            assert_eq!(answer.code(), -32602, "{wrong}");
            assert!(answer.sentence().contains("RFC 3986"), "{wrong}");
        }
    }
}

/// What is kept is longer than what was sent.
#[test]
fn a_subscription_to_what_is_too_long_once_it_is_encoded() {
    let mut client = Client::new();
    let session = client.session("2025-11-25");
    let filter = |uri: &str| json!({"resourceSubscriptions": [uri]});
    let encoded = "a:".to_owned() + &"\u{fc}".repeat(700);
    let modern = client.ask(&Request::listen(1, filter(&encoded)));
    let legacy = client.ask(&Request::subscribe(&session, &encoded));
    for answer in [modern, legacy] {
        assert_eq!(answer.code(), -32602);
        assert!(answer.sentence().contains("longer than 2048 bytes"));
    }
}
