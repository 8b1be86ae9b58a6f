//! Transports of 2025-03-26 to 2025-11-25: sessions, POST, batches, DELETE, and on which core they live.

use serde_json::{Value, json};

use crate::support::{Client, Item, Node, Request};
use crate::{LEGACY, V03, V06, V11};

/// Without a session id nothing but `initialize` is served: 400.
#[test]
fn a_request_without_a_session_is_served() {
    let mut client = Client::new();
    for body in [
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}),
        json!({"jsonrpc": "2.0", "id": 1, "result": {}}),
    ] {
        let answer = client.ask(&Request::post(&body));
        assert_eq!(answer.status, 400);
        assert!(answer.sentence().contains("Mcp-Session-Id"));
    }
}

/// After a session ended its id is answered 404, with the reason and what to do.
#[test]
fn a_session_that_is_gone_is_served() {
    let mut client = Client::new();
    for version in LEGACY {
        let session = client.session(version);
        assert_eq!(client.ask(&Request::delete(&session)).status, 204);
        for request in [
            Request::ping(&session, 1),
            Request::get(&session),
            Request::delete(&session),
        ] {
            let answer = client.ask(&request);
            assert_eq!((answer.status, &*answer.reason()), (404, "expired"));
            assert!(answer.sentence().contains("initialize"));
        }
    }
}

#[test]
fn a_session_of_another_time_or_place_called_expired() {
    let mut client = Client::new();
    let mut restarted = Client {
        node: Node::with(1, |core| {
            crate::support::node::setup(core, 1, Default::default(), 2)
        }),
    };
    let session = restarted.session(V11);
    let answer = client.ask(&Request::ping(&session, 1));
    assert_eq!((answer.status, &*answer.reason()), (404, "owner_restarted"));
    let elsewhere = session.replace("node-a.", "node-b.");
    for unknown in [&*elsewhere, "garbage", "node-a.AAAA", ""] {
        let answer = client.ask(&Request::ping(unknown, 1));
        assert_eq!(
            (answer.status, &*answer.reason()),
            (404, "unknown"),
            "{unknown}"
        );
    }
}

/// Notifications and responses are accepted with 202 and nothing, or refused with an error status.
#[test]
fn a_message_without_answer_that_gets_one() {
    let mut client = Client::new();
    let session = client.session(V11);
    for body in [
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": 99, "result": {}}),
    ] {
        let answer = client.ask(&Request::post(&body).session(&session));
        assert_eq!((answer.status, &*answer.body), (202, ""));
    }
}

/// A batch of 2025-03-26: an answer for each request in it, then the stream ends.
#[test]
fn a_request_of_a_batch_that_is_not_answered() {
    let mut client = Client::new();
    let session = client.session(V03);
    let socket = client.connect();
    let batch = json!([
        {"jsonrpc": "2.0", "id": 1, "method": "ping"},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "t"}},
        {"jsonrpc": "2.0", "id": 3},
        7,
        {"jsonrpc": "2.0", "id": "x", "method": "tools/list"},
    ]);
    client.send(socket, &Request::post(&batch).session(&session));
    let (first, second) = (client.call(), client.call());
    client.finish(&second, "{}");
    client.finish(&first, "{}");
    let items = client.items(socket);
    assert_eq!(items.last(), Some(&Item::StreamEnd));
    let mut ids: Vec<String> = Vec::new();
    for item in &items {
        if let Item::Frame(frame) = item {
            ids.push(frame.json()["id"].to_string());
        }
    }
    ids.sort();
    assert_eq!(ids, ["\"x\"", "1", "2", "3", "null"]);
    assert_eq!(
        client.exchange(socket, &Request::ping(&session, 4)).status,
        200
    );
}

#[test]
fn a_batch_of_notifications_answered_with_a_stream() {
    let mut client = Client::new();
    let session = client.session(V03);
    let batch =
        json!([{"jsonrpc": "2.0", "method": "a"}, {"jsonrpc": "2.0", "id": 1, "result": {}}]);
    assert_eq!(
        client.ask(&Request::post(&batch).session(&session)).status,
        202
    );
}

