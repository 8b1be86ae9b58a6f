//! 2026-07-28, Streamable HTTP: sending, receiving, mirrored headers.

use serde_json::json;

use crate::support::{Client, Item, Request};

fn tool() -> Request {
    Request::modern(1, "tools/call", json!({"name": "t", "arguments": {}}))
}

/// Another method than POST means nothing here: 405, and what does.
#[test]
fn a_method_that_means_nothing_is_served() {
    let mut client = Client::new();
    for method in ["GET", "DELETE", "PUT", "PATCH"] {
        let answer = client.ask(&Request::new(method).with("Accept", "text/event-stream"));
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.field("allow"), Some("POST, GET, DELETE, OPTIONS"));
        answer.sentence();
    }
    let modern = Request::new("GET")
        .with("MCP-Protocol-Version", "2026-07-28")
        .session("node-a.x");
    assert_eq!(client.ask(&modern).status, 405);
}

#[test]
fn something_at_another_path() {
    let mut client = Client::new();
    let answer = client.ask(&tool().target("/other"));
    assert_eq!(answer.status, 404);
    assert!(answer.sentence().contains("/mcp"));
    assert_eq!(
        client
            .ask(&Request::modern(1, "server/discover", json!({})).target("/mcp?x=y"))
            .status,
        200
    );
}

/// What the client does not list it may not understand; a stream it only gets where there is more than an answer.
#[test]
fn an_answer_that_the_client_did_not_accept() {
    let mut client = Client::new();
    let discover = Request::modern(1, "server/discover", json!({}));
    for accept in [
        "text/event-stream",
        "text/html",
        "application/json;q=0, text/event-stream",
    ] {
        let answer = client.ask(&discover.clone().but("Accept", accept));
        assert_eq!(answer.status, 406, "{accept}");
        answer.sentence();
    }
    for accept in [
        "text/event-stream, application/json",
        "application/json",
        "application/json, text/event-stream;q=0",
        "*/*",
        "application/*;q=0.5 , text/*",
        "Application/JSON,text/event-stream",
    ] {
        assert_eq!(
            client.ask(&discover.clone().but("Accept", accept)).status,
            200,
            "{accept}"
        );
    }
}

/// RFC 9110, 5.3: a list may come in several lines.
#[test]
fn an_accept_in_two_lines_read_as_one() {
    let mut client = Client::new();
    let discover = Request::modern(1, "server/discover", json!({}));
    let two = discover
        .but("Accept", "application/json")
        .with("Accept", "text/event-stream");
    assert_eq!(client.ask(&two).status, 200);
}

#[test]
fn a_body_of_another_type_is_read() {
    let mut client = Client::new();
    let discover = Request::modern(1, "server/discover", json!({}));
    for content_type in ["text/plain", "application/jsonx", "multipart/form-data"] {
        let answer = client.ask(&discover.clone().but("Content-Type", content_type));
        assert_eq!(answer.status, 415, "{content_type}");
        answer.sentence();
    }
    assert_eq!(
        client.ask(&discover.clone().without("Content-Type")).status,
        415
    );
    assert_eq!(
        client
            .ask(&discover.but("Content-Type", "application/json; charset=utf-8"))
            .status,
        200
    );
}

/// `Mcp-Method` is required and is the body's method, in its case: 400 and -32020.
#[test]
fn a_method_header_that_lies() {
    let mut client = Client::new();
    let list = Request::modern(5, "tools/list", json!({}));
    for request in [
        list.clone().without("Mcp-Method"),
        list.clone().but("Mcp-Method", "tools/call"),
        list.clone().but("Mcp-Method", "TOOLS/LIST"),
    ] {
        let answer = client.ask(&request);
        assert_eq!(
            (answer.status, answer.code(), &answer.json()["id"]),
            (400, -32020, &json!(5))
        );
    }
    assert!(client.node.calls.is_empty());
}

