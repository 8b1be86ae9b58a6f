//! One client that takes more than its share of what is not a session or a connection: requests, subscriptions, streams.
//! The others go on, and it is told when to come back.

use std::net::IpAddr;

use pinfold::internals::clients::{Client as Counted, Holds};
use pinfold::internals::limits::Limits;
use serde_json::json;

use crate::support::node::SocketId;
use crate::support::{Answer, Client, Request};
use crate::{V03, V11};

const GREEDY: u8 = 99;

fn address(number: u8) -> IpAddr {
    [203, 0, 113, number].into()
}

fn connect(client: &mut Client, number: u8) -> SocketId {
    let socket = client.node.connect(0, Some(address(number)));
    socket.expect("there is room")
}

fn ask(client: &mut Client, number: u8, request: &Request) -> Answer {
    let socket = connect(client, number);
    let answer = client.exchange(socket, request);
    client.node.cut(socket);
    answer
}

fn session_of(client: &mut Client, number: u8, version: &str) -> String {
    let answer = ask(client, number, &Request::initialize(version));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.field("mcp-session-id").expect("an id").to_owned()
}

/// 429 with this reason, this option and after so many seconds.
fn assert_told(answer: &Answer, reason: &str, option: &str, seconds: &str) {
    assert_eq!((answer.status, &*answer.reason()), (429, reason));
    assert_eq!(answer.field("retry-after"), Some(seconds));
    assert!(answer.sentence().contains(option), "{answer:?}");
}

fn held(client: &Client, number: u8) -> Holds {
    let clients = &client.node.commons.clients;
    clients.holds(Counted::of(address(number)))
}

#[test]
fn a_client_that_asks_faster_than_it_may() {
    let option = "--calls-per-second-per-client-max";
    let mut client = Client::with(Limits {
        calls_per_second_per_client_max: 4,
        ..Limits::default()
    });
    let session = session_of(&mut client, GREEDY, V11);
    let old = session_of(&mut client, GREEDY, V03);
    for id in 0..2 {
        assert_eq!(
            ask(&mut client, GREEDY, &Request::ping(&session, id)).status,
            200
        );
    }
    let batch = json!([{"jsonrpc": "2.0", "method": "notifications/initialized"}]);
    let refused = [
        Request::ping(&session, 7),
        Request::tool(&session, 8),
        Request::modern(9, "tools/call", json!({"name": "t"})),
        Request::initialize(V11),
        Request::post(&batch).session(&old),
        Request::get(&session),
    ];
    for request in &refused {
        let answer = ask(&mut client, GREEDY, request);
        assert_told(&answer, "too_many_requests", option, "1");
    }
    assert!(client.node.calls.is_empty(), "the application was asked");
    assert_eq!(ask(&mut client, GREEDY, &refused[0]).json()["id"], 7);
    // Others have a rate of their own, and to end a session makes room.
    let honest = session_of(&mut client, 1, V11);
    assert_eq!(ask(&mut client, 1, &Request::ping(&honest, 1)).status, 200);
    assert_eq!(ask(&mut client, GREEDY, &Request::delete(&old)).status, 204);
    client.pass(250);
    assert_eq!(ask(&mut client, GREEDY, &refused[0]).status, 200);
    assert_eq!(ask(&mut client, GREEDY, &refused[0]).status, 429);
}

/// Whoever behind the same address has shown a good one goes on with it.
#[test]
fn a_client_that_shows_one_bad_token_after_the_other() {
    let mut client = Client::identified(Limits {
        bad_tokens_per_second_per_client_max: 3,
        ..Limits::default()
    });
    let shown_by = |name: &str| Request::initialize(V11).shown_by(name);
    assert_eq!(ask(&mut client, GREEDY, &shown_by("alice")).status, 200);
    for _ in 0..3 {
        let answer = ask(&mut client, GREEDY, &shown_by("mallory"));
        assert_eq!((answer.status, &*answer.reason()), (401, "token_unknown"));
    }
    for name in ["mallory", "bob"] {
        let answer = ask(&mut client, GREEDY, &shown_by(name));
        let option = "--bad-tokens-per-second-per-client-max";
        assert_told(&answer, "too_many_bad_tokens", option, "1");
    }
    assert_eq!(ask(&mut client, GREEDY, &shown_by("alice")).status, 200);
    assert_eq!(ask(&mut client, 1, &shown_by("bob")).status, 200);
    client.pass(1_000);
    assert_eq!(ask(&mut client, GREEDY, &shown_by("bob")).status, 200);
}

