//! HTTP+SSE, the transport of 2024-11-05: a session that is a stream, and messages that are posted beside it.

use pinfold::app::call::{Lifecycle, Notice, SessionEnd, Topic};
use pinfold::internals::limits::Limits;
use pinfold::internals::shard::view::EndReason;
use serde_json::json;

use crate::http_sse_ends::reasons;
use crate::support::http_sse::get;
use crate::support::identified::{identify_by, rules, tokens};
use crate::support::{Client, Request};
use pinfold::internals::auth::Who;

const V11: &str = "2025-11-25";

fn speaking() -> Client {
    Client::http_sse(Limits::default())
}

fn code(message: &serde_json::Value) -> i64 {
    message["error"]["code"].as_i64().expect("an error")
}

#[test]
fn the_transport_of_2024_11_05_that_nobody_asked_for() {
    let mut client = Client::new();
    for path in ["/mcp/sse", "/sse"] {
        assert_eq!(client.refused(&get().target(path)).0, 404, "{path}");
    }
    for path in ["/mcp/messages", "/messages"] {
        let post = Request::initialize("2024-11-05").target(path);
        assert_eq!(client.refused(&post).0, 404, "{path}");
    }
    let answer = client.ask(&Request::initialize("2024-11-05"));
    assert_eq!(answer.json()["result"]["protocolVersion"], V11);
}

