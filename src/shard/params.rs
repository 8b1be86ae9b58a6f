//! Params that the engine itself understands, borrowed from the request.

use std::borrow::Cow;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::mcp::RpcError;

/// The per-request metadata of 2026-07-28 (basic, "Per-request protocol fields").
#[derive(Deserialize, Default)]
pub(super) struct Meta<'a> {
    #[serde(rename = "io.modelcontextprotocol/protocolVersion", borrow)]
    pub(super) protocol_version: Option<Cow<'a, str>>,
    #[serde(rename = "io.modelcontextprotocol/clientCapabilities", borrow)]
    pub(super) client_capabilities: Option<&'a RawValue>,
    #[serde(rename = "io.modelcontextprotocol/clientInfo", borrow)]
    pub(super) client_info: Option<&'a RawValue>,
    #[serde(rename = "io.modelcontextprotocol/logLevel", borrow)]
    pub(super) log_level: Option<Cow<'a, str>>,
}

/// What any modern request may carry beside its own params, and what headers mirror.
#[derive(Deserialize, Default)]
pub(super) struct Envelope<'a> {
    #[serde(rename = "_meta", borrow)]
    pub(super) meta: Option<Meta<'a>>,
    #[serde(borrow)]
    pub(super) name: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) uri: Option<&'a RawValue>,
    #[serde(rename = "taskId", borrow)]
    pub(super) task_id: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Initialize<'a> {
    #[serde(rename = "protocolVersion", borrow)]
    pub(super) protocol_version: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) capabilities: &'a RawValue,
    #[serde(rename = "clientInfo", borrow)]
    pub(super) client_info: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct SetLevel<'a> {
    #[serde(borrow)]
    pub(super) level: Cow<'a, str>,
}

#[derive(Deserialize)]
pub(super) struct Subscribe<'a> {
    #[serde(borrow)]
    pub(super) uri: Cow<'a, str>,
}

#[derive(Deserialize)]
pub(super) struct Cancelled<'a> {
    #[serde(rename = "requestId", borrow)]
    pub(super) request_id: &'a RawValue,
}

#[derive(Deserialize)]
pub(super) struct Listen {
    #[serde(deserialize_with = "object")]
    pub(super) notifications: Filter,
}

/// What a listen stream is to carry.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Filter {
    pub(super) tools_list_changed: bool,
    pub(super) prompts_list_changed: bool,
    pub(super) resources_list_changed: bool,
    pub(super) resource_subscriptions: Vec<String>,
}

/// serde takes a list for a struct as well, field by field; MCP does not.
fn object<'de, D: Deserializer<'de>, T: DeserializeOwned>(value: D) -> Result<T, D::Error> {
    let raw = <&RawValue>::deserialize(value)?;
    if !raw.get().starts_with('{') {
        return Err(D::Error::custom("an object was expected"));
    }
    serde_json::from_str(raw.get()).map_err(D::Error::custom)
}

/// # Errors
/// -32602 with what is wrong in words.
pub(super) fn parse<'a, T: Deserialize<'a>>(params: Option<&'a RawValue>) -> Result<T, RpcError> {
    let text = params.map_or("{}", RawValue::get);
    serde_json::from_str(text)
        .map_err(|fault| RpcError::invalid_params(format!("Invalid params: {fault}")))
}
