//! Tools of the 2026-07-28 scenarios about multi round-trip requests.

use crate::app::{Context, Error, NoArguments, Toolkit};
use crate::mcp::types::{
    CreateMessageRequest, ElicitRequest, ElicitSchema, InputRequests, ListRootsResult,
};

pub(super) fn add(kit: Toolkit) -> Toolkit {
    kit.tool(
        "test_input_required_result_elicitation",
        "Asks the user's name.",
        elicitation,
    )
    .tool(
        "test_input_required_result_sampling",
        "Asks the client's model a question.",
        sampling,
    )
    .tool(
        "test_input_required_result_list_roots",
        "Asks for the client's roots.",
        |_: NoArguments, context: Context| async move {
            let roots = context.list_roots("client_roots").await?;
            Ok(named(&roots))
        },
    )
    .tool(
        "test_input_required_result_request_state",
        "Asks for a confirmation, and that the state comes back with it.",
        request_state,
    )
    .tool(
        "test_input_required_result_multiple_inputs",
        "Asks the user, the model and the client at once.",
        multiple_inputs,
    )
    .tool(
        "test_input_required_result_multi_round",
        "Asks twice, the second time knowing the first answer.",
        multi_round,
    )
    .tool(
        "test_input_required_result_tampered_state",
        "Asks for a confirmation; a changed state is refused.",
        request_state,
    )
    .tool(
        "test_input_required_result_capabilities",
        "Asks what the client declared that it can be asked, and no more.",
        capabilities,
    )
}

pub(super) fn ask_name() -> ElicitRequest {
    ElicitRequest::form("What is your name?", ElicitSchema::new().string("name"))
}

async fn elicitation(_: NoArguments, context: Context) -> Result<String, Error> {
    let answer = context.elicit("user_name", ask_name()).await?;
    let name = answer.text("name").unwrap_or("stranger");
    Ok(format!("Hello, {name}!"))
}

async fn sampling(_: NoArguments, context: Context) -> Result<String, Error> {
    let request = CreateMessageRequest::prompt("What is the capital of France?", 100);
    let answer = context.sample("capital_question", request).await?;
    Ok(answer.text())
}

async fn request_state(_: NoArguments, context: Context) -> Result<String, Error> {
    let came_back = context.recall("asked").is_some();
    context.remember("asked", true);
    let schema = ElicitSchema::new().boolean("ok");
    let request = ElicitRequest::form("Please confirm", schema);
    let answer = context.elicit("confirm", request).await?;
    let state = if came_back { "state-ok" } else { "no state" };
    Ok(format!(
        "Confirmed: {state}, action={}",
        answer.action.as_str()
    ))
}

async fn multiple_inputs(_: NoArguments, context: Context) -> Result<String, Error> {
    context.remember("asked", "all");
    let greeting = CreateMessageRequest::prompt("Generate a greeting", 50);
    let requests = InputRequests::new()
        .and("user_name", ask_name())
        .and("greeting", greeting)
        .list_roots("client_roots");
    let mut answers = context.ask(requests).await?;
    let name = answers.elicit("user_name");
    let name = name.as_ref().and_then(|answer| answer.text("name"));
    let greeting = answers.sample("greeting").map(|answer| answer.text());
    let roots = answers.list_roots("client_roots").unwrap_or_default();
    Ok(format!(
        "{} {}. {}",
        greeting.unwrap_or_default(),
        name.unwrap_or("stranger"),
        named(&roots)
    ))
}

async fn multi_round(_: NoArguments, context: Context) -> Result<String, Error> {
    context.remember("steps", 2);
    let schema = ElicitSchema::new().string("name");
    let request = ElicitRequest::form("Step 1: What is your name?", schema);
    let name = context.elicit("step1", request).await?;
    let schema = ElicitSchema::new().string("color");
    let request = ElicitRequest::form("Step 2: What is your favorite color?", schema);
    let color = context.elicit("step2", request).await?;
    Ok(format!(
        "Hello, {}! Your favorite color is {}.",
        name.text("name").unwrap_or("stranger"),
        color.text("color").unwrap_or("unknown"),
    ))
}

async fn capabilities(_: NoArguments, context: Context) -> Result<String, Error> {
    let mut requests = InputRequests::new();
    if context.supports_elicitation() {
        requests = requests.and("user_name", ask_name());
    }
    if context.supports_sampling() {
        let request = CreateMessageRequest::prompt("Generate a greeting", 50);
        requests = requests.and("greeting", request);
    }
    if context.supports_roots() {
        requests = requests.list_roots("client_roots");
    }
    let asked = requests.iter().count();
    context.ask(requests).await?;
    Ok(format!("The client answered {asked} requests"))
}

fn named(roots: &ListRootsResult) -> String {
    let uris: Vec<&str> = roots.roots.iter().map(|root| root.uri.as_str()).collect();
    format!("Client roots: {}", uris.join(", "))
}
