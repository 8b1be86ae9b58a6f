//! Tools that publish: the suite and real clients look at the notifications that follow.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::app::{Context, NoArguments, Toolkit, Topic};

pub(super) fn add(kit: Toolkit) -> Toolkit {
    kit.tool(
        "test_trigger_tool_change",
        "Announces that the list of tools changed.",
        |_: NoArguments, context| announce(context, Topic::Tools, "Tool list change announced"),
    )
    .tool(
        "test_trigger_prompt_change",
        "Announces that the list of prompts changed.",
        |_: NoArguments, context| announce(context, Topic::Prompts, "Prompt list change announced"),
    )
    .tool(
        "test_trigger_resource_list_change",
        "Announces that the list of resources changed.",
        |_: NoArguments, context| {
            announce(context, Topic::Resources, "Resource list change announced")
        },
    )
    .tool(
        "test_trigger_resource_update",
        "Announces that a resource changed.",
        |arguments: Updated, context: Context| async move {
            let text = format!("Resource update announced: {}", arguments.uri);
            context.publish(Topic::Resource(arguments.uri.into()));
            text
        },
    )
}

#[derive(Deserialize, JsonSchema)]
struct Updated {
    /// The resource that changed.
    uri: String,
}

async fn announce(context: Context, topic: Topic, text: &'static str) -> &'static str {
    context.publish(topic);
    text
}
