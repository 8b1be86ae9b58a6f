//! Cursors under a policy. An application's cursor names an entry of its list, which its client may not be one to know of: so it
//! is sealed, as a `requestState` is, and any node of the cluster opens it.

use super::call::Link;
use super::{Context, Error};
use crate::mcp::types::PaginatedRequest;

/// Tells a cursor from what else is sealed.
const PREFIX: &[u8] = b"cursor:";

/// What the application is asked for.
///
/// # Errors
/// -32602: the cursor was not made here.
pub(super) fn opened(
    mut request: PaginatedRequest,
    context: &Context,
) -> Result<PaginatedRequest, Error> {
    if context.has_policy()
        && let Some(sealed) = &request.cursor
    {
        let cursor = unsealed(sealed, context.link());
        request.cursor = Some(cursor.ok_or_else(|| Error::invalid_params("Invalid cursor"))?);
    }
    Ok(request)
}

fn unsealed(sealed: &str, link: &dyn Link) -> Option<String> {
    let plain = link.unseal(sealed)?;
    String::from_utf8(plain.strip_prefix(PREFIX)?.to_vec()).ok()
}

/// What the client is told.
pub(super) fn sealed(next: Option<String>, context: &Context) -> Option<String> {
    match context.has_policy() {
        true => next.map(|cursor| context.link().seal(&[PREFIX, cursor.as_bytes()].concat())),
        false => next,
    }
}
