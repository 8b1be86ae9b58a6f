//! Multi round-trip requests, as a client of 2026-07-28 sees them.

use super::*;

fn call(tool: &str) -> Value {
    json!({ "name": tool, "arguments": {} })
}

fn with(mut params: Value, responses: Value, state: Option<&Value>) -> Value {
    params["inputResponses"] = responses;
    if let Some(state) = state {
        params["requestState"] = state.clone();
    }
    params
}

fn accept(content: Value) -> Value {
    json!({ "action": "accept", "content": content })
}

fn sampled(text: &str) -> Value {
    json!({
        "role": "assistant",
        "content": { "type": "text", "text": text },
        "model": "m",
        "stopReason": "endTurn",
    })
}

fn roots() -> Value {
    json!({ "roots": [{ "uri": "file:///a", "name": "a" }, { "uri": "file:///b" }] })
}

#[test]
fn asked_until_the_answer_is_one() {
    let tool = call("test_input_required_result_elicitation");
    let interim = json!({
        "resultType": "input_required",
        "inputRequests": { "user_name": {
            "method": "elicitation/create",
            "params": {
                "message": "What is your name?",
                "requestedSchema": {
                    "type": "object",
                    "properties": { "name": { "type": "string" } },
                    "required": ["name"],
                },
            },
        } },
    });
    let peer = modern();
    assert_eq!(peer.other("tools/call", &tool), interim);
    for wrong in [
        json!(null),
        json!("text"),
        json!({}),
        json!({ "other": accept(json!({ "name": "Alice" })) }),
        json!({ "user_name": 12345 }),
        json!({ "user_name": { "action": "agree" } }),
        json!({ "user_name": accept(json!({})) }),
        json!({ "user_name": accept(json!({ "name": 5 })) }),
    ] {
        let retry = with(tool.clone(), wrong, None);
        assert_eq!(peer.other("tools/call", &retry), interim);
    }
    let answer = json!({
        "user_name": accept(json!({ "name": "Alice" })),
        "extra": { "x": 1 },
    });
    let retry = with(tool, answer, None);
    assert_eq!(peer.result("tools/call", &retry), text("Hello, Alice!"));
}

#[test]
fn sampling_and_roots() {
    let peer = modern();
    let tool = call("test_input_required_result_sampling");
    assert_eq!(
        peer.other("tools/call", &tool)["inputRequests"],
        json!({ "capital_question": {
            "method": "sampling/createMessage",
            "params": {
                "messages": [{ "role": "user", "content": {
                    "type": "text", "text": "What is the capital of France?",
                } }],
                "maxTokens": 100,
            },
        } })
    );
    let retry = with(tool, json!({ "capital_question": sampled("Paris") }), None);
    assert_eq!(peer.result("tools/call", &retry), text("Paris"));

    let tool = call("test_input_required_result_list_roots");
    assert_eq!(
        peer.other("tools/call", &tool)["inputRequests"],
        json!({ "client_roots": { "method": "roots/list", "params": {} } })
    );
    let retry = with(tool, json!({ "client_roots": roots() }), None);
    assert_eq!(
        peer.result("tools/call", &retry),
        text("Client roots: file:///a, file:///b")
    );
}

#[test]
fn a_state_comes_back_or_does_not() {
    let peer = modern();
    let tool = call("test_input_required_result_request_state");
    let interim = peer.other("tools/call", &tool);
    let request = &interim["inputRequests"]["confirm"]["params"];
    assert_eq!(request["message"], "Please confirm");
    let state = &interim["requestState"];
    assert!(state.is_string());
    let answer = json!({ "confirm": accept(json!({ "ok": true })) });
    let retry = with(tool.clone(), answer.clone(), Some(state));
    let said = peer.result("tools/call", &retry);
    assert_eq!(said, text("Confirmed: state-ok, action=accept"));
    let stateless = with(tool, answer, None);
    let said = peer.result("tools/call", &stateless);
    assert_eq!(said, text("Confirmed: no state, action=accept"));
}

