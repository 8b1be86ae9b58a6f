//! What attackers send, as text: heads and bodies apart, since many of them share one body.

use std::sync::Arc;

use serde_json::{Value, json};

/// One request. The body may be shorter than its head says: then the rest never comes.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) head: String,
    pub(super) body: Arc<[u8]>,
}

pub(super) fn post(fields: &str, body: &str) -> Request {
    Request {
        head: post_head(fields, body.len()),
        body: body.as_bytes().into(),
    }
}

pub(super) fn post_head(fields: &str, length: usize) -> String {
    format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\n{fields}Content-Length: {length}\r\n\r\n"
    )
}

pub(super) fn in_session(session: &str) -> String {
    format!("Mcp-Session-Id: {session}\r\n")
}

pub(super) fn delete(session: &str) -> Request {
    let session = in_session(session);
    Request {
        head: format!("DELETE /mcp HTTP/1.1\r\nHost: localhost\r\n{session}\r\n"),
        body: Arc::default(),
    }
}

/// `capabilities` and `name` are JSON, as they are to be sent.
pub(super) fn initialize(version: &str, capabilities: &str, name: &str) -> Request {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{{"protocolVersion":"{version}","capabilities":{capabilities},"clientInfo":{{"name":{name},"version":"1"}}}}}}"#
    );
    post("", &body)
}

/// One of 2026-07-28. `params` are members with a comma after each, `capabilities` what is sent as such.
pub(super) fn modern(method: &str, params: &str, capabilities: &str) -> Request {
    modern_with("", method, params, capabilities)
}

/// A stream that hears of one resource.
pub(super) fn listen(uri: &str) -> Request {
    let params = format!(r#""notifications":{{"resourceSubscriptions":["{uri}"]}},"#);
    modern("subscriptions/listen", &params, "{}")
}

pub(super) fn modern_call(tool: &str, params: &str) -> Request {
    let params = format!(r#""name":"{tool}",{params}"#);
    modern_with(
        &format!("Mcp-Name: {tool}\r\n"),
        "tools/call",
        &params,
        "{}",
    )
}

fn modern_with(fields: &str, method: &str, params: &str, capabilities: &str) -> Request {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{capabilities}}}}}}}"#
    );
    let fields = format!("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\n{fields}");
    post(&fields, &body)
}

pub(super) fn call(session: &str, method: &str, params: &Value) -> Request {
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    post(&in_session(session), &message.to_string())
}

/// JSON that is seven bytes long for each small map in it: 3.6 MB with half a million of them.
pub(super) fn many_small_maps() -> String {
    let mut text = String::from("[");
    text.push_str(&r#"{"":0},"#.repeat(520_000));
    text.push_str("{}]");
    text
}
