//! What a body may have in it, however it is read: while it arrives by the wire, or at once by the engine.

use super::refused::Refused;
use crate::limits::Limits;
use crate::mcp::RpcError;
use crate::wire::json_scan::{JsonBounds, JsonScan, TooMuch};

/// # Errors
/// What has arrived of a body is past a bound.
pub(super) fn check(scan: &JsonScan, limits: &Limits) -> Result<(), Refused> {
    let bounds = JsonBounds {
        depth_max: limits.json_depth_max,
        tree_bytes_max: limits.json_tree_bytes_max,
    };
    scan.check(&bounds).map_err(|fault| match fault {
        TooMuch::Depth => {
            let sentence = "The body's arrays and objects are nested too deeply.";
            Refused::rpc(400, RpcError::new(RpcError::PARSE_ERROR, sentence))
        }
        TooMuch::Tree => {
            let limit = limits.json_tree_bytes_max;
            let sentence = format!(
                "The body has too many values: read, they would take more than the {limit} bytes of memory that \
                 this server gives a request (--json-tree-bytes-max). Long texts are cheap, many objects are not."
            );
            Refused::new(413, sentence)
        }
    })
}
