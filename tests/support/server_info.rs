//! What the application of a test's node says of itself.

use pinfold::app::call::ServerInfoJson;
use serde_json::json;

pub fn server_info() -> ServerInfoJson {
    let capabilities = json!({
        "tools": {"listChanged": true},
        "prompts": {"listChanged": true},
        "resources": {"listChanged": true, "subscribe": true},
        "logging": {},
    });
    ServerInfoJson {
        implementation: json!({"name": "test", "version": "0"}),
        instructions: None,
        legacy_capabilities: capabilities.clone(),
        modern_capabilities: capabilities,
        sees_credentials: false,
        portable_sessions: true,
    }
}
