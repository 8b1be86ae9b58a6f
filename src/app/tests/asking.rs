//! One source of a question, two eras; and what a client may do to the state it carries.

use futures_util::future::join;
use serde_json::{Value, json};

use crate::app::call::AskFailed;
use crate::app::testing::Peer;
use crate::app::{Context, Error, NoArguments, Toolkit};
use crate::mcp::RpcError;
use crate::mcp::types::{
    CreateMessageRequest, ElicitRequest, ElicitSchema, InputRequests, JsonObject, Tool,
};

fn name_form() -> ElicitRequest {
    ElicitRequest::form("Who are you?", ElicitSchema::new().string("name"))
}

fn accept(name: &str) -> Value {
    json!({ "action": "accept", "content": { "name": name } })
}

fn asker() -> Toolkit {
    let ask = |arguments: JsonObject, context: Context| async move {
        context.remember("seen", context.recall("seen").is_some());
        let first = context.elicit("first", name_form()).await?;
        let second = context.elicit("second", name_form()).await?;
        Ok(format!(
            "{} {} {}",
            Value::Object(arguments),
            first.text("name").unwrap_or_default(),
            second.text("name").unwrap_or_default(),
        ))
    };
    Toolkit::new("asker", "1")
        .add_tool(Tool::new("ask", "Asks twice."), ask)
        .add_tool(Tool::new("ask_too", "Asks twice."), ask)
        .tool(
            "visit",
            "Sends the user away.",
            |_: NoArguments, context| visit(context),
        )
        .tool("both", "Asks two at once.", |_: NoArguments, context| {
            both(context)
        })
}

async fn visit(context: Context) -> Result<String, Error> {
    let answer = context
        .elicit_url("login", "Please sign in", "https://example.com/login")
        .await?;
    Ok(answer.action.as_str().to_owned())
}

async fn both(context: Context) -> Result<String, Error> {
    let (one, two) = join(
        context.elicit("one", name_form()),
        context.sample("two", CreateMessageRequest::prompt("Hi", 10)),
    )
    .await;
    Ok(format!("{:?} {}", one?.text("name"), two?.text()))
}

fn call(arguments: Value) -> Value {
    json!({ "name": "ask", "arguments": arguments })
}

fn retry(mut call: Value, key: &str, answer: Value, state: &Value) -> Value {
    call["inputResponses"] = json!({ key: answer });
    call["requestState"] = state.clone();
    call
}

#[test]
fn the_same_source_serves_both_eras() {
    let legacy = Peer::legacy(asker());
    legacy.will_answer(accept("Ada"));
    legacy.will_answer(accept("Bob"));
    assert_eq!(legacy.tool_text("ask", json!({})), "{} Ada Bob");

    let modern = Peer::modern(asker());
    let first = modern.other("tools/call", &call(json!({})));
    let again = retry(
        call(json!({})),
        "first",
        accept("Ada"),
        &first["requestState"],
    );
    let second = modern.other("tools/call", &again);
    let again = retry(
        call(json!({})),
        "second",
        accept("Bob"),
        &second["requestState"],
    );
    let result = modern.result("tools/call", &again);
    assert_eq!(result["content"][0]["text"], "{} Ada Bob");
}

/// They are read elsewhere, in each round, and so is what tells the request from another.
#[test]
fn large_arguments_that_are_others_in_the_next_round() {
    let large = |letter: &str| call(json!({ "text": letter.repeat(100_000) }));
    let peer = Peer::modern(asker());
    let first = peer.other("tools/call", &large("a"));
    let state = &first["requestState"];
    let again = |call| retry(call, "first", accept("Ada"), state);
    let second = peer.other("tools/call", &again(large("a")));
    let again = retry(large("a"), "second", accept("Bob"), &second["requestState"]);
    let result = peer.result("tools/call", &again);
    let text = result["content"][0]["text"].as_str().unwrap();
    assert!(text.ends_with("aaa\"} Ada Bob"));
    let other = retry(large("b"), "second", accept("Bob"), &second["requestState"]);
    let error = peer.error("tools/call", &other);
    assert_eq!(error.message, "requestState belongs to another request");
}

