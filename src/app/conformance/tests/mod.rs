//! Every row of the fixture: what goes in, and exactly what comes out.

mod rounds;
mod tasks;

use serde_json::{Value, json};

use super::Conformance;
use super::media::{PNG, WAV};
use crate::app::Topic;
use crate::app::testing::Peer;
use crate::mcp::RpcError;

fn legacy() -> Peer {
    Peer::legacy(Conformance::new().app())
}

fn modern() -> Peer {
    Peer::modern(Conformance::new().app())
}

fn text(text: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": text }] })
}

#[test]
fn the_first_tool_takes_nothing_and_every_tool_is_described() {
    let list = legacy().result("tools/list", &json!({}));
    let tools = list["tools"].as_array().unwrap();
    assert_eq!(tools[0]["name"], "test_simple_text");
    assert_eq!(tools.len(), 37);
    for tool in tools {
        assert!(!tool["description"].as_str().unwrap().is_empty());
        assert_eq!(tool["inputSchema"]["type"], "object");
    }
    assert_eq!(list.get("nextCursor"), None);
}

#[test]
fn content_of_every_kind() {
    let image = json!({ "type": "image", "data": PNG, "mimeType": "image/png" });
    let embedded = json!({ "type": "resource", "resource": {
        "uri": "test://embedded-resource",
        "mimeType": "text/plain",
        "text": "This is an embedded resource content.",
    } });
    let mixed = json!({ "type": "resource", "resource": {
        "uri": "test://mixed-content-resource",
        "mimeType": "application/json",
        "text": r#"{"test":"data","value":123}"#,
    } });
    for peer in [legacy(), modern()] {
        let content = |tool: &str| peer.tool(tool, json!({}))["content"].clone();
        assert_eq!(
            peer.tool("test_simple_text", json!({})),
            text("This is a simple text response for testing.")
        );
        assert_eq!(content("test_image_content"), json!([image]));
        assert_eq!(
            content("test_audio_content"),
            json!([{ "type": "audio", "data": WAV, "mimeType": "audio/wav" }])
        );
        assert_eq!(content("test_embedded_resource"), json!([embedded]));
        assert_eq!(
            content("test_multiple_content_types"),
            json!([{ "type": "text", "text": "Multiple content types test:" }, image, mixed])
        );
    }
}

#[test]
fn arguments_may_be_absent_or_null() {
    for params in [
        json!({ "name": "test_simple_text" }),
        json!({ "name": "test_simple_text", "arguments": null }),
    ] {
        assert!(legacy().result("tools/call", &params)["content"].is_array());
    }
}

#[test]
fn a_failing_tool_answers_with_a_result() {
    let result = modern().tool("test_error_handling", json!({}));
    assert_eq!(result["isError"], true);
    assert_eq!(
        result["content"][0]["text"],
        "This tool intentionally returns an error for testing"
    );
}

#[test]
fn logging_in_three_steps() {
    let peer = legacy();
    let result = peer.tool("test_tool_with_logging", json!({}));
    assert_eq!(result, text("Tool with logging executed successfully"));
    let logged = peer.link.logged.take();
    let data: Vec<_> = logged.iter().map(|(_, params)| &params["data"]).collect();
    assert_eq!(
        data,
        [
            "Tool execution started",
            "Tool processing data",
            "Tool execution completed"
        ]
    );
    assert!(logged.iter().all(|(level, _)| *level == 1));
    assert_eq!(logged[0].1["level"], "info");
    assert_eq!(peer.world.now_ms.get(), 100);
}

#[test]
fn progress_echoes_its_token_exactly() {
    for (token, said) in [
        (json!("progress-test-1"), "progress-test-1"),
        (json!(7), "7"),
    ] {
        let peer = modern();
        let params = json!({
            "name": "test_tool_with_progress",
            "_meta": { "progressToken": token },
        });
        assert_eq!(peer.result("tools/call", &params), text(said));
        let expected: Vec<_> = [0, 50, 100]
            .map(|step| {
                let params = json!({
                    "progressToken": token,
                    "progress": step,
                    "total": 100,
                    "message": format!("Completed step {step} of 100"),
                });
                ("notifications/progress".to_owned(), params)
            })
            .into();
        assert_eq!(peer.link.notified.take(), expected);
    }
}

