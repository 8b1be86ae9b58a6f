//! What the application says of itself, as JSON, made once: every client asks for it, and in the modern era every result
//! says who answers.

use serde_json::Value;

use crate::app::call::{ServerInfoJson, Topic};

pub(super) struct ServerDescription {
    /// Of the answer to `initialize`, all but its version.
    pub(super) legacy_members: Box<str>,
    /// `_meta` of every modern result.
    pub(super) server_info_member: Box<str>,
    tools_change: bool,
    prompts_change: bool,
    resources_change: bool,
    resources_are_subscribed: bool,
}

impl ServerDescription {
    pub(super) fn of(server_info: &ServerInfoJson) -> Self {
        let (capabilities, info) = (
            &server_info.legacy_capabilities,
            &server_info.implementation,
        );
        let mut legacy_members = format!(r#""capabilities":{capabilities},"serverInfo":{info}"#);
        if let Some(instructions) = &server_info.instructions {
            let quoted = Value::from(instructions.as_str());
            legacy_members.push_str(&format!(r#","instructions":{quoted}"#));
        }
        let server_info_member =
            format!(r#""_meta":{{"io.modelcontextprotocol/serverInfo":{info}}}"#);
        let says = |capability: &str, what: &str| {
            server_info.modern_capabilities[capability][what] == true
        };
        ServerDescription {
            legacy_members: legacy_members.into(),
            server_info_member: server_info_member.into(),
            tools_change: says("tools", "listChanged"),
            prompts_change: says("prompts", "listChanged"),
            resources_change: says("resources", "listChanged"),
            resources_are_subscribed: says("resources", "subscribe"),
        }
    }

    /// Whether the application declared that it tells of changes to this.
    pub(super) fn announces(&self, topic: &Topic) -> bool {
        match topic {
            Topic::Tools => self.tools_change,
            Topic::Prompts => self.prompts_change,
            Topic::Resources => self.resources_change,
            Topic::Resource(_) => self.resources_are_subscribed,
        }
    }
}