#[test]
fn a_batch_that_counts_as_one_request() {
    let mut client = Client::with(Limits {
        calls_per_second_per_client_max: 5,
        ..Limits::default()
    });
    let session = session_of(&mut client, GREEDY, V03);
    let ping = |id| json!({"jsonrpc": "2.0", "id": id, "method": "ping"});
    let batch = json!([ping(1), ping(2), ping(3)]);
    let request = Request::post(&batch).session(&session);
    let socket = connect(&mut client, GREEDY);
    client.open_on(socket, &request);
    let answer = ask(&mut client, GREEDY, &request);
    let option = "--calls-per-second-per-client-max";
    assert_told(&answer, "too_many_requests", option, "1");
}

#[test]
fn a_client_that_takes_the_memory_of_all_subscriptions() {
    let option = "--subscription-bytes-per-client-max";
    let mut client = Client::with(Limits {
        subscription_bytes_max: 16 * 1024,
        ..Limits::default()
    });
    let session = session_of(&mut client, GREEDY, V11);
    let mut taken = 0;
    let refused = loop {
        let request = Request::subscribe(&session, &format!("a:{taken}"));
        let answer = ask(&mut client, GREEDY, &request);
        if answer.status != 200 {
            break answer;
        }
        taken += 1;
        assert!(taken < 100, "no end of it");
    };
    assert_told(&refused, "too_many_subscriptions", option, "30");
    let bytes = held(&client, GREEDY).subscription_bytes;
    assert!((2_048..=4_096).contains(&bytes), "a quarter: {bytes}");
    // Another session is no way around it, nor a listen stream, nor what others hear of as well.
    let other = session_of(&mut client, GREEDY, V11);
    let listen = |uri: &str| Request::listen(1, json!({"resourceSubscriptions": [uri]}));
    for request in [
        Request::subscribe(&other, "a:0"),
        listen("a:0"),
        listen("a:new"),
    ] {
        let answer = ask(&mut client, GREEDY, &request);
        assert_told(&answer, "too_many_subscriptions", option, "30");
    }
    for number in 1..=3 {
        let session = session_of(&mut client, number, V11);
        for uri in ["a:0", "a:mine"] {
            let answer = ask(&mut client, number, &Request::subscribe(&session, uri));
            assert_eq!(answer.status, 200, "{number} {uri}: {answer:?}");
        }
    }
    // What it gives up it may have again, on a stream as well, which may ask for it twice.
    for uri in ["a:1", "a:2", "a:3"] {
        let params = json!({"uri": uri});
        let request = Request::call(&session, 1, "resources/unsubscribe", params);
        assert_eq!(ask(&mut client, GREEDY, &request).status, 200);
    }
    let twice = Request::listen(1, json!({"resourceSubscriptions": ["a:1", "a:1"]}));
    let socket = connect(&mut client, GREEDY);
    client.open_on(socket, &twice);
    for uri in ["a:2", "a:3"] {
        let socket = connect(&mut client, GREEDY);
        client.open_on(socket, &listen(uri));
    }
    let answer = ask(&mut client, GREEDY, &listen("a:1"));
    assert_told(&answer, "too_many_subscriptions", option, "30");
    client.node.cut(socket);
    for session in [session, other] {
        ask(&mut client, GREEDY, &Request::delete(&session));
    }
    let left = held(&client, GREEDY).subscription_bytes;
    assert!(left > 0 && left < bytes / 2, "two streams: {left}");
}

/// A stream is a connection: those of all its sessions count, and so do those of its requests.
#[test]
fn a_client_that_takes_all_streams_over_many_sessions() {
    let mut client = Client::with(Limits {
        connections_max: 12,
        ..Limits::default()
    });
    let sessions: Vec<String> = (0..9)
        .map(|_| session_of(&mut client, GREEDY, V11))
        .collect();
    for session in &sessions {
        let socket = connect(&mut client, GREEDY);
        client.open_on(socket, &Request::get(session));
    }
    assert_eq!(held(&client, GREEDY).connections, 9, "three quarters");
    let now = client.node.now;
    let another = client.node.cores[0]
        .shard
        .handle_open(now, Some(address(GREEDY)));
    assert!(another.is_err(), "it has as many as it may");
    let session = session_of(&mut client, 1, V11);
    let socket = connect(&mut client, 1);
    client.open_on(socket, &Request::get(&session));
}