#[test]
fn an_earlier_answer_cannot_be_changed_later() {
    let peer = Peer::modern(asker());
    let first = peer.other("tools/call", &call(json!({})));
    let again = retry(
        call(json!({})),
        "first",
        accept("Ada"),
        &first["requestState"],
    );
    let second = peer.other("tools/call", &again);
    let mut again = retry(
        call(json!({})),
        "second",
        accept("Bob"),
        &second["requestState"],
    );
    again["inputResponses"]["first"] = accept("Eve");
    let result = peer.result("tools/call", &again);
    assert_eq!(result["content"][0]["text"], "{} Ada Bob");
}

#[test]
fn a_state_lives_ten_minutes() {
    let peer = Peer::modern(asker());
    let first = peer.other("tools/call", &call(json!({})));
    let again = retry(
        call(json!({})),
        "first",
        accept("Ada"),
        &first["requestState"],
    );
    peer.world.now_ms.set(10 * 60 * 1000 - 1);
    peer.other("tools/call", &again);
    peer.world.now_ms.set(10 * 60 * 1000);
    let error = peer.error("tools/call", &again);
    assert_eq!(error.code, RpcError::INVALID_PARAMS);
    assert_eq!(error.message, "requestState has expired");
}

#[test]
fn a_state_of_another_request() {
    let peer = Peer::modern(asker());
    let state = peer.other("tools/call", &call(json!({ "x": 1, "y": 2 })))["requestState"].clone();
    let mut other_tool = call(json!({ "x": 1, "y": 2 }));
    other_tool["name"] = json!("ask_too");
    for other in [call(json!({ "x": 1 })), call(json!({})), other_tool] {
        let error = peer.error("tools/call", &retry(other, "first", accept("Ada"), &state));
        assert_eq!(error.message, "requestState belongs to another request");
    }
    let reordered = call(json!({ "y": 2, "x": 1 }));
    peer.other(
        "tools/call",
        &retry(reordered, "first", accept("Ada"), &state),
    );
}

#[test]
fn a_state_that_was_not_sealed_here() {
    let peer = Peer::modern(asker());
    for state in [json!("made-up"), json!(""), json!(5)] {
        let again = retry(call(json!({})), "first", accept("Ada"), &state);
        let error = peer.error("tools/call", &again);
        assert_eq!(error.code, RpcError::INVALID_PARAMS);
    }
}

#[test]
fn a_state_in_a_legacy_request_means_nothing() {
    let peer = Peer::legacy(asker());
    peer.will_answer(accept("Ada"));
    peer.will_answer(accept("Bob"));
    let again = retry(call(json!({})), "first", accept("Eve"), &json!(5));
    let result = peer.result("tools/call", &again);
    assert_eq!(result["content"][0]["text"], "{} Ada Bob");
}

#[test]
fn a_question_asked_again_is_a_new_one() {
    let app =
        Toolkit::new("t", "1").tool("pin", "Asks until it fits.", |_: NoArguments, context| {
            let context: Context = context;
            async move {
                loop {
                    let answer = context.elicit("pin", name_form()).await?;
                    if answer.text("name") == Some("1234") {
                        return Ok("open");
                    }
                }
            }
        });
    let legacy = Peer::legacy(app.clone());
    for pin in ["1", "2", "1234"] {
        legacy.will_answer(accept(pin));
    }
    assert_eq!(legacy.tool_text("pin", json!({})), "open");

    let modern = Peer::modern(app);
    let pin = json!({ "name": "pin" });
    modern.other("tools/call", &pin);
    let again = retry(pin.clone(), "pin", accept("1"), &json!(null));
    let second = modern.other("tools/call", &again);
    let asked: Vec<_> = second["inputRequests"]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    assert_eq!(asked, ["pin#2"]);
    let again = retry(pin, "pin#2", accept("1234"), &second["requestState"]);
    modern.result("tools/call", &again);
}