#[test]
fn progress_is_silent_without_a_token() {
    let peer = legacy();
    peer.tool("test_tool_with_progress", json!({}));
    assert_eq!(peer.link.notified.take(), []);
}

#[test]
fn sampling() {
    let peer = legacy();
    peer.will_answer(json!({
        "role": "assistant",
        "content": { "type": "text", "text": "Hi" },
        "model": "m",
    }));
    let said = peer.tool_text("test_sampling", json!({ "prompt": "Say hi" }));
    assert_eq!(said, "LLM response: Hi");
    let expected = json!({
        "messages": [{ "role": "user", "content": { "type": "text", "text": "Say hi" } }],
        "maxTokens": 100,
    });
    let asked = peer.link.asked.take();
    assert_eq!(asked, [("sampling/createMessage".to_owned(), expected)]);
}

#[test]
fn sampling_without_the_capability() {
    let peer = legacy().declaring(json!({}));
    let result = peer.tool("test_sampling", json!({ "prompt": "Say hi" }));
    assert_eq!(result["isError"], true);
    assert_eq!(peer.link.asked.take(), []);
}

#[test]
fn a_required_argument_is_missing() {
    let result = legacy().tool("test_sampling", json!({}));
    let text = json!({ "type": "text", "text": "Invalid arguments: missing field `prompt`" });
    assert_eq!(result, json!({ "content": [text], "isError": true }));
}

#[test]
fn elicitation() {
    let peer = legacy();
    let content = json!({ "username": "u", "email": "e@x" });
    peer.will_answer(json!({ "action": "accept", "content": content }));
    let said = peer.tool_text("test_elicitation", json!({ "message": "Who?" }));
    assert_eq!(
        said,
        r#"User response: action=accept, content={"email":"e@x","username":"u"}"#
    );
    let expected = json!({
        "message": "Who?",
        "requestedSchema": {
            "type": "object",
            "properties": {
                "username": { "type": "string", "description": "User's response" },
                "email": { "type": "string", "description": "User's email address" },
            },
            "required": ["username", "email"],
        },
    });
    let asked = peer.link.asked.take();
    assert_eq!(asked, [("elicitation/create".to_owned(), expected)]);
}

#[test]
fn elicitation_with_defaults() {
    let peer = legacy();
    peer.will_answer(json!({ "action": "decline" }));
    let said = peer.tool_text("test_elicitation_sep1034_defaults", json!({}));
    assert_eq!(said, "Elicitation completed: action=decline, content={}");
    let asked = peer.link.asked.take();
    let schema = &asked[0].1["requestedSchema"];
    assert_eq!(schema["required"], json!([]));
    for (field, kind, default) in [
        ("name", "string", json!("John Doe")),
        ("age", "integer", json!(30)),
        ("score", "number", json!(95.5)),
        ("status", "string", json!("active")),
        ("verified", "boolean", json!(true)),
    ] {
        assert_eq!(schema["properties"][field]["type"], kind);
        assert_eq!(schema["properties"][field]["default"], default);
    }
    let status = &schema["properties"]["status"]["enum"];
    assert_eq!(*status, json!(["active", "inactive", "pending"]));
}

#[test]
fn elicitation_with_choices() {
    let peer = legacy();
    peer.will_answer(json!({ "action": "accept", "content": {} }));
    peer.tool("test_elicitation_sep1330_enums", json!({}));
    let asked = peer.link.asked.take();
    let properties = &asked[0].1["requestedSchema"]["properties"];
    let options = json!(["option1", "option2", "option3"]);
    assert_eq!(
        properties["untitledSingle"],
        json!({ "type": "string", "enum": options })
    );
    assert_eq!(
        properties["titledSingle"]["oneOf"][0],
        json!({ "const": "value1", "title": "First Option" })
    );
    assert_eq!(properties["titledSingle"].get("enum"), None);
    assert_eq!(
        properties["legacyEnum"]["enumNames"],
        json!(["Option One", "Option Two", "Option Three"])
    );
    assert_eq!(
        properties["untitledMulti"]["items"],
        json!({ "type": "string", "enum": options })
    );
    assert_eq!(
        properties["titledMulti"]["items"]["anyOf"][2],
        json!({ "const": "value3", "title": "Third Choice" })
    );
}

