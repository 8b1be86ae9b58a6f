//! The node's own bounds: each has its status and a sentence, and what is full is a normal answer.

use pinfold::internals::limits::Limits;
use pinfold::internals::shard::{Closed, TooMany};
use serde_json::{Value, json};

use crate::support::{Client, Item, Request};
use crate::{V03, V06, V11};

#[test]
fn a_head_without_end() {
    let mut client = Client::tiny();
    for request in [
        Request::new("GET").with("X", &"x".repeat(2_000)),
        (0..65).fold(Request::new("GET"), |it, _| it.with("X", "1")),
    ] {
        let answer = client.ask(&request);
        assert_eq!(
            (answer.status, answer.field("connection")),
            (431, Some("close"))
        );
        answer.sentence();
    }
}

#[test]
fn a_target_without_end() {
    let mut client = Client::tiny();
    let answer = client.ask(&Request::new("GET").target(&format!("/mcp?{}", "x".repeat(100))));
    assert_eq!(answer.status, 414);
    answer.sentence();
}

#[test]
fn a_body_without_end() {
    let mut client = Client::tiny();
    let large = json!({"jsonrpc": "2.0", "id": 1, "method": "x".repeat(3_000)});
    let answer = client.ask(&Request::post(&large));
    assert_eq!(
        (answer.status, answer.field("connection")),
        (413, Some("close"))
    );
    assert!(
        answer.sentence().contains("2048"),
        "it says how much is allowed"
    );
    let mut chunked = Request::post_text("ffff\r\n").with("Transfer-Encoding", "chunked");
    chunked.body.extend(vec![b' '; 3_000]);
    assert_eq!(client.ask(&chunked).status, 413);
}

#[test]
fn json_without_bottom() {
    let mut client = Client::tiny();
    let answer = client.ask(&Request::post_text(&format!(
        "{}{}",
        "[".repeat(100),
        "]".repeat(100)
    )));
    assert_eq!((answer.status, answer.code()), (400, -32700));
}

/// A few bytes each, and hundreds once they are read.
#[test]
fn values_without_end() {
    let mut client = Client::tiny();
    let objects = r#"{"":0},"#.repeat(200);
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","x":[{objects}0]}}"#);
    let answer = client.ask(&Request::post_text(&body));
    assert_eq!((answer.status, answer.code()), (413, -32600));
    let sentence = answer.sentence();
    assert!(sentence.contains("16384") && sentence.contains("--json-tree-bytes-max"));
    // While it arrives: nobody waits for the rest.
    let request = Request::post_text(&body).bytes();
    let socket = client.connect();
    client.node.sockets[socket].reader.expected.push_back(false);
    client.send_bytes(socket, &request[..request.len() - 700]);
    let answer = client.answer(socket);
    assert_eq!(
        (answer.status, answer.field("connection")),
        (413, Some("close"))
    );
}

#[test]
fn nesting_that_is_refused_when_all_of_it_has_arrived() {
    let mut client = Client::tiny();
    let request = Request::post_text(&"[".repeat(1000)).bytes();
    let socket = client.connect();
    client.node.sockets[socket].reader.expected.push_back(false);
    client.send_bytes(socket, &request[..request.len() - 700]);
    let answer = client.answer(socket);
    assert_eq!((answer.status, answer.code()), (400, -32700));
}