/// So is `Mcp-Name`, for the methods that have one.
#[test]
fn a_name_header_that_lies() {
    let mut client = Client::new();
    let named = [
        tool(),
        Request::modern(1, "prompts/get", json!({"name": "t"})),
        Request::modern(1, "resources/read", json!({"uri": "a:1"})),
    ];
    for request in named {
        for wrong in ["T", "tt", "SGVsbG8="] {
            let answer = client.ask(&request.clone().but("Mcp-Name", wrong));
            assert_eq!((answer.status, answer.code()), (400, -32020), "{wrong}");
        }
        assert_eq!(
            client.ask(&request.clone().without("Mcp-Name")).code(),
            -32020
        );
    }
    assert!(client.node.calls.is_empty());
}

/// Names of fields in any case, white space around values trimmed, values in Base64 decoded: all the same header.
#[test]
fn a_header_refused_for_how_it_is_written() {
    let mut client = Client::new();
    let written = [
        tool().without("Mcp-Name").with("MCP-NAME", "t"),
        tool().but("Mcp-Name", "   t  "),
        tool().but("Mcp-Name", "=?base64?dA==?="),
        tool()
            .without("Mcp-Method")
            .with("mcp-method", "tools/call"),
    ];
    for request in written {
        let socket = client.connect();
        client.send(socket, &request);
        let call = client.call();
        client.finish(&call, "{}");
        assert_eq!(client.answer(socket).status, 200);
    }
    for bad in ["=?base64?dA?=", "=?base64?d!A==?="] {
        let answer = client.ask(&tool().but("Mcp-Name", bad));
        assert_eq!((answer.status, answer.code()), (400, -32020), "{bad}");
    }
}

/// The application sees what was mirrored into `Mcp-Param-*`, as it was sent.
#[test]
fn a_parameter_header_that_gets_lost() {
    let mut client = Client::new();
    let socket = client.connect();
    client.send(
        socket,
        &tool()
            .with("MCP-Param-Region", "=?base64?SGVsbG8?=")
            .with("Mcp-Param-", "x"),
    );
    let call = client.call();
    let headers = &call.request.caller.headers;
    assert_eq!(headers.get("Mcp-Param-Region"), Some("=?base64?SGVsbG8?="));
}

/// An accepted notification is answered 202 without content, and no response is ever sent by a client.
#[test]
fn a_response_from_a_client_is_taken() {
    let mut client = Client::new();
    let response = Request::post(&json!({"jsonrpc": "2.0", "id": 1, "result": {}}))
        .with("MCP-Protocol-Version", "2026-07-28");
    assert_eq!(client.ask(&response).status, 400);
    let notification = Request::post(&json!({"jsonrpc": "2.0", "method": "notifications/x"}))
        .with("MCP-Protocol-Version", "2026-07-28");
    let answer = client.ask(&notification);
    assert_eq!((answer.status, &*answer.body), (202, ""));
}

/// The final response ends the stream; notifications before it, requests never; no ids, since nothing is resumed.
#[test]
fn a_request_on_a_modern_stream() {
    let mut client = Client::new();
    let socket = client.connect();
    client.send(socket, &tool());
    let call = client.call();
    client.notify(&call, 1);
    assert_eq!(client.ask_client(&call, "sampling/createMessage"), None);
    client.close_stream(&call);
    client.finish(&call, "{}");
    let items = client.items(socket);
    let [
        Item::Answer(head),
        Item::Frame(first),
        Item::Frame(last),
        Item::StreamEnd,
    ] = &items[..]
    else {
        panic!("{items:?}")
    };
    assert_eq!(head.field("content-type"), Some("text/event-stream"));
    assert_eq!(first.method(), "notifications/progress");
    assert_eq!(
        (last.json()["id"].as_i64(), &last.id, last.retry),
        (Some(1), &None, None)
    );
}

