//! What is told about this server to clients that want a token for it: RFC 9728, 2.

use serde::Serialize;

use super::PublicUrl;

/// The document at [`PublicUrl::metadata_paths`]: anybody may read it, from any page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProtectedResource {
    /// As clients have to name it to their authorization server (RFC 8707).
    pub resource: String,
    /// MUST, 2025-06-18 authorization: at least one.
    pub authorization_servers: Vec<String>,
    /// The least that makes sense. SHOULD NOT, 2026-07-28 authorization, "Refresh Tokens": never `offline_access`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes_supported: Vec<String>,
    pub bearer_methods_supported: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_documentation: Option<String>,
}

impl ProtectedResource {
    #[must_use]
    pub fn new(public: &PublicUrl, authorization_servers: Vec<String>) -> ProtectedResource {
        ProtectedResource {
            resource: public.to_string(),
            authorization_servers,
            scopes_supported: Vec::new(),
            bearer_methods_supported: ["header"],
            resource_name: None,
            resource_documentation: None,
        }
    }

    /// `application/json`
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_that_a_client_does_not_understand() {
        let public: PublicUrl = "https://mcp.example.com/mcp".parse().unwrap();
        let mut resource = ProtectedResource::new(&public, vec!["https://login.example".into()]);
        resource.scopes_supported = vec!["board:read".into()];
        assert_eq!(
            resource.to_json(),
            r#"{"resource":"https://mcp.example.com/mcp","authorization_servers":["https://login.example"],"scopes_supported":["board:read"],"bearer_methods_supported":["header"]}"#
        );
    }
}
