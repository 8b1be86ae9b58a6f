//! Messages for one session or for all, from outside of any call.

use pinfold::app::call::{Notice, NotifyRefused, Topic};
use pinfold::internals::limits::Limits;
use pinfold::internals::shard::Closed;
use serde_json::json;

use crate::support::{Client, Request};

const V06: &str = "2025-06-18";

fn message(level: u8, data: &str) -> Notice {
    let params = json!({ "level": "info", "data": data }).to_string().into();
    Notice::Message { level, params }
}

fn texts(client: &mut Client, socket: usize) -> Vec<String> {
    let messages = client.messages(socket);
    let data = messages.iter().map(|it| it["params"]["data"].as_str());
    data.map(|it| it.expect("a log message").to_owned())
        .collect()
}

#[test]
fn a_message_told_to_the_wrong_session() {
    let mut client = Client::new();
    let (one, other) = (client.session(V06), client.session(V06));
    let heard = client.open(&Request::get(&one));
    let silent = client.open(&Request::get(&other));
    assert_eq!(client.tell(&one, &message(1, "for one")), Ok(()));
    assert_eq!(texts(&mut client, heard), ["for one"]);
    assert!(client.messages(silent).is_empty());
}

#[test]
fn a_message_lost_because_no_stream_was_open() {
    let mut client = Client::new();
    let session = client.session(V06);
    for text in ["first", "second"] {
        assert_eq!(client.tell(&session, &message(1, text)), Ok(()));
    }
    let socket = client.open(&Request::get(&session));
    assert_eq!(texts(&mut client, socket), ["first", "second"]);
}

#[test]
fn a_message_told_again_or_not_at_all_after_a_resume() {
    let mut client = Client::new();
    let session = client.session(V06);
    let socket = client.open(&Request::get(&session));
    for text in ["first", "second"] {
        assert_eq!(client.tell(&session, &message(1, text)), Ok(()));
    }
    let frames = client.frames(socket);
    let first = frames[0].id.clone().expect("an id");
    client.node.cut(socket);
    client.updated("nobody:hears");
    assert_eq!(client.tell(&session, &message(1, "third")), Ok(()));
    let socket = client.open(&Request::get(&session).resume(&first));
    assert_eq!(texts(&mut client, socket), ["second", "third"]);
}

#[test]
fn a_message_below_the_level_that_the_session_set() {
    let mut client = Client::new();
    let session = client.session(V06);
    let socket = client.open(&Request::get(&session));
    assert_eq!(client.tell(&session, &message(0, "debug")), Ok(()));
    assert_eq!(client.tell(&session, &message(1, "info")), Ok(()));
    assert_eq!(texts(&mut client, socket), ["info"]);
}

#[test]
fn a_session_that_is_not_there_told_as_if_it_were() {
    let mut client = Client::new();
    let session = client.session(V06);
    client.ask(&Request::delete(&session));
    let told = |client: &mut Client, id: &str| client.tell(id, &message(1, "x"));
    assert_eq!(told(&mut client, &session), Err(NotifyRefused::Expired));
    assert_eq!(
        told(&mut client, "not a session"),
        Err(NotifyRefused::Unknown)
    );
    let elsewhere = session.replacen("node", "nodf", 1);
    assert_ne!(elsewhere, session);
    assert_eq!(told(&mut client, &elsewhere), Err(NotifyRefused::OtherNode));
}

#[test]
fn a_stalled_reader_that_collects_messages_without_bound() {
    let limits = Limits {
        stream_queue_bytes_max: 1024,
        ..Limits::default()
    };
    let mut client = Client::with(limits);
    let session = client.session(V06);
    let socket = client.open(&Request::get(&session));
    client.node.set_room(socket, 10);
    let long = "x".repeat(300);
    let told: Vec<_> = (0..8)
        .map(|_| client.tell(&session, &message(1, &long)))
        .collect();
    let refused = told
        .iter()
        .position(Result::is_err)
        .expect("the bound is reached");
    assert_eq!(told[refused], Err(NotifyRefused::Full));
    assert_eq!(client.closed(socket), Some(Closed::SlowReader));
    // What waited is there for the client that comes back, and in order.
    let again = client.open(&Request::get(&session));
    assert!(client.messages(again).len() >= 2);
}

#[test]
fn a_message_for_all_that_somebody_did_not_hear() {
    let mut client = Client::new();
    let sessions: Vec<String> = (0..3).map(|_| client.session(V06)).collect();
    let open: Vec<usize> = sessions[..2]
        .iter()
        .map(|it| client.open(&Request::get(it)))
        .collect();
    client.tell_all(&message(1, "all"));
    client.publish(Topic::Tools);
    for socket in open {
        let messages = client.messages(socket);
        assert_eq!(messages.len(), 2, "{messages:?}");
    }
    let late = client.open(&Request::get(&sessions[2]));
    assert_eq!(client.messages(late).len(), 2);
}

#[test]
fn a_change_told_to_one_session_in_other_words_than_to_all() {
    let mut client = Client::new();
    let session = client.session(V06);
    let socket = client.open(&Request::get(&session));
    for topic in [Topic::Prompts, Topic::Resource("a:\"1\"".into())] {
        assert_eq!(client.tell(&session, &Notice::Changed(topic)), Ok(()));
    }
    assert_eq!(client.topics(socket), ["prompts/list_changed", "a:\"1\""]);
}

/// Also when topics are told again, after messages that were not lost.
#[test]
fn a_message_and_a_topic_of_one_name() {
    let mut client = Client::new();
    let session = client.session(V06);
    let socket = client.open(&Request::get(&session));
    client.publish(Topic::Tools);
    assert_eq!(client.tell(&session, &message(1, "first")), Ok(()));
    let mut frames = client.frames(socket);
    let socket = client.open(&Request::get(&session));
    frames.extend(client.frames(socket));
    let named = |it: &crate::support::Frame| (it.id.clone(), it.method());
    let mut events: Vec<_> = frames.iter().map(named).collect();
    events.sort();
    events.dedup();
    let count = events.len();
    events.dedup_by(|one, other| one.0 == other.0);
    assert_eq!(events.len(), count, "{frames:?}");
}
