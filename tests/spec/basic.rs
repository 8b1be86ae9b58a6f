//! Basic, "Messages", "Per-request protocol fields" and "Error codes": the envelope of both eras.

use pinfold::app::call::{Caching, Outcome};
use pinfold::mcp::RpcError;
use serde_json::{Value, json};

use crate::support::{Client, Request};
use crate::{V06, V11};

const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const VERSION: &str = "io.modelcontextprotocol/protocolVersion";

/// An answer has the id of its request, of the same type and value.
#[test]
fn an_id_that_comes_back_changed() {
    let mut client = Client::new();
    let session = client.session(V11);
    for id in [
        json!(0),
        json!(-1),
        json!(9_007_199_254_740_993_u64),
        json!(1.0),
        json!("1"),
        json!("ä \" \\ \u{1f600}"),
    ] {
        let answer = client.ask(&Request::call(&session, id.clone(), "ping", json!({})));
        assert_eq!(answer.json()["id"], id);
        let answer = client
            .ask(&Request::modern(id.clone(), "nothing/here", json!({})).without("Mcp-Method"));
        assert_eq!(answer.json()["id"], id, "of errors, too");
    }
}

/// An id is a string or an integer and never null: -32600.
#[test]
fn a_request_without_a_proper_id_is_served() {
    let mut client = Client::new();
    let session = client.session(V11);
    for id in [Value::Null, json!(1.5), json!([1]), json!({}), json!(true)] {
        let answer = client.ask(&Request::call(&session, id.clone(), "ping", json!({})));
        assert_eq!(
            (answer.status, answer.code(), &answer.json()["id"]),
            (400, -32600, &Value::Null),
            "{id}"
        );
    }
}

/// What is not JSON, or not a message: 400, -32700 or -32600.
#[test]
fn nonsense_is_served() {
    let mut client = Client::new();
    let session = client.session(V06);
    let cases = [
        ("", -32700),
        ("{", -32700),
        ("nonsense", -32700),
        ("[]", -32600),
        ("{}", -32600),
        ("1", -32600),
        (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, -32600),
    ];
    for (body, code) in cases {
        let mut request = Request::post_text(body).session(&session);
        if body.is_empty() {
            request = request.with("Content-Length", "0");
        }
        let answer = client.ask(&request);
        assert_eq!((answer.status, answer.code()), (400, code), "{body}");
        answer.sentence();
    }
}

/// `_meta` absent or without a required field: 400 and -32602.
#[test]
fn a_request_without_its_protocol_fields_is_served() {
    let mut client = Client::new();
    let metas = [
        json!({}),
        json!({VERSION: "2026-07-28"}),
        json!({CAPABILITIES: {}}),
    ];
    for meta in metas {
        let answer = client.ask(&Request::modern(
            3,
            "server/discover",
            json!({"_meta": meta}),
        ));
        assert_eq!(
            (answer.status, answer.code(), &answer.json()["id"]),
            (400, -32602, &json!(3)),
            "{meta}"
        );
    }
    let body = json!({"jsonrpc": "2.0", "id": 4, "method": "server/discover"});
    let bare = Request::post(&body)
        .with("MCP-Protocol-Version", "2026-07-28")
        .with("Mcp-Method", "server/discover");
    let answer = client.ask(&bare);
    assert_eq!((answer.status, answer.code()), (400, -32602));
}

/// `clientInfo` is wished for, not required.
#[test]
fn a_client_that_does_not_say_its_name_is_refused() {
    let mut client = Client::new();
    assert_eq!(
        client
            .ask(&Request::modern(1, "server/discover", json!({})))
            .status,
        200
    );
}

#[test]
fn capabilities_that_are_no_object_are_handed_on() {
    let mut client = Client::new();
    let meta = json!({VERSION: "2026-07-28", CAPABILITIES: []});
    let answer = client.ask(&Request::modern(1, "tools/list", json!({"_meta": meta})));
    assert_eq!((answer.status, answer.code()), (400, -32602));
    assert!(client.node.calls.is_empty());
    let mut body: Value = serde_json::from_slice(&Request::initialize(V11).body).expect("JSON");
    body["params"]["capabilities"] = json!("all");
    let answer = client.ask(&Request::post(&body));
    assert_eq!((answer.status, answer.code()), (400, -32602));
}

