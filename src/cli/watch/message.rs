//! The messages that a watcher sends.

use serde_json::Value;

use crate::mcp::{RpcError, RpcMethod};
use crate::wire::json_rpc::{emit_error, emit_notification, emit_request, emit_result};

pub(super) fn request(id: u64, method: RpcMethod, params: &Value) -> Vec<u8> {
    let mut message = Vec::new();
    let (id, params) = (id.to_string(), params.to_string());
    emit_request(&mut message, &id, method.name(), Some(&params));
    message
}

pub(super) fn notification(method: RpcMethod) -> Vec<u8> {
    let mut message = Vec::new();
    emit_notification(&mut message, method.name(), None);
    message
}

/// A watcher is alive and can do nothing else.
pub(super) fn answer(id: &Value, method: &str) -> Vec<u8> {
    let mut message = Vec::new();
    let id = id.to_string();
    match RpcMethod::of(method) {
        Some(RpcMethod::Ping) => emit_result(&mut message, &id, "{}"),
        _ => {
            let error = serde_json::json!(RpcError::method_not_found(method)).to_string();
            emit_error(&mut message, Some(&id), &error);
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_server_that_asks_a_watcher() {
        let answer = |id, method| -> Value {
            serde_json::from_slice(&answer(&id, method)).expect("an answer is JSON")
        };
        let pong = json!({ "jsonrpc": "2.0", "id": "a", "result": {} });
        assert_eq!(answer(json!("a"), "ping"), pong);
        let refused = answer(json!(7), "roots/list");
        assert_eq!(
            (&refused["id"], &refused["error"]["code"]),
            (&json!(7), &json!(-32601))
        );
    }
}
