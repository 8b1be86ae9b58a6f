//! The adapter and the context, driven by a fake engine.

mod asking;
mod output;
mod permitted;
mod seen;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::testing::Peer;
use super::{
    App, Cacheable, Caching, Cancellation, Context, Error, NoArguments, ServerInfo, Structured,
    Toolkit,
};
use crate::mcp::types::{
    CallToolRequest, CallToolResult, Capabilities, Completion, JsonObject, ListToolsResult,
    LoggingLevel, PaginatedRequest, Resource, Tool,
};
use crate::mcp::{Era, ProtocolVersion, RpcError};

#[derive(Deserialize, JsonSchema)]
struct Add {
    /// The first summand.
    a: i64,
    b: i64,
}

fn adder() -> Toolkit {
    Toolkit::new("adder", "1.0.0").tool("add", "Adds two numbers.", |args: Add, _| async move {
        let sum = args.a.checked_add(args.b);
        let sum = sum.ok_or_else(|| Error::failed("The sum is too large"))?;
        Ok(sum.to_string())
    })
}

#[test]
fn a_schema_comes_from_the_rust_type() {
    let list = Peer::modern(adder()).result("tools/list", &json!({}));
    let schema = &list["tools"][0]["inputSchema"];
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    assert_eq!(schema["type"], "object");
    assert_eq!(schema["required"], json!(["a", "b"]));
    assert_eq!(
        schema["properties"]["a"]["description"],
        "The first summand."
    );
}

/// server/tools, "Error Handling": since 2025-11-25 what is wrong with arguments is for the model, before it was a
/// protocol error.
#[test]
fn wrong_arguments_that_no_model_hears_of() {
    let cases = [
        (json!({}), "missing field `a`"),
        (
            json!({ "a": 1, "b": "2" }),
            r#"b: invalid type: string "2", expected an integer"#,
        ),
        (
            json!({ "a": [], "b": 2 }),
            "a: invalid type: array, expected an integer",
        ),
    ];
    for (arguments, fault) in cases {
        let words = format!("Invalid arguments: {fault}");
        let params = json!({ "name": "add", "arguments": arguments });
        for version in [ProtocolVersion::V2025_11_25, ProtocolVersion::V2026_07_28] {
            let result = Peer::new(adder(), version).result("tools/call", &params);
            let text = json!({ "type": "text", "text": words });
            assert_eq!(
                result,
                json!({ "content": [text], "isError": true }),
                "{version:?}"
            );
        }
        for version in [ProtocolVersion::V2025_03_26, ProtocolVersion::V2025_06_18] {
            let error = Peer::new(adder(), version).error("tools/call", &params);
            assert_eq!(
                error,
                RpcError::invalid_params(words.clone()),
                "{version:?}"
            );
        }
    }
}

#[test]
fn an_error_in_the_words_of_our_sources() {
    let peer = Peer::modern(adder());
    for (params, message) in [
        (
            json!({ "name": "add", "_meta": 1 }),
            "_meta: invalid type: integer `1`, expected an object",
        ),
        (
            json!({ "name": "add", "arguments": [1, 2] }),
            "arguments: invalid type: array, expected an object",
        ),
        (
            json!({ "name": {} }),
            "name: invalid type: object, expected a string",
        ),
        (json!([1]), "invalid type: array, expected an object"),
    ] {
        let error = peer.error("tools/call", &params);
        let words = format!("Invalid params: {message}");
        assert_eq!(error, RpcError::invalid_params(words), "{params}");
    }
}

/// A string or an integer (schema, "ProgressToken").
#[test]
fn a_progress_token_of_another_type() {
    let params = |token| json!({ "name": "add", "arguments": { "a": 1, "b": 2 }, "_meta": { "progressToken": token } });
    for peer in [Peer::legacy(adder()), Peer::modern(adder())] {
        for token in [json!({}), json!([1]), json!(true), json!(1.5)] {
            let error = peer.error("tools/call", &params(token));
            assert_eq!(error.code, RpcError::INVALID_PARAMS);
            assert!(error.message.contains("progressToken"), "{error}");
        }
        for token in [json!("t"), json!(1), json!(1.0), json!(-7)] {
            peer.result("tools/call", &params(token));
        }
    }
}

/// Params and what is in them have names, no places.
#[test]
fn a_list_taken_for_an_object() {
    #[derive(Deserialize, JsonSchema)]
    struct Order {
        add: Add,
    }
    let kit = adder()
        .tool("order", "Adds.", |order: Order, _| async move {
            (order.add.a + order.add.b).to_string()
        })
        .resource(Resource::new("x://y", "y"), |_| async { "z" })
        .completion(|_, _| async { Ok(Completion::new(["a"])) });
    let peer = Peer::legacy(kit);
    let wrong = peer.tool("order", json!({ "add": [1, 2] }));
    assert_eq!(wrong["isError"], true);
    assert_eq!(
        peer.tool_text("order", json!({ "add": { "a": 1, "b": 2 } })),
        "3"
    );
    for (method, params) in [
        ("tools/list", json!([])),
        ("tools/list", json!(["cursor"])),
        ("tools/call", json!(["add", { "a": 1, "b": 2 }])),
        ("tools/call", json!({ "name": "add", "_meta": [] })),
        ("resources/read", json!(["x://y"])),
        (
            "completion/complete",
            json!({ "ref": ["ref/prompt", "p"], "argument": { "name": "a", "value": "" } }),
        ),
        (
            "completion/complete",
            json!({ "ref": { "type": "ref/prompt", "name": "p" }, "argument": ["a", ""] }),
        ),
    ] {
        let error = peer.error(method, &params);
        assert_eq!(error.code, RpcError::INVALID_PARAMS, "{method} {params}");
    }
}

