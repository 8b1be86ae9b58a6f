//! JSON-RPC messages as both halves of a shard send them, each in one piece of memory.

use crate::mcp::RpcError;
use crate::wire::json_rpc::{emit_error, emit_notification, emit_request, emit_result};

/// What a message has besides its method or error and what is in it.
const FRAME_BYTES: usize = 64;

/// `{"jsonrpc":"2.0","id":…,"result":…}`
pub(super) fn result_message(id: &str, result: &str) -> Vec<u8> {
    message(id.len() + result.len(), |out| emit_result(out, id, result))
}

/// `{"jsonrpc":"2.0","id":…,"error":…}`; without an id where none could be read.
pub(super) fn error_message(id: Option<&str>, error: &RpcError) -> Vec<u8> {
    let error = serde_json::to_string(error).expect("an error is JSON");
    message(id.map_or(0, str::len) + error.len(), |out| {
        emit_error(out, id, &error);
    })
}

/// `{"jsonrpc":"2.0","method":…,"params":…}`
pub(super) fn notification_message(method: &str, params: Option<&str>) -> Vec<u8> {
    message(method.len() + params.map_or(0, str::len), |out| {
        emit_notification(out, method, params);
    })
}

/// `{"jsonrpc":"2.0","id":…,"method":…,"params":…}`
pub(super) fn request_message(id: u32, method: &str, params: &str) -> Vec<u8> {
    let mut digits = itoa::Buffer::new();
    let id = digits.format(id);
    message(id.len() + method.len() + params.len(), |out| {
        emit_request(out, id, method, Some(params));
    })
}

fn message(bytes: usize, emit: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut message = Vec::with_capacity(bytes + FRAME_BYTES);
    emit(&mut message);
    message
}
