//! The params that a call's method wants, which may have been read already.

use serde::de::DeserializeOwned;

use super::context::Context;
use super::params::{blocking, parse, unread};
use super::state::request_digest;
use crate::mcp::RpcError;

/// What its method wants of a call's params.
///
/// # Errors
/// -32602 with what is wrong where.
pub(super) fn decode<T: DeserializeOwned + 'static>(context: &Context) -> Result<T, RpcError> {
    let ahead = context.take_read_ahead();
    match ahead.map(|read| read.downcast::<Result<T, RpcError>>()) {
        Some(Ok(read)) => *read,
        Some(Err(_)) | None => parse(context.call().params.as_deref()),
    }
}

/// The digest of a call, for what it is to be told apart by.
///
/// # Errors
/// -32602 with what is wrong where.
pub(super) async fn digest(context: &Context) -> Result<String, RpcError> {
    let call = context.call();
    match call.is_large() {
        false => request_digest(&call.method, call.params.as_deref()),
        true => {
            let (method, params) = (call.method.clone(), call.params.clone());
            let read = move || request_digest(&method, params.as_deref());
            let digest = blocking(context.link(), read).await;
            digest.map_err(|_| unread())?
        }
    }
}