/// Log messages only for who asked for them in this very request.
#[test]
fn a_log_message_nobody_asked_for() {
    let mut client = Client::new();
    let meta = |level: Option<&str>| {
        let mut meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}});
        if let Some(level) = level {
            meta["io.modelcontextprotocol/logLevel"] = json!(level);
        }
        Request::modern(1, "tools/call", json!({"name": "t", "_meta": meta}))
    };
    for (level, count) in [
        (None, 0),
        (Some("debug"), 2),
        (Some("warning"), 1),
        (Some("error"), 0),
    ] {
        let socket = client.connect();
        client.send(socket, &meta(level));
        let call = client.call();
        let now = client.node.now;
        for severity in [1, 3] {
            client.node.cores[0]
                .shard
                .handle_log(now, call.key, severity, "{}");
            client.node.settle(0);
        }
        client.finish(&call, "{}");
        let frames = client
            .items(socket)
            .iter()
            .filter(|item| matches!(item, Item::Frame(_)))
            .count();
        assert_eq!(frames.saturating_sub(1), count, "{level:?}");
    }
    assert_eq!(client.ask(&meta(Some("loud"))).code(), -32602);
}

/// To people it is one path.
#[test]
fn nothing_behind_a_slash() {
    let mut client = Client::new();
    for (path, status) in [
        ("/mcp", 200),
        ("/mcp/", 200),
        ("/mcp/?x=y", 200),
        ("/mcp//", 404),
        ("/mcp/x", 404),
        ("//mcp", 404),
        ("/", 404),
    ] {
        let discover = Request::modern(1, "server/discover", json!({}));
        assert_eq!(client.ask(&discover.target(path)).status, status, "{path}");
    }
}

/// RFC 9110, 8.4 and 15.5.16: a coding that is not understood is 415, and what is understood is said.
#[test]
fn a_packed_body_called_no_text() {
    let mut client = Client::new();
    let discover = Request::modern(1, "server/discover", json!({}));
    for coding in ["gzip", "br, identity", "GZIP"] {
        let mut packed = discover.clone().with("Content-Encoding", coding);
        packed.body = b"\x1f\x8b\x08\0\0\0\0\0\0\x03".repeat(20_000);
        for len in [10, 200_000] {
            packed.body.truncate(200_000);
            let mut packed = packed.clone();
            packed.body.truncate(len);
            let answer = client.ask(&packed);
            assert_eq!(answer.status, 415, "{coding}");
            assert_eq!(answer.field("accept-encoding"), Some("identity"));
            assert!(answer.sentence().contains("Content-Encoding"));
        }
    }
    let plain = discover.with("Content-Encoding", "identity");
    assert_eq!(client.ask(&plain).status, 200);
}

/// RFC 8259, 8.1: a byte order mark is not sent, and may be ignored.
#[test]
fn a_byte_order_mark_called_no_json() {
    let mut client = Client::new();
    let mut discover = Request::modern(1, "server/discover", json!({}));
    discover.body.splice(..0, *b"\xef\xbb\xbf");
    assert_eq!(client.ask(&discover).status, 200);
}

/// RFC 9110, 5.5: bytes above ASCII are opaque. What nobody reads has no meaning to get wrong.
#[test]
fn a_request_refused_for_a_field_that_nobody_reads() {
    let mut client = Client::new();
    for (name, status) in [
        ("User-Agent", 200),
        ("X-Name", 200),
        ("Cookie", 200),
        ("Origin", 400),
        ("Mcp-Name", 400),
        ("Mcp-Param-Region", 400),
        ("Mcp-Session-Id", 400),
        ("X-Forwarded-For", 400),
    ] {
        let discover = Request::modern(1, "server/discover", json!({}));
        let head = String::from_utf8(discover.head()).expect("text");
        let line = format!("{name}: gr?n\r\n\r\n");
        let head = head.replacen("\r\n\r\n", &format!("\r\n{line}"), 1);
        let bytes: Vec<u8> = head
            .bytes()
            .map(|byte| if byte == b'?' { 0xfc } else { byte })
            .chain(discover.body.iter().copied())
            .collect();
        let socket = client.connect();
        client.node.sockets[socket].reader.expected.push_back(false);
        client.send_bytes(socket, &bytes);
        assert_eq!(client.answer(socket).status, status, "{name}");
    }
}
