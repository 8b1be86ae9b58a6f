//! The fixture's prompts.

use schemars::JsonSchema;
use serde::Deserialize;

use super::media::{image, text_resource};
use crate::app::{Context, Error, NoArguments, Toolkit};
use crate::mcp::types::{ElicitRequest, ElicitSchema, PromptMessage};

pub(super) fn add(kit: Toolkit) -> Toolkit {
    kit.prompt(
        "test_simple_prompt",
        "A prompt without arguments.",
        |_: NoArguments, _| async { "This is a simple prompt for testing." },
    )
    .prompt(
        "test_prompt_with_arguments",
        "A prompt with two required arguments.",
        |arguments: Arguments, _| async move {
            let Arguments { arg1, arg2 } = arguments;
            format!("Prompt with arguments: arg1='{arg1}', arg2='{arg2}'")
        },
    )
    .prompt(
        "test_prompt_with_embedded_resource",
        "A prompt that carries a resource.",
        |arguments: Embedded, _| async move {
            let text = "Embedded resource content for testing.";
            vec![
                PromptMessage::user(text_resource(&arguments.resource_uri, "text/plain", text)),
                PromptMessage::user("Please process the embedded resource above."),
            ]
        },
    )
    .prompt(
        "test_prompt_with_image",
        "A prompt that carries a picture.",
        |_: NoArguments, _| async {
            vec![
                PromptMessage::user(image()),
                PromptMessage::user("Please analyze the image above."),
            ]
        },
    )
    .prompt(
        "test_input_required_result_prompt",
        "A prompt that asks the user first.",
        with_context,
    )
}

#[derive(Deserialize, JsonSchema)]
struct Arguments {
    /// First test argument
    arg1: String,
    /// Second test argument
    arg2: String,
}

#[derive(Deserialize, JsonSchema)]
struct Embedded {
    /// URI of the resource to embed
    #[serde(rename = "resourceUri")]
    resource_uri: String,
}

async fn with_context(_: NoArguments, context: Context) -> Result<String, Error> {
    let schema = ElicitSchema::new().string("context");
    let request = ElicitRequest::form("What context should the prompt use?", schema);
    let answer = context.elicit("user_context", request).await?;
    let text = answer.text("context").unwrap_or("none");
    Ok(format!("Prompt with context: {text}"))
}
