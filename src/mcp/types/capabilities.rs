//! What a server declares that it can do.

use serde::{Deserialize, Serialize};

use super::JsonObject;

/// The server's capabilities. A method of one that is not declared is answered "method not found".
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Capabilities {
    /// There are tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<ToolsCapability>,
    /// There are resources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourcesCapability>,
    /// There are prompts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompts: Option<PromptsCapability>,
    /// Arguments of prompts and templates can be completed; an empty object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completions: Option<JsonObject>,
    /// Clients may be sent log messages; an empty object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logging: Option<JsonObject>,
    /// What no specification knows, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experimental: Option<JsonObject>,
    /// By identifier; declared to modern clients only.
    #[serde(default, skip_serializing_if = "JsonObject::is_empty")]
    pub extensions: JsonObject,
}

/// What clients can expect of the tools.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolsCapability {
    /// Clients are notified when a tool comes or goes.
    #[serde(default)]
    pub list_changed: bool,
}

/// What clients can expect of the resources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourcesCapability {
    /// Clients may subscribe to the contents of a resource.
    #[serde(default)]
    pub subscribe: bool,
    /// Clients are notified when a resource comes or goes.
    #[serde(default)]
    pub list_changed: bool,
}

/// What clients can expect of the prompts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PromptsCapability {
    /// Clients are notified when a prompt comes or goes.
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

    /// Arguments of prompts and resource templates can be completed.
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
