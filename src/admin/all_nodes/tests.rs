//! Pages of several nodes: nothing twice, nothing never.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::value::to_raw_value;

use super::*;
use crate::admin::peers::{NodeRow, NodeRows};

/// Rows of one node with these ranks, as it gives them from `after` on.
fn part(ranks: &[u64], after: usize, limit: usize) -> NodeRows {
    let rows = ranks.iter().enumerate().skip(after).take(limit);
    NodeRows {
        rows: rows
            .map(|(at, rank)| NodeRow {
                rank: *rank,
                at: format!("at-{}", at + 1),
                row: to_raw_value(&json!([rank, at])).expect("JSON"),
            })
            .collect(),
        total: ranks.len(),
        more: after + limit < ranks.len(),
    }
}

fn after(cursor: &AllNodesCursor, node: &str) -> Option<usize> {
    match cursor.place(node) {
        Some(NodePlace::Done(_)) => None,
        Some(NodePlace::After(at)) => at.strip_prefix("at-")?.parse().ok(),
        None => Some(0),
    }
}

/// All pages, of those nodes that answer each time.
fn pages(nodes: &[(&str, &[u64])], limit: usize, answers: impl Fn(usize, &str) -> bool) -> Vec<Vec<String>> {
    let (mut cursor, mut pages) = (AllNodesCursor::default(), Vec::new());
    loop {
        let asked = nodes.iter().filter(|(node, _)| answers(pages.len(), node));
        let parts: Vec<(&str, NodeRows)> = asked
            .filter_map(|(node, ranks)| Some((*node, part(ranks, after(&cursor, node)?, limit))))
            .collect();
        let page = merge(&parts, limit);
        let shown = page.iter().map(|it| format!("{} {}", parts[it.part].0, it.row.row));
        pages.push(shown.collect());
        let (next, total) = cursor.behind(&parts, &page);
        if answers(0, "b") {
            assert_eq!(total, nodes.iter().map(|(_, it)| it.len()).sum::<usize>());
        }
        match next {
            Some(word) => cursor = AllNodesCursor::parse(&word).expect("its own word"),
            None => return pages,
        }
    }
}

const NODES: [(&str, &[u64]); 3] = [("a", &[1, 4, 4, 9]), ("b", &[]), ("c", &[2, 4, 5, 6, 7])];

#[test]
fn a_row_that_two_pages_have_or_none() {
    for limit in 1..12 {
        let pages = pages(&NODES, limit, |_, _| true);
        let all: Vec<String> = pages.iter().flatten().cloned().collect();
        let wanted = [
            "a [1,0]", "c [2,0]", "a [4,1]", "a [4,2]", "c [4,1]", "c [5,2]", "c [6,3]", "c [7,4]", "a [9,3]",
        ];
        assert_eq!(all, wanted, "{limit}");
        assert!(pages.iter().rev().skip(1).all(|page| page.len() == limit));
    }
}

#[test]
fn a_node_that_does_not_answer_for_a_page_and_is_skipped_for_ever() {
    let pages = pages(&NODES, 2, |page, node| node != "a" || page != 1);
    let mut all: Vec<String> = pages.into_iter().flatten().collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 9);
}

#[test]
fn a_cursor_that_somebody_made_up() {
    let word = |text: &str| URL_SAFE_NO_PAD.encode(text);
    assert!(AllNodesCursor::parse(&word("a =3,b at-1")).is_some());
    for text in ["", "a", "a =", "a =x", "a at&limit=9", "a at,b", "a  at"] {
        assert_eq!(AllNodesCursor::parse(&word(text)), None, "{text}");
    }
    assert_eq!(AllNodesCursor::parse("?"), None);
}

#[test]
fn a_question_to_all_that_one_is_asked() {
    for (query, rest) in [
        ("cluster", Some("")),
        ("cluster=&limit=3", Some("limit=3")),
        ("a=b&cluster=true&c", Some("a=b&c")),
        ("", None),
        ("clusters", None),
        ("x=cluster", None),
    ] {
        assert_eq!(without_cluster(query).as_deref(), rest, "{query}");
    }
}