#[test]
fn a_state_was_tampered_with() {
    let peer = modern();
    let tool = call("test_input_required_result_tampered_state");
    let state = peer.other("tools/call", &tool)["requestState"].clone();
    let tampered = json!(format!("{}-TAMPERED", state.as_str().unwrap()));
    let answer = json!({ "confirm": accept(json!({ "ok": true })) });
    let retry = with(tool, answer, Some(&tampered));
    assert_eq!(
        peer.error("tools/call", &retry).code,
        RpcError::INVALID_PARAMS
    );
}

#[test]
fn three_questions_at_once() {
    let peer = modern();
    let tool = call("test_input_required_result_multiple_inputs");
    let interim = peer.other("tools/call", &tool);
    let methods: Vec<_> = ["user_name", "greeting", "client_roots"]
        .map(|key| interim["inputRequests"][key]["method"].clone())
        .into();
    assert_eq!(
        methods,
        ["elicitation/create", "sampling/createMessage", "roots/list"]
    );
    let state = &interim["requestState"];
    let partly = json!({
        "user_name": accept(json!({ "name": "Alice" })),
        "greeting": sampled("Hello"),
    });
    let second = peer.other("tools/call", &with(tool.clone(), partly, Some(state)));
    let left: Vec<_> = second["inputRequests"]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    assert_eq!(left, ["client_roots"]);
    let rest = json!({ "client_roots": roots() });
    let retry = with(tool, rest, Some(&second["requestState"]));
    assert_eq!(
        peer.result("tools/call", &retry),
        text("Hello Alice. Client roots: file:///a, file:///b")
    );
}

#[test]
fn two_rounds_with_two_states() {
    let peer = modern();
    let tool = call("test_input_required_result_multi_round");
    let first = peer.other("tools/call", &tool);
    let request = &first["inputRequests"]["step1"]["params"]["message"];
    assert_eq!(request, "Step 1: What is your name?");
    let answer = json!({ "step1": accept(json!({ "name": "Alice" })) });
    let retry = with(tool.clone(), answer, Some(&first["requestState"]));
    let second = peer.other("tools/call", &retry);
    let request = &second["inputRequests"]["step2"]["params"]["message"];
    assert_eq!(request, "Step 2: What is your favorite color?");
    assert_eq!(second["inputRequests"].get("step1"), None);
    assert_ne!(first["requestState"], second["requestState"]);
    let answer = json!({ "step2": accept(json!({ "color": "blue" })) });
    let retry = with(tool, answer, Some(&second["requestState"]));
    assert_eq!(
        peer.result("tools/call", &retry),
        text("Hello, Alice! Your favorite color is blue.")
    );
}

#[test]
fn only_what_the_client_declared_is_asked() {
    let tool = call("test_input_required_result_capabilities");
    let peer = modern().declaring(json!({ "sampling": {} }));
    let interim = peer.other("tools/call", &tool);
    let asked: Vec<_> = interim["inputRequests"]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    assert_eq!(asked, ["greeting"]);
}

#[test]
fn a_prompt_asks_too() {
    let peer = modern();
    let prompt = json!({ "name": "test_input_required_result_prompt" });
    let interim = peer.other("prompts/get", &prompt);
    let request = &interim["inputRequests"]["user_context"]["params"];
    assert_eq!(request["message"], "What context should the prompt use?");
    let answer = json!({ "user_context": accept(json!({ "context": "tests" })) });
    let result = peer.result("prompts/get", &with(prompt, answer, None));
    assert_eq!(
        result["messages"][0]["content"]["text"],
        "Prompt with context: tests"
    );
}

#[test]
fn lists_never_ask() {
    let responses = json!({ "user_name": accept(json!({ "name": "Alice" })) });
    for method in ["tools/list", "prompts/list", "resources/list"] {
        modern().result(method, &with(json!({}), responses.clone(), None));
    }
}

#[test]
fn the_same_tools_ask_legacy_clients_directly() {
    let peer = legacy();
    peer.will_answer(accept(json!({ "name": "Alice" })));
    peer.will_answer(accept(json!({ "color": "blue" })));
    let said = peer.tool_text("test_input_required_result_multi_round", json!({}));
    assert_eq!(said, "Hello, Alice! Your favorite color is blue.");
}
