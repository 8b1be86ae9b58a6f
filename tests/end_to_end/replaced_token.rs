//! What goes on for long at the admin listener, and was begun with a token that an operator has replaced since.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::program::scratch_folder;
use crate::publish::http::{CHUNKED, Exchange, values};
use crate::server::{App, Placement, Server};

fn first_of(kind: &str, stream: &str) -> Option<Value> {
    let lines = stream.split("\n\n").find(|it| it.starts_with(kind))?;
    let data = lines.split_once("data: ")?.1;
    serde_json::from_str(data).ok()
}

#[test]
fn streams_that_go_on_by_a_token_that_was_replaced() {
    let scratch = scratch_folder("replaced-token");
    let file = scratch.join("token");
    fs::write(&file, "before\n").expect("a token can be written");
    let shown = file.to_str().expect("a plain path");
    let options = ["--admin-token-file", shown];
    let server = Server::start_with(&options, App::Board, Placement::AtRandom, &scratch);

    let client = json!({"name": "test", "version": "1"});
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client});
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
    let mut opened = Exchange::open(&server.mcp());
    let accept =
        "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n";
    opened.post("/mcp", accept, &message.to_string());
    let head = opened.head();
    let session = head.header("mcp-session-id").expect("a session");
    // All but the secret.
    let name = &session[..session.len() - 22];

    let bearer = "Authorization: Bearer before\r\n";
    let mut trace = Exchange::open(&server.admin());
    trace.send(format!(
        "GET /sessions/{name}/trace HTTP/1.1\r\nHost: localhost\r\n{bearer}\r\n"
    ));
    let trace_head = trace.head();
    assert_eq!(trace_head.status, 200);
    let mut lines = Exchange::open(&server.admin());
    lines.send(format!(
        "POST /publish HTTP/1.1\r\nHost: localhost\r\n{bearer}{CHUNKED}\r\n"
    ));
    let line = "{\"uri\": \"board://a\"}\n";
    let chunk = format!("{:x}\r\n{line}\r\n", line.len());
    lines.send(&chunk);
    let lines_head = lines.head();
    let first = String::from_utf8(lines.chunk()).expect("text");
    assert!(values(&first)[0]["offset"].is_u64(), "{first}");

    fs::write(&file, "after\n").expect("a token can be written");
    let sent = Command::new("kill")
        .args(["-HUP", &server.id().to_string()])
        .status();
    assert!(sent.is_ok_and(|status| status.success()));

    let stream = trace.body(&trace_head);
    let end = first_of("event: end", &stream).expect("an end");
    assert_eq!(end["reason"], "token_replaced", "{stream}");
    assert_eq!(end["session"], name, "{stream}");
    let rest = lines_head.header("transfer-encoding");
    assert_eq!(rest, Some("chunked"));
    let last = String::from_utf8(lines.chunk()).expect("text");
    let told = values(&last)[0]["error"].as_str().map(str::to_owned);
    assert!(told.is_some_and(|it| it.contains("replaced")), "{last}");
    server.stop().expect("it ends");
}
