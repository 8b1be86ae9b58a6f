//! Bodies that the driver looks at elsewhere: what the connection does meanwhile, and that it makes no difference.

use pinfold::internals::limits::{LOOK_ON_CORE_BYTES_MAX, Limits};
use pinfold::internals::shard::Closed;
use serde_json::{Value, json};

use crate::support::node::SocketId;
use crate::support::{Client, Request};

const V11: &str = "2025-11-25";
const V03: &str = "2025-03-26";

/// As the runtime reads: in pieces, so that a large body is never there at once.
fn send(client: &mut Client, socket: SocketId, requests: &[Request]) {
    for request in requests {
        let socket = &mut client.node.sockets[socket];
        socket.reader.expected.push_back(false);
        socket.sent.extend(request.bytes());
    }
    while client.node.receive(socket, 16 * 1024) {}
}

fn large() -> Value {
    Value::from("ä\n".repeat(LOOK_ON_CORE_BYTES_MAX))
}

fn arguments() -> Value {
    json!({"name": "t", "arguments": {"text": large()}})
}

#[test]
fn a_request_that_overtakes_a_large_one() {
    let mut client = Client::new();
    client.node.looks_later = true;
    let session = client.session(V11);
    let socket = client.connect();
    let first = Request::call(&session, 1, "tools/call", arguments());
    send(&mut client, socket, &[first, Request::ping(&session, 2)]);
    assert!(client.items(socket).is_empty() && client.node.calls.is_empty());
    client.node.look();
    let call = client.call();
    assert!(call.request.tree_bytes > LOOK_ON_CORE_BYTES_MAX);
    assert!(client.items(socket).is_empty());
    client.finish(&call, "{}");
    let items = client.items(socket);
    assert_eq!(items.len(), 2, "{items:?}");
}

/// The look has taken more than half of what there is: one client gets no more, not even for the head beside it.
#[test]
fn a_request_that_is_dropped_for_the_bytes_of_its_head() {
    let body = LOOK_ON_CORE_BYTES_MAX + 1;
    let arguments = json!({"name": "t", "arguments": {"text": "m".repeat(body)}});
    let smallest = 2 * body;
    let peer = Some(std::net::IpAddr::from([203, 0, 113, 9]));
    for memory_bytes_max in (smallest..smallest * 3).step_by(16 * 1024) {
        let mut client = Client::with(Limits {
            memory_bytes_max,
            ..Limits::default()
        });
        client.node.looks_later = true;
        let session = client.session(V11);
        let socket = client.node.connect(0, peer).expect("there is room");
        let request = Request::call(&session, 1, "tools/call", arguments.clone());
        send(&mut client, socket, &[request]);
        if !client.node.looks.is_empty() {
            client.node.look();
        }
        let answers = client.items(socket).len() + client.node.calls.len();
        assert_eq!(answers, 1, "served or refused, of {memory_bytes_max} bytes");
    }
}

#[test]
fn a_client_that_left_while_its_body_was_looked_at() {
    let mut client = Client::new();
    client.node.looks_later = true;
    let session = client.session(V11);
    let socket = client.connect();
    let request = Request::call(&session, 1, "tools/call", arguments());
    send(&mut client, socket, &[request]);
    client.node.cut(socket);
    client.node.look();
    assert!(client.node.calls.is_empty());
}

#[test]
fn a_body_that_nobody_looks_at() {
    let mut client = Client::new();
    client.node.looks_later = true;
    let session = client.session(V11);
    let socket = client.connect();
    let request = Request::call(&session, 1, "tools/call", arguments());
    send(&mut client, socket, &[request]);
    client.pass(Limits::default().body_timeout_ms + 1_000);
    let answer = client.answer(socket);
    assert_eq!((answer.status, &*answer.reason()), (503, "busy"));
    client.node.look();
    assert!(client.node.calls.is_empty());
    client.pass(5_000);
    assert_eq!(client.closed(socket), Some(Closed::Answered));
}

/// Each kind of message gets the answer that it gets as a small one.
#[test]
fn an_answer_that_depends_on_the_size() {
    let mut client = Client::new();
    let session = client.session(V11);
    let junk = large();
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {"roots": {}, "x": junk},
        "io.modelcontextprotocol/clientInfo": {"name": "a", "x": junk},
    });
    let wrong = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": [junk],
    });
    let notification =
        json!({"jsonrpc": "2.0", "method": "notifications/x", "params": {"x": junk}});
    let response = json!({"jsonrpc": "2.0", "id": 77, "result": {"x": junk}});
    let error = json!({"jsonrpc": "2.0", "id": 77, "error": {"code": 1, "message": junk}});
    for (request, right) in [
        (
            Request::call(&session, 1, "ping", json!({"x": junk})),
            (200, 0),
        ),
        (Request::post(&notification).session(&session), (202, 0)),
        (Request::post(&response).session(&session), (202, 0)),
        (Request::post(&error).session(&session), (202, 0)),
        (
            Request::modern(1, "server/discover", json!({"_meta": meta})),
            (200, 0),
        ),
        (
            Request::modern(1, "x/y", json!({"_meta": wrong})),
            (400, -32602),
        ),
        (Request::post(&json!({"x": junk})), (400, -32600)),
        (Request::post_text(&format!("{{{junk}}}")), (400, -32700)),
        (
            Request::post(
                &json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"x": junk}}),
            ),
            (400, -32602),
        ),
    ] {
        let socket = client.connect();
        send(&mut client, socket, &[request]);
        let answer = client.answer(socket);
        let code = match answer.body.is_empty() {
            true => 0,
            false => answer.json()["error"]["code"].as_i64().unwrap_or(0),
        };
        assert_eq!((answer.status, code), right, "{answer:?}");
    }
    assert!(client.node.met.contains("Look"));
}

#[test]
fn a_large_call_of_a_client_that_says_much_of_itself() {
    let mut client = Client::new();
    let mut params = arguments();
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {"roots": {}, "x": large()},
        "io.modelcontextprotocol/clientInfo": {"name": "a", "x": large()},
    });
    let socket = client.connect();
    send(
        &mut client,
        socket,
        &[Request::modern(1, "tools/call", params)],
    );
    let call = client.call();
    assert_eq!(*call.request.client_capabilities, json!({"roots": {}}));
    let info = call.request.client_info.as_deref();
    assert_eq!(info, Some(&json!({"name": "a"})));
}

#[test]
fn a_large_batch() {
    let mut client = Client::new();
    let session = client.session(V03);
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": arguments()});
    let batch = json!([call, {"id": 2}, {"jsonrpc": "2.0", "id": 3, "method": "ping"}]);
    let socket = client.connect();
    send(
        &mut client,
        socket,
        &[Request::post(&batch).session(&session)],
    );
    let call = client.call();
    client.finish(&call, "{}");
    let frames = client.frames_after_head(socket);
    let messages = frames.iter().filter(|frame| frame.is_message());
    let ids: Vec<_> = messages.map(|frame| frame.json()["id"].clone()).collect();
    assert_eq!(ids, [2, 3, 1]);
    assert!(client.node.met.contains("Look"));
}
