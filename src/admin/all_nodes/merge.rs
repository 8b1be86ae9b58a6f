//! Lists of several nodes as one: what comes first of all, and of each node in its own order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use serde_json::value::RawValue;

use crate::admin::node_rows::{NodeRow, NodeRows};

/// A row, and which part it is of.
pub(super) struct MergedRow<'a> {
    pub(super) part: usize,
    pub(super) row: &'a NodeRow,
}

/// So many of them. No two rows of one node change places, whatever their ranks: so each page goes on where the one before ended.
pub(super) fn merge<'a>(parts: &'a [(&str, NodeRows)], limit: usize) -> Vec<MergedRow<'a>> {
    let head = |part: usize, index: usize| {
        let row = parts.get(part)?.1.rows.get(index)?;
        Some(Reverse((row.rank, part, index)))
    };
    let heads = (0..parts.len()).filter_map(|part| head(part, 0));
    let mut first: BinaryHeap<_> = heads.collect();
    let mut merged = Vec::new();
    while merged.len() < limit
        && let Some(Reverse((_, part, index))) = first.pop()
    {
        if let Some(row) = parts[part].1.rows.get(index) {
            merged.push(MergedRow { part, row });
        }
        first.extend(head(part, index + 1));
    }
    merged
}

pub(super) fn rows_of<'a>(merged: &[MergedRow<'a>]) -> Vec<&'a RawValue> {
    merged.iter().map(|it| &*it.row.row).collect()
}