/// Megabytes that are honest: numbers, a long text.
#[test]
fn a_large_call_that_is_refused() {
    let mut client = Client::new();
    let session = client.session(V11);
    let numbers: Vec<u32> = (0..100_000).collect();
    for value in [json!(numbers), json!("ä\n".repeat(1_000_000))] {
        let params = json!({"name": "t", "arguments": {"value": value}});
        let in_session = Request::call(&session, 7, "tools/call", params.clone());
        for request in [in_session, Request::modern(7, "tools/call", params)] {
            let socket = client.connect();
            client.send(socket, &request);
            let call = client.call();
            let arrived = call.request.params.as_ref().expect("they were sent");
            let arrived: Value = serde_json::from_str(arrived.get()).expect("JSON");
            assert_eq!(arrived["arguments"]["value"], value);
            client.finish(&call, r#"{"done":true}"#);
            let answer = client.answer(socket);
            assert_eq!((answer.status, &answer.json()["id"]), (200, &json!(7)));
        }
    }
}

#[test]
fn one_connection_too_many() {
    let mut client = Client::tiny();
    let sockets: Vec<_> = (0..Limits::tiny().connections_max)
        .map(|_| client.connect())
        .collect();
    assert_eq!(client.node.connect(0, None), None);
    let text = std::str::from_utf8(TooMany::OfNode.answer()).expect("text");
    assert!(text.starts_with("HTTP/1.1 503 ") && text.contains("Retry-After: "));
    client.node.cut(sockets[0]);
    client.connect();
}

/// Full: idle sessions make room; when none is idle, 503 and when to try again.
#[test]
fn a_session_in_use_thrown_out_for_another() {
    let mut client = Client::tiny();
    let sessions: Vec<_> = (0..Limits::tiny().sessions_max)
        .map(|_| client.session(V11))
        .collect();
    let answer = client.ask(&Request::initialize(V11));
    assert_eq!(
        (answer.status, &*answer.reason()),
        (503, "busy"),
        "all were active just now"
    );
    assert!(answer.field("retry-after").is_some());
    answer.sentence();
    let open = client.open(&Request::get(&sessions[0]));
    let calling = client.connect();
    client.send(calling, &Request::tool(&sessions[1], 1));
    client.pass(20_000);
    assert_eq!(client.ask(&Request::ping(&sessions[2], 1)).status, 200);
    client.session(V11);
    assert_eq!(
        client.ask(&Request::ping(&sessions[3], 1)).reason(),
        "expired",
        "the one that was idle"
    );
    for session in &sessions[..3] {
        assert_eq!(client.ask(&Request::ping(session, 1)).status, 200);
    }
    assert!(
        client.node.cores[0]
            .shard
            .is_open(client.node.sockets[open].key.expect("open"))
    );
}

#[test]
fn a_storm_of_initialize() {
    let mut client = Client::with(Limits {
        initialize_per_second_max: 3,
        ..Limits::default()
    });
    let statuses: Vec<_> = (0..5)
        .map(|_| client.ask(&Request::initialize(V11)).status)
        .collect();
    assert_eq!(statuses, [200, 200, 200, 503, 503]);
    client.pass(1_000);
    let answer = client.ask(&Request::initialize(V11));
    assert_eq!(answer.status, 200);
}

#[test]
fn more_calls_than_one_session_may_have() {
    let mut client = Client::tiny();
    let session = client.session(V11);
    for id in 0..2 {
        let socket = client.connect();
        client.send(socket, &Request::tool(&session, id));
    }
    let answer = client.ask(&Request::tool(&session, 3));
    assert_eq!(
        (
            answer.status,
            &*answer.reason(),
            answer.field("retry-after")
        ),
        (429, "too_many_streams", Some("1"))
    );
    assert_eq!(
        client.ask(&Request::ping(&session, 4)).status,
        200,
        "that costs nothing"
    );
    let call = client.call();
    client.finish(&call, "{}");
    let socket = client.connect();
    client.send(socket, &Request::tool(&session, 5));
    assert_eq!(client.node.calls.len(), 2);
}

#[test]
fn more_subscriptions_than_one_session_may_have() {
    let mut client = Client::tiny();
    let session = client.session(V11);
    for uri in ["a:1", "a:2", "a:3", "a:3"] {
        assert_eq!(
            client.ask(&Request::subscribe(&session, uri)).code(),
            0,
            "{uri}"
        );
    }
    let answer = client.ask(&Request::subscribe(&session, "a:4"));
    assert_eq!(answer.code(), -32602);
    assert!(answer.sentence().contains('3'));
    assert_eq!(
        client
            .ask(&Request::subscribe(&session, &"x".repeat(65)))
            .code(),
        -32602
    );
}

/// One client after the other takes what it may have: together they must not have all memory.
#[test]
fn subscriptions_of_many_that_fill_all_memory() {
    let mut client = Client::with(Limits {
        subscription_bytes_max: 8 * 1024,
        ..Limits::default()
    });
    let mut sessions = Vec::new();
    let mut count = 0;
    let refused = loop {
        let session = client.session(V11);
        let uri = format!("a:{count}");
        let answer = client.ask(&Request::subscribe(&session, &uri));
        sessions.push(session);
        if answer.json().get("error").is_some() {
            break answer;
        }
        count += 1;
        assert!(count < 100, "no end of it");
    };
    assert_eq!(refused.code(), -32603);
    assert!(refused.sentence().contains("--subscription-bytes-max"));
    assert!(count > 5, "{count} fit into 8 KiB");
    let listen = Request::listen(1, json!({"resourceSubscriptions": ["a:new"]}));
    let answer = client.ask(&listen);
    assert_eq!((answer.status, &*answer.reason()), (503, "busy"));
    // What somebody has is kept, a change of it is heard, and who leaves makes room.
    let told = client.open(&Request::get(&sessions[0]));
    client.updated("a:0");
    assert_eq!(client.topics(told), ["a:0"]);
    for session in &sessions[1..4] {
        client.ask(&Request::delete(session));
    }
    let socket = client.open(&listen);
    client.updated("a:new");
    assert_eq!(
        client.topics(socket),
        ["subscriptions/acknowledged", "a:new"]
    );
}

#[test]
fn a_batch_without_end() {
    let mut client = Client::tiny();
    let session = client.session(V03);
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let answer = client.ask(&Request::post(&json!([ping, ping, ping, ping])).session(&session));
    assert_eq!(answer.status, 400);
    assert!(answer.sentence().contains('3'));
}

/// More than may be kept for a reader that takes nothing: the stream ends, and its newest messages wait for a resume.
#[test]
fn a_slow_reader_that_costs_memory() {
    let mut client = Client::tiny();
    let session = client.session(V06);
    let socket = client.connect();
    client.send(socket, &Request::tool(&session, 1));
    let call = client.call();
    client.notify(&call, 0);
    let items = client.items(socket);
    let Some(Item::Frame(first)) = items.last() else {
        panic!("{items:?}")
    };
    client.node.set_room(socket, 0);
    (1..100).for_each(|number| client.notify(&call, number));
    assert_eq!(client.closed(socket), Some(Closed::SlowReader));
    client.finish(&call, r#"{"done":1}"#);
    let socket = client.open(&Request::get(&session).resume(first.id.as_deref().expect("an id")));
    let messages = client.messages(socket);
    assert!(messages.len() < 20, "{}", messages.len());
    assert_eq!(messages.last().expect("the answer")["result"]["done"], 1);
}
