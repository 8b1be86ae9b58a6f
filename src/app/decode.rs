//! The params that a call's method wants, which may have been read already.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

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
    let principal = context.principal();
    read_again(context, move |method, params| {
        request_digest(method, params, principal)
    })
    .await
}

/// Which tool a `tools/call` is for, when its request is the application's.
///
/// # Errors
/// -32602 with what is wrong where.
pub(super) async fn name_of_tool(context: &Context) -> Result<String, RpcError> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let read = |_: &str, params: Option<&RawValue>| Ok(parse::<Named>(params)?.name);
    read_again(context, read).await
}

/// Of the method and the params, on another thread if that takes long.
async fn read_again(
    context: &Context,
    read: impl Fn(&str, Option<&RawValue>) -> Result<String, RpcError> + Send + 'static,
) -> Result<String, RpcError> {
    let call = context.call();
    if !call.is_large() {
        return read(&call.method, call.params.as_deref());
    }
    let (method, params) = (call.method.clone(), call.params.clone());
    let read = move || read(&method, params.as_deref());
    blocking(context.link(), read).await.map_err(|_| unread())?
}