#[test]
fn large_arguments_are_read_as_small_ones() {
    let large = "x".repeat(100_000);
    for peer in [Peer::legacy(adder()), Peer::modern(adder())] {
        let arguments = json!({ "a": 1, "b": 2, "x": large });
        assert_eq!(peer.tool_text("add", arguments), "3");
        let params = json!({ "name": "add", "arguments": [large] });
        let error = peer.error("tools/call", &params);
        assert_eq!(error.code, RpcError::INVALID_PARAMS);
    }
}

#[test]
fn params_of_another_shape() {
    for params in [
        json!([]),
        json!({}),
        json!({ "name": 1 }),
        json!({ "name": "add", "arguments": [1, 2] }),
        json!({ "name": "add", "_meta": 1 }),
        json!({ "name": "nobody" }),
    ] {
        let error = Peer::modern(adder()).error("tools/call", &params);
        assert_eq!(error.code, RpcError::INVALID_PARAMS, "{params}");
    }
}

#[test]
fn a_failed_tool_is_a_result_and_a_failed_read_an_error() {
    let app = adder().resource(Resource::new("x://y", "y"), |_| async {
        Err::<String, _>(Error::failed("The disk is gone"))
    });
    let peer = Peer::modern(app);
    let result = peer.tool("add", json!({ "a": i64::MAX, "b": 1 }));
    assert_eq!(
        result,
        json!({ "content": [{ "type": "text", "text": "The sum is too large" }], "isError": true })
    );
    let error = peer.error("resources/read", &json!({ "uri": "x://y" }));
    assert_eq!(error, RpcError::internal("The disk is gone"));
}

#[test]
fn any_error_passes_by_the_question_mark() {
    let app = Toolkit::new("t", "1")
        .tool("parse", "Fails.", |_: NoArguments, _| async {
            Ok("x".parse::<u8>()?.to_string())
        })
        .tool("refuse", "Refuses.", |_: NoArguments, _| async {
            Err::<String, _>(RpcError::new(-32000, "No"))?;
            Ok("")
        });
    let peer = Peer::legacy(app);
    assert_eq!(peer.tool("parse", json!({}))["isError"], true);
    let error = peer.error("tools/call", &json!({ "name": "refuse" }));
    assert_eq!(error, RpcError::new(-32000, "No"));
}

#[test]
fn what_is_not_declared_is_not_found() {
    let peer = Peer::modern(adder());
    for method in [
        "resources/list",
        "resources/templates/list",
        "resources/read",
        "prompts/list",
        "prompts/get",
        "completion/complete",
        "tasks/get",
        "tools/unheard-of",
    ] {
        let error = peer.error(method, &json!({}));
        assert_eq!(error, RpcError::method_not_found(method));
    }
}