/// Since 2025-06-18 there are none.
#[test]
fn a_batch_where_none_exist() {
    let mut client = Client::new();
    for version in [V06, V11] {
        let session = client.session(version);
        let batch = json!([{"jsonrpc": "2.0", "id": 1, "method": "ping"}]);
        let answer = client.ask(&Request::post(&batch).session(&session));
        assert_eq!(answer.status, 400);
        assert!(answer.sentence().contains("2025-03-26"));
    }
}

/// What the session itself answers: ping, levels, subscriptions.
#[test]
fn a_method_of_the_engine_that_reaches_the_application() {
    let mut client = Client::new();
    let session = client.session(V11);
    let calls = [
        ("ping", json!({}), None),
        ("logging/setLevel", json!({"level": "error"}), None),
        ("logging/setLevel", json!({"level": "loud"}), Some(-32602)),
        ("logging/setLevel", json!({}), Some(-32602)),
        ("resources/subscribe", json!({"uri": "a:1"}), None),
        (
            "resources/subscribe",
            json!({"uri": "forbidden:1"}),
            Some(-32002),
        ),
        ("resources/subscribe", json!({"uri": 1}), Some(-32602)),
        ("resources/unsubscribe", json!({"uri": "a:never"}), None),
    ];
    for (method, params, code) in calls {
        let answer = client.ask(
            &Request::call(&session, 1, method, params.clone()).with("MCP-Protocol-Version", V11),
        );
        match code {
            None => assert_eq!(answer.json()["result"], json!({}), "{method} {params}"),
            Some(code) => assert_eq!(answer.code(), code, "{method} {params}"),
        }
    }
    assert!(client.node.calls.is_empty());
}

/// The client said what it can and who it is at `initialize`; each call knows.
#[test]
fn a_call_that_forgot_who_asks() {
    let mut client = Client::new();
    let session = client.session(V06);
    let socket = client.connect();
    client.send(socket, &Request::tool(&session, 1));
    let call = client.call();
    assert_eq!(call.request.version.as_str(), V06);
    assert_eq!(call.request.client_capabilities["sampling"], json!({}));
    assert_eq!(
        call.request
            .client_info
            .as_ref()
            .map(|info| info["name"].clone()),
        Some(json!("test"))
    );
}

/// A request that reaches the wrong core moves, with its connection, whatever was sent behind it.
#[test]
fn a_session_that_its_other_cores_do_not_know() {
    let mut client = Client {
        node: Node::new(3, Default::default()),
    };
    let sessions: Vec<String> = (0..3)
        .map(|core| {
            let socket = client.connect_to(core);
            let answer = client.exchange(socket, &Request::initialize(V11));
            answer
                .field("mcp-session-id")
                .expect("a session")
                .to_owned()
        })
        .collect();
    let socket = client.connect_to(0);
    for (id, session) in sessions.iter().cycle().take(9).enumerate() {
        client.send(socket, &Request::ping(session, id as u64));
    }
    let ids: Vec<Value> = client
        .items(socket)
        .iter()
        .map(|item| match item {
            Item::Answer(answer) => answer.json()["id"].clone(),
            _ => panic!("{item:?}"),
        })
        .collect();
    assert_eq!(ids, (0..9).map(|id| json!(id)).collect::<Vec<_>>());
}

/// The body may arrive on the new core.
#[test]
fn a_body_lost_on_the_way_to_another_core() {
    let mut client = Client {
        node: Node::new(2, Default::default()),
    };
    let socket = client.connect_to(1);
    let session = client
        .exchange(socket, &Request::initialize(V11))
        .field("mcp-session-id")
        .expect("a session")
        .to_owned();
    for cut in [0, 1, 20] {
        let socket = client.connect_to(0);
        let request = Request::ping(&session, 5);
        client.node.sockets[socket].reader.expected.push_back(false);
        let bytes = request.bytes();
        let (first, second) = bytes.split_at(request.head().len() + cut);
        client.send_bytes(socket, first);
        assert_eq!(client.node.sockets[socket].core, 1);
        client.send_bytes(socket, second);
        assert_eq!(client.answer(socket).status, 200);
    }
}
