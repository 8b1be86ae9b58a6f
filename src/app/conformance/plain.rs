//! Tools that need nobody: content of each kind, errors, progress, logging, schemas, headers.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::media::{WAV, image, text_resource};
use crate::app::{Context, Error, NoArguments, Toolkit};
use crate::mcp::RpcError;
use crate::mcp::types::{CallToolResult, Content, JsonObject, LoggingLevel, Tool};

/// Between the steps of a tool that shows its work.
const STEP: Duration = Duration::from_millis(50);

pub(super) fn add(kit: Toolkit) -> Toolkit {
    let kit = add_contents(kit);
    let kit = kit
        .tool(
            "test_tool_with_logging",
            "Sends three log messages while it runs.",
            with_logging,
        )
        .tool(
            "test_error_handling",
            "Always fails, with a result that says so.",
            |_: NoArguments, _| async {
                CallToolResult::error("This tool intentionally returns an error for testing")
            },
        )
        .tool(
            "test_tool_with_progress",
            "Reports progress three times.",
            with_progress,
        )
        .add_tool(json_schema_tool(), |arguments: JsonObject, _| async move {
            format!("Received: {}", Value::Object(arguments))
        })
        .tool(
            "test_reconnection",
            "Closes its response stream and answers on the one the client comes back with.",
            reconnection,
        )
        .tool(
            "test_missing_capability",
            "Needs a client that can sample.",
            missing_capability,
        )
        .tool(
            "test_logging_tool",
            "Logs if the request asks for it.",
            |_: NoArguments, context| async move {
                context.log(LoggingLevel::Info, None, "Logging requested");
                "Logging evaluated"
            },
        );
    kit.add_tool(header_tool(), |arguments: Region, _| async move {
        format!("Region: {}", arguments.region.unwrap_or_default())
    })
}

fn add_contents(kit: Toolkit) -> Toolkit {
    kit.tool(
        "test_simple_text",
        "Answers with text.",
        |_: NoArguments, _| async { "This is a simple text response for testing." },
    )
    .tool(
        "test_image_content",
        "Answers with a picture.",
        |_: NoArguments, _| async { image() },
    )
    .tool(
        "test_audio_content",
        "Answers with a sound.",
        |_: NoArguments, _| async { Content::audio(WAV, "audio/wav") },
    )
    .tool(
        "test_embedded_resource",
        "Answers with a resource in the result.",
        |_: NoArguments, _| async {
            let text = "This is an embedded resource content.";
            text_resource("test://embedded-resource", "text/plain", text)
        },
    )
    .tool(
        "test_multiple_content_types",
        "Answers with text, a picture and a resource.",
        |_: NoArguments, _| async {
            let json = r#"{"test":"data","value":123}"#;
            vec![
                Content::text("Multiple content types test:"),
                image(),
                text_resource("test://mixed-content-resource", "application/json", json),
            ]
        },
    )
}

async fn with_logging(_: NoArguments, context: Context) -> &'static str {
    context.log(LoggingLevel::Info, None, "Tool execution started");
    context.sleep(STEP).await;
    context.log(LoggingLevel::Info, None, "Tool processing data");
    context.sleep(STEP).await;
    context.log(LoggingLevel::Info, None, "Tool execution completed");
    "Tool with logging executed successfully"
}

async fn with_progress(_: NoArguments, context: Context) -> String {
    for step in [0, 50, 100] {
        let message = format!("Completed step {step} of 100");
        context.progress(f64::from(step), Some(100.0), Some(&message));
        if step < 100 {
            context.sleep(STEP).await;
        }
    }
    match context.progress_token() {
        Some(token) => token.trim_matches('"').to_owned(),
        None => "Progress test completed".to_owned(),
    }
}

async fn reconnection(_: NoArguments, context: Context) -> &'static str {
    context.close_stream();
    context.sleep(Duration::from_millis(100)).await;
    "Reconnection test completed successfully. If you received this, the client properly reconnected after stream closure."
}

async fn missing_capability(_: NoArguments, context: Context) -> Result<&'static str, Error> {
    if context.supports_sampling() {
        return Ok("Success");
    }
    Err(RpcError::missing_client_capability(json!({ "sampling": {} })).into())
}

/// Its schema must come through with every keyword.
fn json_schema_tool() -> Tool {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": { "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": { "street": { "type": "string" }, "city": { "type": "string" } },
        } },
        "properties": {
            "name": { "type": "string" },
            "address": { "$ref": "#/$defs/address" },
            "contactMethod": { "type": "string", "enum": ["phone", "email"] },
            "phone": { "type": "string" },
            "email": { "type": "string" },
        },
        "allOf": [{ "anyOf": [{ "required": ["phone"] }, { "required": ["email"] }] }],
        "if": {
            "properties": { "contactMethod": { "const": "phone" } },
            "required": ["contactMethod"],
        },
        "then": { "required": ["phone"] },
        "else": { "required": ["email"] },
        "additionalProperties": false,
    });
    let Value::Object(schema) = schema else {
        unreachable!("it is an object")
    };
    Tool::new(
        "json_schema_2020_12_tool",
        "Has an input schema that uses much of JSON Schema 2020-12.",
    )
    .input_schema(schema)
}

#[derive(Deserialize)]
struct Region {
    region: Option<String>,
}

fn header_tool() -> Tool {
    let schema = json!({
        "type": "object",
        "properties": { "region": {
            "type": "string",
            "description": "Mirrored into the header field Mcp-Param-Region",
            "x-mcp-header": "Region",
        } },
    });
    let Value::Object(schema) = schema else {
        unreachable!("it is an object")
    };
    let description = "Answers with a parameter that clients mirror into a header.";
    Tool::new("test_x_mcp_header", description).input_schema(schema)
}