#[test]
fn structured_content_is_text_too() {
    let app = Toolkit::new("t", "1").tool("sum", "Adds.", |args: Add, _| async move {
        Structured(json!({ "sum": args.a + args.b }))
    });
    assert_eq!(
        Peer::legacy(app).tool("sum", json!({ "a": 1, "b": 2 })),
        json!({
            "content": [{ "type": "text", "text": r#"{"sum":3}"# }],
            "structuredContent": { "sum": 3 },
        })
    );
}

#[test]
fn tools_come_in_pages() {
    let mut app = Toolkit::new("t", "1").page_size(2);
    for name in ["a", "b", "c"] {
        let tool = Tool::new(name, "Does nothing.");
        app = app.add_tool(tool, |_: JsonObject, _| async { "" });
    }
    let peer = Peer::modern(app);
    let first = peer.result("tools/list", &json!({ "cursor": null }));
    let second = peer.result("tools/list", &json!({ "cursor": first["nextCursor"] }));
    assert_eq!(second["tools"][0]["name"], "c");
    assert_eq!(second.get("nextCursor"), None);
    let error = peer.error("tools/list", &json!({ "cursor": "3" }));
    assert_eq!(error.code, RpcError::INVALID_PARAMS);
}

#[test]
fn lists_and_reads_may_be_kept_as_the_application_says() {
    let hour = Caching {
        ttl_ms: 3_600_000,
        public: true,
    };
    let app = adder()
        .lists_cached(hour)
        .resource(Resource::new("x://y", "y"), |_| async { "z" });
    let peer = Peer::modern(app);
    assert_eq!(peer.caching("tools/list", &json!({})), Some(hour));
    let read = peer.caching("resources/read", &json!({ "uri": "x://y" }));
    assert_eq!(read, Some(Caching { ttl_ms: 0, ..hour }));
    let call = json!({ "name": "add", "arguments": { "a": 1, "b": 1 } });
    assert_eq!(peer.caching("tools/call", &call), None);
}

#[test]
fn log_messages_carry_their_logger() {
    let app = Toolkit::new("t", "1").logging().tool(
        "log",
        "Logs.",
        |_: NoArguments, context: Context| async move {
            context.log(LoggingLevel::Error, Some("db"), json!({ "lost": 3 }));
            context.log(LoggingLevel::Debug, None, "plain");
            "logged"
        },
    );
    let peer = Peer::legacy(app);
    peer.tool("log", json!({}));
    assert_eq!(
        peer.link.logged.take(),
        [
            (
                4,
                json!({ "level": "error", "logger": "db", "data": { "lost": 3 } })
            ),
            (0, json!({ "level": "debug", "data": "plain" })),
        ]
    );
}

#[test]
fn blocking_work_returns_its_value_or_its_panic() {
    let app =
        Toolkit::new("t", "1").tool("work", "Works.", |args: Add, context: Context| async move {
            context
                .blocking(move || (args.a / args.b).to_string())
                .await
        });
    let peer = Peer::legacy(app);
    assert_eq!(peer.tool_text("work", json!({ "a": 6, "b": 3 })), "2");
    let result = peer.tool("work", json!({ "a": 6, "b": 0 }));
    assert_eq!(result["isError"], true);
}

#[test]
fn a_dropped_call_raises_its_flag() {
    let seen: Rc<Cell<Option<Cancellation>>> = Rc::default();
    let shown = Rc::clone(&seen);
    let app = Toolkit::new("t", "1").tool("hang", "Hangs.", move |_: NoArguments, context| {
        let context: Context = context;
        shown.set(Some(context.cancellation()));
        futures_util::future::pending::<String>()
    });
    let peer = Peer::modern(app);
    let mut running = peer.start("tools/call", Some(&json!({ "name": "hang" })));
    assert!((&mut running).now_or_never().is_none());
    let flag = seen.take().unwrap();
    assert!(!flag.is_cancelled());
    drop(running);
    assert!(flag.is_cancelled());
}

#[test]
#[should_panic(expected = "there is a tool add already")]
fn a_name_is_given_twice() {
    let _ = adder().tool("add", "Again.", |_: NoArguments, _| async { "" });
}

/// An application without shortcuts: its tools are found by listing them.
struct ByHand;

impl App for ByHand {
    fn info(&self) -> ServerInfo {
        ServerInfo::new("by hand", "1").capabilities(Capabilities::default().tools().prompts())
    }

    async fn list_tools(
        &self,
        request: PaginatedRequest,
        _: &Context,
    ) -> Result<ListToolsResult, Error> {
        let serde_json::Value::Object(schema) = json!({
            "type": "object",
            "properties": { "region": { "type": "string", "x-mcp-header": "Region" } },
        }) else {
            unreachable!("it is an object")
        };
        Ok(match request.cursor {
            None => ListToolsResult {
                next_cursor: Some("more".into()),
                ..ListToolsResult::default()
            },
            Some(_) => ListToolsResult {
                tools: vec![Tool::new("where", "Says where.").input_schema(schema)],
                ..ListToolsResult::default()
            },
        })
    }

    async fn call_tool(
        &self,
        request: CallToolRequest,
        context: &Context,
    ) -> Result<CallToolResult, Error> {
        context.sleep(Duration::from_millis(5)).await;
        let region = request.arguments.get("region");
        Ok(CallToolResult::text(format!("{region:?}")))
    }

    fn caching(&self, what: Cacheable<'_>) -> Caching {
        Caching {
            ttl_ms: u64::from(what == Cacheable::Tools),
            public: false,
        }
    }
}

#[test]
fn headers_are_checked_for_hand_written_applications() {
    let params = json!({ "name": "where", "arguments": { "region": "eu" } });
    let error = Peer::modern(ByHand).error("tools/call", &params);
    assert_eq!(error.code, RpcError::HEADER_MISMATCH);
    assert_eq!(error.http_status(Era::Modern), 400);
    let peer = Peer::modern(ByHand).sending("mcp-param-region", "eu");
    peer.result("tools/call", &params);
}

#[test]
fn defaults_of_what_is_declared() {
    let peer = Peer::modern(ByHand);
    let list = peer.result("prompts/list", &json!({}));
    assert_eq!(list, json!({ "prompts": [] }));
    let error = peer.error("prompts/get", &json!({ "name": "x" }));
    assert_eq!(error.code, RpcError::INVALID_PARAMS);
    let kept = peer.caching("tools/list", &json!({})).unwrap();
    assert_eq!(kept.ttl_ms, 1);
}
