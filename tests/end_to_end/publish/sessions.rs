//! Items for one session, and for all of them.

use serde_json::json;

use super::http::Exchange;
use super::{batch, board, outcomes};
use crate::server::Server;

/// A legacy client with its notification stream open.
struct Client {
    session: String,
    stream: Exchange,
}

impl Client {
    fn join(server: &Server) -> Self {
        let session = initialize(server);
        let said = post(
            server,
            &session,
            r#"{"jsonrpc":"2.0","id":2,"method":"logging/setLevel","params":{"level":"info"}}"#,
        );
        assert_eq!(said, 200);
        let mut stream = Exchange::open(&server.mcp());
        stream.send(format!(
            "GET /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nMcp-Session-Id: {session}\r\n\r\n"
        ));
        assert_eq!(stream.head().status, 200);
        Client { session, stream }
    }
}

fn headers(session: &str) -> String {
    let accept =
        "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n";
    if session.is_empty() {
        return accept.to_owned();
    }
    format!("{accept}Mcp-Session-Id: {session}\r\n")
}

fn initialize(server: &Server) -> String {
    let mut exchange = Exchange::open(&server.mcp());
    let client = json!({"name": "test", "version": "1"});
    let params = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client});
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
    exchange.post("/mcp", &headers(""), &message.to_string());
    let head = exchange.head();
    let session = head.header("mcp-session-id").expect("a session").to_owned();
    let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    assert_eq!(post(server, &session, initialized), 202);
    session
}

fn post(server: &Server, session: &str, message: &str) -> u16 {
    let mut exchange = Exchange::open(&server.mcp());
    exchange.post("/mcp", &headers(session), message);
    exchange.head().status
}

fn leave(server: &Server, session: &str) {
    let mut exchange = Exchange::open(&server.mcp());
    exchange.send(format!(
        "DELETE /mcp HTTP/1.1\r\nHost: localhost\r\nMcp-Session-Id: {session}\r\n\r\n"
    ));
    assert!(matches!(exchange.head().status, 200 | 204));
}

#[test]
fn one_session_is_told_and_no_other() {
    let server = board("session");
    let (mut one, mut other) = (Client::join(&server), Client::join(&server));
    let message = |text: &str| json!({"level": "warning", "logger": "l", "data": {"is": text}});
    let answers = batch(
        &server,
        &json!([
            {"session": one.session, "message": message("first")},
            {"session": one.session, "topic": "tools"},
            {"session": other.session, "message": message("for the other")},
            {"session": one.session, "message": message("second")},
            {"session": one.session, "message": {"level": "debug", "data": "not asked for"}},
            {"all": true, "message": message("for all")},
        ]),
    );
    assert_eq!(outcomes(&answers), ["+"; 6]);
    let first = one.stream.event("data: {");
    assert!(
        first.contains(r#""method":"notifications/message""#)
            && first.contains(r#""params":{"level":"warning","logger":"l","data":{"is":"first"}}"#),
        "{first}"
    );
    let second = one.stream.event("notifications/message");
    assert!(second.contains("second"), "{second}");
    let all = one.stream.event("notifications/message");
    assert!(all.contains("for all"), "{all}");
    let others = other.stream.event("data: {");
    assert!(others.contains("for the other"), "{others}");
    let others = other.stream.event("data: {");
    assert!(others.contains("for all"), "{others}");
    server.stop().expect("a clean end");
}

#[test]
fn one_session_hears_of_a_topic() {
    let server = board("session_topic");
    let (mut one, mut other) = (Client::join(&server), Client::join(&server));
    let answers = batch(
        &server,
        &json!([
            {"session": one.session, "topic": "prompts"},
            {"session": one.session, "uri": "board://a"},
            {"topic": "resources"},
        ]),
    );
    assert_eq!(outcomes(&answers), ["+"; 3]);
    one.stream.event("notifications/prompts/list_changed");
    let first = other.stream.event("data: {");
    assert!(first.contains("resources/list_changed"), "{first}");
    server.stop().expect("a clean end");
}

#[test]
fn sessions_that_are_gone() {
    let server = board("gone");
    let (gone, alive) = (initialize(&server), initialize(&server));
    leave(&server, &gone);
    let elsewhere = alive
        .split_once('.')
        .map(|(_, rest)| format!("elsewhere.{rest}"));
    let (start, secret) = alive.split_at(alive.len() - 4);
    let forged = format!("{start}{}", if secret == "AAAA" { "AAAE" } else { "AAAA" });
    let items: Vec<_> = [
        Some(gone.clone()),
        elsewhere,
        Some(forged),
        Some("x".repeat(9999)),
        Some(alive),
    ]
    .iter()
    .map(|session| json!({"session": session, "topic": "tools"}))
    .collect();
    let answers = batch(&server, &json!(items));
    assert_eq!(
        outcomes(&answers),
        ["expired", "other_node", "unknown", "unknown", "+"]
    );
    assert!(!server.log().contains(&gone), "no session id in the log");
    server.stop().expect("a clean end");
}
