//! Transports, "Listening for Messages from the Server", "Sending Messages" and "Resumability and Redelivery".

use pinfold::app::call::Topic;
use serde_json::json;

use crate::support::{Client, Frame, Item, Request};
use crate::{LEGACY, V03, V06, V11};

fn ids(frames: &[Frame]) -> Vec<String> {
    frames.iter().filter_map(|frame| frame.id.clone()).collect()
}

/// A call that streams, with `count` messages sent; the answer is to come.
fn streaming(
    client: &mut Client,
    session: &str,
    id: u64,
    count: usize,
) -> (usize, crate::support::Arrived) {
    let socket = client.connect();
    client.send(socket, &Request::tool(session, id));
    let call = client.call();
    (1..=count).for_each(|number| client.notify(&call, number));
    (socket, call)
}

/// An event with an id and no data opens a stream since 2025-11-25; older clients take it for a fault. What counts
/// is what `initialize` settled, not what a header says.
#[test]
fn an_old_client_primed() {
    for version in LEGACY {
        for header in LEGACY {
            let mut client = Client::new();
            let session = client.session(version);
            let get = client.open(&Request::get(&session).with("MCP-Protocol-Version", header));
            let (post, _) = streaming(&mut client, &session, 1, 1);
            for frames in [client.frames(get), client.frames_after_head(post)] {
                let primed = frames.iter().any(|frame| frame.data.as_deref() == Some(""));
                assert_eq!(primed, version == V11, "{version} with {header}");
                if primed {
                    assert!(
                        frames[0].id.is_some() && frames[0].retry.is_some(),
                        "{frames:?}"
                    );
                }
            }
        }
    }
}