#[test]
fn joined_questions_go_out_in_one_round() {
    let peer = Peer::modern(asker());
    let interim = peer.other("tools/call", &json!({ "name": "both" }));
    let asked: Vec<_> = interim["inputRequests"]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    assert_eq!(asked, ["one", "two"]);
    assert_eq!(interim.get("requestState"), None);
}

#[test]
fn a_capability_that_was_not_declared() {
    let peer = Peer::modern(asker()).declaring(json!({ "elicitation": {} }));
    let error = peer.error("tools/call", &json!({ "name": "visit" }));
    assert_eq!(error.code, RpcError::MISSING_CLIENT_CAPABILITY);
    assert_eq!(
        error.data.as_deref(),
        Some(&json!({ "requiredCapabilities": { "elicitation": { "url": {} } } }))
    );
    // A client of URL mode only is not asked to fill in a form.
    let peer = Peer::modern(asker()).declaring(json!({ "elicitation": { "url": {} } }));
    let error = peer.error("tools/call", &call(json!({})));
    assert_eq!(error.code, RpcError::MISSING_CLIENT_CAPABILITY);
    let peer = Peer::legacy(asker()).declaring(json!({}));
    assert_eq!(peer.tool("ask", json!({}))["isError"], true);
    assert_eq!(peer.link.asked.take(), []);
}

#[test]
fn url_mode_has_an_id_where_the_revision_wants_one() {
    let url_mode = json!({ "elicitation": { "url": {} } });
    let params = |id: Option<&str>| {
        let mut params = json!({
            "mode": "url",
            "message": "Please sign in",
            "url": "https://example.com/login",
        });
        if let Some(id) = id {
            params["elicitationId"] = json!(id);
        }
        params
    };
    let modern = Peer::modern(asker()).declaring(url_mode.clone());
    let interim = modern.other("tools/call", &json!({ "name": "visit" }));
    assert_eq!(interim["inputRequests"]["login"]["params"], params(None));

    let legacy = Peer::legacy(asker()).declaring(url_mode);
    legacy.world.now_ms.set(255);
    legacy.will_answer(json!({ "action": "accept" }));
    assert_eq!(legacy.tool_text("visit", json!({})), "accept");
    let asked = legacy.link.asked.take();
    assert_eq!(
        asked,
        [("elicitation/create".to_owned(), params(Some("login-ff")))]
    );
}

#[test]
fn a_legacy_client_refuses_or_keeps_silent() {
    let peer = Peer::legacy(asker());
    let refusal = AskFailed::Error(RpcError::new(-1, "User rejected"));
    peer.link.answers.borrow_mut().push_back(Err(refusal));
    let text = peer.tool_text("ask", json!({}));
    assert_eq!(text, "The client refused: User rejected");
    let text = peer.tool_text("ask", json!({}));
    assert_eq!(text, "The client did not answer in time");
    peer.will_answer(json!({ "action": 5 }));
    assert_eq!(peer.tool("ask", json!({}))["isError"], true);
}

#[test]
fn completion_may_not_ask() {
    let app = Toolkit::new("t", "1").completion(|_, context| async move {
        let requests = InputRequests::new().list_roots("roots");
        context.ask(requests).await?;
        unreachable!("it is refused")
    });
    let params = json!({
        "ref": { "type": "ref/prompt", "name": "p" },
        "argument": { "name": "a", "value": "" },
    });
    let error = Peer::modern(app).error("completion/complete", &params);
    assert_eq!(error.code, RpcError::INTERNAL_ERROR);
}

#[test]
fn a_form_keeps_the_order_of_its_fields() {
    let schema = ElicitSchema::new()
        .string("surname")
        .integer("age")
        .choice("colour", &["red", "blue"]);
    let json = serde_json::to_string(&ElicitRequest::form("?", schema)).unwrap();
    let place = |field: &str| json.find(&format!(r#""{field}":{{"#)).unwrap();
    assert!(place("surname") < place("age") && place("age") < place("colour"));
}
