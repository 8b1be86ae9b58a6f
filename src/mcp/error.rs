//! JSON-RPC errors as MCP uses them, and the HTTP status each travels with.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Era, ProtocolVersion};
use crate::principal::Action;

/// The `error` member of a JSON-RPC response.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RpcError {
    /// One of the constants below, or a number of the application's own.
    pub code: i32,
    /// One sentence for people.
    pub message: Cow<'static, str>,
    /// What programs need to know besides: any value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Box<Value>>,
}

impl RpcError {
    /// The body is no JSON.
    pub const PARSE_ERROR: i32 = -32700;
    /// The body is no JSON-RPC message that may come here.
    pub const INVALID_REQUEST: i32 = -32600;
    /// There is no such method, or its capability is not declared.
    pub const METHOD_NOT_FOUND: i32 = -32601;
    /// The parameters do not fit the method.
    pub const INVALID_PARAMS: i32 = -32602;
    /// The server failed.
    pub const INTERNAL_ERROR: i32 = -32603;
    /// Legacy revisions only; 2026-07-28 says -32602.
    pub const RESOURCE_NOT_FOUND: i32 = -32002;
    /// 2026-07-28: a header field and the body contradict each other.
    pub const HEADER_MISMATCH: i32 = -32020;
    /// 2026-07-28: the client would have to declare a capability for this.
    pub const MISSING_CLIENT_CAPABILITY: i32 = -32021;
    /// 2026-07-28: a revision that is not spoken here.
    pub const UNSUPPORTED_VERSION: i32 = -32022;

    /// An error without `data`.
    #[must_use]
    pub fn new(code: i32, message: impl Into<Cow<'static, str>>) -> Self {
        RpcError {
            code,
            message: message.into(),
            data: None,
        }
    }

    /// Adds what programs need to know.
    #[must_use]
    pub fn with_data(mut self, data: Value) -> Self {
        self.data = Some(Box::new(data));
        self
    }

    /// The parameters do not fit the method; the sentence says which and why.
    #[must_use]
    pub fn invalid_params(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Self::INVALID_PARAMS, message)
    }

    /// The body is no JSON-RPC message that may come here; the sentence says why.
    #[must_use]
    pub fn invalid_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Self::INVALID_REQUEST, message)
    }

    /// The server failed; the sentence says how, without secrets.
    #[must_use]
    pub fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Self::INTERNAL_ERROR, message)
    }

    /// A header field and the body contradict each other; the sentence says which.
    #[must_use]
    pub fn header_mismatch(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Self::HEADER_MISMATCH, message)
    }

    /// There is no method of this name.
    #[must_use]
    pub fn method_not_found(method: &str) -> Self {
        Self::new(
            Self::METHOD_NOT_FOUND,
            format!("Method not found: {method}"),
        )
    }

    /// A resource that does not exist, in the words of the request's era.
    #[must_use]
    pub fn resource_not_found(era: Era, uri: &str) -> Self {
        let code = match era {
            Era::Legacy => Self::RESOURCE_NOT_FOUND,
            Era::Modern => Self::INVALID_PARAMS,
        };
        Self::new(code, format!("Resource not found: {uri}")).with_data(json!({ "uri": uri }))
    }

    /// A tool or prompt that does not exist: -32602 in every revision.
    #[must_use]
    pub(crate) fn unknown(kind: &str, name: &str) -> Self {
        Self::invalid_params(format!("Unknown {kind}: {name}"))
    }

    /// The client's access token is good for other things than this, which takes these scopes.
    #[must_use]
    pub(crate) fn missing_scope(scopes: &str) -> Self {
        Self::invalid_request(format!(
            "This takes an access token with the scope {scopes}."
        ))
        .with_data(json!({ "reason": "insufficient_scope", "scopes": scopes }))
    }

    /// What an action is about does not exist, as far as whoever asks is concerned: in the words for what nobody has.
    #[must_use]
    pub(crate) fn not_there(era: Era, action: Action<'_>) -> Self {
        match action {
            Action::CallTool(name) => Self::unknown("tool", name),
            Action::GetPrompt(name) => Self::unknown("prompt", name),
            Action::ReadResource(uri)
            | Action::SubscribeResource(uri)
            | Action::Publish(uri)
            | Action::Remove(uri) => Self::resource_not_found(era, uri),
            Action::List(_) | Action::Complete => {
                Self::invalid_params("Invalid params: there is nothing of the kind")
            }
        }
    }

    /// `required` is the object of capabilities that the client would have to declare.
    #[must_use]
    pub fn missing_client_capability(required: Value) -> Self {
        Self::new(
            Self::MISSING_CLIENT_CAPABILITY,
            "The client did not declare a capability that this request needs",
        )
        .with_data(json!({ "requiredCapabilities": required }))
    }

    /// The revision that was asked for is not spoken here; `data` has those that are.
    #[must_use]
    pub fn unsupported_version(requested: &str) -> Self {
        let supported = ProtocolVersion::STREAMABLE;
        Self::new(
            Self::UNSUPPORTED_VERSION,
            format!("Unsupported protocol version: {requested}"),
        )
        .with_data(json!({ "supported": supported, "requested": requested }))
    }

    /// The HTTP status of a response that carries only this error.
    ///
    /// Legacy answers 200 to whatever is valid JSON-RPC. 2026-07-28 asks for 404 on unknown methods and
    /// 400 on the errors of its envelope (streamable HTTP, "Server Validation"); a wrong parameter of an
    /// application is the application's answer, 200.
    #[must_use]
    pub fn http_status(&self, era: Era) -> u16 {
        match (era, self.code) {
            (_, Self::PARSE_ERROR | Self::INVALID_REQUEST) => 400,
            (Era::Legacy, _) => 200,
            (Era::Modern, Self::METHOD_NOT_FOUND) => 404,
            (
                Era::Modern,
                Self::HEADER_MISMATCH | Self::MISSING_CLIENT_CAPABILITY | Self::UNSUPPORTED_VERSION,
            ) => 400,
            (Era::Modern, _) => 200,
        }
    }
}

impl std::fmt::Display for RpcError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for RpcError {}