/// The server may end a stream before the answer; the client polls, and gets it.
#[test]
fn an_answer_lost_by_polling() {
    let mut client = Client::new();
    let session = client.session(V11);
    let (socket, call) = streaming(&mut client, &session, 1, 0);
    client.close_stream(&call);
    let items = client.items(socket);
    let [Item::Answer(_), Item::Frame(primed), Item::StreamEnd] = &items[..] else {
        panic!("{items:?}")
    };
    let request = Request::get(&session).resume(primed.id.as_deref().expect("an id"));
    let early = client.open(&request);
    client.finish(&call, r#"{"done":true}"#);
    let items = client.items(early);
    assert_eq!(items.last(), Some(&Item::StreamEnd), "the answer ends it");
    let late = client.open(&request);
    assert_eq!(
        client.messages(late)[0]["result"]["done"],
        true,
        "until the window is over"
    );
    client.pass(70_000);
    let answer = client.ask(&request);
    assert_eq!((answer.status, &*answer.reason()), (405, "stream_gone"));
}

/// Before 2025-11-25 nobody polls: the stream stays.
#[test]
fn an_old_client_made_to_poll() {
    for version in [V03, V06] {
        let mut client = Client::new();
        let session = client.session(version);
        let (socket, call) = streaming(&mut client, &session, 1, 1);
        client.close_stream(&call);
        assert!(!client.stream_ended(socket));
    }
}

/// Messages of another stream are not replayed, and none twice.
#[test]
fn another_stream_replayed() {
    let mut client = Client::new();
    let session = client.session(V06);
    let (first, one) = streaming(&mut client, &session, 1, 3);
    let (second, two) = streaming(&mut client, &session, 2, 1);
    let frames = client.frames_after_head(first);
    client.frames_after_head(second);
    client.node.cut(first);
    client.node.cut(second);
    client.finish(&one, r#"{"of":1}"#);
    client.finish(&two, r#"{"of":2}"#);
    let socket = client.open(&Request::get(&session).resume(&ids(&frames)[1]));
    let messages = client.messages(socket);
    assert_eq!(messages.len(), 2, "the third and the answer: {messages:?}");
    assert_eq!(messages[1]["result"]["of"], 1);
}

/// On the GET stream there is no answer to any request.
#[test]
fn an_answer_on_the_wrong_stream() {
    let mut client = Client::new();
    let session = client.session(V11);
    let get = client.open(&Request::get(&session));
    let (post, call) = streaming(&mut client, &session, 1, 2);
    client.finish(&call, "{}");
    client.publish(Topic::Tools);
    assert_eq!(client.topics(get), ["tools/list_changed"]);
    let messages: Vec<_> = client
        .frames_after_head(post)
        .into_iter()
        .filter(Frame::is_message)
        .collect();
    assert_eq!(messages.len(), 3);
}

/// A second GET takes over; each message goes out on one stream only.
#[test]
fn one_message_on_two_streams() {
    let mut client = Client::new();
    let session = client.session(V06);
    let first = client.open(&Request::get(&session));
    let second = client.open(&Request::get(&session));
    client.publish(Topic::Prompts);
    assert_eq!(client.items(first), [Item::StreamEnd]);
    assert_eq!(client.topics(second), ["prompts/list_changed"]);
}

#[test]
fn an_id_that_was_never_given_out() {
    let mut client = Client::new();
    let (session, other) = (client.session(V11), client.session(V11));
    let socket = client.open(&Request::get(&other));
    let foreign = ids(&client.frames(socket))[0].clone();
    for id in [&*foreign, "", "1", "x.y.z", "0.0.0.0.0", "1.2.3.4.5.6"] {
        let answer = client.ask(&Request::get(&session).resume(id));
        assert_eq!(
            (answer.status, &*answer.reason()),
            (400, "bad_event_id"),
            "{id}"
        );
    }
}

/// Ids are unique in a session, on all of its streams.
#[test]
fn two_events_of_one_name() {
    let mut client = Client::new();
    let session = client.session(V11);
    let get = client.open(&Request::get(&session));
    let mut all = Vec::new();
    for id in 1..4 {
        let (post, call) = streaming(&mut client, &session, id, 3);
        client.finish(&call, "{}");
        all.extend(ids(&client.frames_after_head(post)));
        client.publish(Topic::Tools);
        client.publish(Topic::Prompts);
        all.extend(
            client
                .frames(get)
                .iter()
                .filter(|frame| frame.is_message())
                .filter_map(|frame| frame.id.clone()),
        );
    }
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!((all.len(), count), (21, 21));
}

/// A server request goes out on the stream of its call, and its answer reaches that call alone.
#[test]
fn an_answer_of_the_client_that_reaches_nobody() {
    let mut client = Client::new();
    let session = client.session(V06);
    let (socket, call) = streaming(&mut client, &session, 1, 0);
    let ask = client
        .ask_client(&call, "sampling/createMessage")
        .expect("it runs");
    let messages = client.frames_after_head(socket);
    assert_eq!(
        (messages[0].method(), messages[0].json()["id"].as_u64()),
        ("sampling/createMessage".into(), Some(u64::from(ask)))
    );
    let other = client.session(V06);
    let answer = json!({"jsonrpc": "2.0", "id": ask, "result": {"text": "hi"}});
    assert_eq!(
        client.ask(&Request::post(&answer).session(&other)).status,
        202
    );
    assert!(client.node.heard.is_empty(), "another session's id");
    for _ in 0..2 {
        assert_eq!(
            client.ask(&Request::post(&answer).session(&session)).status,
            202
        );
    }
    assert_eq!(client.node.heard.len(), 1, "once");
    assert_eq!(
        (client.node.heard[0].call, &*client.node.heard[0].answer),
        (call.key, r#"{"text":"hi"}"#)
    );
}

#[test]
fn a_refusal_of_the_client_taken_for_an_answer() {
    let mut client = Client::new();
    let session = client.session(V06);
    let (_, call) = streaming(&mut client, &session, 1, 0);
    let ask = client
        .ask_client(&call, "elicitation/create")
        .expect("it runs");
    let error =
        json!({"jsonrpc": "2.0", "id": ask, "error": {"code": -1, "message": "User rejected"}});
    client.ask(&Request::post(&error).session(&session));
    assert!(client.node.heard[0].answer.contains("User rejected"));
}

/// The session's log level is the client's choice.
#[test]
fn a_log_message_below_the_level() {
    let mut client = Client::new();
    let session = client.session(V06);
    client.ask(&Request::call(
        &session,
        1,
        "logging/setLevel",
        json!({"level": "warning"}),
    ));
    let (socket, call) = streaming(&mut client, &session, 2, 0);
    let now = client.node.now;
    for level in 0..8 {
        client.node.cores[0]
            .shard
            .handle_log(now, call.key, level, &format!(r#"{{"n":{level}}}"#));
        client.node.settle(0);
    }
    let levels: Vec<_> = client
        .frames_after_head(socket)
        .iter()
        .map(|frame| frame.json()["params"]["n"].clone())
        .collect();
    assert_eq!(levels, [json!(3), json!(4), json!(5), json!(6), json!(7)]);
}

/// Unsubscribed is unsubscribed, also for what was pending.
#[test]
fn an_update_after_unsubscribing() {
    let mut client = Client::new();
    let session = client.session(V06);
    client.ask(&Request::subscribe(&session, "a:1"));
    client.ask(&Request::subscribe(&session, "a:1"));
    client.updated("a:1");
    client.ask(&Request::call(
        &session,
        2,
        "resources/unsubscribe",
        json!({"uri": "a:1"}),
    ));
    let socket = client.open(&Request::get(&session));
    client.updated("a:1");
    client.updated("a:2");
    assert!(client.topics(socket).is_empty());
}
