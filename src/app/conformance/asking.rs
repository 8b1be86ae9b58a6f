//! Tools of the legacy scenarios that ask the client in the middle of a call. They work in both eras.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::{Context, Error, NoArguments, Toolkit};
use crate::mcp::types::{CreateMessageRequest, ElicitRequest, ElicitResult, ElicitSchema};

pub(super) fn add(kit: Toolkit) -> Toolkit {
    kit.tool("test_sampling", "Asks the client's model.", sampling)
        .tool(
            "test_elicitation",
            "Asks the user for a name and an address.",
            elicitation,
        )
        .tool(
            "test_elicitation_sep1034_defaults",
            "Asks the user with a form whose fields have defaults.",
            |_: NoArguments, context| {
                fill_in(
                    context,
                    "Please review and update the form fields with defaults",
                    defaults,
                )
            },
        )
        .tool(
            "test_elicitation_sep1330_enums",
            "Asks the user with a form of choices.",
            |_: NoArguments, context| {
                fill_in(
                    context,
                    "Please select options from the enum fields",
                    choices,
                )
            },
        )
        .tool(
            "test_streaming_elicitation",
            "Asks the user, without a request on the response stream in 2026-07-28.",
            |_: NoArguments, context| async move {
                let schema = ElicitSchema::new().boolean("ok");
                let request = ElicitRequest::form("Please confirm", schema);
                let answer = context.elicit("confirm", request).await?;
                Ok(format!(
                    "Elicitation completed: action={}",
                    answer.action.as_str()
                ))
            },
        )
}

#[derive(Deserialize, JsonSchema)]
struct SamplingArguments {
    /// What the model is asked.
    prompt: String,
}

async fn sampling(arguments: SamplingArguments, context: Context) -> Result<String, Error> {
    let request = CreateMessageRequest::prompt(arguments.prompt, 100);
    let answer = context.sample("response", request).await?;
    Ok(format!("LLM response: {}", answer.text()))
}

#[derive(Deserialize, JsonSchema)]
struct QuestionArguments {
    /// What the user is asked.
    message: String,
}

async fn elicitation(arguments: QuestionArguments, context: Context) -> Result<String, Error> {
    let schema = ElicitSchema::new()
        .required(
            "username",
            json!({ "type": "string", "description": "User's response" }),
        )
        .required(
            "email",
            json!({ "type": "string", "description": "User's email address" }),
        );
    let request = ElicitRequest::form(arguments.message, schema);
    let answer = context.elicit("user_response", request).await?;
    Ok(told("User response", answer))
}

async fn fill_in(
    context: Context,
    message: &str,
    schema: fn() -> ElicitSchema,
) -> Result<String, Error> {
    let request = ElicitRequest::form(message, schema());
    let answer = context.elicit("form", request).await?;
    Ok(told("Elicitation completed", answer))
}

fn told(what: &str, answer: ElicitResult) -> String {
    let content = Value::Object(answer.content.unwrap_or_default());
    let action = answer.action.as_str();
    format!("{what}: action={action}, content={content}")
}

/// SEP-1034: a default for every primitive type.
fn defaults() -> ElicitSchema {
    ElicitSchema::new()
        .optional(
            "name",
            json!({ "type": "string", "description": "User name", "default": "John Doe" }),
        )
        .optional(
            "age",
            json!({ "type": "integer", "description": "User age", "default": 30 }),
        )
        .optional(
            "score",
            json!({ "type": "number", "description": "User score", "default": 95.5 }),
        )
        .optional(
            "status",
            json!({
                "type": "string",
                "description": "User status",
                "enum": ["active", "inactive", "pending"],
                "default": "active",
            }),
        )
        .optional(
            "verified",
            json!({ "type": "boolean", "description": "Verification status", "default": true }),
        )
}

/// SEP-1330: every way to offer a choice, the older one with `enumNames` included.
fn choices() -> ElicitSchema {
    let plain = ["option1", "option2", "option3"];
    let titled = json!([
        { "const": "value1", "title": "First Option" },
        { "const": "value2", "title": "Second Option" },
        { "const": "value3", "title": "Third Option" },
    ]);
    let titled_many = json!([
        { "const": "value1", "title": "First Choice" },
        { "const": "value2", "title": "Second Choice" },
        { "const": "value3", "title": "Third Choice" },
    ]);
    ElicitSchema::new()
        .optional("untitledSingle", json!({ "type": "string", "enum": plain }))
        .optional("titledSingle", json!({ "type": "string", "oneOf": titled }))
        .optional(
            "legacyEnum",
            json!({
                "type": "string",
                "enum": ["opt1", "opt2", "opt3"],
                "enumNames": ["Option One", "Option Two", "Option Three"],
            }),
        )
        .optional(
            "untitledMulti",
            json!({ "type": "array", "items": { "type": "string", "enum": plain } }),
        )
        .optional(
            "titledMulti",
            json!({ "type": "array", "items": { "anyOf": titled_many } }),
        )
}