#[test]
fn the_2020_12_schema_keeps_its_keywords() {
    let list = modern().result("tools/list", &json!({}));
    let tools = list["tools"].as_array().unwrap();
    let named = |tool: &&Value| tool["name"] == "json_schema_2020_12_tool";
    let schema = &tools.iter().find(named).unwrap()["inputSchema"];
    let expected = json!({"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object",
        "$defs":{"address":{"$anchor":"addressDef","type":"object","properties":{"street":{"type":"string"},"city":{"type":"string"}}}},
        "properties":{"name":{"type":"string"},"address":{"$ref":"#/$defs/address"},"contactMethod":{"type":"string","enum":["phone","email"]},"phone":{"type":"string"},"email":{"type":"string"}},
        "allOf":[{"anyOf":[{"required":["phone"]},{"required":["email"]}]}],
        "if":{"properties":{"contactMethod":{"const":"phone"}},"required":["contactMethod"]},"then":{"required":["phone"]},"else":{"required":["email"]},
        "additionalProperties":false});
    assert_eq!(*schema, expected);
}

#[test]
fn reconnection_closes_the_stream_first() {
    let peer = legacy();
    let said = peer.tool_text("test_reconnection", json!({}));
    assert!(said.starts_with("Reconnection test completed successfully."));
    assert!(peer.link.stream_closed.get());
    assert_eq!(peer.world.now_ms.get(), 100);
}

#[test]
fn a_capability_is_missing() {
    let params = json!({ "name": "test_missing_capability", "arguments": {} });
    let error = modern()
        .declaring(json!({ "roots": {} }))
        .error("tools/call", &params);
    assert_eq!(error.code, RpcError::MISSING_CLIENT_CAPABILITY);
    let data = json!({ "requiredCapabilities": { "sampling": {} } });
    assert_eq!(error.data.as_deref(), Some(&data));
    assert_eq!(modern().result("tools/call", &params), text("Success"));
}

#[test]
fn param_headers_are_compared_with_the_arguments() {
    let params = json!({ "name": "test_x_mcp_header", "arguments": { "region": "eu" } });
    let error = modern().error("tools/call", &params);
    assert_eq!(error.code, RpcError::HEADER_MISMATCH);
    let told = modern()
        .sending("mcp-param-region", "eu")
        .result("tools/call", &params);
    assert_eq!(told, text("Region: eu"));
    // Legacy revisions have no such headers.
    assert_eq!(legacy().result("tools/call", &params), text("Region: eu"));
    assert_eq!(
        modern().tool("test_x_mcp_header", json!({})),
        text("Region: ")
    );
}

#[test]
fn triggers_publish() {
    let peer = modern();
    peer.tool("test_trigger_tool_change", json!({}));
    peer.tool("test_trigger_prompt_change", json!({}));
    peer.tool("test_trigger_resource_list_change", json!({}));
    peer.tool("test_trigger_resource_update", json!({ "uri": "test://x" }));
    assert_eq!(
        peer.world.published.take(),
        [
            Topic::Tools,
            Topic::Prompts,
            Topic::Resources,
            Topic::Resource("test://x".into())
        ]
    );
}

