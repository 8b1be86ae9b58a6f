//! 2026-07-28 versioning, and lifecycle, "Version Negotiation", of the revisions before: both eras on one endpoint.

use pinfold::mcp::ProtocolVersion;
use serde_json::{Value, json};

use crate::support::{Client, Request};
use crate::{LEGACY, V06, V11};

const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";

fn with_meta(meta: Value) -> Request {
    Request::modern(7, "server/discover", json!({"_meta": meta}))
}

/// A revision that is spoken here is answered with itself.
#[test]
fn another_revision_than_the_asked_one() {
    let mut client = Client::new();
    for version in LEGACY {
        let answer = client.ask(&Request::initialize(version));
        assert_eq!(answer.json()["result"]["protocolVersion"], version);
    }
}

/// One that is not is answered with one that is, which should be the newest that has `initialize`.
#[test]
fn an_unknown_revision_echoed() {
    let mut client = Client::new();
    for asked in ["1.0", "2024-11-05", "2026-07-28", ""] {
        let answer = client.ask(&Request::initialize(asked));
        assert_eq!(
            (answer.status, &answer.json()["result"]["protocolVersion"]),
            (200, &json!(V11)),
            "{asked}"
        );
    }
}

/// Clients send these already with `initialize`; they change nothing.
#[test]
fn an_initialize_refused_for_its_headers() {
    let mut client = Client::new();
    let request = Request::initialize(V11)
        .with("MCP-Protocol-Version", V11)
        .with("Mcp-Method", "initialize");
    assert_eq!(client.ask(&request).status, 200);
}

/// 2025-06-18 and later, "Protocol Version Header": an invalid or unsupported one is answered 400.
#[test]
fn an_unknown_version_header_in_a_session() {
    let mut client = Client::new();
    let session = client.session(V06);
    let answer = client.ask(&Request::ping(&session, 1).with("MCP-Protocol-Version", "1999-01-01"));
    assert_eq!(answer.status, 400);
    assert!(answer.sentence().contains("1999-01-01"));
    assert_eq!(
        client.ask(&Request::ping(&session, 1)).status,
        200,
        "none at all is what old clients send"
    );
    assert_eq!(
        client
            .ask(&Request::ping(&session, 1).with("MCP-Protocol-Version", V06))
            .status,
        200
    );
}

/// An unsupported revision: 400, -32022, and what is supported.
#[test]
fn a_revision_of_the_future_is_guessed_at() {
    let mut client = Client::new();
    let meta =
        json!({PROTOCOL_VERSION: "v999.0.0", "io.modelcontextprotocol/clientCapabilities": {}});
    let answer = client.ask(&with_meta(meta).but("MCP-Protocol-Version", "v999.0.0"));
    assert_eq!((answer.status, answer.code()), (400, -32022));
    let error = &answer.json()["error"];
    assert_eq!(error["data"]["requested"], "v999.0.0");
    assert_eq!(
        error["data"]["supported"],
        json!(ProtocolVersion::STREAMABLE)
    );
    assert_eq!(answer.json()["id"], 7);
}

/// Header and body disagree: 400 and -32020.
#[test]
fn a_header_believed_over_its_body() {
    let mut client = Client::new();
    let meta =
        json!({PROTOCOL_VERSION: "v999.0.0", "io.modelcontextprotocol/clientCapabilities": {}});
    let answer = client.ask(&with_meta(meta));
    assert_eq!((answer.status, answer.code()), (400, -32020));
    let answer = client.ask(&with_meta(json!({PROTOCOL_VERSION: "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}})).without("MCP-Protocol-Version"));
    assert_eq!((answer.status, answer.code()), (400, -32020));
}

/// Whatever `server/discover` names is what an unsupported version is told.
#[test]
fn a_discovery_that_says_something_else() {
    let mut client = Client::new();
    let answer = client.ask(&Request::modern("d", "server/discover", json!({})));
    let result = &answer.json()["result"];
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["id"], "d");
    assert_eq!(
        result["supportedVersions"],
        json!(ProtocolVersion::STREAMABLE)
    );
    assert_eq!(result["resultType"], "complete");
    assert!(
        result["ttlMs"].is_u64()
            && matches!(result["cacheScope"].as_str(), Some("public" | "private"))
    );
    assert_eq!(
        result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"],
        "test"
    );
    assert_eq!(result["capabilities"]["tools"]["listChanged"], true);
}

/// Methods that this revision removed are unknown in it: 404 and -32601.
#[test]
fn a_removed_method_is_served() {
    let mut client = Client::new();
    let methods = [
        "initialize",
        "ping",
        "logging/setLevel",
        "resources/subscribe",
        "resources/unsubscribe",
    ];
    for method in methods {
        let answer = client.ask(&Request::modern(1, method, json!({})));
        assert_eq!((answer.status, answer.code()), (404, -32601), "{method}");
        assert_eq!(answer.field("mcp-session-id"), None);
    }
}

/// A modern request is served without a session, on any core, even if it names one.
#[test]
fn a_stateless_request_bound_to_a_session() {
    let mut client = Client::new();
    let session = client.session(V11);
    let request = Request::modern(1, "server/discover", json!({}));
    assert_eq!(client.ask(&request.clone().session(&session)).status, 200);
    assert_eq!(client.ask(&request.session("node-z.nonsense")).status, 200);
}

/// A second `initialize` opens no session within a session.
#[test]
fn a_session_initialized_twice() {
    let mut client = Client::new();
    let session = client.session(V11);
    let answer = client.ask(&Request::initialize(V11).session(&session));
    assert_eq!((answer.status, answer.code()), (400, -32600));
    assert_eq!(client.node.cores[0].shard.counts().sessions, 1);
}
