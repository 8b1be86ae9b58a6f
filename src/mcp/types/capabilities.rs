//! What a server declares that it can do.

use serde::{Deserialize, Serialize};

use super::JsonObject;

/// The server's capabilities. A method of one that is not declared is answered "method not found".
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Capabilities {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<ToolsCapability>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourcesCapability>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompts: Option<PromptsCapability>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completions: Option<JsonObject>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logging: Option<JsonObject>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experimental: Option<JsonObject>,
    /// By identifier; declared to modern clients only.
    #[serde(default, skip_serializing_if = "JsonObject::is_empty")]
    pub extensions: JsonObject,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolsCapability {
    #[serde(default)]
    pub list_changed: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourcesCapability {
    #[serde(default)]
    pub subscribe: bool,
    #[serde(default)]
    pub list_changed: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PromptsCapability {
    #[serde(default)]
    pub list_changed: bool,
}

impl Capabilities {
    /// Tools, whose list may change.
    #[must_use]
    pub fn tools(mut self) -> Self {
        self.tools = Some(ToolsCapability { list_changed: true });
        self
    }

    /// Resources, to which clients may subscribe and whose list may change.
    #[must_use]
    pub fn resources(mut self) -> Self {
        self.resources = Some(ResourcesCapability {
            subscribe: true,
            list_changed: true,
        });
        self
    }

    /// Prompts, whose list may change.
    #[must_use]
    pub fn prompts(mut self) -> Self {
        self.prompts = Some(PromptsCapability { list_changed: true });
        self
    }

    #[must_use]
    pub fn completions(mut self) -> Self {
        self.completions = Some(JsonObject::new());
        self
    }

    /// Log messages to clients; any application that calls `Context::log` declares it.
    #[must_use]
    pub fn logging(mut self) -> Self {
        self.logging = Some(JsonObject::new());
        self
    }

    /// An extension with its settings, an empty object if it has none.
    #[must_use]
    pub fn extension(mut self, identifier: impl Into<String>, settings: JsonObject) -> Self {
        self.extensions.insert(identifier.into(), settings.into());
        self
    }
}