#[test]
fn resources_and_their_contents() {
    let peer = modern();
    let list = peer.result("resources/list", &json!({}));
    let uris: Vec<_> = list["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|resource| resource["uri"].as_str().unwrap())
        .collect();
    assert_eq!(
        uris,
        [
            "test://static-text",
            "test://static-binary",
            "test://watched-resource"
        ]
    );
    let read =
        |uri: &str| peer.result("resources/read", &json!({ "uri": uri }))["contents"].clone();
    assert_eq!(
        read("test://static-text"),
        json!([{
            "uri": "test://static-text",
            "mimeType": "text/plain",
            "text": "This is the content of the static text resource.",
        }])
    );
    assert_eq!(
        read("test://static-binary"),
        json!([{ "uri": "test://static-binary", "mimeType": "image/png", "blob": PNG }])
    );
    assert_eq!(
        read("test://template/123/data"),
        json!([{
            "uri": "test://template/123/data",
            "mimeType": "application/json",
            "text": r#"{"id":"123","templateTest":true,"data":"Data for ID: 123"}"#,
        }])
    );
    let templates = peer.result("resources/templates/list", &json!({}));
    assert_eq!(
        templates["resourceTemplates"][0]["uriTemplate"],
        "test://template/{id}/data"
    );
}

#[test]
fn a_resource_that_does_not_exist() {
    let uri = "test://nonexistent-resource-for-conformance-testing";
    let params = json!({ "uri": uri });
    let error = modern().error("resources/read", &params);
    assert_eq!(error.code, RpcError::INVALID_PARAMS);
    assert_eq!(error.data.as_deref(), Some(&json!({ "uri": uri })));
    let error = legacy().error("resources/read", &params);
    assert_eq!(error.code, RpcError::RESOURCE_NOT_FOUND);
}

#[test]
fn prompts_and_their_messages() {
    let peer = legacy();
    let list = peer.result("prompts/list", &json!({}));
    assert_eq!(list["prompts"].as_array().unwrap().len(), 5);
    assert_eq!(
        list["prompts"][1]["arguments"],
        json!([
            { "name": "arg1", "description": "First test argument", "required": true },
            { "name": "arg2", "description": "Second test argument", "required": true },
        ])
    );
    let written = |name: &str, arguments: Value| {
        let params = json!({ "name": name, "arguments": arguments });
        peer.result("prompts/get", &params)["messages"].clone()
    };
    let user = |text: &str| json!({ "role": "user", "content": { "type": "text", "text": text } });
    assert_eq!(
        written("test_simple_prompt", json!({})),
        json!([user("This is a simple prompt for testing.")])
    );
    assert_eq!(
        written(
            "test_prompt_with_arguments",
            json!({ "arg1": "a", "arg2": "b" })
        ),
        json!([user("Prompt with arguments: arg1='a', arg2='b'")])
    );
    assert_eq!(
        written(
            "test_prompt_with_embedded_resource",
            json!({ "resourceUri": "x://y" })
        ),
        json!([
            { "role": "user", "content": { "type": "resource", "resource": {
                "uri": "x://y",
                "mimeType": "text/plain",
                "text": "Embedded resource content for testing.",
            } } },
            user("Please process the embedded resource above."),
        ])
    );
    assert_eq!(
        written("test_prompt_with_image", json!({})),
        json!([
            { "role": "user", "content": { "type": "image", "data": PNG, "mimeType": "image/png" } },
            user("Please analyze the image above."),
        ])
    );
}

#[test]
fn completion_has_nothing_to_suggest() {
    let params = json!({
        "ref": { "type": "ref/prompt", "name": "test_prompt_with_arguments" },
        "argument": { "name": "arg1", "value": "test" },
    });
    let expected = json!({ "completion": { "values": [], "total": 0, "hasMore": false } });
    assert_eq!(modern().result("completion/complete", &params), expected);
}

#[test]
fn capabilities_of_each_era() {
    let server_info = legacy().handler.server_info();
    let common = json!({
        "tools": { "listChanged": true },
        "resources": { "subscribe": true, "listChanged": true },
        "prompts": { "listChanged": true },
        "completions": {},
        "logging": {},
    });
    assert_eq!(server_info.legacy_capabilities, common);
    let mut modern = common;
    modern["extensions"] = json!({ "io.modelcontextprotocol/tasks": {} });
    assert_eq!(server_info.modern_capabilities, modern);
}