#[test]
fn a_session_whose_answers_and_notifications_come_on_its_stream() {
    let mut client = speaking();
    let session = client.session_http_sse();
    assert!(
        session
            .messages
            .starts_with("/mcp/messages?sessionId=node-a.")
    );
    let socket = client.connect();
    let taken = client.exchange(socket, &session.tool(7));
    assert_eq!(taken.status, 202, "before the call ends");
    let call = client.call();
    client.notify(&call, 1);
    let ask = client
        .ask_client(&call, "sampling/createMessage")
        .expect("it is asked");
    let heard = client.heard(&session);
    assert_eq!(heard[0]["method"], "notifications/progress");
    assert_eq!(
        (&heard[1]["method"], &heard[1]["id"]),
        (&json!("sampling/createMessage"), &json!(ask))
    );
    let answer = session.post(&json!({"jsonrpc": "2.0", "id": ask, "result": {"role": "user"}}));
    assert!(client.say(&session, &answer).is_empty());
    assert_eq!(client.node.heard.len(), 1);
    client.finish(&call, r#"{"content":[]}"#);
    let heard = client.heard(&session);
    assert_eq!(
        heard,
        [json!({"jsonrpc": "2.0", "id": 7, "result": {"content": []}})]
    );
    let taken = client.say(
        &session,
        &session.call(8, "resources/subscribe", json!({"uri": "board://a"})),
    );
    assert_eq!(taken[0]["id"], 8);
    client.updated("board://a");
    let params = json!({"level": "info", "data": "x"}).to_string().into();
    assert_eq!(
        client.tell(session.id(), &Notice::Message { level: 1, params }),
        Ok(())
    );
    let methods: Vec<_> = client
        .heard(&session)
        .into_iter()
        .map(|it| it["method"].clone())
        .collect();
    assert_eq!(
        methods,
        ["notifications/resources/updated", "notifications/message"]
    );
    assert_eq!(client.node.cores[0].shard.counts().calls, 0);
}

#[test]
fn a_client_that_was_set_up_without_the_endpoints_path() {
    let mut client = speaking();
    let session = client.open_http_sse(&get().target("/sse"));
    assert!(session.messages.starts_with("/messages?sessionId="));
    assert_eq!(client.say(&session, &session.initialize())[0]["id"], 0);
}

#[test]
fn a_message_of_no_session_or_of_two() {
    let mut client = speaking();
    let session = client.session_http_sse();
    let ping = |target: &str| session.ping(1).target(target);
    let none = client.refused(&ping("/mcp/messages"));
    assert_eq!(none.0, 400);
    let unknown = session.messages.replace("node-a.", "node-a.A");
    assert_eq!(client.refused(&ping(&unknown)).0, 404);
    let last = session.messages.len() - 1;
    let other = format!(
        "{}{}",
        &session.messages[..last],
        if session.messages.ends_with('A') {
            "E"
        } else {
            "A"
        }
    );
    let (status, answer) = client.refused(&ping(&other));
    assert_eq!(
        (status, answer.reason()),
        (404, "unknown".into()),
        "another secret"
    );
    let both = format!("{}&sessionId={}", session.messages, session.id());
    assert_eq!(client.refused(&ping(&both)).0, 400);
    // The header is that of another transport.
    let by_header = ping("/mcp/messages").session(session.id());
    assert_eq!(client.refused(&by_header).0, 400);
    assert!(client.heard(&session).is_empty());
}

#[test]
fn a_session_that_is_used_by_the_other_transport() {
    let mut client = speaking();
    let session = client.session_http_sse();
    let other = client.session(V11);
    for request in [
        Request::ping(session.id(), 1),
        Request::get(session.id()),
        Request::delete(session.id()),
        Request::initialize(V11).session(session.id()),
        session
            .ping(1)
            .target(&format!("/mcp/messages?sessionId={other}")),
    ] {
        let (status, answer) = client.refused(&request);
        assert_eq!(
            (status, answer.reason()),
            (404, "unknown".into()),
            "{request:?}"
        );
    }
    assert_eq!(
        client.say(&session, &session.ping(2))[0]["id"],
        2,
        "it goes on"
    );
    assert_eq!(client.ask(&Request::ping(&other, 3)).status, 200);
}

#[test]
fn a_session_of_another_principal_that_somebody_posts_to() {
    let mut client = speaking();
    identify_by(
        &mut client.node,
        &std::sync::Arc::new(rules(Who::Tokens(tokens()))),
    );
    assert_eq!(client.refused(&get()).0, 401);
    let session = client.open_http_sse(&get().shown_by("alice"));
    let taken = client.say(&session, &session.initialize().shown_by("alice, refreshed"));
    assert_eq!(taken[0]["id"], 0);
    let (status, answer) = client.refused(&session.ping(1).shown_by("bob"));
    assert_eq!((status, answer.reason()), (404, "unknown".into()));
    let mut large = session.tool(1).shown_by("bob");
    large.body = vec![b' '; 200_000];
    let socket = client.connect();
    client.node.sockets[socket].reader.expected.push_back(false);
    client.send_bytes(socket, &large.bytes()[..1_000]);
    assert_eq!(
        client.answer(socket).status,
        404,
        "before its body is there"
    );
    assert_eq!(client.refused(&session.ping(1)).0, 401);
    assert_eq!(
        client.say(&session, &session.ping(2).shown_by("alice"))[0]["id"],
        2
    );
}

#[test]
fn a_post_that_is_no_message() {
    let mut client = speaking();
    let session = client.session_http_sse();
    let text = session.ping(1).but("Content-Type", "text/plain");
    assert_eq!(client.refused(&text).0, 415);
    let mut broken = session.ping(1);
    broken.body = b"{".to_vec();
    let (status, answer) = client.refused(&broken);
    assert_eq!(
        (status, answer.json()["error"]["code"].as_i64()),
        (400, Some(-32700))
    );
    let batch = session.post(&json!([{"jsonrpc": "2.0", "id": 1, "method": "ping"}]));
    assert_eq!(client.refused(&batch).0, 400);
    let mut large = session.ping(1);
    large.body = vec![b' '; 64 * 1024 * 1024];
    let socket = client.connect();
    client.node.sockets[socket].reader.expected.push_back(false);
    client.send_bytes(socket, &large.head());
    assert_eq!(client.answer(socket).status, 413);
    let foreign = session.ping(1).with("Origin", "https://evil.example");
    assert_eq!(client.refused(&foreign).0, 403);
    let elsewhere = session.ping(1).but("Host", "evil.example");
    assert_eq!(client.refused(&elsewhere).0, 403);
    assert!(client.heard(&session).is_empty());
    // What they accept does not matter: nothing is answered.
    let accepts = session.ping(2).but("Accept", "text/plain");
    assert_eq!(client.say(&session, &accepts)[0]["id"], 2);
}

#[test]
fn a_method_that_a_path_does_not_have() {
    let mut client = speaking();
    let session = client.session_http_sse();
    for (request, allowed) in [
        (session.initialize().target("/mcp/sse"), "GET, OPTIONS"),
        (Request::delete("x").target("/sse"), "GET, OPTIONS"),
        (get().target(&session.messages), "POST, OPTIONS"),
    ] {
        let (status, answer) = client.refused(&request);
        assert_eq!((status, answer.field("allow")), (405, Some(allowed)));
    }
    let blind = get().but("Accept", "application/json");
    assert_eq!(client.refused(&blind).0, 406);
}

#[test]
fn a_message_before_initialize_and_a_second_initialize() {
    let mut client = speaking();
    let session = client.open_http_sse(&get());
    assert_eq!(
        client.say(&session, &session.ping(1))[0]["result"],
        json!({})
    );
    let early = client.say(&session, &session.tool(2));
    assert_eq!(
        (early[0]["id"].as_u64(), code(&early[0])),
        (Some(2), -32600)
    );
    let noted = session.post(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    assert!(client.say(&session, &noted).is_empty());
    client.publish(Topic::Tools);
    assert!(client.heard(&session).is_empty() && client.node.calls.is_empty());
    assert!(client.node.delivered.is_empty(), "nothing was opened yet");

    let wrong = session.call(3, "initialize", json!({"capabilities": 1}));
    assert_eq!(code(&client.say(&session, &wrong)[0]), -32602);
    let opened = client.say(&session, &session.initialize());
    assert_eq!(opened[0]["result"]["protocolVersion"], "2024-11-05");
    let again = client.say(&session, &session.initialize());
    assert_eq!(code(&again[0]), -32600);
    client.publish(Topic::Tools);
    assert_eq!(
        client.heard(&session)[0]["method"],
        "notifications/tools/list_changed"
    );
    let opened = client.node.delivered.iter();
    let opened = opened
        .filter(|it| matches!(it, Lifecycle::Opened(_)))
        .count();
    assert_eq!(opened, 1);
}

/// What newer clients offer is settled on the one revision that has this transport.
#[test]
fn a_newer_revision_over_the_old_transport() {
    let mut client = speaking();
    let session = client.open_http_sse(&get());
    let newer = Request::initialize(V11).target(&session.messages);
    let answer = client.say(&session, &newer.with("MCP-Protocol-Version", V11));
    assert_eq!(answer[0]["result"]["protocolVersion"], "2024-11-05");
    let unknown = session.ping(1).with("MCP-Protocol-Version", "1999-01-01");
    assert_eq!(client.say(&session, &unknown)[0]["id"], 1);
    // And that one is not one of the newer transport.
    let other = client.session(V11);
    let old = Request::ping(&other, 1).with("MCP-Protocol-Version", "2024-11-05");
    assert_eq!(client.refused(&old).0, 400);
}

#[test]
fn a_stream_that_is_closed_in_mid_call_and_leaves_something_behind() {
    let mut client = speaking();
    let session = client.session_http_sse();
    assert!(client.say(&session, &session.tool(1)).is_empty());
    let call = client.call();
    client.node.cut(session.stream);
    assert_eq!(client.node.cancelled, [call.key]);
    client.finish(&call, "{}");
    let (status, answer) = client.refused(&session.ping(2));
    assert_eq!((status, answer.reason()), (404, "expired".into()));
    let counts = client.node.cores[0].shard.counts();
    assert_eq!(
        (
            counts.sessions,
            counts.streams,
            counts.calls,
            counts.listeners
        ),
        (0, 0, 0, 0)
    );
    assert_eq!(reasons(&mut client), [EndReason::PeerLeft]);
    let ended = client.node.delivered.iter();
    let ended: Vec<_> = ended
        .filter_map(|it| match it {
            Lifecycle::Ended(_, why) => Some(*why),
            _ => None,
        })
        .collect();
    assert_eq!(ended, [SessionEnd::Left]);
}

#[test]
fn a_stream_that_never_was_initialized_and_ends() {
    let mut client = speaking();
    let session = client.open_http_sse(&get());
    client.node.cut(session.stream);
    assert!(
        client.node.delivered.is_empty(),
        "what did not begin does not end"
    );
    assert_eq!(client.node.cores[0].shard.counts().sessions, 0);
}

#[test]
fn a_call_that_its_client_cancels() {
    let mut client = speaking();
    let session = client.session_http_sse();
    client.say(&session, &session.tool(1));
    let call = client.call();
    let cancel = session.post(&json!({
        "jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1},
    }));
    assert!(client.say(&session, &cancel).is_empty());
    assert_eq!(client.node.cancelled, [call.key]);
    assert_eq!(client.say(&session, &session.ping(2))[0]["id"], 2);
}