/// A result has a `resultType`, and says who answers; older revisions know neither.
#[test]
fn a_result_that_does_not_say_what_it_is() {
    let mut client = Client::new();
    let socket = client.connect();
    client.send(socket, &Request::modern(1, "tools/list", json!({})));
    let call = client.call();
    let caching = Some(Caching {
        ttl_ms: 5,
        public: false,
    });
    client.node.outcome(
        call.core,
        call.key,
        &Outcome::Result {
            json: r#"{"tools":[]}"#.into(),
            caching,
        },
    );
    let result = client.answer(socket).json()["result"].clone();
    assert_eq!(
        (
            &result["resultType"],
            &result["ttlMs"],
            &result["cacheScope"]
        ),
        (&json!("complete"), &json!(5), &json!("private"))
    );
    assert_eq!(
        result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"],
        "test"
    );
    let session = client.session(V11);
    let socket = client.connect();
    client.send(socket, &Request::call(&session, 1, "tools/list", json!({})));
    let call = client.call();
    client.node.outcome(
        call.core,
        call.key,
        &Outcome::Result {
            json: r#"{"tools":[]}"#.into(),
            caching,
        },
    );
    assert_eq!(client.answer(socket).json()["result"], json!({"tools": []}));
}

/// The application's own `_meta` is kept beside ours.
#[test]
fn a_result_whose_metadata_is_overwritten() {
    let mut client = Client::new();
    let socket = client.connect();
    client.send(socket, &Request::modern(1, "tools/list", json!({})));
    let call = client.call();
    client.finish(&call, r#"{"_meta":{"mine":1}}"#);
    let meta = client.answer(socket).json()["result"]["_meta"].clone();
    assert_eq!(meta["mine"], 1);
    assert_eq!(meta["io.modelcontextprotocol/serverInfo"]["name"], "test");
}

/// Errors of the envelope travel with 400, an unknown method with 404, those of the application with 200; in older
/// revisions all that is JSON-RPC with 200.
#[test]
fn an_error_with_the_status_of_another() {
    let errors = [
        (
            RpcError::missing_client_capability(json!({"sampling": {}})),
            400,
        ),
        (RpcError::method_not_found("x"), 404),
        (RpcError::invalid_params("no such tool"), 200),
        (RpcError::internal("it broke"), 200),
    ];
    for (error, status) in errors {
        let mut client = Client::new();
        let socket = client.connect();
        client.send(
            socket,
            &Request::modern(1, "tools/call", json!({"name": "t"})),
        );
        let call = client.call();
        client.fail(&call, error.clone());
        let answer = client.answer(socket);
        assert_eq!(
            (answer.status, answer.code()),
            (status, i64::from(error.code))
        );
        let session = client.session(V11);
        let socket = client.connect();
        client.send(socket, &Request::tool(&session, 1));
        let call = client.call();
        client.fail(&call, error.clone());
        assert_eq!(client.answer(socket).status, 200);
    }
}

/// The receiver of a notification sends no response: 202 and nothing.
#[test]
fn a_notification_that_is_answered() {
    let mut client = Client::new();
    let session = client.session(V11);
    for method in [
        "notifications/initialized",
        "notifications/roots/list_changed",
        "anything",
    ] {
        let answer = client
            .ask(&Request::post(&json!({"jsonrpc": "2.0", "method": method})).session(&session));
        assert_eq!((answer.status, &*answer.body), (202, ""));
    }
}

/// Params and the objects in them have members with names: a list in the place of one is -32602.
#[test]
fn params_by_position_are_served() {
    let mut client = Client::new();
    let session = client.session(V11);
    for (method, params) in [
        ("resources/subscribe", json!(["board://x"])),
        ("resources/unsubscribe", json!(["board://x"])),
        ("logging/setLevel", json!(["error"])),
    ] {
        let answer = client.ask(&Request::call(&session, 1, method, params));
        assert_eq!(answer.code(), -32602, "{method}");
        let message = &answer.json()["error"]["message"];
        let words = "Invalid params: invalid type: array, expected an object";
        assert_eq!(message, words);
    }
    let mut body: Value = serde_json::from_slice(&Request::initialize(V11).body).expect("JSON");
    body["params"] = json!([V11, {}, {}]);
    let answer = client.ask(&Request::post(&body));
    assert_eq!((answer.status, answer.code()), (400, -32602));
    let answer = client.ask(&Request::listen(1, json!([])));
    assert_eq!(answer.code(), -32602);
    let meta = json!({"_meta": ["2026-07-28", {}]});
    let answer = client.ask(&Request::modern(1, "tools/list", meta));
    assert_eq!((answer.status, answer.code()), (400, -32602));
    assert!(client.node.calls.is_empty());
}
