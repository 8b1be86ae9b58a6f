//! Reading params, here or on another thread.

use std::sync::{Arc, Mutex};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::call::{Link, WorkLost};
use crate::mcp::RpcError;
use crate::mcp::read::read;

/// Reads params; absent ones are an empty object.
///
/// # Errors
/// -32602 with what is wrong where.
pub(super) fn parse<'a, T: Deserialize<'a>>(params: Option<&'a RawValue>) -> Result<T, RpcError> {
    let json = params.map_or("{}", RawValue::get);
    read(json).map_err(|fault| RpcError::invalid_params(format!("Invalid params: {fault}")))
}

pub(super) fn unread() -> RpcError {
    RpcError::internal("The server failed while it read this request.")
}

/// Runs work on another thread.
pub(super) async fn blocking<T: Send + 'static>(
    link: &dyn Link,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, WorkLost> {
    let place = Arc::new(Mutex::new(None));
    let result = Arc::clone(&place);
    let work = Box::new(move || {
        let value = work();
        *result.lock().expect("only whole values are stored") = Some(value);
    });
    link.run_blocking(work).await?;
    let value = place.lock().expect("only whole values are stored").take();
    value.ok_or(WorkLost::Panicked)
}
