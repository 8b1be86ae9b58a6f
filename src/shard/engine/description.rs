//! What the application says of itself, as JSON, made once: every client asks for it, and in the modern era every result
//! says who answers.

use serde_json::Value;

use crate::app::call::{LISTS, RESOURCE, ServerInfoJson, Topic, TopicKind};

pub(super) struct ServerDescription {
    /// Of the answer to `initialize`, all but its version.
    pub(super) legacy_members: Box<str>,
    /// `_meta` of every modern result.
    pub(super) server_info_member: Box<str>,
    lists_change: [bool; LISTS.len()],
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
        let declares = |kind: &TopicKind| {
            server_info.modern_capabilities.pointer(kind.declared) == Some(&Value::Bool(true))
        };
        ServerDescription {
            legacy_members: legacy_members.into(),
            server_info_member: server_info_member.into(),
            lists_change: LISTS.each_ref().map(|(_, kind)| declares(kind)),
            resources_are_subscribed: declares(&RESOURCE),
        }
    }

    /// Whether the application declared that it tells of changes to this.
    pub(super) fn announces(&self, topic: &Topic) -> bool {
        match topic.list() {
            Ok(list) => self.lists_change[list],
            Err(_) => self.announces_resources(),
        }
    }

    /// The same of single resources.
    pub(super) fn announces_resources(&self) -> bool {
        self.resources_are_subscribed
    }
}
