//! One node's part of a list of all nodes: rows that can be put among those of others.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Of a list, one node's part.
#[derive(Serialize, Deserialize)]
pub(super) struct NodeRows {
    pub(super) rows: Vec<NodeRow>,
    /// How many there are on all pages.
    pub(super) total: usize,
    /// There are more behind these.
    pub(super) more: bool,
}

#[derive(Serialize, Deserialize)]
pub(super) struct NodeRow {
    /// What sorts it among those of all nodes: less comes first.
    pub(super) rank: u64,
    /// What a page is after that ends with it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) at: String,
    /// As it is shown.
    pub(super) row: Box<RawValue>,
}
